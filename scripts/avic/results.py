# SPDX-License-Identifier: GPL-2.0
"""The results of suite, evidence, flips and benches: how they are stored, and the one judge of the first three.

scripts/run keeps report/<base>/results.json, scripts/evidence evidence/<base>/evidence.json, scripts/flips
flips/<base>/flips.json and scripts/bench bench/<base>/bench.json, each written and read here.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from collections.abc import Iterable, Set
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from avic import ktap
from avic.costs import Policy, growths
from avic.ktap import Result

GOOD = ("pass", "skip")
# Statuses of a test without a result, because its machine ended early.
ENDED = ("hang", "panic", "boot", "error", "not-run")
# Kinds of judgements that speak against the stack.
RED = ("worse", "costlier", "lost", "flips", "evidence", "bench")
Kept = TypeVar("Kept")


def value(hint: Any, found: Any) -> Any:
    """A value of JSON as its type hint says."""
    if dataclasses.is_dataclass(hint):
        return load(hint, found)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        return [value(arguments[0], each) for each in found]
    if origin is dict:
        return {arguments[0](key): value(arguments[1], each) for key, each in found.items()}
    if hint in (int, str, bool) and not isinstance(found, hint):
        raise ValueError(f"{found!r} is not of type {hint.__name__}")
    return found


def load(kind: type[Kept], found: dict[str, Any]) -> Kept:
    """Read a dataclass from JSON; keys that it does not have are ignored.

    Raises TypeError or ValueError if something is missing, or of another type.
    """
    hints = typing.get_type_hints(kind)
    known = {f.name for f in dataclasses.fields(typing.cast(Any, kind)) if f.init}
    return kind(**{name: value(hints[name], each) for name, each in found.items() if name in known})


def save(path: Path, kept: Any) -> None:
    """Write a dataclass as JSON."""
    path.write_text(json.dumps(asdict(kept), indent=1) + "\n")


def read_kept(kind: type[Kept], path: Path) -> Kept | None:
    """What save() has written, None if there is no such file; raises as load()."""
    return load(kind, json.loads(path.read_text())) if path.exists() else None


@dataclass
class Column:
    """Results under one name: what a level gave in the suite, or what was judged."""

    name: str
    results: list[Result] = field(default_factory=list)
    machines: list[str] = field(default_factory=list)  # whose logs are NAME.MACHINE.ktap and so on
    when: str = ""  # of its last run
    reused: str = ""  # when it ran, if an earlier run's results are taken


@dataclass
class Judgement:
    """One thing that the judge says: kind is one of RED, or unsteady, known, allowed."""

    kind: str
    name: str  # its subject, such as 'LANE TEST' or 'evidence SLUG'
    text: str

    @property
    def red(self) -> bool:
        return self.kind in RED


@dataclass
class Suite:
    """The KVM selftests on base and stack: results.json."""

    what: dict[str, str]
    base: Column
    stack: Column
    again: list[Column]  # base and stack once more, for tests that got worse; or none
    judgements: list[Judgement]

    @property
    def levels(self) -> list[Column]:
        return [self.base, self.stack]

    @classmethod
    def read(cls, folder: Path) -> Suite | None:
        """None if there is no such run."""
        return read_kept(cls, folder / "results.json")


@dataclass
class Seen:
    """A case's result on one level of the stack; boot names the logs of its machine."""

    level: int
    boot: str
    result: Result


@dataclass
class Case:
    """A line of ci/proofs, as scripts/evidence saw it."""

    id: str
    slug: str
    test: str
    case: str
    why: str
    first: int
    fails_before: bool
    problems: list[str]
    seen: list[Seen]
    variant: str = ""  # of the kernel, if it is not the usual one
    home: str = ""  # the base that the test is from, if it is another
    needs: str = ""  # the change without which it fails anyway

    @property
    def before(self) -> Seen | None:
        """On the level before the fix, if it has to fail there."""
        levels = [seen for seen in self.seen if seen.level < self.first]
        return levels[0] if levels and self.fails_before else None

    @property
    def after(self) -> Seen | None:
        """On the first level from the change on that was run."""
        levels = [seen for seen in self.seen if not self.fails_before or seen.level >= self.first]
        return levels[0] if levels else None

    @property
    def failing_line(self) -> str:
        """The line on the level before that says what ci/proofs says."""
        if not self.before:
            return ""
        lines = [*self.before.result.log, self.before.result.note]
        said = [line.strip() for line in lines if re.search(self.why, line)]
        return said[0] if said else f"{self.before.result.status} {self.before.result.note}"


