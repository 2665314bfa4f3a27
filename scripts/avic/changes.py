# SPDX-License-Identifier: GPL-2.0
"""patches/changes: every change, and the tables that are made of the list."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from avic.base import Base
from avic.paths import TOP
from avic.process import fail
from avic.tables import read_table

IN_BASE = "in this base"  # how a base's Left-out says that it has a change already
UNFIXED = "unfixed"  # how it says that the base keeps the bug


@dataclass(frozen=True)
class Change:
    """A change by its name, on whatever base."""

    id: str
    slug: str
    what: str


@dataclass(frozen=True)
class Bug:
    """A bug, the changes that fix it, and the bases that have it in part only."""

    slugs: tuple[str, ...]
    what: str
    states: dict[str, str] = field(default_factory=dict)  # base -> how

    def state(self, base: Base) -> str:
        """Whether a base has the bug, in a word or a few."""
        return self.states.get(base.name) or ("yes" if set(self.slugs) & set(base.slugs) else "no")


def read_changes(path: Path = TOP / "patches" / "changes") -> tuple[list[Change], list[Bug]]:
    """Read the list; exits with 1 at a line that is wrong, or a slug that occurs twice."""
    changes: dict[str, Change] = {}
    bugs = []
    for words, what in read_table(path, "ID|bug SLUG ## what"):
        if words[0] == "bug":
            slugs, *states = words[1:]
            told = {base: how.replace("_", " ") for base, _, how in (each.partition(":") for each in states)}
            bugs.append(Bug(tuple(slugs.split(",")), what, told))
            continue
        id, slug = words[0], words[1]
        if len(words) != 2 or slug in changes:
            fail(1, f"{path.name}: '{' '.join(words)}': want 'ID SLUG ## what', each slug once")
        changes[slug] = Change(id, slug, what)
    for bug in bugs:
        if unknown := set(bug.slugs) - set(changes):
            fail(1, f"{path.name}: no change '{sorted(unknown)[0]}', which a bug names: add a line for it")
    return list(changes.values()), bugs


def ids(changes: list[Change]) -> dict[str, str]:
    """Slug -> ID."""
    return {change.slug: change.id for change in changes}


def state(base: Base, slug: str) -> str:
    """What a base does about a change, as a sign: in its stack, in the base itself, or left out."""
    if slug in base.slugs:
        return "✓"
    why = base.why("Left-out").get(slug)
    if why is None:
        fail(1, f"patches/{base} has neither {slug} nor says why not: add it to Left-out in its file")
    return "up" if why.startswith(IN_BASE) else "–"


def unfixed(base: Base) -> dict[str, str]:
    """The changes that a base leaves out though it has the bug: slug -> why."""
    return {slug: why for slug, why in base.why("Left-out").items() if why.startswith(UNFIXED)}


def row(*cells: str) -> str:
    """A line of a table in Markdown."""
    return f"| {' | '.join(cells)} |"


def table_of_changes(changes: list[Change], bases: list[Base]) -> str:
    """README's: each change, what it does, and where it is."""
    lines = [row("", "slug", "what", *(base.name for base in bases)), row(*["---"] * (3 + len(bases)))]
    lines += [row(c.id, c.slug, c.what, *(state(base, c.slug) for base in bases)) for c in changes]
    return "\n".join(lines)


def table_of_bugs(bugs: list[Bug], bases: list[Base]) -> str:
    """BACKPORTING's: each bug, what fixes it, and which base has it."""
    lines = [row("bug", "slug", *(base.name for base in bases)), row(*["---"] * (2 + len(bases)))]
    lines += [row(bug.what, " ".join(bug.slugs), *(bug.state(base) for base in bases)) for bug in bugs]
    return "\n".join(lines)


def pages(changes: list[Change], bugs: list[Bug], bases: list[Base]) -> dict[Path, tuple[str, str]]:
    """A page -> its table's name and text."""
    return {
        TOP / "README.md": ("changes", table_of_changes(changes, bases)),
        TOP / "docs" / "BACKPORTING.md": ("bugs", table_of_bugs(bugs, bases)),
    }


def with_table(text: str, name: str, table: str) -> str:
    """A page with its table anew, between the lines that mark it.

    Raises ValueError if it has no such lines.
    """
    begin, end = f"<!-- {name}: scripts/tables writes this -->\n", f"\n<!-- end of {name} -->"
    head, mark, rest = text.partition(begin)
    _, close, tail = rest.partition(end)
    if not mark or not close:
        raise ValueError(f"no line '{begin.strip()}', or none '{end.strip()}'")
    return f"{head}{begin}\n{table}\n{end}{tail}"
