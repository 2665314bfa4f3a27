# SPDX-License-Identifier: GPL-2.0
"""Patches that somebody wrote to do harm: nothing outside the tree is touched, nothing reaches the terminal raw.

And what only went wrong: one line says it.
"""

import os
import shutil
import subprocess
import unittest
from pathlib import Path

from test_at_once import containers
from toy import Toy, edit, git

from avic.tree import unpack

NEW = """\
From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001
From: Toy <toy@localhost>
Date: Tue, 14 Nov 2023 22:13:20 +0000
Subject: [PATCH] KVM: SVM: Toy two

Why.
---
 x | 1 +
 1 file changed, 1 insertion(+)
 create mode 100644 x

diff --git a/x b/x
new file mode 100644
index 000000000000..587be6b4c3f9
--- /dev/null
+++ b/x
@@ -0,0 +1 @@
+x
"""
LINK = """\
diff --git a/way b/way
new file mode 120000
index 000000000000..587be6b4c3f9
--- /dev/null
+++ b/way
@@ -0,0 +1 @@
+OUTSIDE
\\ No newline at end of file
"""
ESCAPES = "\x1b]0;owned\x07\x1b[2J"


class Hostile(Toy):
    def setUp(self) -> None:
        super().setUp()
        self.repo = self.make_stack()
        self.two = self.patches / "0002-toy-two.patch"
        self.outside = self.root / "outside"
        self.outside.mkdir()

    def everything(self) -> dict[Path, int]:
        """All files here, but for what a git tree keeps for itself."""
        return {
            path: path.lstat().st_mtime_ns for path in self.root.rglob("*")
            if ".git" not in path.parts and "__pycache__" not in path.parts and not path.is_dir()
        }  # fmt: skip

    def harmless(self, patch: str, *words: str, verbs: tuple[str, ...] = ("apply",)) -> None:
        """These verbs do not take the patch; what they say has the words."""
        self.two.write_text(patch, errors="surrogateescape")
        before = self.everything()
        hooks = sorted((self.repo / ".git/hooks").iterdir())
        for verb in verbs:
            said = self.refused(verb, 1, "0002-toy-two.patch", *words)
            self.assertEqual([c for c in said if not c.isprintable() and c not in "\n\t"], [])
        self.assertEqual(self.everything(), before)
        self.assertEqual(sorted((self.repo / ".git/hooks").iterdir()), hooks)

    def test_paths_out_of_the_tree(self) -> None:
        for name in ("../outside/x", "arch/../../outside/x", ".git/hooks/post-checkout", ".GIT/config", "./x", "arch//x"):
            with self.subTest(name):
                self.harmless(NEW.replace("a/x b/x", f"a/{name} b/{name}").replace("+++ b/x", f"+++ b/{name}"), "file name")
        self.harmless(NEW.replace("a/x b/x", f"{self.outside}/x {self.outside}/x").replace("+++ b/x", f"+++ {self.outside}/x"), "two names")

    def test_names_that_disagree(self) -> None:
        self.harmless(NEW.replace("+++ b/x", "+++ b/../outside/x"), "names are not those of x")
        self.harmless(NEW.replace("--- /dev/null", f"--- {self.outside}/x"), "names are not those of x")
        self.harmless(NEW.replace("a/x b/x", "a/x b/y"), "two names")

    def test_links(self) -> None:
        every = ("apply", "fit toy", "export quilt", "export debian", "export mbox")
        link = LINK.replace("OUTSIDE", str(self.outside))
        through = NEW[NEW.index("diff --git") :].replace("a/x b/x", "a/way/x b/way/x").replace("+++ b/x", "+++ b/way/x")
        self.harmless(NEW.partition("diff --git")[0] + link, "mode or link")
        self.harmless(NEW.partition("diff --git")[0] + link + through, "mode or link", verbs=every)

    def test_encodings_that_one_reader_obeys(self) -> None:
        for line in (
            "Content-Type: text/plain; charset=ISO-8859-1", "Content-Type: multipart/mixed; boundary=x",
            "Content-Type: text/plain; charset=UTF-8; format=flowed; delsp=yes",
        ):  # fmt: skip
            self.harmless(NEW.replace("\n\nWhy.", f"\n{line}\n\nWhy, Zoë?"), line)

    def test_attributes_of_the_tree(self) -> None:
        """What is checked out and built is what quilt has, whatever the tree or a patch says of it to git."""
        rules = "*.c text eol=crlf ident\nKconfig export-ignore\nx export-subst\n"
        files = {".gitattributes": rules, "x": "$Format:%h$\n", "id.c": "$Id$\nsecond\n"}

        def write(folder: Path) -> None:
            for name, text in files.items():
                folder.mkdir(exist_ok=True)
                (folder / name).write_text(text)

        write(self.repo / "new")
        git(self.repo, "add", "new")
        git(self.repo, "commit", "--quiet", "--message=KVM: SVM: Attributes")
        self.script("refresh")
        write(self.tree)
        for name in files:
            blob = subprocess.check_output(["git", "-C", self.tree, "hash-object", "-w", "--no-filters", name], text=True)
            git(self.tree, "update-index", "--add", "--cacheinfo", f"100644,{blob.strip()},{name}")
        git(self.tree, "commit", "--quiet", "--message=attributes")
        git(self.tree, "checkout", "--quiet", "HEAD", "--", ".")
        repo = Path(self.script("apply").stdout.strip())
        unpacked = self.root / "unpacked"
        unpacked.mkdir()
        unpack(repo, "stack", unpacked, ".")
        for name in git(repo, "ls-tree", "-r", "--name-only", "stack").split():
            blob = subprocess.check_output(["git", "-C", repo, "cat-file", "blob", f"stack:{name}"])
            for folder in (repo, unpacked):
                self.assertEqual((folder / name).read_bytes(), blob, name)

    def test_through_a_link_of_the_tree(self) -> None:
        (self.tree / "way").symlink_to(self.outside)
        git(self.tree, "add", "way")
        git(self.tree, "commit", "--quiet", "--message=link")
        (self.patches / "series").write_text("0002-toy-two.patch\n")
        for number in (1, 3):
            next(self.patches.glob(f"000{number}-*")).unlink()
        self.two.write_text(NEW.replace("a/x b/x", "a/way/x b/way/x").replace("+++ b/x", "+++ b/way/x"))
        self.refused("apply", 1, "0002-toy-two.patch does not apply")
        self.assertEqual(list(self.outside.iterdir()), [])

    def test_names_with_control_characters(self) -> None:
        for name in ("a\nb", f"a{ESCAPES}", "a\tb", "a\x7fb", "\u202ea"):
            quoted = name.encode("unicode_escape").decode()
            for shown in {name, quoted}:
                with self.subTest(shown):
                    patch = NEW.replace("a/x b/x", f'"a/{shown}" "b/{shown}"').replace("+++ b/x", f'+++ "b/{shown}"')
                    self.harmless(patch, "")

    def test_escapes_in_words(self) -> None:
        self.harmless(NEW.replace("Why.", f"Why.{ESCAPES}\n--- a/{ESCAPES}x"), "begins a diff")
        self.harmless(NEW.replace("Toy two", "=?UTF-8?q?=1B]0;owned=07?=").replace("1 insertion", "2 insertion"), "truncated")
        self.harmless(NEW.replace("Toy two", "=?nothing?q?=1B?="), "cannot be decoded")
        self.harmless(NEW.replace("Date: Tue", f"Date: {ESCAPES}"), "no date")
        self.harmless(NEW.replace("Why.", "Why: \udce9."), "not UTF-8")

    def test_escapes_in_what_is_applied(self) -> None:
        """A subject may say it; no verb repeats it."""
        git(self.repo, "commit", "--quiet", "--amend", f"--message=KVM: SVM: Toy {ESCAPES}three\n\nWhy.")
        for verb in ("refresh", "apply", "fit toy", "export quilt", "export mbox"):
            (self.patches / "cover").write_text("KVM: SVM: Toys\n\nThree toys.\n")
            (self.project / "patches/upstream").write_text("toy-* unsent - ## mainline has the bug\n")
            (self.project / "MAINTAINERS.snippet").write_text("")
            done = self.script(verb)
            self.assertNotIn("\x1b", done.stdout + done.stderr)

    def test_escapes_in_a_context_that_moved(self) -> None:
        edit(self.tree / "arch/x86/kvm/svm/avic.c", "line 9 of", f"{ESCAPES} 9 of")
        git(self.tree, "commit", "--quiet", "--all", "--message=context")
        for verb in ("apply", "fit toy"):
            done = self.script(verb, 1)
            self.assertIn("9 of", done.stdout + done.stderr)
            self.assertNotIn("\x1b", done.stdout + done.stderr)

    def test_two_readers_two_places(self) -> None:
        """git am takes the line that a hunk names, patch(1) the one that the hunk before it has moved to."""
        file = self.tree / "arch/x86/kvm/x86.c"
        head = "".join(f"head {n}\n" for n in range(12))
        block = "".join(f"same {n}\n" for n in range(8))
        file.write_text(head + 4 * block)
        git(self.tree, "commit", "--quiet", "--all", "--message=blocks")
        for path in self.patches.glob("*.patch"):
            path.unlink()
        (self.patches / "series").write_text("")
        repo = Path(self.script("apply").stdout.strip())
        edit(repo / "arch/x86/kvm/x86.c", "head 6\n", "changed head 6\n")
        text = (repo / "arch/x86/kvm/x86.c").read_text()
        (repo / "arch/x86/kvm/x86.c").write_text(text[: -len(2 * block)] + block.replace("same 4", "changed 4") + block)
        git(repo, "commit", "--quiet", "--all", "--message=KVM: SVM: Toy\n\nWhy.")
        self.script("refresh")
        file.write_text("".join(f"more {n}\n" for n in range(8)) + head + 4 * block)
        git(self.tree, "commit", "--quiet", "--all", "--message=more")
        self.refused("apply", 1, "0001-toy.patch does not apply", "git am and quilt make different files", "x86.c")

    def test_diff_behind_the_line_is_in_no_export(self) -> None:
        """Debian's tools would apply it, git am does not."""
        quoted = "  diff --git a/x b/x\n  --- a/x\n  +++ b/x\n  @@ -1 +1 @@\n  -x\n  +y\n"
        self.harmless(NEW.replace("---\n x", f"---\n{quoted}\n x"), "begins a diff")
        self.harmless(NEW + quoted, "it is corrupt")


