# SPDX-License-Identifier: GPL-2.0
"""scripts/release: a revision is a folder, a commit and a tag, or nothing."""

import json
import shutil

from project import slow
from toy import Toy, edit, git


class Release(Toy):
    def setUp(self) -> None:
        super().setUp()
        self.env |= {"GIT_CONFIG_GLOBAL": str(self.root / "gitconfig"), "TREE": ""}
        (self.root / "gitconfig").write_text("[user]\n\tname = Toy\n\temail = toy@localhost\n")
        # The toy base, as if it had been fetched.
        self.repo = self.cache / "base/toy/1.0-1"
        self.make_tree(self.repo)
        git(self.repo, "branch", "--move", "base")
        (self.repo.parent / "current").write_text("1.0-1\n")
        self.make_stack()
        self.script("apply", RESET="1")
        (self.project / ".gitignore").write_text("__pycache__\n")
        git(self.project, "init", "--quiet")
        self.commit()
        self.ran()

    def commit(self) -> None:
        git(self.project, "add", "--all")
        git(self.project, "commit", "--quiet", "--message=toy")

    def ran(self, worse: tuple[str, ...] = ()) -> None:
        """Evidence of the stack as it is."""
        report = self.cache / "report/toy"
        report.mkdir(parents=True, exist_ok=True)
        stack = git(self.repo, "rev-parse", "--short", "stack")
        (report / "verdict.json").write_text(json.dumps({"stack": stack, "worse": worse}))
        (report / "summary.txt").write_text("47 pass\n")

    def change(self) -> None:
        """Amend the last patch, and commit it here."""
        self.script("apply", RESET="1")
        edit(self.repo / "arch/x86/kvm/x86.c", "changed line 40", "fixed line 40")
        git(self.repo, "commit", "--quiet", "--all", "--amend", "--no-edit")
        self.script("refresh")
        self.script("apply", RESET="1")
        self.commit()

    def read(self, name: str) -> str:
        return (self.project / "releases" / name).read_text()

    def nothing_left(self, folder: str) -> None:
        self.assertFalse((self.project / "releases" / folder).exists())
        self.assertEqual(git(self.project, "status", "--porcelain"), "")
        self.assertNotIn(folder, git(self.project, "tag").split())

    def test_first(self) -> None:
        self.script("release v1")
        self.assertEqual(
            self.read("v1/changelog"), "toy:\n- toy-one: KVM: SVM: Toy one: new\n- toy-two: KVM: SVM: Toy two: new\n- toy-three: KVM: SVM: Toy three: new\n"
        )
        self.assertEqual(self.read("v1/evidence"), "toy\n\n47 pass\n")
        self.assertEqual(git(self.project, "rev-parse", "v1^{commit}"), git(self.project, "rev-parse", "HEAD"))
        self.assertEqual(git(self.project, "for-each-ref", "--format=%(taggername)", "refs/tags/v1"), "Toy")
        self.assertEqual(git(self.project, "status", "--porcelain"), "")

    @slow
    def test_second_says_what_changed_since(self) -> None:
        self.script("release v1")
        self.change()
        self.ran()
        notes = self.root / "notes"
        notes.write_text("- Fix line 40\n  for good.\n")
        self.script(f"release v2 --notes {notes}")
        self.assertEqual(
            self.read("v2/changelog"), "- Fix line 40\n  for good.\n\ntoy:\n- toy-three: KVM: SVM: Toy three: changed\n"
        )
        self.assertRegex(self.read("v2/range-diff"), r"(?m)^toy-three\n1:  .* ! 1:  ")
        self.assertIn("+fixed line 40 of x86.c", self.read("v2/range-diff"))

    def test_what_is_moved_renamed_or_gone(self) -> None:
        edit(self.patches / "series", "0003", "# Section last: The last\n0003")
        edit(self.patches / "series", "0001", "# Section first: The first\n0001")
        self.commit()
        self.script("release v1")
        git(self.repo, "reset", "--quiet", "--hard", "base")
        git(self.repo, "cherry-pick", "refs/avic/applied~1", "refs/avic/applied~2")
        git(self.repo, "commit", "--quiet", "--amend", "--message=KVM: SVM: In other words\n\nWhy.")
        git(self.repo, "notes", "--ref=slug", "add", "--force", "--message=toy-one", "HEAD")
        (self.patches / "series").write_text((self.patches / "series").read_text().replace("# Section last: The last\n", ""))
        self.script("refresh")
        self.script("apply", RESET="1")
        self.commit()
        self.ran()
        self.script("release v2")
        self.assertEqual(
            self.read("v2/changelog"),
            'toy:\n- toy-one: KVM: SVM: In other words: changed, was "KVM: SVM: Toy one"\n'
            "- toy-two: KVM: SVM: Toy two: moved\n"
            "- toy-three: KVM: SVM: Toy three: gone from last\n",
        )

    @slow
    def test_old_series_that_no_longer_applies(self) -> None:
        self.script("release v1")
        self.change()
        git(self.repo, "checkout", "--quiet", "base")
        edit(self.repo / "arch/x86/kvm/svm/avic.c", "line 9 of", "another line 9 of")
        git(self.repo, "commit", "--quiet", "--all", "--message=point release")
        git(self.repo, "checkout", "--quiet", "stack")
        git(self.repo, "rebase", "--quiet", "-Xtheirs", "base")
        self.script("refresh")
        self.script("apply", RESET="1")
        self.commit()
        self.ran()
        self.script("release v2")
        self.assertIn("does not apply to this base any more; as text:\n--- old\n", self.read("v2/range-diff"))

    def test_refused(self) -> None:
        """What is wrong is said, and nothing is left behind."""
        self.refused("release v2", 2, "the next revision is v1, not v2")
        self.ran(worse=("xapic_ipi_test",))
        self.refused("release v1", 1, "1 results got worse on toy: see ", "--without-evidence toy")
        self.ran()
        (self.root / "gitconfig").write_text("")
        self.refused("release v1", 2, "no git identity", "git config")
        (self.root / "gitconfig").write_text("[user]\n\tname = Toy\n\temail = toy@localhost\n")
        hook = self.project / ".git/hooks/pre-commit"
        hook.write_text("#!/bin/sh\nexit 1\n")
        hook.chmod(0o755)
        self.refused("release v1", 1, "git commit failed")
        hook.unlink()
        self.change()
        self.refused("release v1", 1, "it ran on toy with", "make run BASE=toy")
        (self.cache / "report/toy/verdict.json").unlink()
        self.refused("release v1", 1, "it was not run on toy", "make run BASE=toy")
        self.nothing_left("v1")
        edit(self.patches / "series", "# toy stack", "# another")
        self.refused("release v1", 1, "has uncommitted changes")
        self.assertFalse((self.project / "releases").exists())

    def test_all_that_is_missing_at_once(self) -> None:
        """Of each base, before anything else is done for one of them."""
        for name in ("toy2", "toy3"):
            shutil.copytree(self.patches, self.project / "patches" / name)
            shutil.copytree(self.repo.parent, self.cache / "base" / name, symlinks=True)
        self.commit()
        self.ran(worse=("xapic_ipi_test",))
        said = ("results got worse on toy: see ", "it was not run on toy2: make run BASE=toy2", "it was not run on toy3: ")
        error = self.refused("release v1", 1, *said, "or give --without-evidence toy --without-evidence toy2 --without-evidence toy3")
        self.assertNotIn("v1: toy", error)
        error = self.refused("release v1 --without-evidence toy2", 1, "worse on toy:", "run on toy3")
        self.assertNotIn("toy2", error)
        self.nothing_left("v1")
        self.script("release v1 --without-evidence toy --without-evidence toy2 --without-evidence toy3")
        self.assertEqual(self.read("v1/evidence"), "toy\n\nnot run\n\ntoy2\n\nnot run\n\ntoy3\n\nnot run\n")

    def test_without_evidence_says_so(self) -> None:
        (self.cache / "report/toy/verdict.json").unlink()
        self.script("release v1 --without-evidence toy")
        self.assertEqual(self.read("v1/evidence"), "toy\n\nnot run\n")

    @slow
    def test_interrupt_at_any_time(self) -> None:
        head = git(self.project, "rev-parse", "HEAD")
        moments = self.moments("release v1")
        cut = 0
        for moment in moments:
            git(self.project, "tag", "--delete", "v1")
            git(self.project, "reset", "--quiet", "--hard", head)
            cut += self.interrupted("release v1", moment)
            if "v1" in git(self.project, "tag").split():
                self.assertEqual(git(self.project, "rev-parse", "v1^{commit}~1"), head)
            else:
                self.nothing_left("v1")
                self.assertEqual(git(self.project, "rev-parse", "HEAD"), head)
                git(self.project, "tag", "v1")
        self.assertGreater(cut, 2, "no run was cut short: the test showed nothing")
