# SPDX-License-Identifier: GPL-2.0
"""A report that a stick made on somebody's machine: read as what a stranger sent, and held against the emulator's."""

from __future__ import annotations

import functools
import gzip
import io
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from avic import costs, ktap
from avic.base import Base
from avic.ktap import Result
from avic.paths import TOP
from avic.plan import AGAIN, Plan, listed, listed_with_device
from avic.raw import printable
from avic.results import Column, Suite
from avic.tables import entries

# More than any report has: a run of all tests has some 5 MiB.
MOST_PACKED = 16 << 20
MOST_BYTES = 64 << 20
MOST_FILES = 64
MOST_TESTS = 2000
# Of what ci/stick/report writes; nothing else may be in there.
NAME = re.compile(
    r"(?:base|stack)\.[1-9]\d?\.(?:plan|ktap|dmesg|last)|what|choice|skip|again|preflight|machine|cpuid|CONTENTS|report\.dmesg"
)
TEST = re.compile(r"[\w][\w./,@+=-]{0,150}")
LEVELS = ("base", "stack")


def unpacked(data: bytes) -> bytes:
    """What a .gz has; raises ValueError if it is cut off, damaged or too big."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            found = file.read(MOST_BYTES + 1)
    except EOFError:
        raise ValueError("it is cut off: copy it from the stick once more") from None
    except (OSError, zlib.error) as error:
        raise ValueError(f"it is no .gz, or damaged: {error}") from None
    if len(found) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES >> 20} MiB: no stick made it")
    return found


def files_of(data: bytes) -> dict[str, bytes]:
    """The files of a report by name; raises ValueError for anything that ci/stick/report does not write."""
    if len(data) > MOST_PACKED:
        raise ValueError(f"it is bigger than {MOST_PACKED >> 20} MiB: no stick made it")
    plain = unpacked(data)
    # tarfile takes an archive that ends between two files for a whole one.
    if not plain.endswith(bytes(1024)):
        raise ValueError("its end is missing: copy it from the stick once more")
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as tar:
            for each in tar:
                name = each.name.removeprefix("./")
                if each.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or each.issparse():
                    raise ValueError(f"'{printable(each.name[:80])}' in it is no plain file")
                if not NAME.fullmatch(name):
                    raise ValueError(f"'{printable(each.name[:80])}' in it is no file of a report")
                if name in found or len(found) == MOST_FILES:
                    raise ValueError(f"'{name}' is in it twice, or it has too many files")
                opened = tar.extractfile(each)
                found[name] = opened.read() if opened else b""
                if len(found[name]) != each.size:
                    raise ValueError(f"'{name}' in it is cut off")
    except (tarfile.TarError, EOFError, UnicodeError, OverflowError) as error:
        raise ValueError(f"it is no tar archive, or damaged: {printable(str(error))}") from None
    return found


def text_of(data: bytes) -> str:
    """Lines as ktap.py takes them."""
    return data.decode(errors="surrogateescape").replace("\r", "")


@functools.cache
def proofs() -> tuple[dict[str, str], dict[str, str]]:
    """What a pass has to show: by program, of ci/run/selftests, and by name, of ci/run/device-tests."""
    suite = {words[0]: words[2] for words in entries("run/selftests")}
    return suite, {test.name: test.wants for test in listed_with_device()}


def wants(test: str) -> str:
    """What a pass of a test has to show, by ci/run/selftests and ci/run/device-tests: see ktap.prove()."""
    test = test.partition("@")[0]  # of a second look
    program = Path(test.split(",")[0]).name
    suite, device = proofs()
    return device.get(test) or suite.get(program) or suite["default"]


@dataclass
class Try:
    """One try of a level: its plan, and what came of it."""

    number: int
    plan: Plan
    results: list[Result]

    @property
    def again(self) -> bool:
        """Whether it is a second look."""
        return any("@" in test.name for test in self.plan.tests)


@dataclass
class Report:
    """A report, read."""

    base: Base
    what: str
    machine: dict[str, str]
    tries: dict[str, list[Try]]  # of each level
    files: dict[str, bytes] = field(repr=False)

    @property
    def model(self) -> str:
        return self.machine.get("model name", "unknown processor")

    def second_look(self) -> dict[str, list[Result]]:
        """All results of both levels' second looks, of tests that both looked at as often as they should."""
        found = {
            level: [r for each in self.tries.get(level, []) if each.again for r in each.results if r.status != "not-run"]
            for level in LEVELS
        }

        def looked_at(result: Result) -> tuple[str, str]:
            return result.lane, result.name.partition("@")[0]

        counts = [Counter(map(looked_at, results)) for results in found.values()]
        return {
            level: [r for r in results if r.name.startswith("(") or min(of[looked_at(r)] for of in counts) >= AGAIN]
            for level, results in found.items()
        }

    def results(self, level: str) -> list[Result]:
        """A level's results: of each test that of the last try that has one."""
        found: dict[tuple[str, str], Result] = {}
        for each in self.tries.get(level, []):
            if each.again:
                continue
            for result in each.results:
                if result.status != "not-run" or (result.lane, result.name) not in found:
                    found[result.lane, result.name] = result
        return list(found.values())


