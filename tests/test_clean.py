# SPDX-License-Identifier: GPL-2.0
"""scripts/clean: what no base needs goes, and nothing of the user's."""

import fcntl
import os
import time
from pathlib import Path

from toy import Toy, edit, git


class Clean(Toy):
    def setUp(self) -> None:
        super().setUp()
        self.repo = self.make_stack()
        self.script("apply")

    def old(self, repo: Path) -> None:
        """As if it had not been used for a month."""
        then = time.time() - 30 * 24 * 3600
        for path in (repo, repo / ".git/index", repo / ".git/avic.lock"):
            os.utime(path, (then, then))

    def clean(self, **env: str) -> str:
        return self.script("clean", **env).stdout

    def test_what_is_used_stays(self) -> None:
        self.assertNotIn("removed", self.clean())
        self.assertTrue(self.repo.is_dir())

    def test_tree_that_is_no_longer_used(self) -> None:
        for kind in ("build", "check", "modules"):
            (self.cache / kind / "toy" / self.repo.name).mkdir(parents=True)
        self.old(self.repo)
        said = self.clean()
        self.assertRegex(said, rf"removed +\d+ base/toy/{self.repo.name}\n")
        self.assertFalse(self.repo.exists())
        self.assertEqual([path for kind in ("build", "check", "modules") for path in (self.cache / kind).glob("*/*")], [])

    def test_version_that_another_has_replaced(self) -> None:
        for version in ("1.0-1", "1.1-1"):
            (self.cache / "base/toy" / version).mkdir()
        (self.cache / "base/toy/current").write_text("1.1-1\n")
        self.clean()
        self.assertFalse((self.cache / "base/toy/1.0-1").exists())
        self.assertTrue((self.cache / "base/toy/1.1-1").exists())

    def test_base_that_is_gone(self) -> None:
        (self.cache / "build/v0.1/tree").mkdir(parents=True)
        self.clean()
        self.assertFalse((self.cache / "build/v0.1/tree").exists())

    def test_work_that_is_not_refreshed(self) -> None:
        edit(self.repo / "arch/x86/kvm/x86.c", "line 50 of", "my line 50 of")
        self.old(self.repo)
        self.assertIn(f"base/toy/{self.repo.name}: it has uncommitted changes", self.clean())
        git(self.repo, "commit", "--quiet", "--all", "--message=KVM: SVM: Mine")
        self.old(self.repo)
        for env in ({}, {"ALL": "1"}):
            self.assertIn("it has commits on branch stack that patches/ lacks", self.clean(**env))
        self.assertTrue(self.repo.exists())

    def test_branch_that_was_exported_there(self) -> None:
        git(self.repo, "branch", "avic", "stack")
        self.old(self.repo)
        self.assertIn("it has branches of yours: avic", self.clean(ALL="1"))
        self.assertTrue(self.repo.exists())

    def test_what_another_run_has(self) -> None:
        self.old(self.repo)
        with (self.repo / ".git/avic.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.assertIn("it is in use", self.clean())
        self.assertTrue(self.repo.exists())

    def test_leftovers(self) -> None:
        for name in ("base/toy/.new.1", "build/toy/.new.2", "run/.new.3"):
            (self.cache / name / "part").mkdir(parents=True)
        self.clean()
        self.assertEqual(list(self.cache.rglob(".new.*")), [])

    def test_all(self) -> None:
        (self.cache / "report/toy").mkdir(parents=True)
        self.clean(ALL="1")
        self.assertFalse(self.repo.exists())
        self.assertTrue((self.cache / "report/toy").exists())