class OneLine(Toy):
    """No traceback, whatever bytes or rights there are."""

    def setUp(self) -> None:
        super().setUp()
        self.make_stack()
        (self.patches / "cover").write_text("KVM: SVM: Toys\n\nThree toys.\n")
        (self.project / "patches/upstream").write_text("toy-* unsent - ## mainline has the bug\n")

    def test_our_files_in_another_encoding(self) -> None:
        (self.patches / "base").open("ab").write(b"# Andr\xe9\n")
        self.script("export mbox")
        for path, verb, *words in (
            (self.patches / "cover", "export mbox", "patches/toy/cover is no cover letter", "ASCII"),
            (self.project / "patches/upstream", "export quilt", "patches/upstream:2:", "is not UTF-8"),
        ):
            with self.subTest(path.name):
                text = path.read_bytes()
                path.write_bytes(text + b"x unsent - ## Andr\xe9\n")
                self.refused(verb, 1, *words)
                path.write_bytes(text)

    def test_a_folder_in_another_encoding(self) -> None:
        cache = os.fsencode(self.root) + b"/caf\xe9"
        for verb in ("apply", "refresh", "fit", "export quilt", "export mbox", "clean"):
            done = subprocess.run(
                [self.project / "scripts" / verb.split()[0], *verb.split()[1:]], capture_output=True,
                env=self.caller() | {"AVIC_CACHE": os.fsdecode(cache)},
            )  # fmt: skip
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(cache if verb in ("apply", "export quilt", "export mbox") else b"", done.stdout)

    @unittest.skipUnless(containers(), "needs a mount namespace")
    def test_a_project_that_cannot_be_written(self) -> None:
        before = self.content()
        frozen = f"mount --bind {self.project} {self.project} && mount -o remount,bind,ro {self.project} && exec {self.project}/scripts/"
        for verb in ("refresh", "port"):
            done = subprocess.run(
                ["unshare", "--mount", "sh", "-c", frozen + verb], capture_output=True, text=True,
                env=self.caller() | ({"BASE": "v1.5"} if verb == "port" else {}),
            )  # fmt: skip
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, rf"^{verb}: Read-only file system: '{self.project}/patches.*': .*\n$")
        self.assertEqual(self.content(), before)

    def test_a_tool_that_is_missing(self) -> None:
        tools = self.root / "tools"
        tools.mkdir()
        for folder in os.environ["PATH"].split(":"):
            for path in Path(folder).glob("*"):
                if path.name != "patch" and not (tools / path.name).exists():
                    (tools / path.name).symlink_to(path)
        self.refused("apply", 1, "No such file or directory: 'patch'", "scripts/setup", PATH=str(tools))

    def test_a_reader_that_has_seen_enough(self) -> None:
        shutil.copytree(self.patches, self.project / "patches/toy2")
        for verb in ("fit", "refresh", "clean", "export quilt", "fit --help"):
            done = subprocess.run(
                ["bash", "-c", f"{self.project}/scripts/{verb} | true"], env=self.caller(), capture_output=True, text=True
            )
            self.assertNotRegex(done.stderr, "Broken pipe|BrokenPipe|Traceback", verb)
