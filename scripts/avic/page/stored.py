# SPDX-License-Identifier: GPL-2.0
"""What the runs have left in the cache, as the report shows it.

The folders are report/<base>, evidence/<base> and flips/<base>.  <base> is a folder of
patches/; with a runner other than the emulator its name follows, as in v6.12-hardware.
Nothing is judged here: scripts/avic/results.py has the one judge.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from avic import ktap, summary
from avic.ktap import Result
from avic.base import Base
from avic.changes import IN_BASE, ids, read_changes
from avic.patch import read_patch
from avic.process import fail
from avic.proof import load_proofs
from avic.results import (
    BothFlips, Case, Evidence, Flips, Judgement, Column, Suite, judge_evidence,
    judge_flips, red, seen_again,
)  # fmt: skip
from avic.tables import read_table

# Of a base's first kernel log line.
BANNER = re.compile(r"Linux version .*")


class ShownSuite:
    """The suite of a base, as the page shows it."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self.what, self.levels, self.again = suite.what, suite.levels, suite.again

    @property
    def when(self) -> list[str]:
        """The time of each level's run."""
        return [level.when for level in self.levels]

    @property
    def lanes(self) -> list[str]:
        return list(dict.fromkeys(r.lane for level in self.levels for r in level.results))

    @property
    def costs(self) -> list[str]:
        """How long the lanes took, in words."""
        return [line for level in self.levels for line in summary.costs(level)]

    def counts(self, level: Column, lane: str) -> dict[str, int]:
        """Status -> results, of a level in a lane; statuses without any are left out."""
        return ktap.count([r for r in level.results if r.lane == lane])

    @cached_property
    def rows(self) -> list[Row]:
        """Each test of each lane, with its result on both levels."""
        results = [{(r.lane, r.name): r for r in level.results} for level in self.levels]
        keys = dict.fromkeys(key for each in results for key in each)
        return [Row(self, *key, *(each.get(key) for each in results)) for key in keys]

    @property
    def tests(self) -> dict[str, dict[str, Row]]:
        """Test -> lane -> its row."""
        found: dict[str, dict[str, Row]] = {}
        for row in self.rows:
            found.setdefault(row.name, {})[row.lane] = row
        return dict(sorted(found.items()))

    @property
    def differences(self) -> list[Row]:
        """Rows of tests whose results or costs differ between the levels, and of bad new ones."""
        return [row for row in self.rows if row.verdict not in ("same", "known", "new")]

    @property
    def skipped(self) -> dict[str, dict[str, list[str]]]:
        """Reason -> test -> the lanes and levels that skip it for that reason."""
        found: dict[str, dict[str, list[str]]] = {}
        for level in self.levels:
            for result in level.results:
                if result.status == "skip":
                    where = found.setdefault(result.note, {}).setdefault(result.name, [])
                    where.append(f"{level.name} {result.lane}")
        return dict(sorted(found.items(), key=lambda item: -len(item[1])))


@dataclass
class Row:
    """A test in a lane, on both levels; a level that does not have it has None."""

    run: ShownSuite
    lane: str
    name: str
    base: Result | None
    stack: Result | None

    @property
    def both(self) -> list[tuple[str, Result]]:
        found = (("base", self.base), ("stack", self.stack))
        return [(level, result) for level, result in found if result]

    @property
    def again(self) -> list[list[str]]:
        """What base and stack gave when the test was run again; nothing if it was not."""
        seen = seen_again(self.run.again, self.lane, self.name)
        return seen if any(seen) else []

    @property
    def judged(self) -> list[Judgement]:
        """What the judge says of it."""
        return [each for each in self.run.suite.judgements if each.name == f"{self.lane} {self.name}"]

    @property
    def red(self) -> bool:
        """Whether it speaks against the stack."""
        return any(each.red for each in self.judged)

    @property
    def verdict(self) -> str:
        """What the judge says first: worse, unsteady, costlier, allowed, known; or better, new, same."""
        if self.judged:
            return self.judged[0].kind
        if not self.base or not self.stack:
            return "new"
        before, after = (ktap.STATUSES.index(r.status) for r in (self.base, self.stack))
        return "better" if after < before else "same"


