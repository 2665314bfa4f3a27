# SPDX-License-Identifier: GPL-2.0
"""avic.build: what make could not make of the selftests, and what its commands can reach.

captured/selftests.log is the end of a log of v6.1, 6.1.192-3, less what compiled.
"""

import contextlib
import io
import subprocess
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

from project import TOP
from avic.base import Base
from avic.build import Images, gave_up, offline, run_make
from avic.kbuild import Build

LOG = TOP / "tests/captured/selftests.log"
OUT = Path("/root/.cache/avic/build/v6.1/6.1.192-3/.new.en88nr81/new")


class Selftests(unittest.TestCase):
    def not_built(self, text: str) -> str:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder, "log")
            log.write_text(text)
            return Images.not_built(SimpleNamespace(base=Base.named("v6.1")), log, OUT)

    def test_gave_up(self) -> None:
        self.assertEqual(gave_up(LOG.read_text(), OUT), ["dirty_log_test", "steal_time"])

    def test_what_the_base_has_broken(self) -> None:
        self.assertEqual(self.not_built(LOG.read_text()), "")

    def test_what_it_has_not(self) -> None:
        text = LOG.read_text()
        self.assertEqual(self.not_built(text.replace("new/steal_time]", "new/x86_64/svm_vmcall_test]")), "x86_64/svm_vmcall_test")

    def test_make_does_not_say_what(self) -> None:
        self.assertEqual(self.not_built("make: *** No rule to make target 'all'.  Stop.\n"), "all")


class Network(unittest.TestCase):
    """What a tree's Makefiles run has no network but a loopback that is down."""

    def setUp(self) -> None:
        if not offline():
            self.skipTest("this machine lets nobody have a network namespace (unshare --net)")
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.log = self.folder / "log"

    def interfaces(self) -> list[str]:
        return [line.split(":")[0].strip() for line in self.log.read_text().splitlines() if ":" in line]

    def test_kernels(self) -> None:
        self.assertTrue(run_make(self.log, "cat", "/proc/net/dev"))
        self.assertEqual(self.interfaces(), ["lo"])

    def test_gates(self) -> None:
        self.assertEqual(Build(self.folder, self.folder, [], 1).run(self.log, ["cat", "/proc/net/dev"]), 0)
        self.assertEqual(self.interfaces(), ["lo"])


class Level(unittest.TestCase):
    def setUp(self) -> None:
        self.repo = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.git("init", "--quiet", "--initial-branch=stack")
        for subject in ("base", "one"):
            (self.repo / "file").write_text(f"{subject}\n")
            self.git("add", "file")
            self.git("-c", "user.name=-", "-c", "user.email=-", "commit", "--quiet", f"--message={subject}")
        self.base, self.stack = (self.git("rev-parse", each) for each in ("stack~1", "stack"))
        self.images = Images.__new__(Images)
        self.images.repo = self.repo

    def git(self, *command: str) -> str:
        return subprocess.check_output(["git", "-C", self.repo, *command], text=True).strip()

    def interrupted(self, level: str) -> None:
        """A build of a level that a signal ends."""
        with self.assertRaises(KeyboardInterrupt), self.images.at(level, "") as commit:
            self.images.switch(level, commit)
            raise KeyboardInterrupt

    def test_a_build_that_fails_leaves_the_tree_on_its_branch(self) -> None:
        self.interrupted(self.base)
        self.assertEqual(self.git("symbolic-ref", "--short", "HEAD"), "stack")
        self.assertEqual((self.repo / "file").read_text(), "one\n")

    def test_a_rebase_that_has_stopped_stays(self) -> None:
        """Its commit, and what is changed there and not committed yet."""
        self.git("checkout", "--quiet", "--detach", self.base)
        self.interrupted(self.stack)
        self.assertEqual((self.images.head(), (self.repo / "file").read_text()), (self.base, "base\n"))
        (self.repo / "file").write_text("by hand\n")
        with self.assertRaises(SystemExit), contextlib.redirect_stderr(io.StringIO()):
            self.interrupted(self.stack)
        self.assertEqual((self.images.head(), (self.repo / "file").read_text()), (self.base, "by hand\n"))