@dataclass
class Evidence:
    """What scripts/evidence kept of a base: evidence.json."""

    what: dict[str, str]
    levels: dict[str, dict[int, int]]  # of each variant, which level was run for which
    cases: list[Case]

    @classmethod
    def read(cls, folder: Path) -> Evidence | None:
        """None if there is none."""
        return read_kept(cls, folder / "evidence.json")


@dataclass
class Flips:
    """How often IRQ windows flipped the VM's inhibit on a level."""

    flips: int
    at: list[int]  # us
    reasons: list[int]  # APICV_INHIBIT_REASON_*, which is numbered otherwise on each base
    lost: str  # what was lost, '' if nothing

    @property
    def windows(self) -> list[int]:
        """us from the first window on; odd ones clear the inhibit again.

        A VM's first reason is that it has no irqchip yet: that is no window.
        """
        at = [us for us, reason in zip(self.at, self.reasons) if reason != self.reasons[0]]
        return [us - at[0] for us in at]

    @property
    def us(self) -> int:
        """From the first window to the last."""
        return max(self.windows, default=0)


@dataclass
class BothFlips:
    """What scripts/flips kept of a base: flips.json."""

    what: dict[str, str]
    levels: dict[str, Flips]  # base, stack

    @classmethod
    def read(cls, folder: Path) -> BothFlips | None:
        """None if there is none."""
        return read_kept(cls, folder / "flips.json")

    def __str__(self) -> str:
        words = [f"{found.flips} on the {level}" for level, found in self.levels.items()]
        words += [f"{found.lost} on the {level}" for level, found in self.levels.items() if found.lost]
        return ", ".join(words)


@dataclass
class Measured:
    """A line of bench/<name>, and what was counted for it."""

    words: list[str]
    counts: dict[str, list[dict[str, int]]]  # column -> the counts of each round, by name


@dataclass
class Benches:
    """What scripts/bench kept of a base: bench.json."""

    what: dict[str, str]
    tables: dict[str, list[Measured]]

    @classmethod
    def read(cls, folder: Path) -> Benches | None:
        """None if there is none."""
        return read_kept(cls, folder / "bench.json")


# The judge.


def seen_again(again: list[Column], lane: str, test: str, cases: Set[str] = frozenset()) -> list[list[str]]:
    """What base and stack gave for a test when it was run again, if it was.

    cases: those that failed on the stack only, if the test failed on both.  A run in which
    none of them failed is one that passed.
    """

    def status(result: Result) -> str:
        other = result.status == "fail" and result.failing and cases and not cases & cases_of(result)
        return "pass" if other else result.status

    return [
        [status(r) for r in level.results if r.lane == lane and r.name.partition("@")[0] == test]
        for level in again
    ]


def unsteady(status: str, again: list[list[str]]) -> bool:
    """Whether a test that only failed did not fail again, or the base failed as often.

    A splat, a hang or a panic counts the first time; a run that is lost says nothing.
    """
    if status not in ("skip", "fail", "timeout") or not again or not again[1]:
        return False
    if any(each not in ("pass", "skip", "fail", "timeout") for seen in again for each in seen):
        return False
    base, stack = (sum(each != "pass" for each in seen) for seen in again)
    return base >= stack


def lost(levels: Iterable[Column]) -> list[Judgement]:
    """Levels on which some tests have no result, and why."""
    found = []
    for level in levels:
        for result in level.results:
            if result.status in ENDED:
                text = f"{level.name}: {result.status} {result.lane} {result.name}: {result.note}"
                found.append(Judgement("lost", f"{level.name} did not run to its end", text))
                break
    return found


def suspects(base: list[Result], stack: list[Result], avic: Iterable[str]) -> list[tuple[Result | None, Result]]:
    """Pairs of results that are worse on the stack, or bad on both in different ways."""
    pairs = ktap.worse(base, stack, avic)
    before = {(r.lane, r.name): r for r in base}
    named = {(new.lane, new.name) for _, new in pairs}
    for new in stack:
        old = before.get((new.lane, new.name))
        if old and (new.lane, new.name) not in named and "pass" not in (old.status, new.status):
            splat = new.status == "splat" and plain(new.note) != plain(old.note)
            if new.status != old.status or splat or cases_of(new) - cases_of(old):
                pairs.append((old, new))
    return pairs


def cases_of(result: Result) -> set[str]:
    """The cases of a test that failed."""
    return {plain(case) for case in result.failing}


def plain(note: str) -> str:
    """A splat's line without what differs from one boot to the next."""
    return re.sub(r"0x[0-9a-f]+|\b[0-9a-f]{8,}\b|\d+", "N", note)


