# SPDX-License-Identifier: GPL-2.0
"""A patch: its file name, and what it does to which files."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from avic.paths import TOP
from avic.process import fail

NAME = re.compile(r"(\d{4})-([a-z0-9][a-z0-9-]*)\.patch")
HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
STAT = re.compile(
    r"^ (\d+) files? changed(?:, (\d+) insertions?\(\+\))?(?:, (\d+) deletions?\(-\))?$",
    re.MULTILINE,
)


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
    subject: str
    files: dict[str, list[Hunk]]  # old path of each file -> its hunks

    @property
    def slug(self) -> str:
        return slug_in(self.path.name)


def read_patch(path: Path) -> Patch:
    """Parse a patch as `git format-patch` writes it.

    Exits with 1 if the diff is not what its own hunk headers and diffstat
    say, i.e. if the file was truncated or edited by hand.
    """
    text = path.read_text()
    shown = path.relative_to(TOP) if path.is_relative_to(TOP) else path
    again = "restore it from git, or make the change in the tree and run scripts/refresh"
    head, _, diff = text.partition("\ndiff --git ")
    subject = re.search(r"^Subject: (?:\[PATCH[^\]]*\] )?(.*(?:\n .*)*)", head, re.MULTILINE)
    stat = STAT.search(head)
    if not subject or not stat or not diff:
        fail(1, f"{shown} is no git patch with subject, diffstat and diff: {again}")
        raise AssertionError
    files: dict[str, list[Hunk]] = {}
    hunks: list[Hunk] = []
    old_left = new_left = added = removed = 0
    for number, line in enumerate(f"diff --git {diff}".rstrip("\n").split("\n")):
        if old_left > 0 or new_left > 0:
            kind, body = line[:1], line[1:]
            if kind == "\\":
                continue
            if kind in ("", " ", "-"):
                hunks[-1].old.append(body)
                old_left -= 1
            if kind in ("", " ", "+"):
                hunks[-1].new.append(body)
                new_left -= 1
            added += kind == "+"
            removed += kind == "-"
            if kind not in ("", " ", "-", "+"):
                break
        elif match := re.match(r"diff --git a/(\S+) b/\S+$", line):
            hunks = files.setdefault(match[1], [])
        elif match := HUNK.match(line):
            old_left = int(match[2] or 1)
            new_left = int(match[4] or 1)
            hunks.append(Hunk(int(match[1])))
        elif line[:1] in ("+", "-") and not line.startswith(("+++ ", "--- ")):
            old_left = -1
            break
    if old_left or new_left:
        where = list(files)[-1]
        fail(1, f"{shown} is corrupt in {where}, hunk {len(hunks)}: {again}")
    counted = (len(files), added, removed)
    stated = tuple(int(n or 0) for n in stat.groups())
    if counted != stated:
        fail(
            1,
            f"{shown} is truncated or edited: its diffstat says"
            f" {stated[0]} files +{stated[1]} -{stated[2]},"
            f" its diff has {counted[0]} files +{counted[1]} -{counted[2]}: {again}",
        )
    return Patch(path, subject[1].replace("\n", ""), files)


def substance(text: str) -> str:
    """A patch without its line numbers and blob hashes: they change though the change does not."""
    text = re.sub(r"^@@ -\S+ \+\S+ @@.*$", "@@", text, flags=re.MULTILINE)
    return re.sub(r"^index \S+", "index", text, flags=re.MULTILINE)
