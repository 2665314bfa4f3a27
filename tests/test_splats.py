# SPDX-License-Identifier: GPL-2.0
"""ci/run/splats, on what the kernel of each base prints: tests/splats/README.md says how it was captured."""

import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from project import TOP
from avic import remote
from avic.base import Base
from avic.ktap import SplatRules

RULES = SplatRules.read(TOP / "ci/run/splats")
SAMPLES = TOP / "tests/captured/splats"
BASES = sorted(base.name for base in Base.every())

# The line of each case that the judge has to show.
TELLING = {
    "array-bounds": "^UBSAN: array-index-out-of-bounds in ",
    "atomic-schedule": "^BUG: scheduling while atomic: ",
    "atomic-sleep": "^BUG: sleeping function called from invalid context at ",
    "bad-magic": "^BUG: spinlock bad magic on ",
    "bad-page": "^BUG: Bad page state in process provoke ",
    "breakpoint": r"int3: 0000 \[#",
    "bug": "^kernel BUG at drivers/misc/lkdtm/bugs.c:",
    "circular": "^WARNING: possible circular locking dependency detected",
    "divide": r"divide error: 0000 \[#",
    "execute": "^BUG: unable to handle page fault for address: ",
    "hard-lockup": "Watchdog detected hard LOCKUP on cpu ",
    "held-at-exit": "^WARNING: provoke/[0-9]+ still has locks held!",
    "held-freed": "^WARNING: held lock freed!",
    "held-to-user": "^WARNING: lock held when returning to user space!",
    "hung-task": "^INFO: task provoke:[0-9]+ blocked for more than ",
    "inconsistent": "^WARNING: inconsistent lock state",
    "invalid-opcode": r"invalid opcode: 0000 \[#",
    "irq-inversion": "^WARNING: possible irq lock inversion dependency detected",
    "irq-nobody": "^irq [0-9]+: nobody cared ",
    "irq-oops": "^BUG: kernel NULL pointer dereference, address: ",
    "irq-order": "^WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected",
    "kfence": "^BUG: KFENCE: use-after-free read in ",
    "list-add": "^list_add corruption",
    "list-del": "^list_del corruption",
    "msr-read": "^unchecked MSR access error: RDMSR from 0x8ff ",
    "msr-write": "^unchecked MSR access error: WRMSR to 0x8ff ",
    "nested": "^WARNING: Nested lock was not taken",
    "no-key": "^INFO: trying to register non-static key.",
    "no-page": "^BUG: unable to handle page fault for address: ",
    "non-canonical": r"general protection fault, .* \[#",
    "null": "^BUG: kernel NULL pointer dereference, address: ",
    "panic": "^Kernel panic - not syncing: dumptest",
    "rcu-stall": "^rcu: INFO: rcu_preempt (self-detected stall on CPU|detected stalls on CPUs/tasks)",
    "read-only": "^BUG: unable to handle page fault for address: ",
    "recursive": "^WARNING: possible recursive locking detected",
    "refcount-negative": "^refcount_t: underflow; use-after-free.",
    "refcount-overflow": "^refcount_t: saturated; leaking memory.",
    "refcount-zero": "^refcount_t: addition on 0; use-after-free.",
    "shift": "^UBSAN: shift-out-of-bounds in ",
    "slab-double-free": r"^BUG provoke-twice \(",
    "slab-left": r"^BUG provoke-left \(.*: Objects remaining ",
    "slab-poison": r"^BUG provoke-poison \(",
    "slab-redzone": r"^BUG provoke-redzone \(",
    "soft-lockup": "^watchdog: BUG: soft lockup - CPU#[0-9] stuck for ",
    "stack": "^BUG: TASK stack guard page was hit at ",
    "suspicious-rcu": "^WARNING: suspicious RCU usage",
    "sysfs-twice": "^sysfs: cannot create duplicate filename ",
    "this-cpu": r"^BUG: using smp_processor_id\(\) in preemptible ",
    "unbalanced": "^WARNING: bad unlock balance detected!",
    "vmalloc": "^provoke: vmalloc error: ",
    "wait-context": r"^\[ BUG: Invalid wait context \]",
    "warning": "^WARNING: .* lkdtm_WARNING",
    "warning-message": "^WARNING: .* lkdtm_WARNING_MESSAGE",
}
# What is no backtrace's business.
NO_TRACE = ("held-to-user",)
# tests/splats/capture cuts the end off longer ones, with the trace of some.
LONGEST = 120


def cases(base: str) -> list[str]:
    """What tests/splats/cases has for a base; raises ValueError for a NOT without a reason."""
    names = []
    for line in (TOP / "tests/splats/cases").read_text().splitlines():
        words, _, why = line.partition("##")
        if not line or line.startswith("#"):
            continue
        _boot, name, _tool, _what, *exceptions = words.split()
        if exceptions and (exceptions[0] != "NOT" or not why.strip()):
            raise ValueError(f"tests/splats/cases: {name}: want NOT BASE... ## why")
        if base not in exceptions:
            names.append(name)
    return names


def sample(base: str, name: str) -> list[str]:
    return (SAMPLES / base / f"{name}.log").read_text(errors="surrogateescape").splitlines()


def samples() -> list[tuple[str, str, list[str]]]:
    """Base, case and lines of each report that is there, the clean logs left out."""
    return [
        (path.parent.name, path.stem, sample(path.parent.name, path.stem))
        for path in sorted(SAMPLES.glob("*/*.log"))
        if path.parent.name in BASES and path.stem != "clean"
    ]


