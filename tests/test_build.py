# SPDX-License-Identifier: GPL-2.0
"""avic.build: what make could not make of the selftests, and what its commands can reach.

captured/selftests.log is the end of a log of v6.1, 6.1.192-3, less what compiled.
"""

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
    def test_a_build_that_fails_leaves_the_tree_on_its_branch(self) -> None:
        repo = Path(self.enterContext(tempfile.TemporaryDirectory()))

        def git(*command: str) -> str:
            return subprocess.check_output(["git", "-C", repo, *command], text=True)

        git("init", "--quiet", "--initial-branch=stack")
        git("-c", "user.name=-", "-c", "user.email=-", "commit", "--quiet", "--allow-empty", "--message=base")
        images = SimpleNamespace(repo=repo, commit=lambda level, patch: git("rev-parse", "stack").strip())
        with self.assertRaises(KeyboardInterrupt), Images.at(images, "1", "") as commit:
            git("checkout", "--quiet", "--detach", commit)
            raise KeyboardInterrupt
        self.assertEqual(git("symbolic-ref", "--short", "HEAD").strip(), "stack")
