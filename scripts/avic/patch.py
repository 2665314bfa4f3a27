# SPDX-License-Identifier: GPL-2.0
"""A patch, as git format-patch writes it.  Here is its one reader.

It takes only what git am, quilt and dpkg-source read in the same way, and what they can hold:
no diff in the changelog, no binary, link or changed mode, no name that needs quotes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.header import decode_header
from email.utils import parseaddr
from pathlib import Path

from avic import raw
from avic.paths import TOP
from avic.process import fail

SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")
NAME = re.compile(rf"([0-9]{{4}})-({SLUG.pattern})\.patch")
HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
STAT = re.compile(r" (\d+) files? changed(?:, (\d+) insertions?\(\+\))?(?:, (\d+) deletions?\(-\))?")
# Where patch(1) sees a diff begin: it looks behind indentation, X and the dashes of RFC 934.
BEGINS_DIFF = re.compile(
    r"[ \tX]*(?:- )*(?:diff -|Index:|Prereq:|(?:---|\+\+\+|\*\*\*) |@@ -\d|\d+(?:,\d+)?[acd](?:\d+(?:,\d+)?)?\s*$)"
)
# Where git am sees the next mail begin.
BEGINS_MAIL = re.compile(r"From \S.*\d:\d\d")
# No blank, quote or byte beyond ASCII: quilt and dpkg-source want names in words.
FILE = re.compile(r"[\w.+,@=:%~-]+(?:/[\w.+,@=:%~-]+)*", re.ASCII)
# Lines of a diff's head that say nothing which its other lines don't.
EXTENDED = re.compile(r"index [0-9a-f]+\.\.[0-9a-f]+(?: 100(?:644|755))?|(?:new|deleted) file mode 100(?:644|755)")
DATE = re.compile(r"\w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", re.ASCII)
PLAIN = re.compile(r'text/plain(?:; *charset="?(?:utf-8|us-ascii)"?)?', re.IGNORECASE)
NO_TEXT = re.compile(r"GIT binary patch|Binary files .* differ")
MODE = re.compile(r"(?:old|new|new file|deleted file) mode (\d+)")


class Wrong(ValueError):
    """What is wrong with a patch, without the advice: that depends on who asks."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line  # 0 if it is the whole

    def of(self, name: str) -> str:
        """What is wrong, behind the file's name and the line."""
        return f"{name}:{self.line}: {self}" if self.line else f"{name}: {self}"


def slug_in(name: str) -> str:
    """The slug in a patch's file name."""
    return name[5 : -len(".patch")]


@dataclass
class Hunk:
    line: int  # where the old lines are expected, from 1
    old: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)


@dataclass
class Patch:
    path: Path
    name: str  # its file in the series
    raw: str  # the whole file, see avic.raw
    author: str  # NAME <ADDRESS>
    date: str
    subject: str
    text: str  # the changelog below the subject
    diff: str  # what is below '---': diffstat and diff
    files: dict[str, list[Hunk]]  # each file -> its hunks

    @property
    def slug(self) -> str:
        return slug_in(self.name)


def decoded(value: str) -> str:
    """A mail header's value without RFC 2047's encoding."""
    try:
        parts = decode_header(value)
        return "".join(
            part if isinstance(part, str) else part.decode(charset or "raw-unicode-escape") for part, charset in parts
        )
    except (HeaderParseError, LookupError, UnicodeError):
        raise Wrong(f"its header '{value}' cannot be decoded") from None


def is_open(name: str) -> bool:
    """Whether a quote or a comment begins in a person's name and does not end (RFC 5322, 3.2.2 and 3.2.4).

    In a name that is more than ASCII, git before 2.44 reads on beyond the name's end then, and
    takes what lies there as a part of it.  Others are quoted by git format-patch.
    """
    quoted, depth = False, 0
    for c in re.sub(r"\\.", "", name, flags=re.DOTALL):
        if c == '"' and not depth:
            quoted = not quoted
        elif c == "(" and not quoted:
            depth += 1
        elif c == ")" and depth:
            depth -= 1
    return not name.isascii() and (quoted or depth > 0)