@dataclass
class Cell:
    """A change on a base."""

    base: str
    state: str  # shown, red, argued, upstream, left-out, unknown
    why: str = ""  # in words, where no case says it
    cases: list[Case] = field(default_factory=list)

    @property
    def good(self) -> int:
        return sum(not case.problems for case in self.cases)


@dataclass
class Change:
    """A row of the matrix."""

    id: str
    slug: str
    subject: str
    cells: list[Cell] = field(default_factory=list)


@dataclass
class Shown:
    """A base on a runner, and all that was seen of it."""

    base: Base
    runner: str
    folders: dict[str, Path]  # report, evidence, flips
    run: ShownSuite | None
    evidence: Evidence | None
    both_flips: BothFlips | None
    argued: dict[str, str]  # slug -> why there is nothing to show for it

    @property
    def flips(self) -> dict[str, Flips]:
        """Level -> its flips; none if they were not counted."""
        return self.both_flips.levels if self.both_flips else {}

    @property
    def name(self) -> str:
        return self.base.name

    @cached_property
    def slugs(self) -> list[str]:
        return self.base.slugs

    @property
    def id(self) -> str:
        return self.name if self.emulated else f"{self.name}-{self.runner}"

    @property
    def emulated(self) -> bool:
        return self.runner == "emulator"

    @property
    def make(self) -> str:
        """What `make run` needs to hear for this base and runner."""
        return f"BASE={self.name}" + ("" if self.emulated else f" RUNNER={self.runner}")

    @property
    def version(self) -> str:
        """The version of the base that was run, '' if none was."""
        named = re.search(r"\((.+)\)", self.run.what["base"]) if self.run else None
        return named[1] if named else ""

    @property
    def tested(self) -> str:
        """The newest version that the base's file names as tested."""
        return (" ".join(self.base.fields.get("Tested", [])).split() or [""])[-1]

    @property
    def banner(self) -> str:
        """The base kernel's own first line: version and compiler."""
        for console in self.consoles.values():
            if found := BANNER.search(console.read_text(errors="replace")[:4000]):
                return found[0].strip()
        return ""

    @property
    def consoles(self) -> dict[str, Path]:
        """Kernel logs of the suite: level and machine -> file."""
        if not self.run:
            return {}
        return {
            f"{level.name} {machine}": self.folders["report"] / f"{level.name}.{machine}.console"
            for level in (*self.run.levels, *self.run.again)
            for machine in level.machines
        }

    @property
    def missing(self) -> list[str]:
        """Which results there are none of; evidence and flips are the emulator's."""
        found: dict[str, object] = {"the suite": self.run}
        if self.emulated:
            found |= {"the evidence": self.evidence, "the flips": self.flips}
        names = [name for name, each in found.items() if not each]
        if self.evidence:
            unknown = [slug for slug in self.slugs if self.cell(slug).state == "unknown"]
            names += [f"the evidence of {some(unknown)}"] if unknown else []
        for name, each in (("evidence", self.evidence), ("flips", self.both_flips)):
            if self.run and each and self.run.what.get("stack") != each.what.get("stack"):
                names.append(f"{name} of the suite's stack {self.run.what.get('stack')}")
        return names

    @property
    def red(self) -> list[str]:
        """What speaks against the stack."""
        return red(self.judgements)

    @property
    def judgements(self) -> list[Judgement]:
        """What the judge says of all that was kept of the base; evidence and flips may be newer than the suite."""
        suite = self.run.suite.judgements if self.run else []
        found = [each for each in suite if each.kind not in ("evidence", "flips")]
        return [*found, *judge_evidence(self.evidence), *judge_flips(self.both_flips)]

    @property
    def state(self) -> str:
        """red, incomplete or good."""
        return "red" if self.red else "incomplete" if self.missing else "good"

    @property
    def left_out(self) -> dict[str, str]:
        """Slug -> why the base does not get the change."""
        return self.base.why("Left-out")

    def cell(self, slug: str) -> Cell:
        """What the base has to show for a change, of its series or not."""
        cases = [case for case in self.evidence.cases if case.slug == slug] if self.evidence else []
        out = self.left_out.get(slug, "")
        state = "unknown"
        if any(case.problems for case in cases):
            state = "red"
        elif slug not in self.slugs:
            state = "upstream" if out.startswith(IN_BASE) else "left-out" if out else "unknown"
        elif slug in self.argued:
            state, out = "argued", self.argued[slug]
        elif cases:
            state = "shown"
        return Cell(self.id, state, out, cases)


