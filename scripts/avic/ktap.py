# SPDX-License-Identifier: GPL-2.0
"""Read what a runner returns: KTAP results, and splats in the kernel's log.

The format is Documentation/dev-tools/ktap.rst of the kernel: one subtest
level, a lane, with the tests below it.  ci/guest/run-plan says which lines there are
beside KTAP's own, and that each test's lines have a checksum.  "Bail out! KIND: TEXT"
comes from a runner whose machine ended early.  A test without a checksum, or with a
wrong one, has no result.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from avic.raw import printable

# From best to worst.  A result that moves to the right got worse.
STATUSES = ("pass", "skip", "fail", "timeout", "splat", "error", "hang", "panic", "boot", "not-run")

# Counts of what only active AVIC does.
EXITS = ("incomplete_ipi", "unaccelerated", "doorbell")
# Counts that are there in lanes with AVIC only.
KPROBES = ("load", "refresh", *EXITS, "host_irqs", "ga_log")

RESULT = re.compile(r"(?P<no>not )?ok (?P<number>\d+) (?P<name>\S+)(?: # (?P<note>.*))?$")
# A line of a test's block; others are not ours, such as the kernel's own on a serial line.
OURS = re.compile(r"    (#[ko] |# |ok |not ok )")
BAIL = re.compile(r"^Bail out! (\w[\w-]*): (.*)", re.MULTILINE)
REFUSED = "refused on hardware, "  # how the reason of a skip begins that ci/hardware/refused asks for
DAMAGED = "its lines were damaged on the way"


@dataclass
class Result:
    """What became of one test in one lane; status is one of STATUSES."""

    lane: str
    name: str
    status: str
    note: str = ""
    log: list[str] = field(default_factory=list)
    kernel: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)  # see ci/guest/run-plan
    failing: list[str] = field(default_factory=list)  # its cases that fail, of a test that names them (kut.settle)

    @property
    def avic(self) -> dict[str, int]:
        """What AVIC did meanwhile; empty in a lane without AVIC."""
        return {name: n for name, n in self.counts.items() if name in KPROBES}


@dataclass
class SplatRules:
    """Which kernel log lines are a splat, and which of those are known."""

    splats: list[re.Pattern[str]]
    allowed: list[re.Pattern[str]]
    taints: dict[int, str] = field(default_factory=dict)  # bit of /proc/sys/kernel/tainted -> what
    traces: list[re.Pattern[str]] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> SplatRules:
        """Parse a policy file; the head of ci/run/splats says what its lines are.

        Raises ValueError for a line that is none of these, or an allow without reason.
        """
        rules = cls([], [])
        for number, line in enumerate(path.read_text().splitlines(), 1):
            kind, _, rest = line.strip().partition(" ")
            regex, _, reason = rest.partition("##")
            if not kind or kind.startswith("#"):
                continue
            if kind == "splat":
                rules.splats.append(re.compile(rest.strip()))
            elif kind == "trace":
                rules.traces.append(re.compile(rest.strip()))
            elif kind == "allow" and reason.strip():
                rules.allowed.append(re.compile(regex.strip()))
            elif kind == "taint" and regex.strip().isdigit() and reason.strip():
                rules.taints[int(regex)] = reason.strip()
            else:
                want = "'splat REGEX', 'trace REGEX', 'taint BIT ## what' or 'allow REGEX ## reason'"
                raise ValueError(f"{path}:{number}: want {want}")
        return rules

    def find(self, lines: list[str]) -> str:
        """The line that tells of the first splat among kernel log lines, or ''."""

        def is_one(line: str, rules: list[re.Pattern[str]]) -> bool:
            return any(rule.search(line) for rule in rules)

        texts = [re.sub(r"^\[ *\d+\.\d+\](\[[^]]*\])? *", "", line) for line in lines]
        trace, known = "", False
        for n, line in enumerate(lines):
            if is_one(line, self.allowed):
                known = True
            elif is_one(line, self.splats):
                return texts[n]
            # A trace behind an allowed line may belong to it.
            elif not trace and not known and is_one(line, self.traces):
                # What it is about stands before it.
                trace = next((text for text in reversed(texts[:n]) if text), texts[n])
        return trace


def status_of(failed: bool, note: str) -> tuple[str, str]:
    """KTAP's verdict and directive as one of STATUSES and the rest of the note.

    A pass says how long it took; if it does not, something was lost on the way.
    """
    directive, _, rest = note.partition(" ")
    known = {"SKIP": "skip", "TIMEOUT": "timeout", "ERROR": "error"}
    if directive in known and failed == (directive != "SKIP"):
        return known[directive], rest
    if failed and note.startswith("exit status "):
        return "fail", note
    if not failed and re.fullmatch(r"\d+s", note):
        return "pass", note
    return "error", DAMAGED


def sum_of(lane: str, name: str, block: list[str]) -> str:
    """What closes a block, as ci/guest/run-plan makes it; name: the test's, or (load), (unload)."""
    text = "\n".join([f"{lane} {name}", *block, ""])
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


