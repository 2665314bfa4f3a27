# SPDX-License-Identifier: GPL-2.0
"""Where changes stand in mainline: patches/upstream, and the commits themselves."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from avic import raw
from avic.paths import TOP
from avic.process import fail
from avic.tables import read_table
from avic.tree import git, rev

PATH = TOP / "patches/upstream"
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Person:
    """Who exports, or who a patch is from."""

    name: str
    email: str

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"

    def env(self, role: str) -> dict[str, str]:
        """Variables that make the person git's AUTHOR or COMMITTER."""
        return {f"GIT_{role}_NAME": self.name, f"GIT_{role}_EMAIL": self.email}


@dataclass(frozen=True)
class Upstream:
    """What patches/upstream says of a change, on one base."""

    commit: str = ""  # full id, '' if the change is not in mainline
    version: str = ""  # the first that has it, or has another fix; '' if none
    link: str = ""  # where it was posted, '' if merged or not posted
    note: str = ""
    by: tuple[str, ...] = ()  # the commits of the other fix
    nostable: str = ""  # why stable must not get it
    differs: str = ""  # how the base's patch differs from the commit

    @property
    def url(self) -> str:
        return f"https://git.kernel.org/linus/{self.commit}"

    @property
    def otherwise(self) -> str:
        """How mainline fixes it in another way, in a sentence without full stop; '' if it does not."""
        if self.commit or not self.version:
            return ""
        by = f" (commits {', '.join(each[:12] for each in self.by)})" if self.by else ""
        return f"as of {self.version} {self.note}{by}"


@dataclass(frozen=True)
class Ledger:
    """All of patches/upstream, as one base sees it."""

    entries: dict[str, Upstream]  # by slug, which may end in *
    together: list[tuple[set[str], str]]  # changes that belong together, and why

    def of(self, slug: str) -> Upstream | None:
        """A change's entry, if it has one."""
        pattern = next((each for each in self.entries if fnmatch.fnmatch(slug, each)), None)
        return None if pattern is None else self.entries[pattern]

    def missing(self, slugs: Iterable[str], stack: set[str]) -> list[tuple[list[str], str]]:
        """What must not be missing beside some changes of a stack, and why: an item for each line of the file.

        A line counts where the stack has all that it names: else the kernel has some, and the rest are fixes of those.
        """
        have, found = set(slugs), []
        grown = True
        while grown:
            grown = False
            for group, why in self.together:
                if group <= stack and group & have and (more := sorted(group - have)):
                    found.append((more, why))
                    have |= group
                    grown = True
        return found

    @property
    def commits(self) -> list[str]:
        """Every commit that it names, by its full id."""
        return [each for entry in self.entries.values() for each in [entry.commit, *entry.by] if each]


def read_ledger(base: str, path: Path = PATH) -> Ledger:
    """Read the file for a base, or for BASE/small, its small form; exits with 1 at a line that is wrong."""
    entries: dict[str, Upstream] = {}
    together: list[tuple[set[str], str]] = []
    more: list[tuple[str, str, str]] = []
    ledger = Ledger(entries, together)

    def wrong(words: Iterable[str]) -> None:
        fail(1, f"patches/upstream: no entry is made like '{' '.join(words)}': see its head")

    for words, note in read_table(path, "SLUG STATE WHERE ## note"):
        slug, state, where, *rest = words
        if rest and (state != "otherwise" or len(rest) > 1):
            wrong(words)
        if slug == "together":
            together.append((set(state.split(",")), note))
        elif slug in ("nostable", "differs"):
            if slug == "nostable" or {base, base.partition("/")[0], "*"} & set(where.split(",")):
                more += [(each, slug, note) for each in state.split(",")]
        elif COMMIT.fullmatch(state):
            entries[slug] = Upstream(state, where, note=note)
        elif state == "otherwise":
            by = tuple(rest[0].split(",")) if rest else ()
            if not all(map(COMMIT.fullmatch, by)):
                wrong(words)
            entries[slug] = Upstream(version=where, note=note, by=by)
        elif state == "sent":
            entries[slug] = Upstream(link=where, note=note)
        elif state == "unsent":
            entries[slug] = Upstream(note=note)
        else:
            wrong(words)
    for slug, field, note in more:
        if slug not in entries:
            fail(1, f"patches/upstream: '{field}' names {slug}, which has no entry: correct it")
        entries[slug] = replace(entries[slug], **{field: note})
    for slug in sorted({slug for group, _ in together for slug in group}):
        if ledger.of(slug) is None:
            fail(1, f"patches/upstream: 'together' names {slug}, which has no entry: correct it")
    return ledger


@dataclass(frozen=True)
class Original:
    """A commit of mainline, in its author's words."""

    commit: str
    author: Person
    date: str
    subject: str
    text: str  # the tags at its end as well


def read_original(entry: Upstream, tree: Path | None, slug: str) -> Original:
    """A change's commit, as a tree has it; exits with 2 without a tree, with 1 if that lacks the commit."""
    wanted = f"{slug} goes out in the words of commit {entry.commit[:12]} ({entry.version})"
    if tree is None:
        fail(2, f"{wanted}: give TREE=, a clone that has mainline, too")
    if not rev(tree, f"{entry.commit}^{{commit}}"):
        fail(1, f"{wanted}, which {tree} lacks: fetch mainline there, or give another TREE=")
    show = git(tree, "show", "--no-patch", "--format=%an%n%ae%n%ad%n%B", entry.commit).stdout
    name, email, date, message = show.split("\n", 3)
    subject, _, text = message.partition("\n\n")
    return Original(entry.commit, Person(name, email), date, subject.replace("\n", " "), text.strip(raw.WHITE))
