# SPDX-License-Identifier: GPL-2.0
"""compare OTHER [SLUG]: how far a base's stack is from another base, its fixes and upstream.

  BASE=v7.2    the base whose stack is looked at
  OTHER        the base to hold it against, e.g. BASE=v7.2 scripts/compare v7.3
  TREE=        a user's own kernel tree for BASE (see scripts/fetch), to which its stack
               applies exactly
  OTHER_TREE=  the same for OTHER
  SLUG         show this one patch of both stacks as git range-diff does

Prints two tables.  The first has each function and structure that one of the two
stacks changes; comments and blanks do not count:

  upstream  BASE's stack has it as OTHER's base has it
  stack     BASE's stack has it as OTHER's stack has it; with the patches that change it
  bases     it differs exactly as the two bases differ

The second table has each patch, by slug: `same` if it adds and removes the same
lines.  Every other difference comes with its reason from patches/BASE/compare.  A
difference without a reason, or a reason without a difference, makes the exit status 1.
So it may be with a tree of your own, as the reasons are those of the bases themselves.
"""

import difflib
import os
import subprocess
import sys
from pathlib import Path

from avic.base import BASE, Base
from avic.paths import TOP
from avic.csource import units
from avic.patch import Patch
from avic.process import fail
from avic.tables import read_table
from avic.tree import git

# The selftests are compared by patch only, because their library differs a lot.
APART = "tools/"


class Side:
    """One of the two bases: its repository, its patches, and what these change."""

    def __init__(self, base: Base, tree: str = "") -> None:
        self.name, self.folder = base.name, base.folder
        self.repo = base.tree("apply", tree)
        self.patches = base.by_slug
        self.commits = git(self.repo, "rev-list", "--reverse", "base..stack").stdout.split()
        self.left_out = base.why("Left-out")
        self.cache: dict[tuple[str, str], dict[str, list[str]]] = {}

    def files(self) -> set[str]:
        """The C files that the stack changes."""
        names = git(self.repo, "diff", "--name-only", "base", "stack").stdout.split()
        return {n for n in names if n.endswith((".c", ".h")) and not n.startswith(APART)}

    def units(self, level: str, file: str) -> dict[str, list[str]]:
        """units() of a file at a level, nothing if it is not there."""
        if (level, file) not in self.cache:
            shown = git(self.repo, "show", f"{level}:{file}", check=False)
            self.cache[level, file] = units(shown.stdout if not shown.returncode else "")
        return self.cache[level, file]

    def own(self, file: str) -> set[str]:
        """The functions and structures of a file that the stack changes."""
        before, after = self.units("base", file), self.units("stack", file)
        return {name for name in {*before, *after} if before.get(name) != after.get(name)}

    def made_by(self, file: str, name: str) -> list[str]:
        """The slugs of the patches that change a function."""
        levels = ["base", *self.commits]
        return [
            slug
            for slug, before, after in zip(self.patches, levels, levels[1:])
            if self.units(before, file).get(name) != self.units(after, file).get(name)
        ]


def delta(one: list[str] | None, other: list[str] | None) -> list[str]:
    """The lines that only one of two versions of something has."""
    return [line for line in difflib.ndiff(one or [], other or []) if line[0] in "+-"]


def size(lines: list[str]) -> str:
    """How many lines a delta takes away and adds."""
    gone = sum(line[0] == "-" for line in lines)
    return f"-{gone} +{len(lines) - gone}"


def essence(patch: Patch) -> list[str]:
    """The lines that a patch adds and removes, without comments and indentation."""
    lines = []
    for file, hunks in sorted(patch.files.items()):
        lines.append(file)
        for hunk in hunks:
            for line in difflib.ndiff(hunk.old, hunk.new):
                code = line[1:].strip()
                if line[0] in "+-" and code and not code.startswith(("/*", "*", "//")):
                    lines.append(line[0] + code)
    return lines


