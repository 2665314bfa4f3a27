# SPDX-License-Identifier: GPL-2.0
"""bench [BENCH...]: what the stack costs and saves, in counts that repeat.

  BENCH        a file of bench/: only these
  BASE=v6.12   which base           TREE=     a user's own kernel tree
  LEVEL=34     in the stack's place: the base with as many patches
  QEMU=        another QEMU than the one that ci/emulator/build makes
  RERUN=1      run again though nothing has changed

Boots each level, measures each line of the files of bench/ twice there, and prints a table for each file.
A cell is what both rounds gave, or LEAST..MOST if they differ.  With some of the benches, or LEVEL, what was
counted is kept apart, in bench.part.  docs/PERFORMANCE.md says what the figures mean.  Exit status 1 if a figure
can't be had, or is worse on the stack than it may be.

windows: flips of the VM's inhibit of AVIC per 1,000 ExtINTs, each with an IRQ window of its own.
vms: what KVM allocates when a VM and its vCPUs are made and closed.
instructions: how many the CPU executes for what `vms` and `inhibited` do.
ga_log: how many the host executes for an entry of the IOMMU's GA Log, and for an overflow.  Takes long.
irqs_off: how many it executes at a time with IRQs off while that log overflows, at most.  Takes long, and other kernels.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import ClassVar

from avic.base import BASE
from avic.both import Boot, boots
from avic.cmd.flips import read_flips
from avic.machine import RUNNER, kept, need_qemu
from avic.paths import TOP
from avic.plan import Lane, Test
from avic.process import fail
from avic.results import Benches, Measured, save
from avic.tables import read_table

FOLDER = TOP / "bench"
SECONDS = 120
ROUNDS = (1, 2)
ARRIVED = re.compile(r"(\d+) of \d+ (?:ExtINTs|interrupts|events) arrived$")
# Column -> level, and kvm-amd's parameter.  The level "stack" is LEVEL, if that is set.
COLUMNS = {"base": ("base", "avic=1"), "stack": ("stack", "avic=1"), "avic=0": ("stack", "avic=0")}
MODEL = "zen4"  # on a Zen 1 or 2 the stack has each IPI exit, by erratum 1235
ICOUNT = str(TOP / "ci" / "emulator" / "icount")  # QEMU whose clock counts instructions
WHERE = {"base": "on the base", "avic=0": "with avic=0"}


class Bench:
    """A file of bench/: what a line of it runs, how that is read and shown."""

    name = title = form = ""
    head: Sequence[str] = ()
    columns: Sequence[str] = ()
    programs: Sequence[str] = ()
    features: Sequence[str] = (MODEL,)  # of its machine
    qemu = ""  # in place of QEMU=
    config = "emulator"  # of its kernel
    seconds = SECONDS  # for a line

    def command(self, words: list[str]) -> list[str]:
        """What is run for a line; raises ValueError if the line is wrong."""
        raise NotImplementedError

    def read(self, words: list[str], log: list[str]) -> dict[str, int]:
        """The counts in its output, by name; raises ValueError if they are not all there."""
        raise NotImplementedError

    def rows(self, line: Measured) -> list[list[str]]:
        """The rows of the table for a line."""
        raise NotImplementedError

    def problems(self, line: Measured) -> list[str]:
        """What is worse on the stack than it may be."""
        raise NotImplementedError

    def can_run(self, line: Measured) -> bool:
        """Whether it is measured, and not only worked out."""
        return True

    def machine(self, level: str) -> str:
        """The name of a level's machine, which benches with the same features, QEMU and kernel share."""
        words = [
            *(word for word in self.features if word != MODEL),
            *(["icount"] if self.qemu else []),
            *(word for word in [self.config] if word != Bench.config),
        ]  # fmt: skip
        return ".".join([level, *words])

    @property
    def labels(self) -> int:
        """How many columns of the table say what a row is; those with counts come next, the base's first."""
        return next(number for number, heading in enumerate(self.head) if heading.endswith("base"))

    def lines(self) -> list[Measured]:
        """The lines of the file; exits with 1 at one that is wrong."""
        found = [Measured(words, {}) for words, _ in read_table(FOLDER / self.name, self.form)]
        for line in found:
            try:
                self.command(line.words)
            except ValueError:
                fail(1, f"bench/{self.name}: want '{self.form}' and not '{' '.join(line.words)}': see its head")
        return found

    def test(self, line: Measured, number: int) -> Test:
        """A round of a line as a test."""
        return Test(f"{'-'.join([self.name, *line.words])}.{number}", self.seconds, self.command(line.words))

    def red(self, lines: list[Measured]) -> list[str]:
        """The problems of all lines, each with the words of its line."""
        return [f"{' '.join(line.words)}: {text}" for line in lines for text in self.problems(line)]

    def table(self, lines: list[Measured]) -> list[str]:
        """All lines, for people."""
        rows = [list(self.head), *(row for line in lines for row in self.rows(line))]
        widths = [max(len(row[column]) for row in rows) for column in range(len(self.head))]
        return [self.title, *("  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in rows)]


class Windows(Bench):
    """bench/windows."""

    name, title = "windows", "flips of the inhibit per 1,000 ExtINTs"
    form = "VCPUS alone|together EXTINTS"
    head = ("vCPUs", "windows", "base", "stack", "least")
    columns = ("base", "stack")
    programs = ("flips", "irqwin_flips")

    def command(self, words: list[str]) -> list[str]:
        vcpus, how, extints = words
        if how not in ("alone", "together") or not 0 < int(vcpus) <= 8 or int(extints) % int(vcpus) or int(extints) > 400:
            raise ValueError
        return ["./flips", vcpus, how, extints]

    def read(self, words: list[str], log: list[str]) -> dict[str, int]:
        arrived = next((match[1] for line in log if (match := ARRIVED.match(line))), None)
        if arrived is None:
            raise ValueError(log[0] if log else "it said nothing")
        return {"flips": len(read_flips(log).windows), "arrived": int(arrived)}

    @staticmethod
    def least(words: list[str]) -> int:
        """AVIC can't deliver an ExtINT: it has to be off from the first window that is open until none is, two flips."""
        vcpus, how, extints = words
        return 2 * int(extints) // (int(vcpus) if how == "together" else 1)

    @staticmethod
    def per_1000(words: list[str], flips: int) -> int:
        """So many flips of a line, for 1,000 ExtINTs."""
        return round(flips * 1000 / int(words[2]))

    def flips(self, line: Measured, column: str) -> list[int]:
        """The flips of each round for 1,000 ExtINTs; nothing if one was lost, as then they are none of all."""
        if min(counts["arrived"] for counts in line.counts[column]) < int(line.words[2]):
            return []
        return [self.per_1000(line.words, counts["flips"]) for counts in line.counts[column]]

    def cell(self, line: Measured, column: str) -> str:
        """The same for people."""
        flips = self.flips(line, column)
        return span(flips) if flips else f"lost after {span([counts['arrived'] for counts in line.counts[column]])}"

    def rows(self, line: Measured) -> list[list[str]]:
        least = self.per_1000(line.words, self.least(line.words))
        return [[*line.words[:2], *(self.cell(line, column) for column in self.columns), str(least)]]

    def problems(self, line: Measured) -> list[str]:
        extints, least = int(line.words[2]), self.least(line.words)
        for counts in line.counts["stack"]:
            if counts["arrived"] < extints:
                return [f"an ExtINT is lost on the stack, after {counts['arrived']} of {extints}"]
            if counts["flips"] > least:
                return [f"{counts['flips']} flips on the stack, {least} are enough"]
        return []


class Vms(Bench):
    """bench/vms."""

    name, title = "vms", "what KVM allocates: pages, and bytes of the slab"
    form = "IRQCHIP VCPUS"
    columns = ("base", "stack", "avic=0")
    programs = ("pages", "vm_life")
    steps = ("create", "first", "nth", "destroy")
    kinds = ("pages", "bytes")
    head = ("irqchip", "step", *map(" ".join, product(kinds, columns)))

    def command(self, words: list[str]) -> list[str]:
        irqchip, vcpus = words
        if irqchip not in ("none", "split", "full") or not 2 <= int(vcpus) <= 64:
            raise ValueError
        return ["./pages", irqchip, vcpus]

    def read(self, words: list[str], log: list[str]) -> dict[str, int]:
        text = "\n".join(log)
        traced = re.search(r"^traced (\d+), to end$", text, re.MULTILINE)
        written = re.search(r"^entries-in-buffer/entries-written: (\d+)/\1 ", text, re.MULTILINE)
        if not traced or not int(traced[1]) or not written:
            raise ValueError("the trace is not complete")
        form = r"^(\w+) pages=(\d+) bytes=(\d+)$"
        found = {step: numbers for step, *numbers in re.findall(form, text, re.MULTILINE)}
        if set(found) != set(self.steps):
            raise ValueError("not all of its steps are there")
        return {f"{step} {kind}": int(n) for step in self.steps for kind, n in zip(self.kinds, found[step])}

    @staticmethod
    def label(step: str, vcpus: str) -> str:
        """A step of tests/guest/vm_life.c, for people."""
        return {"first": "vCPU 1", "nth": f"vCPU {vcpus}"}.get(step, step)

    def rows(self, line: Measured) -> list[list[str]]:
        return [
            [
                line.words[0], self.label(step, line.words[1]),
                *(
                    span([counts[f"{step} {kind}"] for counts in line.counts[column]])
                    for kind in self.kinds for column in self.columns
                ),
            ]
            for step in self.steps
        ]  # fmt: skip

    def problems(self, line: Measured) -> list[str]:
        """A VM must not take more pages than on the base, and without KVM's irqchip none for AVIC."""

        def pages(column: str) -> list[int]:
            return [sum(counts[f"{step} pages"] for step in self.steps) for counts in line.counts[column]]

        for other in ("base", *(["avic=0"] if line.words[0] == "none" else [])):
            if min(pages("stack")) > max(pages(other)):
                return [f"{span(pages('stack'))} pages in all on the stack, {span(pages(other))} {WHERE[other]}"]
        return []


class Counted(Bench):
    """A bench whose program tests/guest/counts runs, which prints NAME NUMBER.

    Exits for `io` are the program's own way to its caller, and those for `interrupt` are the host's; if KVM has
    made a vCPU leave by an IPI, that is among the `kicks`.
    """

    columns: Sequence[str] = ("base", "stack", "avic=0")
    program = ""
    most = 0  # EVENTS

    def command(self, words: list[str]) -> list[str]:
        if not 0 < int(words[-1]) <= self.most:
            raise ValueError
        return ["./counts", self.program, *words]

    def read(self, words: list[str], log: list[str]) -> dict[str, int]:
        text = "\n".join(log)
        arrived = next((match[1] for line in log if (match := ARRIVED.match(line))), None)
        if arrived is None:
            raise ValueError(log[0] if log else "it said nothing")
        written = re.search(r"^entries-in-buffer/entries-written: (\d+)/\1 ", text, re.MULTILINE)
        if "counted to the end" not in log or not written:
            raise ValueError("the trace is not complete")
        counts = {name: int(number) for name, number in re.findall(r"^([\w/]+) (\d+)$", text, re.MULTILINE)}
        for name in ("flips", "locked", "while_off", "doorbells"):
            if name not in counts:
                raise ValueError(f"it did not count {name}")
        for own in ("exit/io", "exit/interrupt"):
            counts.pop(own, None)
        return {**counts, "arrived": int(arrived), "exits": sum(n for name, n in counts.items() if name.startswith("exit/"))}

    def cell(self, line: Measured, column: str, name: str, per: int = 1000) -> str:
        """A count of a column for so many events; says so if one was lost."""
        events, rounds = int(line.words[-1]), line.counts[column]
        arrived = [counts["arrived"] for counts in rounds]
        if min(arrived) < events:
            return f"lost after {span(arrived)}"
        return span([round(counts.get(name, 0) * per / events) for counts in rounds])

    def lost(self, line: Measured) -> list[str]:
        """What to say if an event has not arrived on the stack."""
        events = int(line.words[-1])
        least = min(counts["arrived"] for counts in line.counts["stack"])
        return [f"an interrupt is lost on the stack, after {least} of {events}"] if least < events else []


class Common(Counted):
    """bench/common."""

    name, title = "common", "what KVM does for 1,000 events"
    form = "SOURCE TARGET APIC EVENTS"
    head = ("event", "target", "APIC", "what", *COLUMNS)
    programs = ("counts", "common_path")
    program, most = "common_path", 1000
    names = {"doorbells": "doorbell", "kicks": "IPI of KVM", "flips": "flip", "locked": "lock for write"}

    def command(self, words: list[str]) -> list[str]:
        source, target, apic, _ = words
        targets = ("running",) if source == "tpr" else ("running", "halted")
        if source not in ("ipi", "msi", "irqfd", "tpr") or target not in targets or apic not in ("xapic", "x2apic"):
            raise ValueError
        return super().command(words)

    def rows(self, line: Measured) -> list[list[str]]:
        """The exits of all kinds, and what else has a count in one of the columns."""
        seen = {name for rounds in line.counts.values() for counts in rounds for name, number in counts.items() if number}
        found = sorted(name for name in seen if name.startswith("exit/"))
        found += [name for name in self.names if name in seen]
        return [
            [*line.words[:3], self.names.get(name) or name.removeprefix("exit/"), *(self.cell(line, column, name) for column in self.columns)]
            for name in found
        ]  # fmt: skip

    def problems(self, line: Measured) -> list[str]:
        """Nothing may cost more than on the base, and AVIC has to spare exits.

        On a busy machine a thread of the kernel may take the CPU of a vCPU that is said to be running.
        """
        found, allowed = self.lost(line), int(line.words[-1]) // 100

        def all_of(column: str, name: str) -> list[int]:
            return [counts[name] for counts in line.counts[column]]

        for name, what in (("exits", "VM-Exits"), ("flips", "flips"), ("locked", "writes of apicv_update_lock")):
            stack, base = all_of("stack", name), all_of("base", name)
            if min(stack) > max(base) + allowed:
                found.append(f"{span(stack)} {what} on the stack, {span(base)} on the base")
        with_avic, without = all_of("stack", "exits"), all_of("avic=0", "exits")
        if max(with_avic) >= min(without):
            found.append(f"AVIC spares nothing: {span(with_avic)} VM-Exits on the stack, {span(without)} with avic=0")
        return found


class Inhibited(Counted):
    """bench/inhibited."""

    name, title = "inhibited", "what KVM does for 1,000 interrupts, every second one with IRQs off"
    form = "SOURCE VCPUS EVENTS"
    kinds = {"exits": "exits", "flips": "flips", "locks": "locked"}
    head = ("source", "vCPUs", *(f"{kind} {column}" for kind in kinds for column in COLUMNS if column != "avic=0" or kind == "exits"))
    programs = ("counts", "software_irqs")
    program, most = "software_irqs", 2000
    sources = ("pit", "pit-discard", "xen", "xen-msi", "xen-mixed", "xen-vcpu", "autoeoi", "sint")
    off_on_purpose = ("xen-msi", "xen-mixed")  # see the patch irqwin-xen
    slack = 1.02  # of the other columns' exits: those of Xen depend a little on the host's interrupts

    def command(self, words: list[str]) -> list[str]:
        source, vcpus, events = words
        if source not in self.sources or not 0 < int(vcpus) <= 8 or int(events) % 2:
            raise ValueError
        return super().command(words)

    def read(self, words: list[str], log: list[str]) -> dict[str, int]:
        """One thread runs the vCPUs in turn: KVM sends IPIs only to itself, to leave the guest at once."""
        counts = super().read(words, log)
        return {**counts, "exits": counts["exits"] + counts.get("kicks", 0)}

    def rows(self, line: Measured) -> list[list[str]]:
        shown = [heading.split() for heading in self.head[2:]]
        return [[*line.words[:2], *(self.cell(line, column, self.kinds[kind]) for kind, column in shown)]]

    def problems(self, line: Measured) -> list[str]:
        """No inhibit changes for an interrupt, and none costs more exits than on the base, or without AVIC."""
        found = self.lost(line)
        for name, what in (("flips", "flips"), ("locked", "writes of apicv_update_lock")):
            if most := max(counts[name] for counts in line.counts["stack"]):
                found.append(f"{most} {what} on the stack, there is nothing to change")
        exits = {column: max(counts["exits"] for counts in rounds) for column, rounds in line.counts.items()}
        for column in ("base", "avic=0"):
            if column == "base" and line.words[0] in self.off_on_purpose:
                continue
            if exits["stack"] > exits[column] * self.slack:
                found.append(f"{exits['stack']} VM-Exits on the stack, {exits[column]} {WHERE[column]}")
        return found


class Storm(Counted):
    """bench/storm."""

    name, title = "storm", "interrupts for which AVIC is off after an ExtINT"
    form = "VCPUS PERCENT EXTINTS"
    head: Sequence[str] = ("vCPUs", "IRQs off", "base", "stack", "ExtINT waits", "mean", "any waits", "mean")
    columns = ("base", "stack")
    programs = ("counts", "irq_storm")
    program, most = "irq_storm", 100

    def command(self, words: list[str]) -> list[str]:
        vcpus, percent, _ = words
        if int(vcpus) < 1 or not 0 < int(percent) < 100:
            raise ValueError
        return super().command(words)

    def can_run(self, line: Measured) -> bool:
        return int(line.words[0]) <= 8

    def rows(self, line: Measured) -> list[list[str]]:
        vcpus, percent, extints = map(int, line.words)
        own, every = means(vcpus, percent)
        first = [line.words[0], f"{percent} %"]
        if not self.can_run(line):
            return [[*first, "-", "-", "-", rounded(own), "-", rounded(every)]]

        def shown(column: str) -> str:
            cell = self.cell(line, column, "while_off", per=extints)
            return cell if "lost" in cell else "..".join(rounded(int(number) / extints) for number in cell.split(".."))

        drawn = [rounded(number / extints) for number in walk(vcpus, percent, extints)]
        return [[*first, shown("base"), shown("stack"), drawn[0], rounded(own), drawn[1], rounded(every)]]

    def problems(self, line: Measured) -> list[str]:
        """AVIC may be off while the ExtINT itself waits, and no longer."""
        if not self.can_run(line):
            return []
        found = self.lost(line)
        own, _ = walk(*map(int, line.words))
        most = max(counts["while_off"] for counts in line.counts["stack"])
        return found or ([f"AVIC is off for {most} interrupts on the stack, {own} come while an ExtINT waits"] if most > own else [])


class Instructions(Bench):
    """bench/instructions: programs that print STEP NUMBER, see tests/guest/counted.h."""

    name, title = "instructions", "instructions: of each step, and of an interrupt"
    form = "PROGRAM ARGUMENT..."
    head = ("what", "step", "base", "stack", "avic=0")
    columns = ("base", "stack", "avic=0")
    programs = ("on_one_cpu", "vm_life", "software_irqs")
    qemu = ICOUNT
    steps: ClassVar = {"vm_life": Vms.steps, "software_irqs": ("begin",)}
    # A source of interrupts -> the columns that the stack is held against, and how much more it may take.  avic=0 has no
    # memslot for the APIC's page: a fault there, as for an EOI, takes less.
    judged: ClassVar = {
        "pit": {"base": 1.02, "avic=0": 1.03}, "pit-discard": {"base": 1.02}, "sint": {"base": 1.02},
        "autoeoi": {"base": 1.02, "avic=0": 1.02},
    }  # fmt: skip

    def command(self, words: list[str]) -> list[str]:
        program, *arguments = words
        (BENCHES["vms"] if program == "vm_life" else BENCHES["inhibited"]).command(arguments)
        if program not in self.steps:
            raise ValueError
        return ["./on_one_cpu", program, *arguments]

    def read(self, words: list[str], log: list[str]) -> dict[str, int]:
        program, *arguments = words
        found = {step: int(number) for step, number in re.findall(r"^(\w+) (\d+)$", "\n".join(log), re.MULTILINE)}
        if program == "software_irqs" and f"{arguments[-1]} of {arguments[-1]} interrupts arrived" not in log:
            raise ValueError("an interrupt is lost")
        if not all(found.get(step) for step in self.steps[program]):
            raise ValueError("not all of its steps are there")
        events = int(arguments[-1]) if program == "software_irqs" else 1
        return {step: found[step] // events for step in self.steps[program]}

    def rows(self, line: Measured) -> list[list[str]]:
        program, *arguments = line.words
        return [
            [
                " ".join(arguments[:-1]), "interrupt" if step == "begin" else Vms.label(step, arguments[-1]),
                *(span([counts[step] for counts in line.counts[column]]) for column in self.columns),
            ]
            for step in self.steps[program]
        ]  # fmt: skip

    def problems(self, line: Measured) -> list[str]:
        """An interrupt must not take more than on the base; with a PIT that reinjects, not more than with avic=0."""
        found = []
        for column, slack in self.judged.get(line.words[1], {}).items():
            stack, other = ([counts["begin"] for counts in line.counts[each]] for each in ("stack", column))
            if min(stack) > max(other) * slack:
                found.append(f"{span(stack)} instructions for an interrupt on the stack, {span(other)} {WHERE[column]}")
        return found


class GaLog(Bench):
    """bench/ga_log."""

    name, title = "ga_log", "instructions of the host's threads for the GA Log"
    form = "VMS ENTRIES"
    head = ("VMs", "what", "base", "stack")
    columns = ("base", "stack")
    programs = ("ga_log",)
    features = (MODEL, "iommu")
    qemu = ICOUNT
    seconds = 900
    names: ClassVar = {"entries": "an entry", "overflow log": "overflow: the log's thread", "overflow workers": "overflow: workers"}
    slack = 1.1  # the thread runs other things of the kernel's as well

    def command(self, words: list[str]) -> list[str]:
        vms, entries = words
        if not 0 < int(vms) <= 10000 or not 0 < int(entries) <= 1000:
            raise ValueError
        return ["./ga_log", "DEVICE", vms, entries]

    def read(self, words: list[str], log: list[str]) -> dict[str, int]:
        found = {name: int(number) for name, number in re.findall(r"^([a-z ]+) (\d+)$", "\n".join(log), re.MULTILINE)}
        if set(found) != set(self.names):
            raise ValueError(log[0] if log else "it said nothing")
        return {**found, "entries": found["entries"] // int(words[1])}

    def rows(self, line: Measured) -> list[list[str]]:
        return [
            [line.words[0], label, *(span([counts[name] for counts in line.counts[column]]) for column in self.columns)]
            for name, label in self.names.items()
        ]  # fmt: skip

    def problems(self, line: Measured) -> list[str]:
        """An entry must not take more than on the base, however many VMs there are."""
        stack, base = ([counts["entries"] for counts in line.counts[column]] for column in ("stack", "base"))
        if min(stack) > max(base) * self.slack:
            return [f"{span(stack)} instructions for an entry on the stack, {span(base)} on the base"]
        return []


class IrqsOff(Bench):
    """bench/irqs_off."""

    name, title = "irqs_off", "the most instructions with IRQs off while the GA Log overflows, in thousands"
    form = "VMS VCPUS"
    head = ("VMs", "vCPUs each", "base", "stack")
    columns = ("base", "stack")
    programs = ("irqs_off", "ga_log")
    features = (MODEL, "iommu")
    qemu = ICOUNT
    config = "irqsoff"
    seconds = 900
    slack = 1.5  # of the longest of all that the kernel does meanwhile

    def command(self, words: list[str]) -> list[str]:
        vms, vcpus = words
        if not 0 < int(vms) <= 1000 or not 0 < int(vcpus) <= 8:
            raise ValueError
        return ["./irqs_off", "DEVICE", vms, "1", vcpus]

    def read(self, words: list[str], log: list[str]) -> dict[str, int]:
        found = re.search(r"^IRQs off (\d+)$", "\n".join(log), re.MULTILINE)
        if not found:
            raise ValueError(log[0] if log else "it said nothing")
        return {"longest": int(found[1])}

    def rows(self, line: Measured) -> list[list[str]]:
        return [[*line.words, *(span(self.longest(line, column)) for column in self.columns)]]

    @staticmethod
    def longest(line: Measured, column: str) -> list[int]:
        """That of each round."""
        return [counts["longest"] for counts in line.counts[column]]

    def problems(self, line: Measured) -> list[str]:
        """It must not grow with the VMs, as waking all vCPUs with IRQs off would have it."""
        stack, base = (self.longest(line, column) for column in ("stack", "base"))
        if min(stack) > max(base) * self.slack:
            return [f"{span(stack)} thousand instructions with IRQs off on the stack, {span(base)} on the base"]
        return []


def walk(vcpus: int, percent: int, extints: int) -> tuple[int, int]:
    """What tests/guest/irq_storm.c draws: the interrupts that come while the ExtINT waits, and while anything waits."""
    state = own = every = 0

    def draw(below: int) -> int:
        nonlocal state
        state = (state * 1664525 + 1013904223) % 2**32
        return (state >> 16) % below

    for _ in range(extints):
        waits = {0}
        extint = True
        while waits:
            vcpu, roll = draw(vcpus), draw(100)
            if vcpu not in waits and roll < percent:
                waits.add(vcpu)
                own += extint
                every += 1
            elif vcpu in waits and roll < 100 - percent:
                waits.remove(vcpu)
                extint = extint and vcpu != 0
    return own, every


def means(vcpus: int, percent: int) -> tuple[float, float]:
    """What walk() gives for one ExtINT on average, with p for the percentage and n for the vCPUs.

    While the ExtINT waits: of the steps at which vCPU 0 or a certain other one moves, the other one gets an interrupt at
    p, if it has none; if it has one, each is as likely to be the next.  So it gets p / (1 - p / 2) of them.
    While anything waits: nothing waits (1 - p)^n of the time, and n p (1 - p) interrupts come a step; n p (1 - p)^n of
    them end such a time, as the ExtINT does.
    """
    p = percent / 100
    return (vcpus - 1) * p / (1 - p / 2), (1 - p) ** (1 - vcpus) - 1


def rounded(number: float) -> str:
    """With one decimal, or as a power of ten if it is large."""
    return f"{number:.1f}" if number < 1e6 else f"{number:.0e}".replace("e+", "e")


BENCHES: dict[str, Bench] = {
    bench.name: bench for bench in (Windows(), Vms(), Common(), Inhibited(), Storm(), Instructions(), GaLog(), IrqsOff())
}


def span(numbers: list[int]) -> str:
    """One number if they agree, LEAST..MOST if not."""
    least, most = min(numbers), max(numbers)
    return f"{least}" if least == most else f"{least}..{most}"


def chosen(words: list[str]) -> list[Bench]:
    """The benches of the command line, all if it names none; exits with 2 if there is no such one."""
    for word in words:
        if word not in BENCHES:
            fail(2, f"no bench '{word}': there is {' '.join(BENCHES)}")
    return [bench for name, bench in BENCHES.items() if not words or name in words]


def chosen_level() -> str:
    """LEVEL=; exits with 2 if it is none."""
    level = os.environ.get("LEVEL") or "stack"
    if not re.fullmatch(r"stack|[1-9]\d*", level):
        fail(2, f"no level '{level}': LEVEL= takes a number of patches")
    return level


def measure(repo: Path, benches: list[Bench], level: str) -> Benches:
    """Boot the levels, and keep what was counted; exits if something was not."""
    found = {bench.name: bench.lines() for bench in benches}
    levels = {"base": "base", "stack": level}
    machines: dict[str, Boot] = {}
    for bench, (column, (where, parameter)) in product(benches, COLUMNS.items()):
        tests = [
            bench.test(line, number)
            for line in found[bench.name] if column in bench.columns and bench.can_run(line) for number in ROUNDS
        ]  # fmt: skip
        if not tests:
            continue
        boot = machines.setdefault(
            bench.machine(levels[where]), Boot(levels[where], [], [], bench.features, bench.qemu, bench.config)
        )
        lane = next((each for each in boot.lanes if each.name == parameter), None)
        if not lane:
            lane = Lane(parameter, levels[where], [parameter])
            boot.lanes.append(lane)
        lane.tests += tests
        boot.programs = list(dict.fromkeys([*boot.programs, *bench.programs]))
    whole = level == "stack" and len(benches) == len(BENCHES)
    with boots("bench", kept("bench" if whole else "bench.part"), repo, machines) as booted:
        for bench in benches:
            for line in filter(bench.can_run, found[bench.name]):
                for column in bench.columns:
                    where, parameter = COLUMNS[column]
                    line.counts[column] = [
                        booted.read(
                            bench.machine(levels[where]), parameter, bench.test(line, number).name, partial(bench.read, line.words)
                        )
                        for number in ROUNDS
                    ]
        figures = Benches({**booted.what, "level": level}, found)
        save(booted.folder / "bench.json", figures)
        return figures


def main() -> int:
    benches, level = chosen(sys.argv[1:]), chosen_level()
    if RUNNER != "emulator":
        fail(2, f"RUNNER={RUNNER}: the counts are those of the emulated machine; leave it out")
    repo = BASE.tree("apply")
    need_qemu()
    figures = measure(repo, benches, level)
    problems = []
    print(f"base {BASE}, stack {figures.what['stack']}{'' if level == 'stack' else f', of it {level} patches'}, {figures.what['when']}")
    for bench in benches:
        lines = figures.tables[bench.name]
        print("", *bench.table(lines), sep="\n")
        problems += [f"{bench.name} {text}" for text in bench.red(lines)]
    for problem in problems:
        print(f"red      {problem}")
    return 1 if problems else 0
