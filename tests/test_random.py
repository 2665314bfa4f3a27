# SPDX-License-Identifier: GPL-2.0
"""Random commits through refresh, apply and each export, and back: identical, or refused by name.

  EXAMPLES=5   how many series, of up to six commits each
  SEED=0       what the series are made of: the same number gives the same ones

A long run, with what was refused at its end and one export b4 in ten series:
EXAMPLES=1000 SEED=1 tests/run --quick test_random
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

# Debian's hypothesis, also for a python3 that is not Debian's.
sys.path.append("/usr/lib/python3/dist-packages")
import hypothesis.configuration
from hypothesis import HealthCheck, Phase, example, given, seed, settings, strategies as st

from test_export import GET_MAINTAINER, dep3
from test_roundtrip import Roundtrip, essence, raw
from project import slow
from toy import git

EXAMPLES = int(os.environ.get("EXAMPLES") or 5)
SEED = int(os.environ.get("SEED") or 0)
LONG = "EXAMPLES" in os.environ
# Where the toys stand in mainline: stable takes those in their own words that are not there.
MERGED = f"* {'1' * 40} v9.1 ## first\n"
FIXED_OTHERWISE = "* otherwise v9.1 ## it is fixed\n"

COMMON = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=70)
WORDS = st.one_of(
    COMMON, COMMON, COMMON, COMMON, COMMON, COMMON, COMMON, COMMON,
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=30),
    st.sampled_from([
        "", "", "---", "--- a/x", "+++ b/x", "@@ -1 +1 @@", "diff --git a/x b/x", "  diff -u x y", "Index: x", "index 12..34",
        "From nobody Mon Sep 17 00:00:00 2001", ">From me", "From: x <x@localhost>", "Subject: x", "Date: now", "[tag] x",
        " 1 file changed, 1 insertion(+)", "-- ", "--", ".", "..", "# comment", "3c3", "12a", "*** x", "X --- x", "- --- x",
        "=?UTF-8?q?x?=", "日本語", "é", "a:", "\x1b[2J", "\x0c", "\t tab", "end\r", "-- >8 --", "8<-----", "Fixes: 12 (\"x\")", "Link: x",
        "\u2028", "\u202e", "\x85", "Cc: <stable@vger.kernel.org> # 6.1", "commit 1234 upstream.", "fixup! x", "*** BLURB HERE ***",
    ]),
)  # fmt: skip
# What files are made of: mostly lines that every reader takes.
LINE = st.one_of(
    COMMON, COMMON, st.text(max_size=20).filter(lambda text: text.isprintable()),
    st.sampled_from(["", "same", "same", "other", "\t}", "-- ", "--- x", "\x0c", "\u2028", "a\rb"]),
)
LINES = st.lists(LINE, min_size=1, max_size=25).map(lambda lines: "".join(f"{line}\n" for line in lines).encode())
CONTENT = st.one_of(
    *[LINES] * 8,
    LINES.map(lambda lines: lines.decode().encode("latin-1", "replace")),
    st.lists(LINE, min_size=1, max_size=25).map(lambda lines: "\n".join(lines).encode()),
    st.lists(LINE, min_size=1, max_size=4).map(lambda lines: "\r\n".join([*lines, ""]).encode()),
    st.lists(st.binary(max_size=9), max_size=3).map(b"\n".join),
)
PERSON = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\n<>"), min_size=1, max_size=20)
FILES = ["Kconfig", "arch/x86/kvm/x86.c", "arch/x86/kvm/svm/avic.c", "arch/x86/kvm/new.c", "tools/new.sh", "a.txt"]
NAMES = st.one_of(*[st.sampled_from(FILES)] * 12, st.sampled_from(["a b", "é", "a\tb", "a\nb", "-x", '"q"', "a\\b", "b/x", "dev/null", "x.orig"]))


@dataclass
class Change:
    """One file: replaced, edited in a line, or removed."""

    name: str
    how: str
    content: bytes
    line: int
    mode: str


CHANGE = st.builds(
    Change, NAMES, st.sampled_from(["edit"] * 6 + ["replace", "remove", "double"]), CONTENT, st.integers(0, 60),
    st.sampled_from(["100644"] * 12 + ["100755", "120000"]),
)  # fmt: skip


@dataclass
class Commit:
    author: str
    address: str
    when: int
    zone: int
    subject: str
    text: list[str]
    end: str
    encoding: str
    changes: list[Change]

    @property
    def message(self) -> bytes:
        text = "\n\n".join([self.subject, "\n".join(self.text)]) if self.text else self.subject
        try:
            return (text + self.end).encode(self.encoding or "utf-8")
        except (UnicodeError, LookupError):
            return (text + self.end).encode()

    def plain(self) -> bytes:
        """The message as git commit would have cleaned it up: most are such ones."""
        lines = [line.rstrip() for line in self.message.split(b"\n")]
        return re.sub(b"\n\n\n+", b"\n\n", b"\n".join(lines).strip(b"\n")) + b"\n"


# What a long run has found, for every run.
WHO = ("Ann", "toy@mainline.lan", 10**8, 115)
LAST = b"the last line\n"

COMMITS = st.lists(
    st.builds(
        Commit, PERSON, st.sampled_from(["toy@mainline.lan", "é@mainline.lan", "a.b+c@mainline.lan", ""]), st.integers(10**8, 2 * 10**9),
        st.integers(-720, 840), st.one_of(COMMON, WORDS).map(lambda text: f"KVM: {text}"), st.lists(WORDS, max_size=8),
        st.sampled_from(["\n"] * 8 + ["", "\n\n"]), st.sampled_from([""] * 9 + ["ISO-8859-1"]), st.lists(CHANGE, min_size=1, max_size=3),
    ),
    min_size=1, max_size=6,
)  # fmt: skip


class Random(Roundtrip):
    refused_for: Counter[str] = Counter()
    seen = 0
    came_back = 0

    @classmethod
    def setUpClass(cls) -> None:
        home = tempfile.TemporaryDirectory(prefix="avic-hypothesis.")
        cls.addClassCleanup(home.cleanup)
        hypothesis.configuration.set_hypothesis_home_dir(home.name)

    def setUp(self) -> None:
        super().setUp()
        script = self.tree / "scripts/get_maintainer.pl"
        script.parent.mkdir()
        script.write_text(GET_MAINTAINER)
        script.chmod(0o755)
        git(self.tree, "add", "--all")
        git(self.tree, "commit", "--quiet", "--message=maintainers")
        self.repo = Path(self.script("apply").stdout.strip())
        gitconfig = self.root / "gitconfig"
        gitconfig.write_text("[user]\n\tname = Toy\n\temail = toy@localhost\n")
        self.env["GIT_CONFIG_GLOBAL"] = str(gitconfig)
        (self.patches / "cover").write_text("KVM: SVM: Toys\n\nToys.\n")
        (self.project / "patches/upstream").write_text(MERGED)
        (self.project / "MAINTAINERS.snippet").write_text("")
        self.start_files = {
            name: ("100755" if os.access(self.repo / name, os.X_OK) else "100644", (self.repo / name).read_bytes())
            for name in raw(self.repo, "ls-files").decode().split()
        }

    @slow
    def test_identical_or_refused(self) -> None:
        @seed(SEED)
        @settings(
            max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(COMMITS, st.integers(0, 9))
        @example([Commit(*WHO, "KVM: A form feed ends it", ["Why.", ">From me", "\x0c"], "\n", "", [Change(FILES[1], "edit", LAST, 9, "100644")])], 0)
        @example([Commit("J\u00f6 (\x01", *WHO[1:], "KVM: An open name", ["Why."], "\n", "", [Change(FILES[1], "edit", LAST, 9, "100644")])], 6)
        def each(commits: list[Commit], plain: int) -> None:
            self.series(commits, bool(plain))

        try:
            each()
        finally:
            if LONG:
                self.figures()
        self.assertGreater(self.came_back, 0, "nothing came back: the test showed nothing")

    def figures(self) -> None:
        """What a long run has to tell."""
        lines = [f"{self.seen} commits: {self.came_back} came back"]
        lines += [f"{count:5} {reason}" for reason, count in self.refused_for.most_common()]
        print("\n".join(lines), file=sys.stderr)

    def series(self, commits: list[Commit], plain: bool) -> None:
        """Bring these commits through; those that are refused are left out, and counted."""
        Random.seen += len(commits)
        self.clear()
        while commits:
            made = self.make(commits, plain)
            done = subprocess.run(
                [self.project / "scripts/refresh"], env=os.environ | self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            if not done.returncode:
                break
            error = done.stderr.decode()
            line = re.fullmatch(r"refresh: (.*)\n", error)
            self.assertTrue(done.returncode == 1 and line, error)
            self.assertTrue(line[1].replace("\t", " ").isprintable(), error)
            assert line
            named = re.search(r"(?:commits?|edit) ([0-9a-f]{12})\b", line[1])
            self.assertTrue(named, error)
            assert named
            self.note(line[1])
            number = next(number for number, each in enumerate(made) if each.startswith(named[1]))
            commits = commits[:number] + commits[number + 1 :]
        if commits:
            self.comes_back()
            self.exports()
            Random.came_back += len(commits)

    def note(self, error: str) -> None:
        """Count why something was refused, without its names."""
        reason = re.sub(r"^commits .* want", "two commits want", re.sub(r"^\d{4}-\S+?\.patch(:\d+)?: ", "", error))
        reason = re.sub(r"'.*'|\".*\"|b'.*'", "'…'", reason.split(": change commit")[0])
        self.refused_for[re.sub(r"\d+", "N", re.sub(r"(?:[\w.-]+/)+[\w.-]+|\b(?:Kconfig|a\.txt)\b", "FILE", reason))] += 1

    def clear(self) -> None:
        """An empty series and branch."""
        for path in [*self.patches.glob("*.patch")]:
            path.unlink()
        (self.patches / "series").write_text("# toy stack\n")
        self.start()
        raw(self.repo, "update-ref", "refs/avic/applied", "stack")
        raw(self.repo, "update-ref", "-d", "refs/notes/slug")
        shutil.rmtree(self.cache / "export", ignore_errors=True)

    def make(self, commits: list[Commit], plain: bool) -> list[str]:
        """The commits on branch stack, by git fast-import, which takes any bytes; returns their ids."""
        files = dict(self.start_files)
        stream = [b"reset refs/heads/stack\nfrom refs/heads/base^0\n\n"]
        for number, commit in enumerate(commits, 1):
            before = dict(files)
            for change in commit.changes:
                self.change_one(files, change)
            who = f"{commit.author} <{commit.address}> {commit.when} {commit.zone // 60 * 100 + commit.zone % 60:+05}"
            message = commit.plain() if plain else commit.message
            stream.append(b"commit refs/heads/stack\nmark :%d\nauthor %s\ncommitter Toy <toy@localhost> 1700000000 +0000\n" % (number, who.encode()))
            stream.append(b"encoding ISO-8859-1\n" if commit.encoding else b"")
            stream.append(b"data %d\n%s\n" % (len(message), message))
            for name in before.keys() | files.keys():
                quoted = b'"' + name.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n") + b'"'
                if name not in files:
                    stream.append(b"D %s\n" % quoted)
                elif before.get(name) != files[name]:
                    mode, content = files[name]
                    stream.append(b"M %s inline %s\ndata %d\n%s\n" % (mode.encode(), quoted, len(content), content))
        marks = self.root / "marks"
        raw(self.repo, "checkout", "--quiet", "--force", "--detach", "base")
        raw(self.repo, "fast-import", "--quiet", "--force", f"--export-marks={marks}", stdin=b"".join(stream))
        raw(self.repo, "checkout", "--quiet", "stack")
        ids = dict(line.split() for line in marks.read_text().splitlines())
        return [ids[f":{number}"] for number in range(1, len(commits) + 1)]

    @staticmethod
    def change_one(files: dict[str, tuple[str, bytes]], change: Change) -> None:
        mode, content = files.get(change.name, (change.mode, b""))
        lines = content.splitlines(keepends=True)
        if change.how == "remove":
            files.pop(change.name, None)
        elif change.how == "replace" or len(lines) < 4 or mode == "120000":
            link = change.mode == "120000"
            files[change.name] = (change.mode, change.content.replace(b"\0", b"").replace(b"/", b"")[:40] or b"x" if link else change.content)
        elif change.how == "double":
            files[change.name] = (mode, content + content)
        else:
            lines[change.line % len(lines)] = change.content
            files[change.name] = (mode, b"".join(lines))

    # What each reader makes of it.

    def exports(self) -> None:
        forms = ["quilt", "debian", "mbox", "stable", *(["b4"] if LONG and self.seen % 10 == 0 else [])]
        for form in forms:
            (self.project / "patches/upstream").write_text(FIXED_OTHERWISE if form == "stable" else MERGED)
            done = subprocess.run(
                [self.project / "scripts/export", form], env=os.environ | self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            if done.returncode:
                error = done.stderr.decode()
                self.assertTrue(done.returncode == 1 and re.fullmatch(r"(?:.*s  \w+: .*\n)*export: patches/toy/.*\n", error), error)
                self.note(f"export {form}: " + re.sub(r".*patches/toy/\S+ ", "", error.strip()))
            else:
                self.assertTrue(all(c.isprintable() or c == "\n" for c in done.stdout.decode()), done.stdout)
                getattr(self, f"read_{form}")(self.cache / "export/toy" / form)

    def commits(self, branch: str = "stack") -> list[tuple[bytes, ...]]:
        return essence(self.repo, f"base..{branch}")

    def work(self, name: str) -> Path:
        """The base's files, without git."""
        folder = self.root / name
        shutil.rmtree(folder, ignore_errors=True)
        for path, (mode, content) in self.start_files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
            (folder / path).chmod(int(mode, 8) & 0o777)
        return folder

    def same_tree(self, work: Path) -> None:
        """A folder has the files of the whole stack, byte for byte."""
        index = {"GIT_INDEX_FILE": str(self.root / "index"), "GIT_WORK_TREE": str(work), "GIT_DIR": str(self.repo / ".git")}
        (self.root / "index").unlink(missing_ok=True)
        raw(work, "add", "--all", "--force", ".", **index)
        tree = raw(work, "write-tree", **index).decode().strip()
        wanted = raw(self.repo, "rev-parse", "stack^{tree}").decode().strip()
        self.assertEqual(raw(self.repo, "diff", wanted, tree), b"")
        self.assertEqual(tree, wanted)

    def read_quilt(self, folder: Path) -> None:
        work = self.work("quilt")
        env = os.environ | {"QUILT_PATCHES": str(folder), "QUILT_PC": str(self.root / "pc")}
        shutil.rmtree(self.root / "pc", ignore_errors=True)
        subprocess.run(["quilt", "push", "-a", "--fuzz=0", "-q"], cwd=work, check=True, stdout=subprocess.DEVNULL, env=env)
        self.same_tree(work)

    def read_debian(self, folder: Path) -> None:
        work = self.work("debian")
        shutil.copytree(folder / "debian", work / "debian")
        shutil.copy(folder / "series", work / "debian/patches/series")
        (work / "debian/source").mkdir()
        (work / "debian/source/format").write_text("3.0 (quilt)\n")
        (work / "debian/control").write_text("Source: toy\nMaintainer: T <t@localhost>\n\nPackage: toy\nArchitecture: all\nDescription: t\n")
        (work / "debian/changelog").write_text("toy (1-1) unstable; urgency=low\n\n  * T.\n\n -- T <t@localhost>  Sat, 21 Nov 2026 00:00:00 +0000\n")
        subprocess.run(["dpkg-source", "--before-build", "."], cwd=work, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        shutil.rmtree(work / "debian")
        shutil.rmtree(work / ".pc", ignore_errors=True)
        self.same_tree(work)
        for path, (_, author, message) in zip(sorted(folder.rglob("*.patch")), self.commits()):
            fields = dep3(path)
            self.assertEqual(fields["Author"].encode(), re.sub(rb"author (.*>) .*", rb"\1", author))
            self.assertEqual(fields["Description"].encode().rstrip(), re.sub(rb"\n\n", b"\n", message, count=1).rstrip())

    def mailed(self, name: str, mails: list[Path]) -> list[tuple[bytes, ...]]:
        """What git am makes of mails on the base."""
        aside = self.root / name
        raw(self.repo, "worktree", "add", "--quiet", "--force", "--detach", str(aside), "base")
        try:
            raw(aside, "am", "--quiet", "--empty=drop", *map(str, mails))
            return self.commits(raw(aside, "rev-parse", "HEAD").decode().strip())
        finally:
            raw(self.repo, "worktree", "remove", "--force", str(aside))

    def read_mbox(self, folder: Path) -> None:
        self.assertEqual(self.mailed("mbox", [folder / "avic-toy.mbox"]), self.commits())

    def read_stable(self, folder: Path) -> None:
        upstream = b"\n\n[ No upstream commit: as of v9.1 it is fixed. ]"
        came = [(tree, author, message.replace(upstream, b"", 1)) for tree, author, message in self.mailed("stable", sorted(folder.iterdir()))]
        self.assertEqual([(*each[:2], each[2].rstrip()) for each in came], [(*each[:2], each[2].rstrip()) for each in self.commits()])

    def read_b4(self, folder: Path) -> None:
        base = git(self.tree, "rev-parse", "HEAD")
        self.assertEqual(essence(self.tree, f"{base}..avic")[1:], self.commits())
        git(self.tree, "branch", "-D", "avic")