class Reasons:
    """patches/BASE/compare: OTHER WHAT ## reason."""

    def __init__(self, path: Path, other: str) -> None:
        self.path = path.relative_to(TOP)
        self.known: dict[str, str] = {}
        self.used: set[str] = set()
        self.missing: list[str] = []
        for (base, what), reason in read_table(path, "OTHER WHAT ## reason"):
            if base == other:
                self.known[what] = reason

    def get(self, what: str) -> str:
        """The reason for a difference, noted as missing if there is none."""
        self.used.add(what)
        if what not in self.known:
            self.missing.append(what)
        return self.known.get(what, "NO REASON")

    def verdict(self) -> int:
        """Exit status; says what is wrong."""
        stale = sorted(set(self.known) - self.used)
        for what, names in (("no reason for", self.missing), ("nothing differs in", stale)):
            if names:
                print(f"compare: {self.path}: {what} {', '.join(names)}", file=sys.stderr)
        return 1 if self.missing or stale else 0


def compare_functions(this: Side, other: Side, reasons: Reasons) -> None:
    """The first table."""
    for file in sorted(this.files() | other.files()):
        rows = []
        for name in sorted(this.own(file) | other.own(file)):
            mine = this.units("stack", file).get(name)
            theirs = other.units("stack", file).get(name)
            upstream = other.units("base", file).get(name)
            apart = delta(theirs, mine)
            if mine == theirs == upstream:
                rows.append((name, "upstream", ""))
            elif mine == theirs:
                rows.append((name, "stack", f"upstream and {' '.join(other.made_by(file, name))}"))
            elif apart == delta(upstream, this.units("base", file).get(name)):
                rows.append((name, "bases", f"{size(apart)}, as between the bases themselves"))
            else:
                why = reasons.get(f"{Path(file).name}:{name}")
                where = this if mine is None else other if theirs is None else None
                rows.append((name, f"not in {where.name}" if where else size(apart), why))
        print(f"{file}: {this.name}'s stack against {other.name}")
        for name, state, note in rows:
            print(f"    {name:34} {state:12} {note}".rstrip())


def compare_patches(this: Side, other: Side, reasons: Reasons) -> None:
    """The second table."""
    print(f"patches of {this.name} against those of {other.name}")
    for slug in dict.fromkeys([*this.patches, *other.patches]):
        absent = [side for side in (this, other) if slug not in side.patches]
        if absent:
            where = absent[0]
            reason = where.left_out.get(slug) or reasons.get(slug)
            print(f"    {slug:34} {f'not in {where.name}':12} {reason}")
            continue
        one, two = essence(this.patches[slug]), essence(other.patches[slug])
        if one == two:
            print(f"    {slug:34} same")
        else:
            print(f"    {slug:34} {size(delta(two, one)):12} {reasons.get(slug)}")


def range_diff(this: Side, other: Side, slug: str) -> int:
    """One patch of both stacks."""
    ranges = []
    for side in (other, this):
        if slug not in side.patches:
            fail(2, f"{side.name} has no patch '{slug}': see patches/{side.name}/series")
        commit = side.commits[list(side.patches).index(slug)]
        ranges.append(f"{commit}~1..{commit}")
    objects = git(other.repo, "rev-parse", "--path-format=absolute", "--git-path", "objects")
    return subprocess.run(
        ["git", "-C", this.repo, "range-diff", "--creation-factor=100", *ranges],
        env=os.environ | {"GIT_ALTERNATE_OBJECT_DIRECTORIES": objects.stdout.strip()},
    ).returncode


def main() -> int:
    if len(sys.argv) not in (2, 3):
        fail(2, "usage: BASE=v7.2 scripts/compare OTHER [SLUG]")
    this = Side(Base.named(BASE.name))
    other = Side(Base.named(sys.argv[1]), os.environ.get("OTHER_TREE", ""))
    if sys.argv[2:]:
        return range_diff(this, other, sys.argv[2])
    reasons = Reasons(this.folder / "compare", other.name)
    compare_functions(this, other, reasons)
    compare_patches(this, other, reasons)
    return reasons.verdict()
