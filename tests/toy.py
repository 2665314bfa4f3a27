# SPDX-License-Identifier: GPL-2.0
"""A toy kernel tree, a toy stack on it and a copy of our scripts to drive there."""

from __future__ import annotations

import atexit
import functools
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from project import TOP

BASE_FILE = """\
Package: linux-source-toy
Range: 1.*
Suites: bookworm
"""

# Distinct lines, so that a hunk's context can only be in one place.
X86_C = "".join(f"line {n} of x86.c\n" for n in range(1, 61))
AVIC_C = "".join(f"line {n} of avic.c\n" for n in range(1, 31))


# What Toy.digest() says -> the repository that make_stack() has made of it.
MADE: dict[str, Path] = {}


@functools.cache
def place() -> Path:
    """This process's folder: each test's root is in the same place there, for absolute paths to be copied."""
    folder = Path(tempfile.mkdtemp(prefix="avic-toy."))
    folder.chmod(0o755)  # a test may become another user
    atexit.register(shutil.rmtree, folder)
    return folder


class Toy(unittest.TestCase):
    """Makes self.project (our scripts and patches/toy), self.tree and a cache."""

    def setUp(self) -> None:
        self.root = place() / "root"
        self.root.mkdir()
        self.addCleanup(shutil.rmtree, self.root)
        self.cache = self.root / "cache"
        self.project = self.root / "project"
        self.patches = self.project / "patches" / "toy"
        shutil.copytree(TOP / "scripts", self.project / "scripts")
        self.patches.mkdir(parents=True)
        (self.patches / "base").write_text(BASE_FILE)
        (self.patches / "series").write_text("# toy stack\n")
        self.tree = self.root / "tree"
        self.make_tree(self.tree)
        self.env = {"BASE": "toy", "TREE": str(self.tree), "AVIC_CACHE": str(self.cache)}
        # As a caller's, whose settings are none of ours.
        self.env |= {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}

    @staticmethod
    def make_tree(tree: Path) -> None:
        """A git tree that passes for a kernel."""
        (tree / "arch/x86/kvm/svm").mkdir(parents=True)
        (tree / "Kconfig").write_text("mainmenu toy\n")
        (tree / "arch/x86/kvm/x86.c").write_text(X86_C)
        (tree / "arch/x86/kvm/svm/avic.c").write_text(AVIC_C)
        git(tree, "init", "--quiet")
        git(tree, "add", "--all")
        git(tree, "commit", "--quiet", "--message=toy")

    def make_stack(self) -> Path:
        """Three commits on the toy base, refreshed into patches/toy; returns the repository.

        A copy, if this process has made them of the same before.
        """
        key = self.digest()
        if key not in MADE:
            MADE[key] = self.commit_stack()
            shutil.copytree(self.root, place() / key, symlinks=True)
            return MADE[key]
        shutil.rmtree(self.root)
        shutil.copytree(place() / key, self.root, symlinks=True)
        for copy in (MADE[key], self.tree):
            git(copy, "update-index", "--refresh")
        return MADE[key]

    def digest(self) -> str:
        """What there is, as a key: the files, less git's, and the caller's environment."""
        found = hashlib.sha256(repr(sorted(self.caller().items())).encode())
        for path in sorted(self.root.rglob("*")):
            if ".git" not in path.parts and path.is_file():
                found.update(f"{path} {path.stat().st_mode} ".encode() + path.read_bytes())
        return found.hexdigest()

    def commit_stack(self) -> Path:
        """Make the three commits, and patches/toy of them; returns the repository."""
        repo = Path(self.script("apply").stdout.strip())
        for number, (path, line, slug) in enumerate(
            [("x86.c", 10, "one"), ("svm/avic.c", 10, "two"), ("x86.c", 40, "three")]
        ):
            edit(repo / "arch/x86/kvm" / path, f"line {line} of", f"changed line {line} of")
            git(repo, "commit", "--quiet", "--all", f"--message=KVM: SVM: Toy {slug}\n\nWhy.")
        self.script("refresh")
        return repo

    def caller(self) -> dict[str, str]:
        """A caller's environment: of git only what self.env has."""
        return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | self.env

    def script(
        self, name: str, status: int = 0, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run scripts/NAME of the copy, perhaps with arguments, and check its exit status."""
        verb, *arguments = name.split()
        result = subprocess.run(
            [self.project / "scripts" / verb, *arguments],
            env=self.caller() | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.assertEqual(
            result.returncode, status, f"{name}: {result.stdout}\n{result.stderr}"
        )
        return result

    def refused(self, name: str, status: int, *words: str, **env: str) -> str:
        """Run a script that must refuse, with one line of error that has all the words."""
        error = self.script(name, status, **env).stderr
        said = [line for line in error.splitlines() if line.startswith(f"{name.split()[0]}: ")]
        self.assertEqual(len(said), 1, error)
        for word in words:
            self.assertIn(word, said[0])
        return error

    def interrupted(self, name: str, after: float, by: signal.Signals = signal.SIGINT, **env: str) -> bool:
        """Start a script, press Ctrl-C after some seconds, or kill it; whether it was cut short."""
        verb, *arguments = name.split()
        process = subprocess.Popen(
            [self.project / "scripts" / verb, *arguments],
            env=self.caller() | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        time.sleep(after)
        running = process.poll() is None
        if running:
            os.killpg(process.pid, by)
        _, error = process.communicate(timeout=60)
        # 130 from our handler; Python's own ways if Ctrl-C came before there was one.
        if process.returncode not in (0, 130, -2, -by):
            self.assertIn("KeyboardInterrupt", error)
        return running and process.returncode != 0

    def temporary(self) -> Path:
        """Where scripts put temporary files from here on: an empty folder of the test's own."""
        folder = self.root / "tmp"
        folder.mkdir()
        self.env["TMPDIR"] = str(folder)
        return folder

    def moments(self, name: str, **env: str) -> list[float]:
        """Twelve moments spread over the time that a script takes, measured once."""
        begin = time.monotonic()
        self.script(name, **env)
        took = time.monotonic() - begin
        return [took * step / 12 for step in range(12)]

    def content(self) -> dict[str, str]:
        """patches/toy as name -> text."""
        return {path.name: path.read_text() for path in self.patches.iterdir()}


def git(tree: Path, *args: str) -> str:
    """git in tree, as a made-up person, without this machine's settings."""
    return subprocess.run(
        ["git", "-C", tree, "-c", "user.name=Toy", "-c", "user.email=toy@localhost", *args],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.strip()


def edit(path: Path, old: str, new: str) -> None:
    """Replace the first `old` in a file, which must have it."""
    text = path.read_text()
    assert old in text, f"{path} has no '{old}'"
    path.write_text(text.replace(old, new, 1))
