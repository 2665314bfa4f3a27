# SPDX-License-Identifier: GPL-2.0
"""What a test costs on base and stack, in counts that do not depend on the machine (ci/run/costs)."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from pathlib import Path

from avic.ktap import Result
from avic.process import fail
from avic.tables import read_table
from avic.tree import git

# Names of the VM-Exits that ci/run/costs or people name, by number: AMD's manual,
# volume 2, appendix C.
EXITS = {
    0x60: "intr", 0x61: "nmi", 0x62: "smi", 0x64: "vintr", 0x6E: "rdtsc", 0x70: "pushf", 0x72: "cpuid",
    0x73: "rsm", 0x74: "iret", 0x77: "pause", 0x78: "hlt", 0x7B: "io", 0x7C: "msr", 0x7F: "shutdown",
    0x80: "vmrun", 0x81: "vmmcall", 0x82: "vmload", 0x83: "vmsave", 0x84: "stgi", 0x85: "clgi",
    0x8A: "monitor", 0x8B: "mwait", 0x400: "npf", 0x401: "incomplete_ipi", 0x402: "unaccelerated",
    0x08: "read_cr8", 0x18: "write_cr8",
}  # fmt: skip
# Where bases have enum kvm_apicv_inhibit: the second one from 7.3 on.
HEADERS = ("arch/x86/include/asm/kvm_host.h", "arch/x86/kvm/x86.h")
REASON = re.compile(r"^\s*APICV_INHIBIT_REASON_(\w+)(?: = 0)?,", re.MULTILINE)


def inhibits(repo: Path, commit: str) -> dict[int, str]:
    """Number of each reason for which a commit's KVM inhibits AVIC -> its name in lower case.

    Exits with 1 if the commit has no such enumeration where bases have it.
    """
    for header in HEADERS:
        text = git(repo, "show", f"{commit}:{header}", check=False).stdout
        if names := REASON.findall(text):
            return dict(enumerate(name.lower() for name in names))
    fail(1, f"no enum kvm_apicv_inhibit in {' or '.join(HEADERS)} of {repo}: add where it is to HEADERS")


def named(counts: dict[str, int], reasons: dict[int, str]) -> dict[str, int]:
    """Counts of ci/guest/run-plan, with exits and inhibits by name instead of by number."""
    found: dict[str, int] = {}
    for key, count in counts.items():
        kind, _, number = key.rpartition("_")
        if number.isdigit():
            names = EXITS if kind == "exit" else reasons
            key = f"{kind}_{names.get(int(number), number)}"
        found[key] = found.get(key, 0) + count
    return found


@dataclass(frozen=True)
class Limit:
    """How much a count of a test may grow: to `factor` times the base's count, plus `more`."""

    test: str
    count: str
    factor: float
    more: int

    def of(self, before: int) -> float:
        """The highest count that is allowed."""
        return before * self.factor + self.more


@dataclass(frozen=True)
class Allowed:
    """Growth that is allowed, for good or until an issue is fixed, and why."""

    base: str
    lane: str
    test: str
    count: str
    most: int
    why: str


@dataclass(frozen=True)
class Growth:
    """A count of a test in a lane that has grown beyond its limit."""

    lane: str
    test: str
    count: str
    before: int
    after: int
    why: str = ""  # it is allowed

    def __str__(self) -> str:
        return f"{self.lane} {self.test}: {self.count} {self.before} -> {self.after}"


class Policy:
    """ci/run/costs, read."""

    def __init__(self, path: Path) -> None:
        """Read it; exits with 1 at a line that is wrong."""
        self.limits: list[Limit] = []
        self.allowed: list[Allowed] = []
        for words, why in read_table(path, "limit|free|allow WORD... ## why"):
            try:
                self.add(why, *words)
            except (TypeError, ValueError):
                fail(1, f"{path.name}: no line of it is made like '{' '.join(words)}': see its head")

    def add(self, why: str, kind: str, *words: str) -> None:
        """Add a line; raises TypeError or ValueError if it is wrong."""
        if kind == "limit":
            test, count, factor, more = words
            self.limits.append(Limit(test, count, float(factor), int(more)))
        elif kind == "free":
            test, count = words
            self.limits.append(Limit(test, count, float("inf"), 0))
        elif kind == "allow":
            base, lane, test, count, most = words
            self.allowed.append(Allowed(base, lane, test, count, int(most), why))
        else:
            raise ValueError

    def limit(self, test: str, count: str) -> Limit | None:
        """The first limit that matches a test's count; None if the count is not judged."""
        names = (test, Path(test).name)
        for each in self.limits:
            if any(fnmatch.fnmatch(name, each.test) for name in names) and fnmatch.fnmatch(count, each.count):
                return each
        return None

    def why(self, base: str, growth: Growth) -> str:
        """Why a growth is allowed, or ''."""
        for each in self.allowed:
            pairs = ((each.base, base), (each.lane, growth.lane), (each.test, growth.test), (each.count, growth.count))
            if growth.after <= each.most and all(fnmatch.fnmatch(name, pattern) for pattern, name in pairs):
                return each.why
        return ""


def runs_of(results: list[Result], again: list[Result]) -> dict[tuple[str, str], list[dict[str, int]]]:
    """Lane and test -> the counts of each of its runs that passed."""
    found: dict[tuple[str, str], list[dict[str, int]]] = {}
    for result in [*results, *again]:
        if result.status == "pass":
            found.setdefault((result.lane, result.name.partition("@")[0]), []).append(result.counts)
    return found


def totals(policy: Policy, before: list[Result], after: list[Result]) -> dict[str, dict[str, tuple[int, int]]]:
    """What the judge looks at: COUNT of a limit line -> lane -> its sum on base and stack, over tests that pass on both."""
    old, new = runs_of(before, []), runs_of(after, [])
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for lane, test in old.keys() & new.keys():
        first, then = old[lane, test][0], new[lane, test][0]
        for count in first.keys() | then.keys():
            limit = policy.limit(test, count)
            if limit and limit.factor < float("inf"):
                lanes = found.setdefault(limit.count, {})
                base, stack = lanes.get(lane, (0, 0))
                lanes[lane] = base + first.get(count, 0), stack + then.get(count, 0)
    return found


def growths(
    policy: Policy,
    base: str,
    before: list[Result],
    after: list[Result],
    again: tuple[list[Result], list[Result]] = ([], []),
) -> list[Growth]:
    """What has grown, of tests that pass on both levels.

    base: its name, for ci/run/costs.  again: further runs of some tests, as NAME@1 and so on.
    With them a count has grown only if its lowest value on the stack is above the limit
    for its highest value on the base.
    """
    old, new = runs_of(before, again[0]), runs_of(after, again[1])
    found = []
    for (lane, test), runs in new.items():
        for count in sorted({name for counts in runs for name in counts}):
            limit = policy.limit(test, count)
            if not limit or (lane, test) not in old:
                continue
            least = min(counts.get(count, 0) for counts in runs)
            most = max(counts.get(count, 0) for counts in old[lane, test])
            if least > limit.of(most):
                growth = Growth(lane, test, count, most, least)
                found.append(Growth(lane, test, count, most, least, policy.why(base, growth)))
    return found
