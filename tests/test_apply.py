# SPDX-License-Identifier: GPL-2.0
"""scripts/apply: exact, or refused with the place named and the tree as it was."""

import os
import shutil

from project import slow
from toy import Toy, edit, git


class Apply(Toy):
    def test_one_commit_a_patch(self) -> None:
        repo = self.make_stack()
        git(repo, "checkout", "--quiet", "-B", "stack", "base")
        self.script("apply", RESET="1")
        subjects = git(repo, "log", "--reverse", "--format=%s", "base..stack")
        self.assertEqual(
            subjects.split("\n"), [f"KVM: SVM: Toy {n}" for n in ("one", "two", "three")]
        )
        self.assertIn("changed line 40", (repo / "arch/x86/kvm/x86.c").read_text())

    def test_same_commits_every_time(self) -> None:
        repo = self.make_stack()
        self.script("apply")
        first = git(repo, "rev-parse", "stack")
        (repo / ".git/avic.applied").unlink()
        self.script("apply")
        self.assertEqual(git(repo, "rev-parse", "stack"), first)

    def test_what_stands_is_not_applied_again(self) -> None:
        repo = self.make_stack()
        seen = self.root / "seen"
        seen.mkdir()
        (seen / "patch").write_text(f'#!/bin/sh\necho >>{seen}/calls\nexec {shutil.which("patch")} "$@"\n')
        (seen / "patch").chmod(0o755)

        def applied(**env: str) -> int:
            """Apply, and count the patches that are applied for it."""
            (seen / "calls").write_text("")
            said = self.script("apply", PATH=f"{seen}:{os.environ['PATH']}", **env).stdout
            self.assertEqual(said, f"{repo}\n")
            self.assertEqual(git(repo, "symbolic-ref", "HEAD"), "refs/heads/stack")
            self.assertEqual(git(repo, "rev-parse", "stack"), git(repo, "rev-parse", "refs/avic/applied"))
            return len((seen / "calls").read_text())

        self.assertEqual(applied(), 3)
        self.assertEqual(applied(), 0)
        # As scripts/build leaves it.
        git(repo, "checkout", "--quiet", "base")
        self.assertEqual(applied(), 0)
        # A word of a changelog.
        edit(self.patches / "0003-toy-three.patch", "Why.", "Why not.")
        self.assertEqual(applied(), 3)
        self.assertIn("Why not.", git(repo, "log", "-1", "--format=%B", "stack"))
        # Other names alone: the next refresh goes by them.
        (self.patches / "0003-toy-three.patch").rename(self.patches / "0003-toy-other.patch")
        edit(self.patches / "series", "0003-toy-three", "0003-toy-other")
        self.assertEqual(applied(), 3)
        # A commit of the user's, which is no longer wanted.
        git(repo, "commit", "--quiet", "--allow-empty", "--message=KVM: SVM: Toy four")
        self.refused("apply", 1, "commits that patches/toy lacks")
        self.assertEqual(applied(RESET="1"), 3)
        # Other code that applies.
        (self.project / "scripts/avic/exact.py").open("a").write("# more\n")
        self.assertEqual(applied(), 3)
        self.assertEqual(applied(), 0)
        # What cannot be told is applied.
        (repo / ".git/avic.applied").write_bytes(b"\xff")
        self.assertEqual(applied(), 3)

    def test_users_tree_is_left_alone(self) -> None:
        before = sorted((p, p.stat().st_mtime_ns) for p in self.tree.rglob("*"))
        self.commit_stack()
        self.script("apply", RESET="1")
        self.assertEqual(sorted((p, p.stat().st_mtime_ns) for p in self.tree.rglob("*")), before)

    def test_offset_is_fine(self) -> None:
        self.make_stack()
        edit(self.tree / "arch/x86/kvm/x86.c", "line 1 of", "new line\nline 1 of")
        git(self.tree, "commit", "--quiet", "--all", "--message=moved")
        self.script("apply")

    def test_fuzz_is_refused(self) -> None:
        repo = self.make_stack()
        self.script("apply", RESET="1")
        edit(self.tree / "arch/x86/kvm/x86.c", "line 38 of", "other line 38 of")
        git(self.tree, "commit", "--quiet", "--all", "--message=context")
        error = self.refused("apply", 1, "0003-toy-three.patch", "arch/x86/kvm/x86.c, hunk 1 of 1")
        self.assertIn("-line 38 of x86.c\n+other line 38 of x86.c", error)
        new = next(p for p in repo.parent.glob("tree-*") if p != repo)
        self.assertEqual(git(new, "status", "--porcelain"), "")
        self.assertEqual(git(new, "branch", "--list", "stack"), "")
        self.assertEqual(git(new, "worktree", "list").count("\n"), 0)

    def test_failure_leaves_the_old_stack(self) -> None:
        repo = self.make_stack()
        self.script("apply", RESET="1")
        before = git(repo, "rev-parse", "HEAD")
        edit(self.patches / "0002-toy-two.patch", " line 9 of", " line nine of")
        self.refused("apply", 1, "0002-toy-two.patch does not apply", "svm/avic.c, hunk 1")
        self.assertEqual(git(repo, "rev-parse", "HEAD", "stack"), f"{before}\n{before}")
        self.assertEqual(git(repo, "status", "--porcelain"), "")

    def test_resolve_where_it_does_not_apply(self) -> None:
        """What applied stays, the conflict is where one works, and refresh takes what comes out."""
        self.make_stack()
        edit(self.tree / "arch/x86/kvm/svm/avic.c", "line 9 of", "other line 9 of")
        git(self.tree, "commit", "--quiet", "--all", "--message=context")
        self.refused("apply", 1, "0002-toy-two.patch does not apply", "RESOLVE=1")
        repo = next(p for p in (self.cache / "base/toy").glob("*/") if "other" in (p / "arch/x86/kvm/svm/avic.c").read_text())
        self.assertEqual(git(repo, "branch", "--list", "stack"), "")
        self.refused("apply", 1, "0002-toy-two.patch does not apply", str(repo), "git am --continue", RESOLVE="1")
        self.assertEqual(git(repo, "log", "--format=%s", "base..stack"), "KVM: SVM: Toy one")
        self.assertIn("+changed line 10 of avic.c", (repo / "arch/x86/kvm/svm/avic.c.rej").read_text())
        self.refused("refresh", 1, "in the middle of")
        edit(repo / "arch/x86/kvm/svm/avic.c", "line 10 of", "changed line 10 of")
        (repo / "arch/x86/kvm/svm/avic.c.rej").unlink()
        git(repo, "add", "--all")
        git(repo, "am", "--quiet", "--continue")
        said = self.script("refresh").stdout
        self.assertIn("changed  0002-toy-two.patch\n", said)
        self.assertIn("3 patches", said)
        self.assertIn("other line 9", self.content()["0002-toy-two.patch"])
        self.script("apply")

    def test_truncated_in_a_hunk(self) -> None:
        self.make_stack()
        patch = self.patches / "0001-toy-one.patch"
        patch.write_text("\n".join(patch.read_text().split("\n")[:-4]))
        self.refused("apply", 1, "0001-toy-one.patch:", "it is corrupt in", "x86.c, hunk 1")

    def test_truncated_after_a_file(self) -> None:
        repo = self.make_stack()
        edit(repo / "arch/x86/kvm/svm/avic.c", "line 20 of", "changed line 20 of")
        git(repo, "commit", "--quiet", "--all", "--amend", "--no-edit")
        self.script("refresh")
        patch = self.patches / "0003-toy-three.patch"
        patch.write_text(patch.read_text().rpartition("diff --git")[0])
        self.refused("apply", 1, "0003-toy-three.patch: it is truncated or edited", "2 files", "1 file")

    def test_edited_by_hand(self) -> None:
        self.make_stack()
        edit(self.patches / "0001-toy-one.patch", "\n+changed", "\n+more\n+changed")
        self.refused("apply", 1, "0001-toy-one.patch:24: it is corrupt")

    def test_not_a_patch(self) -> None:
        self.make_stack()
        (self.patches / "0002-toy-two.patch").write_text("nothing\n")
        self.refused("apply", 1, "0002-toy-two.patch: it is no git patch")

    def test_entry_without_file(self) -> None:
        self.make_stack()
        (self.patches / "0002-toy-two.patch").unlink()
        self.refused("apply", 1, "series names 0002-toy-two.patch")

    def test_file_without_entry(self) -> None:
        self.make_stack()
        edit(self.patches / "series", "0002-toy-two.patch\n", "")
        self.refused("apply", 1, "0002-toy-two.patch is not in patches/toy/series")

    def test_order_and_numbers_disagree(self) -> None:
        self.make_stack()
        edit(self.patches / "series", "0002-toy-two.patch\n", "")
        (self.patches / "series").open("a").write("0002-toy-two.patch\n")
        self.refused("apply", 1, "order of its numbers", "refresh")

    def test_unknown_base(self) -> None:
        self.refused("apply", 2, "no base 'v9.9'", BASE="v9.9")

    def test_commits_that_patches_lack_are_kept(self) -> None:
        repo = self.make_stack()
        self.script("apply", RESET="1")
        edit(repo / "arch/x86/kvm/x86.c", "line 50 of", "changed line 50 of")
        git(repo, "commit", "--quiet", "--all", "--message=KVM: SVM: Toy four")
        self.refused("apply", 1, "commits that patches/toy lacks", "scripts/refresh", "RESET=1")
        self.script("apply", RESET="1")
        self.assertEqual(git(repo, "log", "-1", "--format=%s"), "KVM: SVM: Toy three")

    def test_uncommitted_changes_are_kept(self) -> None:
        repo = self.make_stack()
        edit(repo / "arch/x86/kvm/x86.c", "line 50 of", "changed line 50 of")
        self.refused("apply", 1, "uncommitted changes", "commit them")
        self.refused("refresh", 1, "uncommitted changes", "commit them")
        self.assertIn("changed line 50", (repo / "arch/x86/kvm/x86.c").read_text())

    @slow
    def test_interrupt_at_any_time(self) -> None:
        repo = self.make_stack()
        self.script("apply", RESET="1")
        done = git(repo, "rev-parse", "stack")
        cut = 0
        for moment in self.moments("apply", RESET="1"):
            git(repo, "checkout", "--quiet", "-B", "stack", "base")
            cut += self.interrupted("apply", moment, RESET="1")
            self.assertEqual(git(repo, "status", "--porcelain"), "")
            self.assertIn(git(repo, "rev-parse", "stack"), (git(repo, "rev-parse", "base"), done))
        self.assertGreater(cut, 2, "no run was cut short: the test showed nothing")
        self.script("apply", RESET="1")
        self.assertEqual(git(repo, "rev-parse", "stack"), done)
