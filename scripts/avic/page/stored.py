# SPDX-License-Identifier: GPL-2.0
"""What the runs have left in the cache, as the report shows it.

The folders are report/<base>, evidence/<base>, flips/<base> and bench/<base>.  <base> is a folder of
patches/; with a runner other than the emulator its name follows, as in v6.12-hardware, and
with a report that came from a stick, stick-<machine>.  newest/<base> is what scripts/fetch and
scripts/moved have heard of.  Nothing is judged here: scripts/avic/results.py has the one judge, and each bench its own.
"""

from __future__ import annotations

import functools
import re
import shlex
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from avic import costs, ktap, summary
from avic.ktap import Result
from avic.base import Base, numbers
from avic.changes import IN_BASE, ids, read_changes
from avic.cmd.bench import BENCHES, Bench
from avic.patch import read_patch
from avic.process import fail
from avic.proof import load_proofs
from avic.results import (
    GOOD, Benches, BothFlips, Case, Evidence, Flips, Judgement, Column, Measured, Suite,
    judge_evidence, judge_flips, red, seen_again,
)  # fmt: skip
from avic.tables import entries, read_table
from avic.takenreport import Beside, Held, beside

# Of a base's first kernel log line.
BANNER = re.compile(r"Linux version .*")


@functools.cache
def full_tests() -> list[str]:
    """Selftests that only FULL=1 runs."""
    return [words[0] for words in entries("run/selftests") if words[1].startswith("full:")]


class ShownSuite:
    """The suite of a base, as the page shows it."""

    def __init__(self, suite: Suite, policy: costs.Policy) -> None:
        self.suite, self.policy = suite, policy
        self.what, self.levels, self.again = suite.what, suite.levels, suite.again

    @property
    def when(self) -> list[str]:
        """The time of each level's run."""
        return [level.when for level in self.levels]

    @property
    def lanes(self) -> list[str]:
        return list(dict.fromkeys(r.lane for level in self.levels for r in level.results))

    @cached_property
    def costs(self) -> dict[str, dict[str, tuple[int, int]]]:
        """What ci/run/costs judges: count -> lane -> its sum on base and stack; counts that are 0 everywhere left out."""
        found = costs.totals(self.policy, self.suite.base.results, self.suite.stack.results)
        return {count: lanes for count, lanes in sorted(found.items()) if any(map(any, lanes.values()))}

    def costing(self, kind: str) -> list[Row]:
        """Rows of tests that cost more than they may (costlier), or as much as ci/run/costs allows (allowed)."""
        return [row for row in self.rows if any(each.kind == kind for each in row.judged)]

    @property
    def seconds(self) -> list[str]:
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
    def logged(self) -> bool:
        """Whether the page has the stack's log, with the command."""
        return self.stack is not None and self.stack.status not in GOOD and self.verdict not in ("same", "new")

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
class Table:
    """A bench of a base, as the page shows it."""

    bench: Bench
    lines: list[Measured]
    rows: list[list[str]]
    problems: list[str]  # with the line that each is of

    @classmethod
    def read(cls, bench: Bench, lines: list[Measured]) -> Table:
        """Raises LookupError or ValueError if the lines are not those of the bench."""
        return cls(bench, lines, [row for line in lines for row in bench.rows(line)], bench.red(lines))


@dataclass
class ShownBenches:
    """All that scripts/bench has counted of a base."""

    what: dict[str, str]
    tables: dict[str, Table]

    @classmethod
    def read(cls, folder: Path) -> ShownBenches | None:
        """None if there is nothing; raises as Benches.read() and Table.read()."""
        kept = Benches.read(folder)
        if not kept:
            return None
        # A bench that is no more has no reader.
        return cls(kept.what, {name: Table.read(BENCHES[name], lines) for name, lines in kept.tables.items() if name in BENCHES})