def read_text(path: Path) -> str:
    """A machine's log, byte by byte; '' if it does not exist yet."""
    text = path.read_bytes().decode(errors="surrogateescape") if path.exists() else ""
    return text.replace("\r", "")


@dataclass
class Progress:
    """How far a run is, by the KTAP that there is so far."""

    begun: bool
    done: int
    test: str  # that it is in, or ''
    ended: bool  # the plan was carried out
    bail: str  # 'KIND: WHAT' of a machine that gave up

    @classmethod
    def of(cls, text: str) -> Progress:
        """Read a KTAP text, complete or not."""
        done = re.findall(r"^    (?:not )?ok \d+ \S+", text, re.MULTILINE)
        start, closed = (text.rfind(f"\n    # {word} ") for word in ("start", "sum"))
        test = printable("".join(text[start:].split(maxsplit=3)[2:3])) if start > closed else ""
        bails = [f"{kind}: {what}" for kind, what in BAIL.findall(text)]
        return cls(
            "KTAP version 1" in text, len(done), test,
            "\n# plan done" in text, bails[-1] if bails else "",
        )  # fmt: skip

    def __str__(self) -> str:
        where = f", in {self.test}" if self.test else ""
        return f"{self.done} tests done{where}"


class Reader:
    """Results out of KTAP, block by block; a block counts only with its sum."""

    def __init__(self, plan: dict[str, list[str]], rules: SplatRules) -> None:
        self.plan, self.rules = plan, rules
        self.lanes = list(plan)
        self.lane = self.lanes[0] if self.lanes else ""
        self.started = ""
        self.block: list[str] = []
        self.numbers: list[int] = []
        self.failed = 0
        self.count: int | None = None
        self.taint = 0
        self.done: dict[tuple[str, str], Result] = {}
        self.bail = ("", "")
        self.modules: list[str] = []  # the lane's blocks without a result
        self.ended = False

    def take(self, raw: str) -> None:
        """The next line."""
        if bail := BAIL.match(raw):
            self.bail = (bail[1], printable(bail[2]))
        elif raw.startswith("    1.."):
            self.count = int(raw[7:]) if raw[7:].isdigit() else -1
        elif raw.startswith("    # start "):
            self.spill()
            self.started = raw[len("    # start ") :]
        elif raw.startswith("    # sum "):
            self.close(raw[len("    # sum ") :])
        elif OURS.match(raw):
            self.block.append(raw)
        elif raw == "# plan done":
            self.ended = True
        elif (match := RESULT.match(raw)) and match["name"] in self.plan:
            if self.lane:
                self.end_lane(match)
            else:
                self.done[self.lanes[-1], "(lane)"] = Result(
                    self.lanes[-1], "(lane)", "error", "more came behind the last lane"
                )

    def spill(self) -> None:
        """Report a block that ended without a sum."""
        if self.block or self.started:
            self.note(Result(self.lane, self.started or "(load)", "error", DAMAGED))
        self.block = []

    def note(self, result: Result) -> None:
        self.done.setdefault((self.lane, result.name), result)

    def close(self, seen: str) -> None:
        """End a block: that of the test that has started, or that of the modules."""
        results = [match for line in self.block if (match := RESULT.match(line[4:]))]
        # A lane that could not begin gives results for tests that never started.
        names = [self.started, *(match["name"] for match in results), "(load)", "(unload)"]
        names = [name for name in names if name]
        whole = [name for name in names if seen == sum_of(self.lane, name, self.block)]
        if whole:
            self.settle(whole[0], results)
        else:
            self.note(Result(self.lane, names[0], "error", DAMAGED))
        self.started, self.block = "", []

    def settle(self, name: str, results: list[re.Match[str]]) -> None:
        """An undamaged block becomes a result."""
        lines = [line[4:] for line in self.block]
        if name.startswith("("):
            self.modules.append(name)
        result = Result(
            self.lane, name, "pass", "",
            [printable(line[3:]) for line in lines if line.startswith("#o ")],
            [printable(line[3:]) for line in lines if line.startswith("#k ")],
        )  # fmt: skip
        for line in lines:
            if line.startswith("# counts:"):
                result.counts = {key: int(n) for key, n in re.findall(r"(\w+)=(\d+)", line)}
        if len(results) == 1 and results[0]["name"] == name:
            failed = bool(results[0]["no"])
            result.status, result.note = status_of(failed, printable(results[0]["note"] or ""))
            self.numbers.append(int(results[0]["number"]))
            self.failed += failed
        elif not name.startswith("(") or results:
            result.status, result.note = "error", DAMAGED
        taint = self.tainted(lines)
        if splat := self.rules.find(result.kernel) or taint:
            result.status, result.note = "splat", splat
        if not name.startswith("(") or result.status != "pass":
            self.note(result)

    def tainted(self, lines: list[str]) -> str:
        """The taints of this block that count as a splat, or ''."""
        taint = self.taint
        for line in lines:
            if match := re.match(r"# taint: (\d+)$", line):
                taint = int(match[1])
        new, self.taint = taint & ~self.taint, taint
        kinds = [what for bit, what in self.rules.taints.items() if new >> bit & 1]
        return f"the kernel is tainted: {', '.join(kinds)}" if kinds else ""

    def end_lane(self, match: re.Match[str]) -> None:
        """End a lane: its own result has to agree with those of its tests."""
        trouble = ""
        if self.block:
            trouble = DAMAGED
        elif self.count != len(self.plan[self.lane]):
            trouble = f"it announces {self.count} tests, {len(self.plan[self.lane])} are in the plan"
        elif self.numbers != list(range(1, len(self.numbers) + 1)) or len(self.numbers) != self.count:
            trouble = f"{len(self.numbers)} of {self.count} tests are whole and in order"
        elif (match["note"] or "").startswith("ERROR "):
            trouble = match["note"][len("ERROR ") :]
        elif bool(match["no"]) != bool(self.failed):
            trouble = f"it says '{match[0]}', {self.failed} of its tests failed"
        elif match["name"] != self.lane:
            trouble = f"the result of {match['name']} stands in its place"
        elif self.modules != ["(load)", "(unload)"]:
            trouble = f"of its modules there is {' '.join(self.modules) or 'nothing'}"
        if trouble:
            self.note(Result(self.lane, "(lane)", "error", trouble))
        self.modules = []
        following = self.lanes.index(match["name"]) + 1
        self.lane = self.lanes[following] if following < len(self.lanes) else ""
        self.started, self.block, self.numbers, self.failed, self.count = "", [], [], 0, None

    def results(self) -> list[Result]:
        """All results, those of modules and lanes first, then in the plan's order."""
        kind, note = self.bail
        whole = all((lane, test) in self.done for lane, tests in self.plan.items() for test in tests)
        if whole and self.lanes and (kind or self.lane or not self.ended):
            # Nothing of the plan is left that could say so.
            what = note or "the machine did not come to the end of its plan"
            lane = self.lane or self.lanes[-1]
            self.done[lane, "(lane)"] = Result(lane, "(lane)", kind or "error", what)
        found = [result for result in self.done.values() if result.name.startswith("(")]
        for lane, tests in self.plan.items():
            for test in tests:
                result = self.done.get((lane, test))
                if result is None and lane == self.lane and test == self.started:
                    lines = [line[4:] for line in self.block]
                    result = Result(
                        lane, test, kind or "error", note,
                        [printable(line[3:]) for line in lines if line.startswith("#o ")],
                        [printable(line[3:]) for line in lines if line.startswith("#k ")],
                    )  # fmt: skip
                found.append(result or Result(lane, test, "not-run", f"{kind}: {note}"))
        return found


