# SPDX-License-Identifier: GPL-2.0
"""Read what a runner returns: KTAP results, and splats in the kernel's log.

The format is Documentation/dev-tools/ktap.rst of the kernel: one subtest
level, a lane, with the tests below it.  Beside KTAP's own lines there are
"# start NAME" before each test, "#k" for kernel log lines, "# avic: NAME=N..."
for what AVIC did meanwhile (see ci/guest/run-plan), and TAP's "Bail out! KIND:
TEXT" where the machine itself gave up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

# From best to worst.  A result that moves to the right got worse.
STATUSES = ("pass", "skip", "fail", "timeout", "splat", "error", "hang", "panic", "boot", "not-run")

# Counts of what only active AVIC does.
EXITS = ("incomplete_ipi", "unaccelerated", "doorbell")

RESULT = re.compile(r"(?P<no>not )?ok \d+ (?P<name>\S+)(?: # (?P<note>.*))?$")


@dataclass
class Result:
    """What became of one test in one lane; status is one of STATUSES."""

    lane: str
    name: str
    status: str
    note: str = ""
    log: list[str] = field(default_factory=list)
    kernel: list[str] = field(default_factory=list)
    avic: dict[str, int] = field(default_factory=dict)  # empty in a lane without AVIC


@dataclass
class SplatRules:
    """Which kernel log lines are a splat, and which of those are known."""

    splats: list[re.Pattern[str]]
    allowed: list[re.Pattern[str]]

    @classmethod
    def read(cls, path: Path) -> SplatRules:
        """Parse a policy file of `splat REGEX` and `allow REGEX ## reason` lines.

        Raises ValueError for a line that is neither, or an allow without reason.
        """
        rules = cls([], [])
        for number, line in enumerate(path.read_text().splitlines(), 1):
            kind, _, rest = line.strip().partition(" ")
            regex, _, reason = rest.partition("##")
            if not kind or kind.startswith("#"):
                continue
            if kind == "splat":
                rules.splats.append(re.compile(rest.strip()))
            elif kind == "allow" and reason.strip():
                rules.allowed.append(re.compile(regex.strip()))
            else:
                raise ValueError(f"{path}:{number}: want 'splat REGEX' or 'allow REGEX ## reason'")
        return rules

    def find(self, lines: list[str]) -> str:
        """The first splat among kernel log lines that is not allowed, or ''."""
        for line in lines:
            if any(rule.search(line) for rule in self.splats) and not any(
                rule.search(line) for rule in self.allowed
            ):
                return re.sub(r"^\[[^]]*\]\s*", "", line)
        return ""


def status_of(failed: bool, note: str) -> tuple[str, str]:
    """KTAP's verdict and directive as one of STATUSES and the rest of the note."""
    directive, _, rest = note.partition(" ")
    known = {"SKIP": "skip", "TIMEOUT": "timeout", "ERROR": "error"}
    if directive in known:
        return known[directive], rest
    return ("fail" if failed else "pass"), note


def read_ktap(text: str, plan: dict[str, list[str]], rules: SplatRules) -> list[Result]:
    """All results of a run, in the plan's order.

    plan: lane -> names of its tests.  A test of the plan that never gave a
    result takes the kind of the bail-out if it had started, else "not-run":
    nothing that was asked for can go missing in silence.
    """
    done: dict[tuple[str, str], Result] = {}
    lanes = list(plan)
    lane = lanes[0] if lanes else ""
    started = ""
    bail_kind, bail_note = "", ""
    log: list[str] = []
    kernel: list[str] = []
    avic: dict[str, int] = {}
    for raw in text.replace("\r", "").split("\n"):
        if bail := re.match(r"Bail out! (\w[\w-]*): (.*)", raw):
            bail_kind, bail_note = bail[1], bail[2]
            continue
        if not raw.startswith("    "):
            if (match := RESULT.match(raw)) and match["name"] in plan:
                splat = rules.find(kernel)
                if splat:
                    done[lane, "(unload)"] = Result(lane, "(unload)", "splat", splat, [], kernel)
                following = lanes.index(match["name"]) + 1
                lane = lanes[following] if following < len(lanes) else ""
                log, kernel = [], []
            continue
        line = raw[4:]
        if line.startswith("# start "):
            started = line[len("# start ") :]
            if splat := rules.find(kernel):
                done[lane, "(load)"] = Result(lane, "(load)", "splat", splat, [], kernel)
            log, kernel = [], []
        elif line.startswith("# avic: "):
            avic = {name: int(n) for name, n in re.findall(r"(\w+)=(\d+)", line)}
        elif line.startswith("#k "):
            kernel.append(line[3:])
        elif line.startswith("# "):
            log.append(line[2:])
        elif match := RESULT.match(line):
            status, note = status_of(bool(match["no"]), match["note"] or "")
            if splat := rules.find(kernel):
                status, note = "splat", splat
            done[lane, match["name"]] = Result(
                lane, match["name"], status, note, log, kernel, avic
            )
            started, log, kernel, avic = "", [], [], {}
    results = [result for result in done.values() if result.name.startswith("(")]
    for name_of_lane, tests in plan.items():
        for test in tests:
            result = done.get((name_of_lane, test))
            if result is None and name_of_lane == lane and test == started:
                result = Result(lane, test, bail_kind or "error", bail_note, log, kernel)
            results.append(
                result or Result(name_of_lane, test, "not-run", f"{bail_kind}: {bail_note}")
            )
    return results


def prove(result: Result, want: str) -> None:
    """Make a pass that shows nothing a failure.

    want: "on" if the test counts only with AVIC active, "off" if only with
    AVIC inhibited, "NAME=N" or "NAME>=N" for one of AVIC's counts, several of
    these joined by commas; "-" if anything will do.  Lanes without AVIC have no say.
    """
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
    if want == "on" and not result.avic["load"]:
        result.status, result.note = "fail", f"passed, but AVIC was never active: {did}"
    if want == "off" and exits:
        result.status, result.note = "fail", f"passed, but AVIC was active: {did}"


def count(results: list[Result]) -> dict[str, int]:
    """How many results have each status, statuses without any left out."""
    counts = {status: sum(r.status == status for r in results) for status in STATUSES}
    return {status: number for status, number in counts.items() if number}


def worse(base: list[Result], stack: list[Result]) -> list[tuple[Result | None, Result]]:
    """Pairs (base, stack) of results that are worse on the stack.

    A test that only the stack has must pass or skip.  A test that only the
    base has is one that the stack lost: the stack's half says "not-run".
    """
    before = {(r.lane, r.name): r for r in base}
    pairs: list[tuple[Result | None, Result]] = []
    for result in stack:
        old = before.pop((result.lane, result.name), None)
        limit = STATUSES.index(old.status if old else "skip")
        if STATUSES.index(result.status) > limit:
            pairs.append((old, result))
    for old in before.values():
        if not old.name.startswith("("):
            lost = Result(old.lane, old.name, "not-run", "the stack does not have this test")
            pairs.append((old, lost))
    return pairs