class Reader:
    """The parts of a patch's text; raises Wrong, with the line, at what is none."""

    def __init__(self, text: str) -> None:
        self.lines = text.removesuffix("\n").split("\n")
        self.at = 0  # the line that is read next, from 0
        self.files: dict[str, list[Hunk]] = {}

    def wrong(self, message: str) -> Wrong:
        """An error in the line that was read last."""
        return Wrong(message, self.at)

    def next(self) -> str | None:
        """The next line, None behind the last."""
        if self.at == len(self.lines):
            return None
        self.at += 1
        return self.lines[self.at - 1]

    def head(self) -> dict[str, str]:
        """The mail's headers, in lower case -> unfolded value."""
        found: dict[str, str] = {}
        name = ""
        self.next()  # the mailbox's own 'From' line
        while line := self.next():
            if line[0] in " \t" and name:
                found[name] += line
                continue
            name, colon, value = line.partition(":")
            name = name.lower()
            if not colon or not re.fullmatch(r"[a-z-]+", name) or name in found:
                raise self.wrong(f"'{line}' is no header of a mail, or its second one")
            self.need_plain(line)
            found[name] = value.strip(raw.WHITE)
        for name in ("from", "date", "subject"):
            if not found.get(name):
                raise Wrong(f"it is no git patch: no line '{name.capitalize()}:'")
        if found.get("content-transfer-encoding", "8bit").lower() not in ("7bit", "8bit"):
            raise Wrong(f"it is encoded as {found['content-transfer-encoding']}: it has to be plain text")
        # Git am obeys it, quilt and dpkg-source don't.
        if not PLAIN.fullmatch(found.get("content-type", "text/plain")):
            raise Wrong(f"'Content-Type: {found['content-type']}': it has to be plain text in UTF-8")
        return found

    def need_plain(self, line: str) -> None:
        """A line of headers, changelog or diffstat: in UTF-8, and the same to each reader."""
        if not raw.plain(line):
            raise self.wrong(f"'{line}' is not UTF-8")
        if line.endswith("\r"):
            raise self.wrong("it ends with CR, which git am takes off")
        if BEGINS_DIFF.match(line):
            raise self.wrong(f"'{line}' begins a diff in the changelog, which quilt and dpkg-source apply")
        if BEGINS_MAIL.match(line):
            raise self.wrong(f"'{line}' begins another mail for git am")

    def changelog(self) -> str:
        """The text down to '---'."""
        text: list[str] = []
        while (line := self.next()) is not None:
            if re.fullmatch(rf"---[{raw.WHITE}]*", line):
                return "\n".join(text)
            self.need_plain(line)
            text.append(line)
        raise Wrong("it is no git patch: it has no '---' below its changelog")

    def stat(self) -> tuple[int, ...]:
        """What the diffstat counts: files, added and removed lines."""
        counted = None
        while self.at < len(self.lines) and not self.lines[self.at].startswith("diff --git "):
            line = self.next() or ""
            self.need_plain(line)
            if line.strip(raw.WHITE) and not line.startswith(" "):
                raise self.wrong(f"'{line}' is no diffstat: what stands below '---' is lost with git am")
            counted = STAT.fullmatch(line) or counted
        if self.at == len(self.lines):
            raise Wrong("it is no git patch: it has no diff")
        if not counted:
            raise Wrong(f"'{self.lines[self.at]}' begins a diff where the diffstat should be", self.at + 1)
        return tuple(int(number or 0) for number in counted.groups())

    def name(self, line: str) -> str:
        """The file of a line 'diff --git'."""
        match = re.fullmatch(r'diff --git "?a/(.*?)"? "?b/(.*?)"?', line)
        if not match or match[1] != match[2]:
            raise self.wrong(f"'{line}' has two names: write it with git format-patch --no-renames")
        name = match[1]
        if not FILE.fullmatch(name):
            raise self.wrong(f"quilt and dpkg-source take no file name like '{name}': it has a blank, a quote or more than ASCII")
        if {"..", ".", ".git"} & {part.lower() for part in name.split("/")}:
            raise self.wrong(f"the file name '{name}' leads out of the tree")
        if name in self.files:
            raise self.wrong(f"a second diff of {name}")
        return name

    def hunk(self, match: re.Match[str], name: str) -> tuple[int, int]:
        """Read the hunk behind its '@@'; returns how many lines it adds and removes."""
        hunk = Hunk(int(match[1]))
        self.files[name].append(hunk)
        old, new = int(match[2] or 1), int(match[4] or 1)
        added = removed = 0
        while old > 0 or new > 0:
            line = self.next()
            kind = line[:1] if line is not None else "end"
            if kind not in ("", " ", "-", "+", "\\"):
                break
            if kind == "\\":
                continue
            body = (line or "")[1:]
            if body.endswith("\r"):
                raise self.wrong(f"a line of {name} ends with CR, which git am takes off")
            if kind != "+":
                hunk.old.append(body)
                old -= 1
            if kind != "-":
                hunk.new.append(body)
                new -= 1
            added += kind == "+"
            removed += kind == "-"
        if old or new:
            raise self.wrong(f"it is corrupt in {name}, hunk {len(self.files[name])}")
        return added, removed

    def file(self) -> tuple[int, int]:
        """Read the diff of one file; returns how many lines it adds and removes."""
        name = self.name(self.next() or "")
        hunks = self.files.setdefault(name, [])
        added = removed = 0
        while self.at < len(self.lines) and not self.lines[self.at].startswith("diff --git "):
            line = self.next() or ""
            if match := HUNK.match(line):
                more, less = self.hunk(match, name)
                added += more
                removed += less
            elif NO_TEXT.match(line):
                raise self.wrong(f"{name} is binary, which quilt cannot hold")
            elif (match := MODE.fullmatch(line)) and not EXTENDED.fullmatch(line):
                raise self.wrong(f"{name} has '{line}', a mode or link that quilt cannot hold")
            elif not EXTENDED.fullmatch(line) and line not in (
                f"--- a/{name}", "--- /dev/null", f"+++ b/{name}", "+++ /dev/null", "\\ No newline at end of file",
            ):  # fmt: skip
                what = "it is corrupt in" if hunks else "its names are not those of"
                raise self.wrong(f"{what} {name}, {f'hunk {len(hunks)}' if hunks else line}")
        if not hunks:
            raise self.wrong(f"{name} is empty before or after it, which quilt cannot hold")
        return added, removed