def read_ktap(text: str, plan: dict[str, list[str]], rules: SplatRules) -> list[Result]:
    """All results of a run, in the plan's order.

    plan: lane -> names of its tests.  A test of the plan that never gave a
    result takes the kind of the bail-out if it had started, else "not-run":
    nothing that was asked for can go missing in silence.  Trouble outside of the tests
    has a result named (load), (unload) or (lane).
    """
    reader = Reader(plan, rules)
    for raw in text.replace("\r", "").split("\n"):
        reader.take(raw)
    return reader.results()


def blame(results: list[Result], plan: dict[str, list[str]], rules: SplatRules, strict: str) -> None:
    """Give the machine's detections to the tests in which they were made, as lines of the kernel's log.

    strict: lines "NUMBER TEXT", as runners/emulator.py writes them; NUMBER tests were done by
    then, so that what comes before, between or after tests is the next one's or the last one's.
    """
    order = [(lane, test) for lane, tests in plan.items() for test in tests]
    of = {(result.lane, result.name): result for result in results}
    for line in strict.splitlines():
        number, _, text = line.partition(" ")
        result = of[order[min(int(number), len(order) - 1)]]
        result.kernel.append(printable(text))
        if STATUSES.index(result.status) < STATUSES.index("splat") and rules.find([text]):
            result.status, result.note = "splat", printable(text)


