# SPDX-License-Identifier: GPL-2.0
"""A commit through refresh and apply comes back byte for byte, or refresh names what can't and leaves all as it was."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from project import slow
from toy import Toy, edit

WHY = b"KVM: SVM: Toy\n\nWhy.\n"
DIFF = b"""\
diff --git a/arch/x86/kvm/x86.c b/arch/x86/kvm/x86.c
--- a/arch/x86/kvm/x86.c
+++ b/arch/x86/kvm/x86.c
@@ -30,1 +30,1 @@
-line 30 of x86.c
+quoted line 30
"""


def raw(repo: Path, *args: str, stdin: bytes = b"", **env: str) -> bytes:
    """git without this machine's settings, bytes in and bytes out."""
    person = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER")
              for what, value in (("NAME", "Toy"), ("EMAIL", "toy@localhost"), ("DATE", "@1700000000 +0130"))}  # fmt: skip
    return subprocess.run(
        ["git", "-C", repo, *args], input=stdin, check=True, stdout=subprocess.PIPE,
        env=os.environ | person | {"GIT_CONFIG_GLOBAL": "/dev/null"} | env,
    ).stdout  # fmt: skip


def commit(repo: Path, message: bytes, *options: str, **env: str) -> str:
    """What the index has as a commit on branch stack, with this very message."""
    tree = raw(repo, "write-tree").decode().strip()
    commit = raw(repo, *options, "commit-tree", tree, "-p", "HEAD", stdin=message, **env).decode().strip()
    if not options and not message.isascii():  # git has "corrected" what is not UTF-8
        head = raw(repo, "cat-file", "commit", commit).partition(b"\n\n")[0]
        made = head + b"\n\n" + message
        commit = raw(repo, "hash-object", "-t", "commit", "-w", "--stdin", stdin=made).decode().strip()
    raw(repo, "reset", "--quiet", "--hard", commit)
    return commit


def stage(repo: Path, files: dict[str, bytes | None]) -> None:
    """Write files, or remove them, and add them to the index."""
    for name, content in files.items():
        path = repo / name
        if content is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        raw(repo, "add", "--force", "--", name)


def essence(repo: Path, commits: str) -> list[tuple[bytes, ...]]:
    """Tree, author with date, encoding and message of each commit, as git keeps them."""
    found = []
    for each in raw(repo, "rev-list", "--reverse", commits).decode().split():
        head, _, message = raw(repo, "cat-file", "commit", each).partition(b"\n\n")
        lines = [line for line in head.split(b"\n") if line.startswith((b"tree ", b"author ", b"encoding "))]
        found.append((*lines, message))
    return found


class Roundtrip(Toy):
    def setUp(self) -> None:
        super().setUp()
        self.repo = Path(self.script("apply").stdout.strip())
        self.file = "arch/x86/kvm/x86.c"

    def change(self, number: int = 10) -> None:
        """A small change of a file, in the index."""
        edit(self.repo / self.file, f"line {number} of", f"changed line {number} of")
        raw(self.repo, "add", self.file)

    def start(self) -> None:
        raw(self.repo, "checkout", "--quiet", "--force", "-B", "stack", "base")

    def comes_back(self) -> None:
        """refresh, apply, refresh: the same commits, the same files."""
        before = essence(self.repo, "base..stack")
        self.script("refresh")
        written = self.bytes()
        raw(self.repo, "checkout", "--quiet", "-B", "stack", "base")
        self.script("apply", RESET="1")
        self.assertEqual(essence(self.repo, "base..stack"), before)
        self.script("refresh")
        self.assertEqual(self.bytes(), written)

    def bytes(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.patches.iterdir()}

    def named(self, *words: str) -> None:
        """refresh refuses with these words, and patches stay as they were."""
        before = self.bytes()
        self.refused("refresh", 1, "git rebase --interactive base", *words)
        self.assertEqual(self.bytes(), before)