def read_plan(text: str, base: Base) -> Plan:
    """A plan of a report; raises ValueError if no stick of this base has such a one."""
    plan = Plan.read(text)
    lanes = {lane.name for _, lane in listed(base)}
    for lane in plan.lanes:
        if lane.name not in lanes or lane.level not in LEVELS:
            raise ValueError(f"its plan has a lane '{printable(lane.name[:80])}', which {base} has not")
    if len(plan.names) != len(plan.lanes) or len(plan.tests) > MOST_TESTS:
        raise ValueError("its plan has a lane twice, or too many tests")
    for test in plan.tests:
        if not TEST.fullmatch(test.name):
            raise ValueError(f"its plan has a test '{printable(test.name[:80])}', which is no name")
    return plan


def read_try(files: dict[str, bytes], level: str, number: int, base: Base, rules: ktap.SplatRules) -> Try:
    """The Nth try of a level; raises ValueError if what belongs to it is missing or wrong."""
    plan = files.get(f"{level}.{number}.plan")
    if plan is None:
        raise ValueError(f"{level}.{number}.plan is missing in it")
    read = read_plan(text_of(plan), base)
    results = ktap.read_ktap(text_of(files[f"{level}.{number}.ktap"]), read.names, rules)
    avic = {lane.name: lane.avic for lane in read.lanes}
    for result in results:
        ktap.prove(result, wants(result.name), avic.get(result.lane))
    return Try(number, read, results)


def read_report(files: dict[str, bytes], top: Path = TOP) -> Report:
    """A report of its files; raises ValueError if they make none."""
    what = printable(text_of(files.get("what", b"")).partition("\n")[0])[:200]
    name = what.partition(" ")[0]
    bases = {base.name: base for base in Base.every(top)}
    if name not in bases:
        raise ValueError(f"it is of base '{name}', which patches/ has not")
    rules = ktap.SplatRules.read(TOP / "ci" / "run" / "splats")
    lines = text_of(files.get("machine", b"")).split("\n")
    machine = {
        key[:40]: value.strip()[:4000] for key, colon, value in (printable(line).partition(":") for line in lines[:100]) if colon
    }
    tries: dict[str, list[Try]] = {}
    for each in sorted(files):
        level, _, rest = each.partition(".")
        if each.endswith(".ktap"):
            number = int(rest.removesuffix(".ktap"))
            tries.setdefault(level, []).append(read_try(files, level, number, bases[name], rules))
    for found in tries.values():
        found.sort(key=lambda one: one.number)
    return Report(bases[name], what, machine, tries, files)