def parse(text: str, path: Path, name: str = "") -> Patch:
    """A patch from its text; name: of the series' patch whose place it takes.

    Raises Wrong if it is none, if the diff is not what its own hunk headers and diffstat say,
    or if git am, quilt and dpkg-source would not all read it in the same way.
    """
    reader = Reader(text)
    head = reader.head()
    changelog = reader.changelog()
    below = reader.at
    stated = reader.stat()
    added = removed = 0
    while reader.at < len(reader.lines):
        more, less = reader.file()
        added += more
        removed += less
    counted = (len(reader.files), added, removed)
    if counted != stated:
        raise Wrong(
            f"it is truncated or edited: its diffstat says {stated[0]} files +{stated[1]} -{stated[2]},"
            f" its diff has {counted[0]} files +{counted[1]} -{counted[2]}"
        )
    who, address = parseaddr(head["from"])
    if not DATE.fullmatch(head["date"]):
        raise Wrong(f"'{head['date']}' is no date as git writes it")
    subject = decoded(re.sub(r"^\[PATCH[^\]]*\] *", "", head["subject"]))
    diff = "\n".join([*reader.lines[below:], ""])
    author = decoded(who)
    if is_open(author):
        raise Wrong(f"its author's name '{author}' has a '(' or '\"' without its end, which git am reads beyond")
    return Patch(path, name or path.name, text, f"{author} <{address}>", head["date"], subject, changelog, diff, reader.files)


def read_patch(path: Path, name: str = "") -> Patch:
    """Read a file of patches/; exits with 1, and what to do, if parse() does not take it."""
    try:
        return parse(raw.read(path), path, name)
    except Wrong as error:
        shown = path.relative_to(TOP) if path.is_relative_to(TOP) else path
        fail(1, f"{error.of(str(shown))}: restore it from git, or make the change in the tree and run scripts/refresh")


def substance(text: str) -> str:
    """A patch without its line numbers and blob hashes: they change though the change does not."""
    text = re.sub(r"^@@ -\S+ \+\S+ @@.*$", "@@", text, flags=re.MULTILINE)
    return re.sub(r"^index [0-9a-f]+\.\.[0-9a-f]+", "index", text, flags=re.MULTILINE)
