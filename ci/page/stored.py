# SPDX-License-Identifier: GPL-2.0
"""What the runs have left in the cache, as the report shows it.

ci/run keeps report/<base>, ci/evidence evidence/<base> and ci/flips flips/<base>;
<base> is a folder of patches/, or v6.12-hardware for what another runner than the
emulator did with it.  Nothing is judged here that they have judged already.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import ktap
import report
from ktap import Result
from proof import load_proofs
from quilt import NAME, explained, fail, read_base, read_patch, read_series, read_table

GOOD = ("pass", "skip")
# Of a base's first kernel log line.
BANNER = re.compile(r"Linux version .*")
IN_BASE = re.compile(r"in this base\b")


@dataclass
class Run:
    """The KVM selftests on base and stack: report/<base>/results.json."""

    what: dict[str, str]
    worse: list[str]
    levels: list[report.Level]
    when: list[str]  # of each level
    again: list[report.Level]

    @classmethod
    def read(cls, folder: Path) -> Run | None:
        """None if there is no such run."""
        if not (folder / "results.json").exists():
            return None
        found = json.loads((folder / "results.json").read_text())
        levels = [level_of(each, folder) for each in found["levels"]]
        again = [level_of(each, folder) for each in found["again"]]
        when = [each["when"] for each in found["levels"]]
        return cls(found["what"], found["worse"], levels, when, again)

    @property
    def lanes(self) -> list[str]:
        return list(dict.fromkeys(r.lane for level in self.levels for r in level.results))

    @property
    def costs(self) -> list[str]:
        """How long the lanes took, in words."""
        return [line for level in self.levels for line in report.costs(level)]

    def counts(self, level: report.Level, lane: str) -> dict[str, int]:
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
        """Rows of tests that both levels have, whose statuses differ, and of bad new ones."""
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


def level_of(found: dict, folder: Path) -> report.Level:
    """A level out of results.json; its folders are the report's own, by machine."""
    results = [Result(**each) for each in found["results"]]
    return report.Level(found["name"], results, {machine: folder for machine in found["machines"]})


@dataclass
class Row:
    """A test in a lane, on both levels; a level that does not have it has None."""

    run: Run
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
        seen = report.statuses_again(self.run.again, self.stack) if self.stack else []
        return seen if any(seen) else []

    @property
    def verdict(self) -> str:
        """worse, unsteady, better, new, known (the same failure on both) or same."""
        if not self.stack or (self.base is None and self.stack.status not in GOOD):
            bad = True
        elif self.base is None:
            return "new"
        else:
            before, after = (ktap.STATUSES.index(r.status) for r in (self.base, self.stack))
            if before == after:
                return "same" if self.stack.status in GOOD else "known"
            bad = after > before
        if not bad:
            return "better"
        return "unsteady" if report.unsteady(self.again) else "worse"


@dataclass
class Seen:
    """A case's result on one level of the stack; boot names the logs of its machine."""

    level: int
    boot: str
    result: Result


@dataclass
class Case:
    """A line of ci/proofs, as ci/evidence saw it: evidence/<base>/evidence.json."""

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
    """What ci/evidence kept of a base."""

    what: dict[str, str]
    cases: list[Case]

    @classmethod
    def read(cls, folder: Path) -> Evidence | None:
        """None if there is none."""
        if not (folder / "evidence.json").exists():
            return None
        found = json.loads((folder / "evidence.json").read_text())
        for case in found["cases"]:
            case["seen"] = [seen_of(each) for each in case["seen"]]
        return cls(found, [Case(**case) for case in found.pop("cases")])


def seen_of(found: dict) -> Seen:
    """A result of evidence.json, with the level that it is of."""
    rest = {key: value for key, value in found.items() if key not in ("level", "boot")}
    return Seen(found["level"], found["boot"], Result(**rest))


@dataclass
class Flips:
    """How often IRQ windows flipped the VM's inhibit on a level: flips/<base>/flips.json."""

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


