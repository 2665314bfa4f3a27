# SPDX-License-Identifier: GPL-2.0
"""scripts/refresh: the branch back into patches, touching only what changed."""

from toy import Toy, edit, git


class Refresh(Toy):
    def names(self) -> list[str]:
        return sorted(name for name in self.content() if name.endswith(".patch"))

    def test_nothing_in_nothing_out(self) -> None:
        self.make_stack()
        before = self.content()
        self.script("apply", RESET="1")
        self.assertEqual(self.script("refresh").stdout, "3 patches in patches/toy\n")
        self.assertEqual(self.content(), before)

    def test_moved_lines_are_no_change(self) -> None:
        self.make_stack()
        before = self.content()
        edit(self.tree / "arch/x86/kvm/x86.c", "line 1 of", "new line\nline 1 of")
        git(self.tree, "commit", "--quiet", "--all", "--message=moved")
        self.script("apply")
        self.script("refresh")
        self.assertEqual(self.content(), before)

    def test_amended_patch_alone_changes(self) -> None:
        repo = self.make_stack()
        before = self.content()
        edit(repo / "arch/x86/kvm/x86.c", "changed line 40", "fixed line 40")
        git(repo, "commit", "--quiet", "--all", "--amend", "--no-edit")
        self.assertIn("changed  0003-toy-three.patch", self.script("refresh").stdout)
        changed = [name for name, text in self.content().items() if before[name] != text]
        self.assertEqual(changed, ["0003-toy-three.patch"])

    def test_inserted_commit_renumbers(self) -> None:
        repo = self.make_stack()
        self.script("apply", RESET="1")
        git(repo, "checkout", "--quiet", "-B", "stack", "stack~2")
        edit(repo / "arch/x86/kvm/x86.c", "line 55 of", "changed line 55 of")
        git(repo, "commit", "--quiet", "--all", "--message=KVM: SVM: In between")
        git(repo, "cherry-pick", "refs/avic/applied~1", "refs/avic/applied")
        self.script("refresh")
        self.assertEqual(
            self.names(),
            ["0001-toy-one.patch", "0002-in-between.patch", "0003-toy-two.patch",
             "0004-toy-three.patch"],
        )  # fmt: skip

    def test_dropped_commit_goes(self) -> None:
        repo = self.make_stack()
        git(repo, "reset", "--quiet", "--hard", "stack~1")
        self.assertIn("gone     0003-toy-three.patch", self.script("refresh").stdout)
        self.assertEqual(self.names(), ["0001-toy-one.patch", "0002-toy-two.patch"])

    def test_slug_survives_a_new_subject(self) -> None:
        repo = self.make_stack()
        self.script("apply", RESET="1")
        git(repo, "commit", "--quiet", "--amend", "--message=KVM: SVM: Say it better\n\nWhy.")
        self.script("refresh")
        self.assertIn("0003-toy-three.patch", self.names())
        self.assertIn("Say it better", self.content()["0003-toy-three.patch"])

    def test_headings_stay_with_their_patch(self) -> None:
        repo = self.make_stack()
        (self.patches / "series").write_text(
            "# toy stack\n0001-toy-one.patch\n0002-toy-two.patch\n0003-toy-three.patch\n"
        )
        edit(self.patches / "series", "0003-", "\n# About three.\n0003-")
        git(repo, "checkout", "--quiet", "-B", "stack", "stack~2")
        git(repo, "cherry-pick", "refs/avic/applied")
        self.script("refresh")
        self.assertEqual(
            self.content()["series"],
            "# toy stack\n0001-toy-one.patch\n\n# About three.\n0002-toy-three.patch\n",
        )

    def test_head_stays_on_top(self) -> None:
        repo = self.make_stack()
        self.assertEqual(self.content()["series"].splitlines()[0], "# toy stack")
        git(repo, "checkout", "--quiet", "-B", "stack", "base")
        git(repo, "cherry-pick", "refs/avic/applied")
        self.script("refresh")
        self.assertEqual(self.content()["series"], "# toy stack\n0001-toy-three.patch\n")

    def test_other_files_stay(self) -> None:
        self.make_stack()
        self.assertEqual(self.content()["base"], (self.patches / "base").read_text())
        self.script("refresh")
        self.assertIn("Package: linux-source-toy", self.content()["base"])

    def test_merge_is_refused(self) -> None:
        repo = self.make_stack()
        git(repo, "checkout", "--quiet", "-b", "side", "base")
        edit(repo / "arch/x86/kvm/x86.c", "line 55 of", "changed line 55 of")
        git(repo, "commit", "--quiet", "--all", "--message=side")
        git(repo, "checkout", "--quiet", "stack")
        git(repo, "merge", "--quiet", "--no-edit", "side")
        before = self.content()
        self.refused("refresh", 1, "not a line of commits on base")
        self.assertEqual(self.content(), before)

    def test_needs_a_branch(self) -> None:
        self.refused("refresh", 2, "no branch stack", "scripts/apply")

    def test_interrupt_at_any_time(self) -> None:
        repo = self.make_stack()
        old = self.content()
        edit(repo / "arch/x86/kvm/x86.c", "changed line 40", "fixed line 40")
        git(repo, "commit", "--quiet", "--all", "--amend", "--no-edit")
        moments = self.moments("refresh")
        new = self.content()
        cut = 0
        for moment in moments:
            for name, text in old.items():
                (self.patches / name).write_text(text)
            cut += self.interrupted("refresh", moment)
            self.assertIn(self.content(), (old, new))
            self.assertEqual(len(list(self.patches.parent.iterdir())), 1)
        self.assertGreater(cut, 2, "no run was cut short: the test showed nothing")
