# SPDX-License-Identifier: GPL-2.0
"""A series file: the order of its patches, and its sections.  Here is its one reader and its one writer.

A line is one of three; all else that quilt or others know is refused with its line:

  NNNN-SLUG.patch       a patch, from the first column to the last; the numbers rise
  # TEXT                a comment, from the first column on; kept byte for byte
  (nothing or blanks)   kept as it is

A section can go out as a series of its own.  Its lines are comments, so quilt reads the file as before:

  # Section NAME: TITLE
  # Needs: NAME...        sections above this one that have to be applied first

A section goes on to the next one, or to the end.  A file without such lines has no sections.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from avic import raw
from avic.patch import NAME, slug_in
from avic.paths import TOP
from avic.process import fail

SECTION = re.compile(r"# Section ([a-z0-9][a-z0-9-]*): (\S.*)")
NEEDS = re.compile(r"# Needs:((?: +[a-z0-9][a-z0-9-]*)+) *")
# What is no line of a series here, and what to do about it.
FOREIGN = (
    (re.compile(r".*\r"), "it ends with CR: write the file with LF alone"),
    (re.compile("\ufeff.*"), "the file begins with a byte order mark: take it out"),
    (re.compile(r"\s.*"), "it is indented: begin in the first column"),
    (re.compile(r"[+-].*"), "guards are not known here: take it off, or the line out"),
    (re.compile(r".*#.*"), "a comment stands behind the entry: give it a line of its own, above"),
    (re.compile(r".*\s-\S.*"), "patches here take no option, all are -p1: take it off"),
    (re.compile(r".*\s"), "blanks stand behind the entry: take them off"),
)
# Comments that are meant to be one of these.
MEANT = re.compile(r"# (?:Section|Needs)\b|(?i:#+\s*(?:section\s+\S+\s*:|needs\s*:))")


@dataclass
class Section:
    """Patches that go out together."""

    name: str  # '' for patches in no section
    title: str = ""
    line: int = 0  # where it begins in the file
    above: list[str] = field(default_factory=list)  # its own lines, and comments above them
    needs: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)  # the files of its patches


class SeriesFile:
    """What a series file says; exits with 1 where that is no series."""

    def __init__(self, text: str, shown: str) -> None:
        self.shown = shown
        self.head: list[str] = []  # the comment on top
        self.comments: dict[str, list[str]] = {}  # those above a patch, by its slug
        self.lines: dict[str, int] = {}  # where a patch is, by its slug
        self.parts = [Section("")]
        pending: list[str] = []
        for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
            if NAME.fullmatch(line):
                if slug_in(line) in self.lines:
                    self.wrong(number, f"{slug_in(line)} is in line {self.lines[slug_in(line)]} already: take one out")
                self.comments[slug_in(line)], pending = pending, []
                self.lines[slug_in(line)] = number
                self.parts[-1].names.append(line)
            elif line.endswith("\r") or (line.strip(" \t") and not line.startswith("#")):
                advice = (advice for pattern, advice in FOREIGN if pattern.fullmatch(line))
                self.wrong(number, f"'{line}': {next(advice, 'want NNNN-slug.patch, a comment or an empty line')}")
            elif match := SECTION.fullmatch(line):
                self.parts.append(Section(match[1], match[2], number, [*pending, line]))
                pending = []
            elif match := NEEDS.fullmatch(line):
                section = self.parts[-1]
                if not section.name or number != section.line + 1:
                    self.wrong(number, "'# Needs:' has to stand right below a '# Section' line: move it there")
                section.needs = match[1].split()
                section.above.append(line)
            elif MEANT.match(line):
                self.wrong(number, f"'{line}': want '# Section NAME: TITLE' or '# Needs: NAME...', in small letters")
            elif line.startswith("#") and len(self.head) == number - 1:
                self.head.append(line)
            else:
                pending.append(line)
        self.tail = pending
        self.sections = self.parts[1:]
        self.need_sections()

    @classmethod
    def of(cls, folder: Path) -> SeriesFile:
        """The series file of a folder; exits with 2 if there is none."""
        path = folder / "series"
        shown = path.relative_to(TOP) if path.is_relative_to(TOP) else path
        if not path.exists() and (folder / "base").exists():
            fail(2, f"{shown} is not there yet: BASE={folder.name} scripts/port makes it")
        if not path.exists():
            known = " ".join(sorted(each.parent.name for each in folder.parent.glob("*/series")))
            fail(2, f"no base '{folder.name}': patches/ has {known or 'none'}; set BASE=")
        return cls(raw.read(path), str(shown))

    def wrong(self, line: int, message: str) -> NoReturn:
        """Exit with 1: what is wrong in a line."""
        fail(1, f"{self.shown}:{line}: {message}")

    def need_sections(self) -> None:
        """Exit with 1 if a patch is in no section though there are some, or if a section cannot stand."""
        if self.sections and self.parts[0].names:
            name = self.parts[0].names[0]
            line = self.lines[slug_in(name)]
            self.wrong(line, f"{name} is in no section: move the first '# Section' line above it")
        above: list[str] = []
        for section in self.sections:
            if section.name in above:
                self.wrong(section.line, f"there is a section {section.name} above: give this one another name")
            for need in section.needs:
                if need not in above:
                    known = f"above it {'are ' + ' '.join(above) if above else 'is none'}"
                    self.wrong(
                        section.line + 1,
                        f"section {section.name} needs '{need}', no section above it ({known}):"
                        " take it out, or move that section up with git rebase and scripts/refresh",
                    )
            if not section.names:
                self.wrong(section.line, f"section {section.name} is empty: take its lines out")
            above.append(section.name)

    def need_listed(self, folder: Path) -> None:
        """Exit with 1 if the folder has a patch that is in no line."""
        for path in sorted(folder.glob("*.patch")):
            if path.name not in self.names:
                fail(1, f"{path.name} is not in {self.shown}: add a line for it, or remove the file")

    @property
    def names(self) -> list[str]:
        """The patches' files, in order."""
        return [name for part in self.parts for name in part.names]

    def section(self, name: str) -> Section:
        """The section of a name; exits with 2 if there is none."""
        for section in self.sections:
            if section.name == name:
                return section
        known = " ".join(section.name for section in self.sections)
        fail(2, f"no section '{name}': {self.shown} has {known or 'none, so leave it out'}")

    def needed(self, section: Section) -> list[Section]:
        """The sections that have to be there before a section, in order: what it needs, and what those need."""
        wanted = set(section.needs)
        for other in reversed(self.sections):
            if other.name in wanted:
                wanted |= set(other.needs)
        return [other for other in self.sections if other.name in wanted]

    def rename(self, old: str, new: str) -> None:
        """Give a patch another slug."""
        for part in self.parts:
            part.names = [f"{name[:5]}{new}.patch" if slug_in(name) == old else name for name in part.names]
        self.comments[new] = self.comments.pop(old)
        self.lines[new] = self.lines.pop(old)

    def placed(self, slugs: list[str]) -> list[Section]:
        """The section of each of these patches; a new one goes to that of the patch before it."""
        old = {slug_in(name): part for part in self.parts for name in part.names}
        first = next((old[slug] for slug in slugs if slug in old), self.parts[-1])
        places: list[Section] = []
        for slug in slugs:
            places.append(old.get(slug, places[-1] if places else first))
        return places

    def need_order(self, slugs: list[str]) -> None:
        """Exit with 1 if these patches, in their order, would tear a section apart, empty it or put it before its needs."""
        order: list[Section] = []
        for slug, part in zip(slugs, self.placed(slugs)):
            if part not in order:
                order.append(part)
            if part is not order[-1]:
                last = order[-1].name
                self.wrong(
                    self.lines.get(slug, part.line),
                    f"{slug} is in section {part.name}, but the branch has it behind patches of {last}: git rebase it"
                    f" to the end of {part.name}; if it is to go into {last}, then scripts/refresh, and move"
                    f" the lines of section {last} above it",
                )
        for section in self.sections:
            if section not in order:
                self.wrong(
                    section.line,
                    f"the branch has no patch of section {section.name} any more: take its lines out, then scripts/refresh",
                )
            for need in section.needs:
                if order.index(self.section(need)) > order.index(section):
                    self.wrong(
                        section.line + 1,
                        f"section {section.name} needs {need}, which the branch has behind it: git rebase it up",
                    )

    def text(self, names: list[str]) -> str:
        """The file with these patches instead.

        The comment on top stays there, other comments stay above their patch, and a
        section's lines above its first patch.
        """
        slugs = [slug_in(name) for name in names]
        comments: dict[str, list[str]] = {}
        above: dict[str, list[str]] = {}
        pending: list[str] = []  # of patches that are gone
        for part in self.parts:
            above[part.name], pending = pending + part.above, []
            for slug in map(slug_in, part.names):
                pending += self.comments[slug]
                if slug in slugs:
                    comments[slug], pending = pending, []
        lines = list(self.head)
        last = None
        for name, slug, part in zip(names, slugs, self.placed(slugs)):
            if part is not last:
                lines += above[part.name]
            lines += [*comments.get(slug, []), name]
            last = part
        return "\n".join(lines + pending + self.tail) + "\n"


def read_series(folder: Path) -> SeriesFile:
    """The series of a folder.

    Exits with 1 where series, files and numbers do not agree, because
    `git am folder/*.patch` and `quilt push -a` must mean the same.
    """
    series = SeriesFile.of(folder)
    series.need_listed(folder)
    for name in series.names:
        if not (folder / name).is_file():
            fail(
                1,
                f"{series.shown} names {name}, but there is no such file:"
                " bring it back, take the line out, or run scripts/refresh if branch stack has it",
            )
    numbers = [name[:4] for name in series.names]
    if numbers != sorted({*numbers}):
        fail(
            1,
            f"{series.shown} is not in the order of its numbers, each once: put the lines in order;"
            " to change it, git rebase the branch and run scripts/refresh",
        )
    return series