@dataclass(frozen=True)
class Held:
    """A test on a level and in a lane, of a machine held against the emulator's."""

    level: str
    lane: str
    test: str
    kind: str  # same, differs, not-run (on the machine), not-emulated
    what: str = ""  # of one that differs: the results, or the counts

    def __str__(self) -> str:
        return f"{self.level} {self.lane} {self.test}" + (f": {self.what}" if self.what else "")


@dataclass
class Beside:
    """What a machine and the emulator have in common, and what not."""

    held: list[Held] = field(default_factory=list)

    def of(self, kind: str) -> list[Held]:
        """Those of a kind."""
        return [each for each in self.held if each.kind == kind]

    def lines(self) -> Iterable[str]:
        """For people; where the two differ is a finding about the emulator."""
        yield f"same     {len(self.of('same'))} results as in the emulator"
        yield from (f"emulator {each}" for each in self.of("differs"))
        yield from (f"not run  on the machine {each}" for each in self.of("not-run"))
        yield from (f"not run  in the emulator {each}" for each in self.of("not-emulated"))


def beside(report: dict[str, list[Result]], emulated: Suite | None, policy: costs.Policy) -> Beside:
    """Hold a machine's results, of each level, against the emulator's; lanes that the machine has not do not count."""
    found = Beside()
    columns = {column.name: column.results for column in (emulated.levels if emulated else [])}
    for level, results in report.items():
        other = {(r.lane, r.name): r for r in columns.get(level, [])}
        lanes = {r.lane for r in results}
        for r in results:
            kind, what = one_beside(r, other.pop((r.lane, r.name), None), policy)
            found.held.append(Held(level, r.lane, r.name, kind, what))
        found.held += [Held(level, lane, name, "not-run") for lane, name in other if lane in lanes]
    return found


def one_beside(here: Result, there: Result | None, policy: costs.Policy) -> tuple[str, str]:
    """A machine's result held against the emulator's: Held's kind, and what differs."""
    if here.status == "not-run":
        return "not-run", ""
    # We did not let it run there: that says nothing about the emulator.
    if here.status == "skip" and here.note.startswith(ktap.REFUSED):
        return "not-run", here.note
    if not there or there.status == "not-run":
        return "not-emulated", ""
    if here.status != there.status:
        note = f": {here.note}" if here.note else ""
        return "differs", f"{there.status} in the emulator, {here.status} on the machine{note}"
    counts = count_differences(policy, there, here)
    return ("differs", "; ".join(counts)) if counts else ("same", "")


def count_differences(policy: costs.Policy, old: Result, new: Result) -> list[str]:
    """Counts that ci/run/costs judges, and that are further apart than it allows, in either direction."""
    found = []
    for count in sorted(comparable(old.counts, new.counts)) if new.status == "pass" else []:
        limit = policy.limit(new.name, count)
        before, after = old.counts.get(count, 0), new.counts.get(count, 0)
        if limit and (after > limit.of(before) or before > limit.of(after)):
            found.append(f"{count} is {before} in the emulator, {after} on the machine")
    return found


def comparable(old: dict[str, int], new: dict[str, int]) -> set[str]:
    """The names of counts that both have taken; an exit or inhibit that never came has none.

    Inhibits that one of them has by number only are left out.
    """
    found = old.keys() & new.keys()
    for kind, total in (("exit_", "exits"), ("inhibit_", "inhibits")):
        names = {name for name in old.keys() | new.keys() if name.startswith(kind)}
        numbers = any(name.rpartition("_")[2].isdigit() for name in names)
        if total in found and (kind == "exit_" or not numbers):
            found |= names
    return found


def column(level: str, report: Report, results: list[Result], reasons: dict[int, str]) -> Column:
    """A level's results as scripts/avic/results.py keeps them.

    reasons: of costs.inhibits(); {} leaves the numbers.
    """
    for result in results:
        result.counts = costs.named(result.counts, reasons)
    return Column(level, results, [f"stick{each.number}" for each in report.tries.get(level, [])])