class Same(Roundtrip):
    def test_messages(self) -> None:
        for number, message in enumerate((
            "KVM: 日本語\n\nWhy.\n".encode(),
            b"KVM: SVM: nothing but a prefix:\n\nWhy.\n",
            "ü\n".encode(),
            b"KVM: SVM: =?UTF-8?q?not=20encoded?=\n\nWhy.\n",
            b"KVM: SVM: " + b"a long subject of many words " * 8 + b"end\n\nWhy.\n",
            b"KVM: SVM: Stat\n\n 3 files changed, 10 insertions(+)\n",
            b"KVM: SVM: Index\n\nindex one\n",
            b"KVM: SVM: From\n\n>From here on it is fine.\n\nFrom here on, too.\n",
            b"KVM: SVM: Separator and white space\n\n a\tb\n  --\n-----\n\x0c\n\nCc: stable@vger.kernel.org\n",
            "KVM: SVM: Author’s name\n\nFixes: 012345678901 (\"Ünicode\")\n".encode(),
        )):  # fmt: skip
            with self.subTest(message):
                self.change(number + 1)
                commit(self.repo, message)
        self.comes_back()

    def test_authors(self) -> None:
        for number, name in enumerate(("Jörg Müller", "日本 太郎", 'J. "Q" Public', "O'Neil, Jr. (x)", "=?x?=", "Jo (x", "J\u00f6 (x)")):
            self.change(number + 1)
            commit(self.repo, WHY.replace(b"Toy", f"Toy {number}".encode()), GIT_AUTHOR_NAME=name,
                   GIT_AUTHOR_EMAIL=f"a{number}@localhost", GIT_AUTHOR_DATE=f"@{10**9 + number} -{number:02}30")  # fmt: skip
        self.comes_back()

    def test_contents(self) -> None:
        for number, content in enumerate((
            b"no end of line", "Latin-1: \xe9\n".encode("latin-1"), b"a lone\rCR\n", b"\x0c\n\x85\n", b"--- a\n+++ b\n@@ -1 +1 @@\n",
            b"\n" * 3, b"From nobody Mon Sep 17 00:00:00 2001\n", b"-- \n2.39\n",
        )):  # fmt: skip
            stage(self.repo, {f"arch/x86/kvm/new{number}.c": b"first\n" + content})
            commit(self.repo, WHY.replace(b"Toy", f"Toy {number}".encode()))
            stage(self.repo, {f"arch/x86/kvm/new{number}.c": b"other\n" + content})
            commit(self.repo, "KVM: SVM: Töy 1{number}\n\nWhy.\n".replace("{number}", str(number)).encode())
        stage(self.repo, {"arch/x86/kvm/new0.c": None})
        commit(self.repo, b"KVM: SVM: Remove a file\n")
        self.comes_back()

    def test_executable(self) -> None:
        stage(self.repo, {"tools/run.sh": b"#!/bin/sh\n"})
        raw(self.repo, "update-index", "--chmod=+x", "tools/run.sh")
        commit(self.repo, WHY)
        self.comes_back()

    def test_twice_in_the_same_words(self) -> None:
        """A kept file must not make its change at another place that looks the same."""
        block = b"".join(b"same %d\n" % n for n in range(8))
        stage(self.repo, {self.file: block * 3})
        commit(self.repo, b"KVM: SVM: Three blocks\n")
        for place in (1, 2):
            blocks = [block, block, block]
            blocks[place] = block.replace(b"same 4", b"changed")
            stage(self.repo, {self.file: b"".join(blocks)})
            commit(self.repo, b"KVM: SVM: One of the blocks\n")
            self.comes_back()
            raw(self.repo, "reset", "--quiet", "--hard", "HEAD~1")

    def test_edit_of_a_text_that_looks_like_a_diffs(self) -> None:
        for word in (b"one", b"two"):
            self.start()
            self.change()
            commit(self.repo, b"KVM: SVM: Toy\n\nindex %s of it\n" % word)
            self.script("refresh")
            self.assertIn(b"index %s of it" % word, self.bytes()["0001-toy.patch"])