def shows_nothing(stack: Column, avic: Iterable[str]) -> list[Judgement]:
    """Lanes in which no test passed, or AVIC was never active though it has to be on."""
    found = []
    for lane in dict.fromkeys(r.lane for r in stack.results):
        passed = [r for r in stack.results if r.lane == lane and r.status == "pass"]
        if not passed:
            text = f"no test passed on the stack in lane {lane}: nothing was shown"
            found.append(Judgement("worse", f"no test passed in {lane}", text))
        elif lane in avic and not any(r.counts.get("load") for r in passed):
            text = f"AVIC was never active on the stack in lane {lane}: nothing was shown"
            found.append(Judgement("worse", f"no AVIC in {lane}", text))
    return found


def judge_suite(suite: Suite, base: str, avic: Iterable[str], policy: Policy) -> list[Judgement]:
    """What the stack's results say against the base's.

    base: its name, as ci/run/costs has it.  avic: lanes in which AVIC has to be on.
    """
    before = {(r.lane, r.name): r.status for r in suite.base.results}
    found = []
    avic = set(avic)
    for old, new in suspects(suite.base.results, suite.stack.results, avic):
        was = old.status if old else "not there"
        text = f"{new.lane} {new.name}: {was} -> {new.status}: {new.note}"
        cases = cases_of(new) - cases_of(old) if old and old.status == new.status else frozenset()
        seen = seen_again(suite.again, new.lane, new.name, cases)
        if any(seen):
            text += f"; again: base {' '.join(seen[0])}, stack {' '.join(seen[1])}"
        found.append(Judgement("unsteady" if unsteady(new.status, seen) else "worse", f"{new.lane} {new.name}", text))
    again = [level.results for level in suite.again] or [[], []]
    for growth in growths(policy, base, suite.base.results, suite.stack.results, (again[0], again[1])):
        kind, text = ("allowed", f"{growth}: {growth.why}") if growth.why else ("costlier", str(growth))
        found.append(Judgement(kind, f"{growth.lane} {growth.test}", text))
    for r in suite.stack.results:
        if r.status not in GOOD and before.get((r.lane, r.name)) == r.status:
            text = f"{r.lane} {r.name}: {r.status} on the base too"
            found.append(Judgement("known", f"{r.lane} {r.name}", text))
        elif r.status == "pass" and r.failing:
            text = f"{r.lane} {r.name}: as ci/inner/kut says, fails: {'; '.join(r.failing)}"
            found.append(Judgement("known", f"{r.lane} {r.name}", text))
    if suite.again:
        seen_before = {(r.lane, r.name) for r in [*suite.base.results, *again[0]]}
        for r in again[1]:
            if r.name.startswith("(") and r.status not in GOOD and (r.lane, r.name) not in seen_before:
                text = f"{r.lane} {r.name}, in the second look: {r.status}: {r.note}"
                found.append(Judgement("worse", f"{r.lane} {r.name}", text))
    found += lost(suite.levels)
    found += shows_nothing(suite.stack, avic)
    return found


def judge_evidence(evidence: Evidence | None) -> list[Judgement]:
    """Cases that do not show what they have to."""
    return [
        Judgement("evidence", f"evidence {case.slug}", f"{case.slug} {case.test} {case.case}: {case.problems[0]}")
        for case in (evidence.cases if evidence else [])
        if case.problems
    ]


def judge_flips(flips: BothFlips | None) -> list[Judgement]:
    """An ExtINT that is lost on the stack, or more flips there than on the base."""
    if not flips or not {"base", "stack"} <= flips.levels.keys():
        return []
    base, stack = flips.levels["base"], flips.levels["stack"]
    if stack.lost:
        return [Judgement("flips", "flips", f"{stack.lost} on the stack")]
    if stack.flips > base.flips:
        return [Judgement("flips", "flips", f"{stack.flips} on the stack, {base.flips} on the base")]
    return []


def as_results(judgements: Iterable[Judgement]) -> list[Result]:
    """The verdict for formats that know tests only: a failure for each thing that is red."""
    found = [
        Result("verdict", each.name.replace(" ", ":"), "fail", f"{each.kind}: {each.text}")
        for each in judgements
        if each.red
    ]
    return found or [Result("verdict", "nothing-got-worse", "pass")]


def red(judgements: Iterable[Judgement]) -> list[str]:
    """The names of all red judgements, each once."""
    return list(dict.fromkeys(each.name for each in judgements if each.red))
