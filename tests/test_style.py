# SPDX-License-Identifier: GPL-2.0
"""Every file: licence line, shell style, no registry's host name, docs that name what exists."""

import re
import subprocess
import unittest
from pathlib import Path

from project import TOP

# Formats that have no place for a comment, or belong to somebody else.
NO_SPDX = re.compile(
    r"(\.patch|LICENSE|COVER_LETTER\.txt|patches/[^/]+/cover(?:\.[a-z0-9-]+)?|MAINTAINERS\.snippet"
    r"|ci/emulator/reports/.*\.txt|releases/.*|tests/captured/.*|tests/npm/.*\.json)$"
)


def files() -> list[Path]:
    """What git tracks or would track, links left out."""
    listed = subprocess.check_output(
        ["git", "-C", TOP, "ls-files", "--cached", "--others", "--exclude-standard"], text=True
    )
    paths = [TOP / name for name in listed.splitlines()]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def shell_scripts() -> list[Path]:
    first = re.compile(r"#!.*\b(ba)?sh( -p)?\n|# SPDX.*\n# shellcheck shell")
    return [path for path in files() if first.match(path.read_text(errors="replace")[:200])]


class Style(unittest.TestCase):
    def test_licence(self) -> None:
        for path in files():
            name = str(path.relative_to(TOP))
            if not NO_SPDX.search(name):
                with self.subTest(name):
                    head = "\n".join(path.read_text().split("\n")[:3])
                    self.assertIn("SPDX-License-Identifier: GPL-2.0", head)

    def test_interpreters_obey_no_caller(self) -> None:
        """Bash takes up options and functions of the environment, Python modules."""
        ours = r"#!(?:/usr/bin/env -S (?:bash -p|(?:/usr/bin/)?python3 -E -X utf8)|/bin/sh)\n"
        for path in files():
            first = path.read_text(errors="replace").partition("\n")[0] + "\n"
            if re.match(r"#!.*(sh|python3)\b", first) and path != TOP / ".ci/run":
                with self.subTest(path.name):
                    self.assertRegex(first, ours)

    def test_shellcheck(self) -> None:
        scripts = shell_scripts()
        self.assertGreater(len(scripts), 5)
        # Its options are in .shellcheckrc, for editors as well.
        result = subprocess.run(["shellcheck", *scripts], text=True, stdout=subprocess.PIPE)
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_shfmt(self) -> None:
        result = subprocess.run(
            ["shfmt", "-d", *shell_scripts()], text=True, stdout=subprocess.PIPE
        )
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_pyflakes(self) -> None:
        python = [path for path in files() if path.suffix == ".py" or re.match("#!.*python3", path.read_text(errors="replace"))]
        self.assertGreater(len(python), 40)
        result = subprocess.run(["pyflakes3", *python], text=True, stdout=subprocess.PIPE)
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_mypy(self) -> None:
        result = subprocess.run(["mypy", "--cache-dir=/dev/null"], cwd=TOP, text=True, stdout=subprocess.PIPE)
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_no_registry_by_name(self) -> None:
        host = re.compile(r"\b(?:[\w-]+\.)*debian\.(?:org|net)\b|registry\.[\w.]+\.org")
        for path in files():
            with self.subTest(path.name):
                self.assertIsNone(host.search(path.read_text(errors="replace")))

    def test_readme_names_what_exists(self) -> None:
        for page in ("README.md", "CONTRIBUTING.md"):
            text = (TOP / page).read_text()
            for name in re.findall(r"`((?:scripts|ci|tests|configs|docs|patches)/[\w./-]+)`", text):
                with self.subTest(page, name=name):
                    self.assertTrue((TOP / name).exists(), f"{page}: {name}")
        readme = (TOP / "README.md").read_text()
        targets = set(re.findall(r"^([a-z-]+):", (TOP / "Makefile").read_text(), re.MULTILINE))
        for target in re.findall(r"(?:^    |`)make ([a-z-]+)", readme, re.MULTILINE):
            self.assertIn(target, targets)
