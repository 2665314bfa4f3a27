# SPDX-License-Identifier: GPL-2.0
"""scripts/fit: which stack applies to a tree, and what blocks one that does not."""

from toy import Toy, edit, git


class Fit(Toy):
    def test_whole(self) -> None:
        self.make_stack()
        self.assertEqual(self.script("fit").stdout, "toy    3 of 3 apply\n")

    def test_blocked(self) -> None:
        self.make_stack()
        edit(self.tree / "arch/x86/kvm/svm/avic.c", "line 9 of", "another line 9 of")
        git(self.tree, "commit", "--quiet", "--all", "--message=moved")
        shown = self.script("fit", 1).stdout
        self.assertRegex(
            shown.splitlines()[0],
            r"^toy    1 of 3 apply, then 0002-toy-two.patch: arch/x86/kvm/svm/avic.c, hunk 1 of 1",
        )
        self.assertIn("-line 9 of avic.c\n        +another line 9 of avic.c", shown)

    def test_stack_and_branch_stay(self) -> None:
        repo = self.make_stack()
        before = git(repo, "rev-parse", "HEAD", "stack")
        self.script("fit")
        self.assertEqual(git(repo, "rev-parse", "HEAD", "stack"), before)
        self.assertEqual(git(repo, "status", "--porcelain"), "")

    def test_some_patches(self) -> None:
        self.make_stack()
        edit(self.tree / "arch/x86/kvm/svm/avic.c", "line 9 of", "another line 9 of")
        git(self.tree, "commit", "--quiet", "--all", "--message=moved")
        self.assertEqual(self.script("fit toy-one toy-three").stdout, "toy    2 of 2 apply\n")
        self.assertIn("0 of 1 apply", self.script("fit toy toy-two", 1).stdout)
        (self.project / "patches/upstream").write_text(
            "together toy-two,toy-three - ## one is wrong without the other\ntoy-* unsent - ## toys\n"
        )
        said = self.script("fit toy-three", 1)
        self.assertIn("with toy-two: one is wrong without the other", said.stderr)
        self.assertIn("0 of 2 apply", said.stdout)

    def test_in_the_tree_already(self) -> None:
        self.make_stack()
        edit(self.tree / "arch/x86/kvm/svm/avic.c", "line 10 of", "changed line 10 of")
        git(self.tree, "commit", "--quiet", "--all", "--message=backport")
        self.assertIn("0002-toy-two.patch: its change is in this base already\n", self.script("fit", 1).stdout)
        self.refused("apply", 1, "0002-toy-two.patch does not apply: its change is in this base already")

    def test_no_such_base(self) -> None:
        self.refused("fit nothing", 2, "no base or patch 'nothing'")