@dataclass
class Shown:
    """A base on a runner, and all that was seen of it."""

    base: Base
    runner: str
    folders: dict[str, Path]  # report, evidence, flips, bench
    run: ShownSuite | None
    evidence: Evidence | None
    both_flips: BothFlips | None
    counted: ShownBenches | None
    argued: dict[str, str]  # slug -> why there is nothing to show for it
    newest: tuple[str, str] | None = None  # the newest version to be had, and the day on which that was asked
    beside: Beside | None = None  # of a real machine, if there is a run of the emulator to hold it against

    @property
    def flips(self) -> dict[str, Flips]:
        """Level -> its flips; none if they were not counted."""
        return self.both_flips.levels if self.both_flips else {}

    @property
    def uncounted(self) -> list[str]:
        """The benches of which there is nothing."""
        return [name for name in BENCHES if not self.counted or name not in self.counted.tables]

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
    def taken(self) -> bool:
        """Whether it is a report that came from a stick."""
        return self.runner.startswith("stick-")

    @property
    def machine(self) -> str:
        """What machine it was, of one that is no emulator."""
        return self.run.what.get("runner", self.runner) if self.run else self.runner

    @property
    def make(self) -> str:
        """What `make run` needs to hear for this base and runner."""
        return f"BASE={self.name}" + ("" if self.emulated or self.taken else f" RUNNER={self.runner}")

    def again(self, lane: str = "", test: str = "") -> str:
        """The command that repeats the suite, a lane of it, or a test."""
        words = [self.make]
        # (load) and the like are no tests, but of the lane.
        if test and not test.startswith("("):
            program = Path(test.split(",")[0]).name
            words += ["FULL=1"] if test.startswith(("l2/", "foreign/")) or program in full_tests() else []
            words += ["KUT=~/kvm-unit-tests"] if test.startswith("kut/") else []
            words.append(f"TESTS={shlex.quote(test)}")
        words += [f"LANES={shlex.quote(lane)}"] if lane else []
        if self.taken:
            return f"make stick {' '.join(words)}"
        return f"make run {' '.join([*words, 'RERUN=1'])}"

    @property
    def commands(self) -> dict[str, dict[str, str]]:
        """Lane -> test -> the command that repeats it, for all that the page has a cell for."""
        keys = [(row.lane, row.name) for row in (self.run.rows if self.run else [])]
        keys += [(each.lane, each.test) for each in (self.beside.held if self.beside else [])]
        found: dict[str, dict[str, str]] = {}
        for lane, test in sorted(set(keys)):
            found.setdefault(lane, {})[test] = self.again(lane, test)
        return found

    @property
    def age(self) -> str:
        """How far the version that was run, or else tested, is behind the newest point release, in words."""
        version = self.version or self.tested
        if not self.newest:
            return "age not known: make moved asks"
        newest, day = self.newest
        return f"{behind(version, newest)}, asked {day}"

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
        """What the judge says of all that was kept of the base; all but the suite may be newer than that."""
        suite = self.run.suite.judgements if self.run else []
        found = [each for each in suite if each.kind not in ("evidence", "flips")]
        tables = self.counted.tables if self.counted else {}
        benches = [Judgement("bench", f"bench {name}", text) for name, table in tables.items() for text in table.problems]
        return [*found, *judge_evidence(self.evidence), *judge_flips(self.both_flips), *benches]

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
    def machines(self) -> dict[str, list[Shown]]:
        """Base -> its real machines."""
        found: dict[str, list[Shown]] = {}
        for shown in self.bases:
            if not shown.emulated:
                found.setdefault(shown.name, []).append(shown)
        return found

    @property
    def compared(self) -> bool:
        """Whether any machine was held against the emulator."""
        return any(shown.beside for shown in self.bases)

    @property
    def findings(self) -> list[Held]:
        """Where a machine and the emulator differ."""
        return [each for shown in self.bases if shown.beside for each in shown.beside.of("differs")]

    def held(self, base: str) -> dict[str, dict[str, list[Held]]]:
        """Test -> a machine's id -> what became of it there beside the emulator, in each lane and level."""
        found: dict[str, dict[str, list[Held]]] = {}
        for machine in self.machines[base]:
            for each in machine.beside.held if machine.beside else []:
                found.setdefault(each.test, {}).setdefault(machine.id, []).append(each)
        return dict(sorted(found.items()))

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


