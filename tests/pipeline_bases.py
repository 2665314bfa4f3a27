# SPDX-License-Identifier: GPL-2.0
"""Each base's stack on its real kernel: git, quilt, refresh, compare and threads agree with scripts/apply.

A base whose source can't be had here, for want of a network, is skipped, with the reason.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from machine import ENV, TOP, sh

from avic.base import Base

NOT_HERE = re.compile(r"^\w+: (the source of \S+ can't be had from .*)$", re.MULTILINE)


def source_of(base: Base, verb: str, *arguments: str) -> str:
    """What a verb prints for a base; raises SkipTest if it needs a source that can't be had."""
    result = subprocess.run(
        [TOP / "scripts" / verb, *arguments], env=ENV | {"BASE": base.name},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    if result.returncode and (found := NOT_HERE.search(result.stderr)):
        raise unittest.SkipTest(found[1])
    if result.returncode:
        raise AssertionError(f"{verb}: {result.stdout}{result.stderr}")
    return result.stdout.strip()


class Stack(unittest.TestCase):
    """The tests; a class of its own for each base is made below."""

    base: Base
    newer: str

    @classmethod
    def setUpClass(cls) -> None:
        cls.repo = Path(source_of(cls.base, "apply"))
        cls.patches = sorted(cls.base.folder.glob("*.patch"))

    def scratch(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="avic-pipeline."))
        self.addCleanup(shutil.rmtree, folder)
        return folder

    def touched(self, *options: str) -> list[str]:
        return sh("git", "-C", self.repo, "diff", "--name-only", *options, "base", "stack").split()

    def test_git_am_takes_the_files_as_they_are(self) -> None:
        tree = self.scratch() / "tree"
        sh("git", "-C", self.repo, "worktree", "add", "--no-checkout", "--detach", tree, "base")
        try:
            sh("git", "-C", tree, "read-tree", "HEAD")
            sh("git", "-C", tree, "-c", "user.name=t", "-c", "user.email=t@localhost",
               "am", "--quiet", *self.patches)  # fmt: skip
            self.assertEqual(
                sh("git", "-C", tree, "rev-parse", "HEAD^{tree}"),
                sh("git", "-C", self.repo, "rev-parse", "stack^{tree}"),
            )
        finally:
            sh("git", "-C", self.repo, "worktree", "remove", "--force", tree)

    def test_quilt_takes_them_without_fuzz(self) -> None:
        tree = self.scratch()
        archive = ["git", "-C", self.repo, "archive", "--format=tar"]
        subprocess.run(
            ["tar", "--extract", f"--directory={tree}"],
            input=subprocess.check_output([*archive, "base", *self.touched("--diff-filter=MD")]),
            check=True,
        )
        sh("quilt", "push", "-a", "--fuzz=0", cwd=tree, QUILT_PATCHES=str(self.base.folder))
        for name in self.touched():
            with self.subTest(name):
                self.assertEqual(
                    (tree / name).read_text(),
                    subprocess.check_output(["git", "-C", self.repo, "show", f"stack:{name}"], text=True),
                )

    def test_threads(self) -> None:
        """The stack's own code with real threads; on the default base also with each fault."""
        source_of(self.base, "threads")

    def files(self) -> dict[Path, bytes]:
        """What patches/<base> has, the small form as well."""
        return {path: path.read_bytes() for path in self.base.folder.rglob("*") if path.is_file()}

    def test_refresh_changes_nothing(self) -> None:
        before = self.files()
        out = sh(TOP / "scripts/refresh", BASE=self.base.name)
        self.assertEqual(out, f"{len(self.patches)} patches in patches/{self.base}")
        self.assertEqual(self.files(), before)

    def test_each_difference_from_the_next_base_has_its_reason(self) -> None:
        source_of(self.base, "compare", self.newer)


class Signed(unittest.TestCase):
    def test_nobody_signed_off(self) -> None:
        for base in Base.every():
            for path in base.folder.glob("*.patch"):
                with self.subTest(path.name):
                    self.assertNotRegex(path.read_text(), r"(?mi)^(signed-off|reviewed|tested|acked)-by:")


def load_tests(loader: unittest.TestLoader, tests: unittest.TestSuite, pattern: object) -> unittest.TestSuite:
    """Signed, and Stack once for each base."""
    suite = unittest.TestSuite(loader.loadTestsFromTestCase(Signed))
    bases = Base.every()
    for base, newer in zip(bases, [*(base.name for base in bases[1:]), ""]):
        members: dict[str, object] = {"base": base, "newer": newer}
        if not newer:
            members["test_each_difference_from_the_next_base_has_its_reason"] = None
        name = f"Stack_{base.name.replace('.', '_')}"
        suite.addTests(loader.loadTestsFromTestCase(type(name, (Stack,), members)))
    return suite