class Samples(unittest.TestCase):
    def test_every_base_has_every_sample(self) -> None:
        for base in BASES:
            have = sorted(path.stem for path in (SAMPLES / base).glob("*.log"))
            self.assertEqual(have, sorted([*cases(base), "clean"]), f"run BASE={base} tests/splats/capture")
        self.assertEqual(sorted(path.name for path in SAMPLES.iterdir()), BASES)

    def test_every_case_has_its_telling_line(self) -> None:
        self.assertEqual(sorted(TELLING), sorted({name for base in BASES for name in cases(base)}))


class Rules(unittest.TestCase):
    def test_each_sample_is_found_by_its_telling_line(self) -> None:
        for base, name, lines in samples():
            with self.subTest(f"{base} {name}"):
                self.assertRegex(RULES.find(lines), TELLING[name])

    def test_each_sample_has_a_trace(self) -> None:
        """So that a report in new words is found as well."""
        blind = SplatRules([], RULES.allowed, traces=RULES.traces)
        for base, name, lines in samples():
            with self.subTest(f"{base} {name}"):
                if len(lines) < LONGEST:
                    self.assertEqual(bool(blind.find(lines)), name not in NO_TRACE)

    def test_what_begins_with_cut_here(self) -> None:
        """It needs no rule of its own: one of these lines follows it."""
        for base, name, lines in samples():
            for n, line in enumerate(lines):
                if "[ cut here ]" in line and len(lines) - n > 3:
                    self.assertRegex("\n".join(lines[n : n + 4]), "WARNING: |UBSAN: |kernel BUG at ", (base, name))

    def test_nothing_in_a_clean_log(self) -> None:
        for base in BASES:
            lines = sample(base, "clean")
            self.assertIn("AVIC enabled", "\n".join(lines))
            self.assertEqual(RULES.find(lines), "", base)

    def test_each_rule_is_needed(self) -> None:
        """Without it a sample is not found, or not by the line that tells."""
        for rule in RULES.splats:
            others = [each for each in RULES.splats if each is not rule]
            less = SplatRules(others, RULES.allowed)
            lost = [name for _, name, lines in samples() if not re.search(TELLING[name], less.find(lines))]
            self.assertTrue(lost, rule.pattern)
        for rule in RULES.allowed:
            self.assertTrue([name for _, name, lines in samples() if rule.search("\n".join(lines))], rule.pattern)
        for rule in RULES.traces:
            less = SplatRules([], [], traces=[each for each in RULES.traces if each is not rule])
            self.assertTrue([name for _, name, lines in samples() if less.find(lines) != RULES.find(lines)])

    def test_grep_finds_the_same(self) -> None:
        """On hardware busybox does, line by line, as far as the lines tell."""
        telling = SplatRules(RULES.splats, RULES.allowed)
        with tempfile.TemporaryDirectory() as folder:
            for name, text in remote.patterns(RULES).items():
                (Path(folder) / name).write_text(text)
            for base in BASES:
                names = [*(name for its, name, _ in samples() if its == base), "clean"]
                lines = [line for name in names for line in sample(base, name)]
                found = subprocess.run(
                    ["busybox", "sh", "-c", "grep -E -f splats | grep -E -v -f allowed"],
                    cwd=folder, input="\n".join(lines), stdout=subprocess.PIPE, text=True,
                ).stdout  # fmt: skip
                self.assertEqual(found.splitlines(), [line for line in lines if telling.find([line])], base)


class Find(unittest.TestCase):
    report = [
        "[    4.2] kvm_amd: AVIC enabled",
        "[    4.3] something: in words that no rule knows",
        "[    4.3] CPU: 0 PID: 97 Comm: vcpu_test",
        "[    4.3] Call Trace:",
    ]

    def test_a_report_in_new_words(self) -> None:
        self.assertEqual(RULES.find(self.report), "something: in words that no rule knows")
        self.assertEqual(RULES.find(self.report[2:]), "CPU: 0 PID: 97 Comm: vcpu_test")

    def test_what_tells_comes_first(self) -> None:
        lines = [*self.report, "[    4.4] WARNING: a.c:1 at a+0x1/0x2, CPU#0: vcpu_test/97"]
        self.assertEqual(RULES.find(lines), "WARNING: a.c:1 at a+0x1/0x2, CPU#0: vcpu_test/97")

    def test_the_trace_of_an_allowed_report(self) -> None:
        rules = SplatRules(RULES.splats, [re.compile("at known")], traces=RULES.traces)
        allowed = ["WARNING: a.c:1 at known+0x1/0x2", *self.report[2:]]
        self.assertEqual(rules.find(allowed), "")
        self.assertEqual(rules.find([*allowed, "BUG: new"]), "BUG: new")
        self.assertEqual(rules.find([*self.report, *allowed]), RULES.find(self.report))

    def test_what_tells_is_never_empty(self) -> None:
        """A line of the kernel's may be empty, and one may have no time."""
        self.assertEqual(RULES.find([self.report[0], "[    4.2] ", self.report[2]]), "kvm_amd: AVIC enabled")
        self.assertEqual(RULES.find(["[    4.2] ", self.report[3]]), "Call Trace:")
        self.assertEqual(RULES.find(["[ BUG: Invalid wait context ]"]), "[ BUG: Invalid wait context ]")
        self.assertEqual(RULES.find(["[    4.2][  T97] BUG: a"]), "BUG: a")


if __name__ == "__main__":
    unittest.main()