class Named(Roundtrip):
    def test_diff_in_the_text(self) -> None:
        for how, text in {
            "plain": DIFF, "indented": DIFF.replace(b"\n", b"\n   ").join([b"   ", b""]),
            "below the line": b"---\n" + DIFF, "below it, indented": b"---\n  " + DIFF.replace(b"\n", b"\n  "),
            "its names alone": b"--- a/x\n+++ b/x\n", "context": b"*** a/x\n--- b/x\n", "index": b"Index: x.c\n",
            "normal": b"30c30\n< line 30 of x86.c\n---\n> quoted\n",
            "marked": b"X " + DIFF.replace(b"\n", b"\nX "),
        }.items():  # fmt: skip
            with self.subTest(how):
                self.start()
                self.change()
                commit(self.repo, b"KVM: SVM: Toy\n\nAs in:\n\n" + text + b"\nEnd.\n")
                self.named("begins a diff", "0001-toy.patch:")

    @slow
    def test_message(self) -> None:
        for message, *words in (
            (b"[tag] KVM: SVM: Toy\n\nWhy.\n", "line 1", "'[tag] KVM: SVM: Toy'", "'KVM: SVM: Toy'"),
            (b"KVM: SVM: Toy\n\nWhy.\n\n---\n\nMore.\n", "---"),
            (b"KVM: SVM: Toy\n\nFrom: Other <other@localhost>\n\nWhy.\n", "author", "Other"),
            (b"KVM: SVM: Toy\n\nDate: Mon, 1 Jan 2001 00:00:00 +0000\n\nWhy.\n", "author"),
            (b"KVM: SVM: Toy\nsecond line of it\n\nWhy.\n", "line 1"),
            (b"KVM: SVM: Toy\n\nWhy.\n\n\n", "line 5"),
            (b"KVM: SVM: Toy\n\nWhy, in Latin-1: \xe9\n", "not UTF-8"),
            (b"KVM: SVM: Toy\n\nWhy.", "line 4"),
            (b"KVM: SVM: Toy\n\nTrailing blank. \n", "line 3", "'Trailing blank. '"),
            (b"KVM: SVM: Toy\n\nWhy.\n\nFrom 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\n", ""),
            (b"KVM: SVM: Toy\n\nWhy.\r\nMore.\r\n", r"'Why.\r'"),
            (b"fixup! KVM: SVM: Toy\n\nWhy.\n", "fixup!", "--autosquash"),
        ):  # fmt: skip
            with self.subTest(message):
                self.start()
                self.change()
                commit(self.repo, message)
                self.named(*words)

    def test_author(self) -> None:
        """git's own reader of mails goes beyond the end of such a name, and comes back with what lies there."""
        for name in ("J\u00f6 (x", 'J\u00f6 "x', "J\u00f6 ((x)"):
            with self.subTest(name):
                self.start()
                self.change()
                commit(self.repo, WHY, GIT_AUTHOR_NAME=name)
                self.named("its author's name")

    def test_encoding(self) -> None:
        self.change()
        commit(self.repo, b"KVM: SVM: Toy\n\nL\xe9gende.\n", "-c", "i18n.commitEncoding=ISO-8859-1")
        self.named("ISO-8859-1", "UTF-8")

    def test_files(self) -> None:
        for name, *words in (
            ("tools/a b.txt", "'tools/a b.txt'"), ("tools/é.txt", "tools/"), ("tools/a\nb.txt", "tools/"),
            ("tools/a\x1b[2Jb", "tools/"), ('tools/"a"', "tools/"), ("tools/a\\b", "tools/"),
        ):  # fmt: skip
            with self.subTest(name):
                self.start()
                stage(self.repo, {name: b"text\n"})
                commit(self.repo, WHY)
                self.named("file name", *words)

    def test_contents(self) -> None:
        stage(self.repo, {"tools/dos.txt": b"one\r\ntwo\r\n"})
        raw(self.repo, "commit", "--quiet", "--message=Base")
        raw(self.repo, "update-ref", "refs/heads/base", "HEAD")
        for files, *words in (
            ({"tools/new.txt": b"one\r\n"}, "CR", "tools/new.txt"),
            ({"tools/dos.txt": b"one\r\nthree\r\n"}, "CR"),
            ({"tools/dos.txt": b"one\ntwo\n"}, "CR"),
            ({"tools/binary": bytes(range(256))}, "binary"),
            ({"tools/empty": b""}, "empty", "tools/empty"),
            ({}, "changes no file"),
        ):
            with self.subTest(files):
                self.start()
                stage(self.repo, files)
                commit(self.repo, WHY)
                self.named(*words)

    def test_modes(self) -> None:
        for change, *words in (
            (lambda: raw(self.repo, "update-index", "--chmod=+x", self.file), "mode"),
            (lambda: (self.repo / "link").symlink_to("Kconfig"), "link", "120000"),
            (lambda: (self.repo / "link").symlink_to("/etc"), "link", "120000"),
        ):
            with self.subTest(words):
                self.start()
                change()
                if (self.repo / "link").is_symlink():
                    raw(self.repo, "add", "link")
                commit(self.repo, WHY)
                self.named(*words)

    def test_slug_note_is_no_path(self) -> None:
        self.change()
        commit(self.repo, WHY)
        for note in ("../../../x", "a b", "Upper", "x" * 200):
            raw(self.repo, "notes", "--ref=slug", "add", "--force", f"--message={note}", "HEAD")
            self.refused("refresh", 1, "git notes --ref=slug")

    def test_two_of_one_slug_are_both_named(self) -> None:
        made = []
        for number in (1, 2):
            self.change(number)
            made.append(commit(self.repo, WHY)[:12])
        self.refused("refresh", 1, "slug 'toy'", *made)
