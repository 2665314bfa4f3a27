# SPDX-License-Identifier: GPL-2.0
"""The plan that ci/guest/run-plan carries out on a machine; its head says what the lines are."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from avic.base import Base
from avic.tables import entries

# Extra time, beside 1.5 times a test's own, to end the test and report it: a test that
# ran for minutes may leave many processes and VMs behind that have to end.
GRACE_SECONDS = 60
# How often a second look runs a test: one that fails one time in two is seen again 7 times in 8.
AGAIN = 3


@dataclass
class Test:
    """A program, and what its pass has to show in lanes with AVIC: see ktap.prove()."""

    name: str
    seconds: int
    command: list[str]
    wants: str = "-"

    def again(self) -> list[Test]:
        """It, as often as a second look runs it."""
        return [replace(self, name=f"{self.name}@{n}") for n in range(1, AGAIN + 1)]


@dataclass
class Lane:
    """Tests with KVM's modules of one level, and kvm-amd's parameters."""

    name: str
    level: str
    parameters: list[str] = field(default_factory=list)
    tests: list[Test] = field(default_factory=list)

    @property
    def avic(self) -> bool:
        """Whether AVIC has to be on here: where it is asked for, or where KVM decides."""
        return "avic=1" in self.parameters or not self.parameters


def listed(base: Base) -> Iterator[tuple[str, Lane]]:
    """The lanes of ci/run/lanes that are for a base, each with the features of its machine."""
    for name, features, *parameters in entries("run/lanes"):
        if parameters or "Avic-auto" in base.fields:
            yield features, Lane(name, "", parameters)


def sanitized(base: Base) -> Iterator[tuple[str, str, Lane]]:
    """The lanes of ci/run/sanitizers for a base, each with its kernel's configuration and its machine's features."""
    lanes = {lane.name: (features, lane) for features, lane in listed(base)}
    for name, config, like in entries("run/sanitizers"):
        if like in lanes:
            features, lane = lanes[like]
            yield config, features, Lane(name, "", lane.parameters)


def combinations(words: list[str]) -> list[list[str]]:
    """All argument lists that a line of ci/run/device-tests stands for, plainest first."""
    choices = [
        [[], [word[1:-1]]] if word.startswith("[") else [[each] for each in word.split("|")]
        for word in words
    ]
    return [list(itertools.chain(*choice)) for choice in itertools.product(*choices)]


def listed_with_device() -> Iterator[Test]:
    """The tests that ci/run/device-tests stands for; a command's first word is the program's name only."""
    for seconds, counts, program, *words in entries("run/device-tests"):
        for arguments in combinations(words):
            name = ",".join([program, *arguments]).replace("-d,DEVICE", "device")
            yield Test(name, int(seconds), [program, *arguments], counts)


@dataclass
class Plan:
    """What one boot of a machine does.

    machine: the CPU's features, its model, and `iommu`.  qemu: more options for QEMU, on the emulated one.
    """

    machine: list[str]
    lanes: list[Lane]
    qemu: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, text: str) -> Plan:
        """Parse a plan; raises ValueError for a line that is wrong, or a test outside of a lane."""
        plan = cls([], [])
        for number, line in enumerate(text.splitlines(), 1):
            verb, *words = line.split() or [""]
            if verb == "machine":
                plan.machine = words
            elif verb == "qemu" and words:
                plan.qemu = words
            elif verb == "lane" and len(words) >= 2:
                plan.lanes.append(Lane(words[0], words[1], words[2:]))
            elif verb == "test" and len(words) >= 3 and words[0].isdigit() and plan.lanes:
                plan.lanes[-1].tests.append(Test(words[1], int(words[0]), words[2:]))
            elif verb and not verb.startswith("#"):
                raise ValueError(f"plan:{number}: want 'machine', 'qemu', 'lane' or 'test', see ci/guest/run-plan")
        for lane, names in plan.names.items():
            if double := [name for name in names if names.count(name) > 1]:
                raise ValueError(f"plan: lane {lane} has two tests named {double[0]}")
        return plan

    def text(self) -> str:
        """The plan as run-plan reads it."""
        lines = [" ".join(["machine", *self.machine])]
        if self.qemu:
            lines.append(" ".join(["qemu", *self.qemu]))
        for lane in self.lanes:
            lines.append(" ".join(["lane", lane.name, lane.level, *lane.parameters]))
            lines += [" ".join(["test", str(t.seconds), t.name, *t.command]) for t in lane.tests]
        return "\n".join(lines) + "\n"

    @property
    def tests(self) -> list[Test]:
        """The tests of all lanes, in order."""
        return [test for lane in self.lanes for test in lane.tests]

    @property
    def names(self) -> dict[str, list[str]]:
        """Lane -> the names of its tests."""
        return {lane.name: [test.name for test in lane.tests] for lane in self.lanes}

    @property
    def seconds(self) -> int:
        """What all tests may take together."""
        return sum(test.seconds for test in self.tests)

    def patience(self, test: str, grace: int = GRACE_SECONDS) -> int:
        """Seconds for which a machine may say nothing while it is in a test, '' for none."""
        limit = max((each.seconds for each in self.tests if each.name == test), default=0)
        return limit * 3 // 2 + grace