def read_flips(folder: Path) -> dict[str, Flips]:
    """Level -> its flips; none if they were not counted."""
    if not (folder / "flips.json").exists():
        return {}
    levels = json.loads((folder / "flips.json").read_text())["levels"]
    return {level: Flips(**found) for level, found in levels.items()}


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
class Base:
    """A folder of patches/ on a runner, and all that was seen of it."""

    name: str
    runner: str
    fields: dict[str, list[str]]  # patches/<base>/base
    slugs: list[str]
    folders: dict[str, Path]  # report, evidence, flips
    run: Run | None
    evidence: Evidence | None
    flips: dict[str, Flips]
    argued: dict[str, str]  # slug -> why there is nothing to show for it

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
        """Debian's version of the base, as far as it was run."""
        named = re.search(r"\((.+)\)", self.run.what["base"]) if self.run else None
        return named[1] if named else ""

    @property
    def tested(self) -> str:
        """The newest version that the base's file names as tested."""
        return (" ".join(self.fields.get("Tested", [])).split() or [""])[-1]

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
            f"{level.name} {machine}": folder / f"{level.name}.{machine}.console"
            for level in (*self.run.levels, *self.run.again)
            for machine, folder in level.folders.items()
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
        return names

    @property
    def red(self) -> list[str]:
        """What got worse, as ci/run named it, cases that show nothing now, and a lost ExtINT."""
        worse = list(self.run.worse) if self.run else []
        if "stack" in self.flips and self.flips["stack"].lost and "flips" not in worse:
            worse.append("flips")
        cases = self.evidence.cases if self.evidence else []
        slugs = dict.fromkeys(f"evidence {case.slug}" for case in cases if case.problems)
        return worse + [slug for slug in slugs if slug not in worse]

    @property
    def state(self) -> str:
        """red, incomplete or good."""
        return "red" if self.red else "incomplete" if self.missing else "good"

    @property
    def left_out(self) -> dict[str, str]:
        """Slug -> why the base does not get the change."""
        return explained(self.fields, "Left-out")

    def cell(self, slug: str) -> Cell:
        """What the base has to show for a change, of its series or not."""
        cases = [case for case in self.evidence.cases if case.slug == slug] if self.evidence else []
        out = self.left_out.get(slug, "")
        state = "unknown"
        if any(case.problems for case in cases):
            state = "red"
        elif slug not in self.slugs:
            state = "upstream" if IN_BASE.match(out) else "left-out" if out else "unknown"
        elif slug in self.argued:
            state, out = "argued", self.argued[slug]
        elif cases:
            state = "shown"
        return Cell(self.id, state, out, cases)


@dataclass
class Page:
    """All that the report shows."""

    bases: list[Base]
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


def versions(names: Iterable[str]) -> list[str]:
    """Bases in the order of their numbers."""
    return sorted(names, key=lambda name: [int(n) for n in re.findall(r"\d+", name)])


def subject(patches: Path, slug: str) -> str:
    """A change's subject, from the newest base that has it."""
    for base in reversed(versions(path.parent.name for path in patches.glob("*/series"))):
        for path in (patches / base).glob(f"????-{slug}.patch"):
            return read_patch(path).subject
    return ""


def read(top: Path, cache: Path) -> Page:
    """The page of a project's folder and its cache; exits with 1 for what it can't read."""
    patches = top / "patches"
    proofs = load_proofs(top / "ci/proofs")
    argued = {proof.slug: proof.why for proof in proofs if proof.test == "-"}
    bases = []
    for name in versions(path.parent.name for path in patches.glob("*/series")):
        slugs = [NAME.fullmatch(patch)[2] for patch in read_series(patches / name)]
        fields = read_base(patches / name)
        runners = {
            found.name.removeprefix(f"{name}-") for found in (cache / "report").glob(f"{name}-*")
        }
        for runner in ("emulator", *sorted(runners)):
            folder = name if runner == "emulator" else f"{name}-{runner}"
            folders = {kind: cache / kind / folder for kind in ("report", "evidence", "flips")}
            try:
                run, evidence = Run.read(folders["report"]), Evidence.read(folders["evidence"])
                flips = read_flips(folders["flips"])
            except (OSError, KeyError, TypeError, ValueError) as error:
                fail(1, f"what {cache} has of {folder} can't be read ({error}): make run BASE={name}")
                raise
            bases.append(Base(name, runner, fields, slugs, folders, run, evidence, flips, argued))

    changes: dict[str, Change] = {}
    # A change's own line names it, rather than one that it shares.
    for proof in sorted(proofs, key=lambda proof: len(proof.slugs)):
        for slug in proof.slugs:
            changes.setdefault(slug, Change(proof.id, slug, subject(patches, slug)))
    rows = sorted(changes.values(), key=lambda change: ("LWT".index(change.id[0]), change.id))
    for change in rows:
        change.cells = [base.cell(change.slug) for base in bases if base.emulated]

    selftests = read_table(top / "ci/selftests", "NAME SECONDS AVIC")
    full = [(words[0], why) for words, why in selftests if words[1].startswith("full:")]
    return Page(bases, rows, full)
