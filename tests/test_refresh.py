# SPDX-License-Identifier: GPL-2.0
"""scripts/refresh: the branch back into patches, touching only what changed."""

import os
import shutil
import subprocess
from unittest import mock

from project import TOP, slow
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

    def test_small_form_stays(self) -> None:
        self.make_stack()
        (self.patches / "small").mkdir()
        (self.patches / "small/toy-one.patch").write_text("another\n")
        self.script("refresh")
        self.assertEqual((self.patches / "small/toy-one.patch").read_text(), "another\n")

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

    def test_slug_survives_a_new_subject_before_the_next_apply(self) -> None:
        repo = self.make_stack()
        git(repo, "commit", "--quiet", "--amend", "--message=KVM: SVM: Say it better\n\nWhy.")
        self.assertIn("changed  0003-toy-three.patch", self.script("refresh").stdout)

    def test_in_the_middle_of_something_else(self) -> None:
        repo = self.make_stack()
        self.script("apply", RESET="1")
        before = self.content()
        for what, command, end in (
            ("a rebase", ["-c", "sequence.editor=sed -i 1s/pick/edit/", "rebase", "--interactive", "base"], ["rebase", "--abort"]),
            ("a merge", ["merge", "--quiet", "--no-commit", "--no-ff", "side"], ["merge", "--abort"]),
            ("a bisect", ["bisect", "start", "stack", "base"], ["bisect", "reset"]),
        ):
            with self.subTest(what):
                git(repo, "branch", "--force", "side", "stack~1")
                if what == "a merge":
                    git(repo, "checkout", "--quiet", "side")
                    edit(repo / "arch/x86/kvm/x86.c", "line 55 of", "changed line 55 of")
                    git(repo, "commit", "--quiet", "--all", "--message=side")
                    git(repo, "checkout", "--quiet", "stack")
                git(repo, *command)
                head = git(repo, "rev-parse", "HEAD")
                if what == "a merge":
                    git(repo, "restore", "--source=HEAD", "--staged", "--worktree", ".")
                for verb in ("refresh", "apply"):
                    self.refused(verb, 1, f"is in the middle of {what}", RESET="1")
                self.assertEqual(git(repo, "rev-parse", "HEAD"), head)
                self.assertEqual(self.content(), before)
                git(repo, *end)

    def test_on_another_branch(self) -> None:
        repo = self.make_stack()
        self.script("apply", RESET="1")
        before = self.content()
        for place in (["-b", "mine"], ["--detach"]):
            git(repo, "checkout", "--quiet", *place)
            edit(repo / "arch/x86/kvm/x86.c", "line 55 of", "changed line 55 of")
            git(repo, "commit", "--quiet", "--all", "--message=KVM: SVM: Mine")
            head = git(repo, "rev-parse", "HEAD")
            for verb in ("refresh", "apply"):
                self.refused(verb, 1, "not on stack", "switch stack")
            self.assertEqual(git(repo, "rev-parse", "HEAD"), head)
            self.assertEqual(self.content(), before)
            git(repo, "checkout", "--quiet", "stack")

    def test_where_a_build_was_stopped(self) -> None:
        """A run that is ended while it builds a commit leaves the tree there; what the user has there stays."""
        repo = self.make_stack()
        self.script("apply", RESET="1")
        tree = git(repo, "rev-parse", "stack^{tree}")
        with mock.patch.dict(os.environ, GIT_COMMITTER_DATE="@0 +0000", GIT_AUTHOR_DATE="@0 +0000"):
            patched = git(repo, "commit-tree", "-p", "stack~1", "-m", "a patch of ci/races", tree)
        for verb in ("apply", "refresh"):
            for commit in ("stack~1", patched):
                git(repo, "checkout", "--quiet", "--detach", commit)
                self.script(verb)
                self.assertEqual(git(repo, "symbolic-ref", "HEAD"), "refs/heads/stack")
        git(repo, "checkout", "--quiet", "--detach", "stack~1")
        edit(repo / "arch/x86/kvm/x86.c", "line 55 of", "changed line 55 of")
        for verb in ("apply", "refresh"):
            self.refused(verb, 1, "not on stack", "switch stack")
        self.assertIn("changed line 55 of", (repo / "arch/x86/kvm/x86.c").read_text())

    def test_untracked_files_are_named(self) -> None:
        for rules in ("*.o\n", "*.o\n/*\n!/debian/\n"):
            with self.subTest(rules):
                (self.tree / ".gitignore").write_text(rules)
                git(self.tree, "add", "--force", ".gitignore")
                git(self.tree, "commit", "--quiet", "--message=ignore")
                for path in self.patches.glob("*.patch"):
                    path.unlink()
                (self.patches / "series").write_text("")
                repo = self.make_stack()
                for name in ("tools/testing/new test.c", "arch/x86/kvm/x86.o"):
                    (repo / name).parent.mkdir(parents=True, exist_ok=True)
                    (repo / name).write_text("int x;\n")
                said = self.script("refresh").stdout
                self.assertIn("untracked, in no patch: tools/testing/new test.c\n", said)
                self.assertNotIn("x86.o", said)

    def test_head_of_a_pipe(self) -> None:
        """A reader that goes away does not keep refresh from being done."""
        repo = self.make_stack()
        edit(repo / "arch/x86/kvm/x86.c", "changed line 40", "fixed line 40")
        git(repo, "commit", "--quiet", "--all", "--amend", "--no-edit")
        done = subprocess.run(
            ["bash", "-c", f"'{self.project}/scripts/refresh' | true"], env=os.environ | self.env, stderr=subprocess.PIPE, text=True
        )
        self.assertEqual(done.stderr, "")
        self.assertIn("fixed line 40", self.content()["0003-toy-three.patch"])

    def test_base_of_the_tree_that_one_stands_in(self) -> None:
        """Without BASE= and TREE= it was v6.12, wherever one was."""
        repo = self.make_stack()
        shutil.copytree(self.patches, self.project / "patches/v6.12")
        other = {path.name: path.read_bytes() for path in (self.project / "patches/v6.12").iterdir()}
        edit(repo / "arch/x86/kvm/x86.c", "changed line 40", "fixed line 40")
        git(repo, "commit", "--quiet", "--all", "--amend", "--no-edit")
        at = os.getcwd()
        self.addCleanup(os.chdir, at)
        os.chdir(repo / "arch/x86")
        unset = {"BASE": "", "TREE": ""}
        self.assertEqual(self.script("fetch", **unset).stdout, f"{repo}\n")
        self.assertIn("changed  0003-toy-three.patch\n3 patches in patches/toy\n", self.script("refresh", **unset).stdout)
        self.assertEqual(self.script("apply", **unset).stdout, f"{repo}\n")
        self.assertEqual({path.name: path.read_bytes() for path in (self.project / "patches/v6.12").iterdir()}, other)
        self.refused("refresh", 2, "no branch stack", BASE="v6.12")

    def test_as_the_readme_says(self) -> None:
        """Its lines under "To change a patch", pasted into one shell: after a cd there was no scripts/refresh."""
        self.make_stack()
        section = (TOP / "README.md").read_text().partition("\n## To change a patch\n\n")[2]
        lines = "".join(line for line in section.partition("\n\n")[0].splitlines(True) if line.startswith("    "))
        self.assertIn("scripts/refresh", lines)
        (self.project / "Makefile").write_text("run:\n\t@echo made\n")
        editor = "sed -i '2a exec sed -i s/line.20/changed/ arch/x86/kvm/x86.c && git -c user.name=a -c user.email=a commit -qa --amend --no-edit'"
        identity = {"GIT_COMMITTER_NAME": "Toy", "GIT_COMMITTER_EMAIL": "toy@localhost", "GIT_SEQUENCE_EDITOR": editor}
        done = subprocess.run(
            ["bash", "-e", "-c", lines], cwd=self.project, env=self.caller() | identity, capture_output=True, text=True
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("changed  0002-toy-two.patch\n", done.stdout)
        self.assertIn("made\n", done.stdout)
        self.assertIn("+changed of x86.c", self.content()["0002-toy-two.patch"])

    @slow
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


class Sections(Toy):
    """Section lines of the series file: they stay, whatever the branch does to the patches."""

    def setUp(self) -> None:
        super().setUp()
        self.repo = self.make_stack()
        self.script("apply", RESET="1")
        self.series = self.patches / "series"
        self.series.write_text(
            "# toy stack\n"
            "\n# Section low: What comes first\n0001-toy-one.patch\n"
            "\n# Section high: What rests on it\n# Needs: low\n"
            "\n# About two.\n0002-toy-two.patch\n0003-toy-three.patch\n"
        )

    def branch(self, *commits: str) -> None:
        """Branch stack with these commits, or files to change in a new one."""
        git(self.repo, "checkout", "--quiet", "-B", "stack", "base")
        for commit in commits:
            if commit.startswith("new "):
                edit(self.repo / "arch/x86/kvm/x86.c", "line 55 of", "changed line 55 of")
                git(self.repo, "commit", "--quiet", "--all", f"--message=KVM: SVM: {commit.title()}")
            else:
                git(self.repo, "cherry-pick", f"refs/avic/applied~{3 - int(commit)}")

    def test_nothing_in_nothing_out(self) -> None:
        before = self.content()
        self.script("refresh")
        self.assertEqual(self.content(), before)

    def lines(self) -> list[str]:
        return [line for line in self.content()["series"].splitlines()[1:] if line]

    def test_new_patch_goes_to_the_section_of_the_one_before(self) -> None:
        self.branch("1", "new end", "2", "3")
        self.script("refresh")
        self.assertEqual(
            self.lines(),
            ["# Section low: What comes first", "0001-toy-one.patch", "0002-new-end.patch",
             "# Section high: What rests on it", "# Needs: low", "# About two.",
             "0003-toy-two.patch", "0004-toy-three.patch"],
        )  # fmt: skip

    def test_new_first_patch_goes_to_the_first_section(self) -> None:
        self.branch("new first", "1", "2", "3")
        self.script("refresh")
        self.assertEqual(
            self.lines()[:3], ["# Section low: What comes first", "0001-new-first.patch", "0002-toy-one.patch"]
        )

    def test_first_patch_of_a_section_goes(self) -> None:
        self.branch("1", "3")
        self.script("refresh")
        self.assertEqual(
            self.lines(),
            ["# Section low: What comes first", "0001-toy-one.patch",
             "# Section high: What rests on it", "# Needs: low", "# About two.", "0002-toy-three.patch"],
        )  # fmt: skip

    def test_renamed_patch_stays_in_its_section(self) -> None:
        git(self.repo, "notes", "--ref=slug", "add", "--force", "--message=other", "stack~1")
        self.script("refresh")
        self.assertEqual(self.lines()[2:6], ["# Section high: What rests on it", "# Needs: low", "# About two.", "0002-other.patch"])

    def test_section_that_needs_nothing_may_go_up(self) -> None:
        edit(self.series, "# Needs: low\n", "")
        self.branch("2", "3", "1")
        self.script("refresh")
        self.assertEqual(
            self.lines(),
            ["# Section high: What rests on it", "# About two.", "0001-toy-two.patch", "0002-toy-three.patch",
             "# Section low: What comes first", "0003-toy-one.patch"],
        )  # fmt: skip

    def test_branch_that_does_not_fit_is_refused(self) -> None:
        before = self.content()
        for commits, words in (
            (("2", "1", "3"), ("series:11: toy-three is in section high", "git rebase it to the end of high")),
            (("2", "3", "1"), ("series:7: section high needs low", "git rebase it up")),
            (("2", "3"), ("series:3: the branch has no patch of section low", "take its lines out")),
        ):
            self.branch(*commits)
            self.refused("refresh", 1, *words)
            self.assertEqual(self.content(), before)

    def test_file_that_is_wrong_is_refused(self) -> None:
        text = self.series.read_text()
        low, high, needs = "# Section low: What comes first\n", "# Section high: What rests on it\n", "# Needs: low\n"
        for old, new, *words in (
            (low, "", "series:3: 0001-toy-one.patch is in no section", "move the first"),
            (high, high.replace("high", "low"), "series:6: there is a section low above", "another name"),
            (needs, "# Needs: none\n", "series:7: section high needs 'none', no section above it", "above it are low"),
            (needs, "# Needs: high\n", "series:7: section high needs 'high', no section above it"),
            (low, f"{low}# Needs: high\n", "series:4: section low needs 'high'", "above it is none"),
            ("0001-toy-one.patch\n", "# Section mid: Nothing\n0001-toy-one.patch\n", "series:3: section low is empty"),
            (needs, f"\n{needs}", "series:8: '# Needs:' has to stand right below"),
            (needs, f"{needs}{needs}", "series:8: '# Needs:' has to stand right below"),
            (low, "# Section low\n", "series:3: '# Section low': want '# Section NAME: TITLE'"),
            (low, "#section Low: first\n", "series:3: ", "want '# Section NAME: TITLE'"),
            (needs, "# Needs:\n", "series:7: '# Needs:': want"),
        ):
            with self.subTest(new):
                edit(self.series, old, new)
                for verb in ("refresh", "apply", "export mbox"):
                    self.refused(verb, 1, *words)
                self.series.write_text(text)