def read_run(folder: Path, plan: dict[str, list[str]], rules: SplatRules) -> list[Result]:
    """All results of a run by what the runner has left in a folder so far: read_ktap() and blame()."""
    results = read_ktap(read_text(folder / "ktap"), plan, rules)
    blame(results, plan, rules, read_text(folder / "strict"))
    return results


def prove(result: Result, want: str, avic: bool | None = None) -> None:
    """Make a pass that shows nothing a failure.

    avic: whether AVIC has to be on in its lane, None if that is not known; where it is
    known, somebody has to have counted.

    want: "on" if the test counts only with AVIC active, "off" if only with
    AVIC inhibited, "NAME=N" or "NAME>=N" for one of AVIC's counts, several of
    these joined by commas; "-" if anything will do.  Lanes without AVIC have no say.
    """
    if result.status == "pass" and result.counts.get("dropped"):
        result.status, result.note = "error", f"{result.counts['dropped']} kinds of exits were not counted"
    if result.status == "pass" and avic is not None and "exits" not in result.counts:
        result.status, result.note = "error", "passed, but nobody counted its exits"
    if result.status == "pass" and avic and not result.avic:
        result.status, result.note = "error", "passed, but nobody counted what AVIC did"
    if result.status != "pass" or not result.avic:
        return
    did = " ".join(f"{name}={n}" for name, n in result.avic.items())
    exits = sum(result.avic.get(name, 0) for name in EXITS)
    for name, sign, number in re.findall(r"(\w+)(>?=)(\d+)", want):
        seen = result.avic.get(name, -1)
        if seen < int(number) or (sign == "=" and seen > int(number)):
            result.status, result.note = "fail", f"passed, but not with {name}{sign}{number}: {did}"
            return
    want = want.split(",")[0]
    if want == "on" and not result.avic.get("load"):
        result.status, result.note = "fail", f"passed, but AVIC was never active: {did}"
    if want == "off" and exits:
        result.status, result.note = "fail", f"passed, but AVIC was active: {did}"


def count(results: list[Result]) -> dict[str, int]:
    """How many results have each status, statuses without any left out."""
    counts = {status: sum(r.status == status for r in results) for status in STATUSES}
    return {status: number for status, number in counts.items() if number}


def worse(
    base: list[Result], stack: list[Result], avic: Iterable[str] = ()
) -> list[tuple[Result | None, Result]]:
    """Pairs (base, stack) of results that are worse on the stack.

    A test that only the stack has must pass; where AVIC need not be on it may skip, and
    where it is refused on hardware.
    avic: lanes in which it has to be on.  A test that only the base has is one that
    the stack lost: the stack's half says "not-run".
    """
    before = {(r.lane, r.name): r for r in base}
    pairs: list[tuple[Result | None, Result]] = []
    for result in stack:
        old = before.pop((result.lane, result.name), None)
        new = "pass" if result.lane in avic and not result.note.startswith(REFUSED) else "skip"
        limit = STATUSES.index(old.status if old else new)
        if STATUSES.index(result.status) > limit:
            pairs.append((old, result))
    for old in before.values():
        if not old.name.startswith("("):
            lost = Result(old.lane, old.name, "not-run", "the stack does not have this test")
            pairs.append((old, lost))
    return pairs