@dataclass
class Page:
    """All that the report shows."""

    bases: list[Shown]
    changes: list[Change]  # with a cell for each emulated base
    left_out: list[tuple[str, str]]  # tests that only FULL=1 runs, and why

    @property
    def state(self) -> str:
        states = [base.state for base in self.bases]
        return next(state for state in ("red", "incomplete", "good") if state in [*states, "good"])

    @property
    def verdict(self) -> str:
        """The page's first sentence."""
        red = [f"{base.id}: {some(base.red)}" for base in self.bases if base.red]
        missing = [f"{base.id} ({', '.join(base.missing)})" for base in self.bases if base.missing]
        if red:
            return f"Worse on {'; on '.join(red)}."
        if missing:
            return f"Not complete: no results of {'; of '.join(missing)}."
        return "Nothing got worse, and every fix that can be shown is shown."

    @property
    def shown(self) -> str:
        """How many cases show what they have to, in a sentence."""
        cases = [case for change in self.changes for cell in change.cells for case in cell.cases]
        good = sum(not case.problems for case in cases)
        fixes = sum(case.fails_before for case in cases)
        what = f"{fixes} of them a fix’s, before and after"
        return f"{good} of {len(cases)} cases show what they have to, {what}."


def some(names: list[str]) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")


def subject(bases: list[Base], slug: str) -> str:
    """A change's subject, from the newest base that has it."""
    for base in reversed(bases):
        for path in base.folder.glob(f"????-{slug}.patch"):
            return read_patch(path).subject
    return ""


def read_shown(base: Base, runner: str, cache: Path, argued: dict[str, str]) -> Shown:
    """What the cache has of a base on a runner; exits with 1 for what can't be read."""
    folder = base.name if runner == "emulator" else f"{base.name}-{runner}"
    folders = {kind: cache / kind / folder for kind in ("report", "evidence", "flips")}
    try:
        suite, evidence = Suite.read(folders["report"]), Evidence.read(folders["evidence"])
        flips = BothFlips.read(folders["flips"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        fail(1, f"what {cache} has of {folder} can't be read ({error}): make run BASE={base}")
    return Shown(base, runner, folders, ShownSuite(suite) if suite else None, evidence, flips, argued)


def read(top: Path, cache: Path) -> Page:
    """The page of a project's folder and its cache; exits with 1 for what it can't read."""
    changes, _ = read_changes(top / "patches/changes")
    proofs = load_proofs(top / "ci/proofs", ids(changes))
    argued = {proof.slug: proof.why for proof in proofs if proof.test == "-"}
    every, bases = Base.every(top), []
    for base in every:
        runners = {
            found.name.removeprefix(f"{base}-") for found in (cache / "report").glob(f"{base}-*")
        }
        bases += [read_shown(base, runner, cache, argued) for runner in ("emulator", *sorted(runners))]
    rows = [Change(change.id, change.slug, subject(every, change.slug)) for change in changes]
    for row in rows:
        row.cells = [shown.cell(row.slug) for shown in bases if shown.emulated]

    selftests = read_table(top / "ci/run/selftests", "NAME SECONDS AVIC")
    full = [(words[0], why) for words, why in selftests if words[1].startswith("full:")]
    return Page(bases, rows, full)