def behind(version: str, newest: str) -> str:
    """How far a version is behind the newest one, in words."""
    if version == newest:
        return "the newest"
    # A tree by TREE= has its commit for a name.
    if not re.match(r"\d+\.\d", version):
        return f"not known, it is no release; the newest is {newest}"
    mine, theirs = ([*numbers(re.split("[-~]", each)[0]), 0][:3] for each in (version, newest))
    points = theirs[2] - mine[2]
    if mine[:2] != theirs[:2] or points < 0:
        return f"the newest is {newest}"
    if points == 0:
        return f"the newest point release, as {newest} is"
    return f"{points} point release{'s' if points > 1 else ''} behind {newest}"


def read_newest(path: Path) -> tuple[str, str] | None:
    """A base's newest version and the day on which that was heard, of the cache's newest/<base>; None if nobody knows."""
    match = re.fullmatch(r"(\d+\.\d\S*) (\d{4}-\d\d-\d\d)\n", path.read_text() if path.exists() else "")
    return (match[1], match[2]) if match else None


def subject(bases: list[Base], slug: str) -> str:
    """A change's subject, from the newest base that has it."""
    for base in reversed(bases):
        for path in base.folder.glob(f"????-{slug}.patch"):
            return read_patch(path).subject
    return ""


def read_shown(base: Base, runner: str, cache: Path, argued: dict[str, str], policy: costs.Policy) -> Shown:
    """What the cache has of a base on a runner; exits with 1 for what can't be read."""
    folder = base.name if runner == "emulator" else f"{base.name}-{runner}"
    folders = {kind: cache / kind / folder for kind in ("report", "evidence", "flips", "bench")}
    try:
        suite, evidence = Suite.read(folders["report"]), Evidence.read(folders["evidence"])
        flips = BothFlips.read(folders["flips"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        fail(1, f"what {cache} has of {folder} can't be read ({error}): make run BASE={base}")
    try:
        counted = ShownBenches.read(folders["bench"])
    except (OSError, LookupError, TypeError, ValueError) as error:
        fail(1, f"what {folders['bench']} has of {folder} can't be read ({error}): make bench BASE={base}")
    run = ShownSuite(suite, policy) if suite else None
    return Shown(base, runner, folders, run, evidence, flips, counted, argued, read_newest(cache / "newest" / base.name))


def read(top: Path, cache: Path) -> Page:
    """The page of a project's folder and its cache; exits with 1 for what it can't read."""
    changes, _ = read_changes(top / "patches/changes")
    proofs = load_proofs(top / "ci/proofs", ids(changes))
    argued = {proof.slug: proof.why for proof in proofs if proof.test == "-"}
    policy = costs.Policy(top / "ci/run/costs")
    every, bases = Base.every(top), []
    for base in every:
        runners = {
            found.name.removeprefix(f"{base}-") for found in (cache / "report").glob(f"{base}-*")
        }
        emulated, *machines = (read_shown(base, runner, cache, argued, policy) for runner in ("emulator", *sorted(runners)))
        for machine in machines:
            if machine.run and emulated.run:
                levels = {level.name: level.results for level in machine.run.levels if level.results}
                machine.beside = beside(levels, emulated.run.suite, policy)
        bases += [emulated, *machines]
    rows = [Change(change.id, change.slug, subject(every, change.slug)) for change in changes]
    for row in rows:
        row.cells = [shown.cell(row.slug) for shown in bases if shown.emulated]

    selftests = read_table(top / "ci/run/selftests", "NAME SECONDS AVIC")
    full = [(words[0], why) for words, why in selftests if words[1].startswith("full:")]
    return Page(bases, rows, full)
