# SPDX-License-Identifier: GPL-2.0
"""scripts/port: a new base from the nearest stack, past what conflicts and what the tree has."""

import shutil
import signal
from pathlib import Path

from project import slow
from toy import Toy, edit, git

MAKEFILE = "# SPDX-License-Identifier: GPL-2.0\nVERSION = 1\nPATCHLEVEL = 5\nSUBLEVEL = 3\n"
AVIC = "arch/x86/kvm/svm/avic.c"
X86 = "arch/x86/kvm/x86.c"


class Port(Toy):
    def setUp(self) -> None:
        super().setUp()
        (self.patches / "base").open("a").write("Left-out: toy-zero: no bug here\n")
        self.make_stack()
        (self.tree / "Makefile").write_text(MAKEFILE)
        git(self.tree, "add", "Makefile")
        self.commit("version")
        self.new = self.project / "patches/v1.5"
        self.env["BASE"] = "v1.5"

    def commit(self, message: str) -> None:
        git(self.tree, "commit", "--quiet", "--all", f"--message={message}")

    def conflict(self) -> None:
        """Patch two does not apply to the tree."""
        edit(self.tree / AVIC, "line 9 of", "other line 9 of")
        self.commit("context")

    @property
    def repo(self) -> Path:
        """The tree of the new base."""
        return next((self.cache / "base/v1.5").glob("tree-*"))

    def subjects(self) -> list[str]:
        return git(self.repo, "log", "--reverse", "--format=%s", "base..stack").split("\n")

    def base(self) -> str:
        return (self.new / "base").read_text()

    def patch_files(self) -> list[str]:
        return sorted(path.name for path in self.new.glob("*.patch"))

    def resolve(self) -> None:
        """Bring in patch two, as a person would."""
        edit(self.repo / AVIC, "line 10 of", "changed line 10 of")
        (self.repo / f"{AVIC}.rej").unlink()
        git(self.repo, "add", "--all")
        git(self.repo, "am", "--quiet", "--continue")

    def test_nothing_conflicts(self) -> None:
        done = self.script("port")
        self.assertEqual(done.stdout, f"{self.repo}\n")
        self.assertRegex(done.stderr, r"left out like on toy, for reasons that patches/v1\.5/base has: .*: toy-zero\n")
        self.assertEqual(self.subjects(), [f"KVM: SVM: Toy {n}" for n in ("one", "two", "three")])
        self.assertIn("\nRange: 1.5.*\nFrom: toy\nLeft-out: toy-zero: like toy, where it reads: no bug here\n", self.base())
        self.refused("apply", 1, "run scripts/refresh")
        self.script("refresh")
        self.assertEqual(self.patch_files(), ["0001-toy-one.patch", "0002-toy-two.patch", "0003-toy-three.patch"])
        self.assertEqual((self.new / "series").read_text().split("\n")[0], "# v1.5 stack")
        self.assertEqual(sorted(path.name for path in self.new.iterdir() if path.suffix != ".patch"), ["base", "series"])
        self.script("apply")
        self.assertEqual(self.script("fit v1.5").stdout, "v1.5   3 of 3 apply\n")

    def test_conflict_that_is_resolved(self) -> None:
        self.conflict()
        error = self.refused(
            "port", 1, "patches/toy/0002-toy-two.patch does not apply", f"{AVIC}, hunk 1 of 1",
            "git am --continue, then scripts/port goes on", "'Left-out: toy-two: WHY' in patches/v1.5/base",
        )  # fmt: skip
        self.assertIn(str(self.repo), error)
        self.assertIn("-line 9 of avic.c\n+other line 9 of avic.c", error)
        self.assertEqual(self.subjects(), ["KVM: SVM: Toy one"])
        self.assertIn("+changed line 10 of avic.c", (self.repo / f"{AVIC}.rej").read_text())
        self.refused("port", 1, "in the middle of a rebase or git am")
        self.refused("refresh", 2, "patches/v1.5/series is not there yet", "scripts/port")
        self.resolve()
        self.script("port")
        self.assertEqual(self.subjects(), [f"KVM: SVM: Toy {n}" for n in ("one", "two", "three")])
        self.assertEqual(git(self.repo, "notes", "--ref=slug", "show", "stack~1"), "toy-two")
        self.assertEqual(self.base().count("From:"), 1)
        self.script("refresh")
        self.assertEqual(self.patch_files(), ["0001-toy-one.patch", "0002-toy-two.patch", "0003-toy-three.patch"])
        self.assertIn("other line 9", (self.new / "0002-toy-two.patch").read_text())
        self.script("apply")

    def test_conflict_half_resolved(self) -> None:
        """What git am has written, and what is in no commit yet, stays."""
        edit(self.tree / X86, "line 38 of", "other line 38 of")
        self.commit("context")
        self.refused("port", 1, "0003-toy-three.patch does not apply")
        edit(self.repo / X86, "line 40 of", "half changed line 40 of")
        for verb in ("port", "port --reset"):
            self.refused(verb, 1, "in the middle of a rebase or git am")
            self.assertIn("half changed line 40", (self.repo / X86).read_text())

    def test_without_the_patch(self) -> None:
        self.conflict()
        self.refused("port", 1, "0002-toy-two.patch")
        git(self.repo, "am", "--skip")
        self.refused("port", 1, "0002-toy-two.patch")
        git(self.repo, "am", "--skip")
        (self.new / "base").open("a").write("Left-out: toy-two: unfixed, nobody has time\n")
        self.script("port")
        self.assertEqual(self.subjects(), ["KVM: SVM: Toy one", "KVM: SVM: Toy three"])
        self.script("refresh")
        self.assertEqual(self.patch_files(), ["0001-toy-one.patch", "0002-toy-three.patch"])

    def test_commit_that_is_none_of_the_patches(self) -> None:
        self.conflict()
        self.refused("port", 1, "0002-toy-two.patch")
        self.resolve()
        git(self.repo, "commit", "--quiet", "--amend", "--message=KVM: SVM: In other words\n\nWhy.")
        self.refused("port", 1, "is of no patch of toy", "git notes --ref=slug add -m SLUG")
        git(self.repo, "notes", "--ref=slug", "add", "--message=toy-two", "stack")
        self.script("port")
        self.script("refresh")
        self.assertIn("In other words", (self.new / "0002-toy-two.patch").read_text())

    def test_in_the_tree_already(self) -> None:
        edit(self.tree / AVIC, "line 10 of", "changed line 10 of")
        edit(self.tree / X86, "line 10 of", "changed line 10 of")
        self.commit("backports")
        self.assertIn("in this base already: toy-one toy-two\n", self.script("port").stderr)
        self.assertIn("\nLeft-out: toy-one toy-two: in this base\n", self.base())
        self.assertEqual(self.subjects(), ["KVM: SVM: Toy three"])
        self.script("refresh")
        self.assertEqual(self.patch_files(), ["0001-toy-three.patch"])

    def test_in_the_tree_already_behind_a_conflict(self) -> None:
        edit(self.tree / X86, "line 40 of", "changed line 40 of")
        self.conflict()
        self.refused("port", 1, "0002-toy-two.patch")
        self.resolve()
        self.script("port")
        self.assertIn("\nLeft-out: toy-three: in this base\n", self.base())

    def test_nearest(self) -> None:
        other = self.project / "patches/v1.4"
        shutil.copytree(self.patches, other)
        edit(other / "0003-toy-three.patch", " line 38 of", " another line 38 of")
        said = self.script("port").stderr
        self.assertIn("v1.4: 2 of 3 patches apply, or are there already\n", said)
        self.assertIn("toy: 3 of 3 patches apply, or are there already\n", said)
        self.assertIn("\nFrom: toy\n", self.base())

    def test_a_stack_that_is_named(self) -> None:
        other = self.project / "patches/v1.4"
        shutil.copytree(self.patches, other)
        edit(other / "0003-toy-three.patch", " line 38 of", " another line 38 of")
        self.refused("port", 1, "patches/v1.4/0003-toy-three.patch", FROM="v1.4")
        git(self.repo, "am", "--skip")
        self.refused("port", 2, "patches/v1.5/base is From v1.4", "leave FROM= out", FROM="toy")
        self.refused("port", 1, "patches/v1.4/0003-toy-three.patch")

    def test_base_file_that_is_there(self) -> None:
        """Its fields stay, and nothing has to be known of the tree."""
        (self.tree / "Makefile").unlink()
        self.commit("no version")
        self.new.mkdir()
        (self.new / "base").write_text("Package: linux-source-1.5\nRange: 1.5.*\nSuites: bookworm")
        self.script("port")
        self.assertEqual(
            self.base(), "Package: linux-source-1.5\nRange: 1.5.*\nSuites: bookworm\nFrom: toy\nLeft-out: toy-zero: like toy, where it reads: no bug here\n"
        )

    def test_begin_again(self) -> None:
        self.conflict()
        self.refused("port", 1, "0002-toy-two.patch")
        self.resolve()
        self.refused("port --reset", 1, "0002-toy-two.patch")
        self.assertEqual(self.subjects(), ["KVM: SVM: Toy one"])

    def test_wrong_use(self) -> None:
        for words, env in (
            (["patches/toy has a series already", "set BASE="], {"BASE": "toy"}),
            (["BASE='../x' is no name for a base"], {"BASE": "../x"}),
            (["BASE='changes' is no name for a base"], {"BASE": "changes"}),
            (["no kernel for v1.5: give TREE=, or write patches/v1.5/base"], {"TREE": ""}),
            (["TREE is 1.5, and the base is to be v1.50: set BASE=v1.5"], {"BASE": "v1.50"}),
            (["no base 'v9.9'"], {"FROM": "v9.9"}),
        ):
            (self.project / "patches/changes").write_text("")
            before = sorted((self.project / "patches").rglob("*"))
            with self.subTest(env):
                self.refused("port", 2, *words, **env)
                self.assertEqual(sorted((self.project / "patches").rglob("*")), before)
        (self.tree / "Makefile").write_text("")
        self.assertIn("has uncommitted changes", self.script("port", 2).stderr)
        self.commit("no version")
        self.refused("port", 2, "TREE's Makefile says no VERSION", "write Range")
        self.assertFalse(self.new.exists())

    def test_no_stack_applies_at_all(self) -> None:
        edit(self.tree / X86, "line 9 of", "other line 9 of")
        self.commit("context")
        self.refused("port", 1, "no stack's first patch applies", "FROM=")
        self.assertFalse(self.new.exists())
        self.refused("port", 1, "0001-toy-one.patch does not apply", FROM="toy")

    def test_a_base_that_is_done(self) -> None:
        self.script("port")
        before = self.base(), self.subjects()
        for _ in range(2):
            self.refused("port", 2, "patches/v1.5 has a series already")
            self.assertEqual((self.base(), self.subjects()), before)
            self.script("refresh")

    def test_commits_of_another_start_are_kept(self) -> None:
        self.script("port")
        shutil.rmtree(self.new)
        self.refused("port", 1, "has commits of another start", "RESET=1")
        self.assertEqual(len(self.subjects()), 3)
        self.assertFalse(self.new.exists())
        self.script("port --reset")

    def whole(self) -> None:
        """What is there is whole, and the same command goes on from it."""
        if self.new.exists():
            self.assertIn("what the fields mean.\n", self.base())
            self.assertTrue(self.base().endswith("\n"))
        for repo in (self.cache / "base/v1.5").glob("tree-*"):
            self.assertEqual(git(repo, "status", "--porcelain"), "")
        if not (self.new / "series").exists():
            self.script("port")
        self.assertEqual(self.subjects(), ["KVM: SVM: Toy one", "KVM: SVM: Toy three"])
        self.assertEqual(self.base().count("\nFrom: toy\n"), 1)
        self.assertEqual(self.base().count("Left-out: toy-two: in this base\n"), 1)
        self.assertIn("\n0003-toy-three.patch\n", (self.new / "series").read_text())

    @slow
    def test_cut_short_at_any_time(self) -> None:
        """By Ctrl-C, or by SIGKILL."""
        edit(self.tree / AVIC, "line 10 of", "changed line 10 of")
        self.commit("backport")
        cut = dict.fromkeys((signal.SIGINT, signal.SIGKILL), 0)
        for number, moment in enumerate(self.moments("port")):
            shutil.rmtree(self.new, ignore_errors=True)
            shutil.rmtree(self.cache / "base/v1.5", ignore_errors=True)
            by = (signal.SIGINT, signal.SIGKILL)[number % 2]
            cut[by] += self.interrupted("port", moment, by)
            if by == signal.SIGINT:
                self.assertEqual([*(self.project / "patches").rglob(".new*"), *self.cache.rglob(".new*")], [])
                self.assertIn([path.name for path in self.new.glob("*")], ([], ["base"], ["base", "series"], ["series", "base"]))
            self.whole()
        self.assertGreater(min(cut.values()), 1, f"too few runs were cut short: {cut}")
        self.script("refresh")
        self.assertEqual(self.patch_files(), ["0001-toy-one.patch", "0002-toy-three.patch"])
