# SPDX-License-Identifier: GPL-2.0
"""What tests cost: counts of a real run of v7.3, and how ci/run/costs judges them."""

import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from project import TOP
from avic import costs, ktap
from avic.costs import Growth, Policy, growths
from avic.ktap import Result

OURS = TOP / "ci/run/costs"
REASONS = {7: "nested", 8: "irqwin", 9: "pit_reinj"}
LANE = "avic=1"


def policy(text: str) -> Policy:
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(text)
        file.flush()
        return Policy(Path(file.name))


def captured(level: str, run: str = "costs") -> list[Result]:
    """Results of a real run.

    costs: xen_shinfo_test and others on v7.3, 28 November 2026, before the stack gave Xen's windows back.
    memtest: three boots of memtest86+ on v6.12, 29 November 2026.
    """
    text = (TOP / f"tests/captured/{run}-{level}.ktap").read_text()
    names = re.findall(r"^    # start (\S+)", text, re.MULTILINE)
    results = ktap.read_ktap(text, {LANE: names}, ktap.SplatRules([], []))
    for result in results:
        result.counts = costs.named(result.counts, REASONS)
    return results


def one(**counts: int) -> list[Result]:
    return [Result(LANE, "x86/t", "pass", counts=counts)]


class Names(unittest.TestCase):
    def test_a_pattern_may_name_the_folder(self) -> None:
        ours = policy("limit kut/* refresh 1 20 ## why\nlimit * refresh 1 4 ## why\nlimit t refresh 1 0 ## why\n")
        for test, more in (("kut/t", 20), ("x86/t", 4), ("t", 4)):
            limit = ours.limit(test, "refresh")
            assert limit
            self.assertEqual(limit.more, more, test)

    def test_guests_with_a_bios(self) -> None:
        """Some more ticks of the PIT are no cost of the stack; a flip for each event is."""
        for after, number in ((20, 0), (70, 1)):
            counts = [{"inhibit_set_irqwin": n, "exit_io": n} for n in (6, after)]
            results = [[Result(LANE, "kut/t", "pass", counts=each)] for each in counts]
            self.assertEqual(len(growths(Policy(OURS), "v6.12", *results)), number)


class Memtest(unittest.TestCase):
    """A guest that halts with IRQs disabled and an ExtINT pending: AVIC stays off on the base only."""

    def grown(self, more: int = 1) -> list[str]:
        """What is too much, if the stack had that many times the counts of the real run."""
        base, stack = (captured(level, "memtest") for level in ("base", "stack"))
        for result in stack:
            result.counts = {name: count * more for name, count in result.counts.items()}
        return [str(each).partition(" ")[2] for each in growths(Policy(OURS), "v6.12", base, stack)]

    def test_a_flip_for_each_halt(self) -> None:
        for result in captured("stack", "memtest"):
            self.assertLess(result.counts["inhibit_set_irqwin"], result.counts["exit_hlt"])
            self.assertLess(result.counts["refresh"], 4 * result.counts["inhibit_set_irqwin"])
        self.assertEqual(self.grown(), [])

    def test_many_for_each_halt(self) -> None:
        self.assertIn("foreign/memtest-discard: refresh 8 -> 684", self.grown(4))

    def test_other_guests_have_no_such_limit(self) -> None:
        ours = Policy(OURS)
        for count, more in (("refresh", 50), ("inhibit_set_irqwin", 50)):
            limit = ours.limit("foreign/ovmf-discard", count)
            assert limit
            self.assertEqual(limit.more, more, count)


class Counts(unittest.TestCase):
    def test_reasons_have_their_names(self) -> None:
        found = costs.named({"inhibit_set_8": 2, "exit_96": 3, "exit_999": 1, "load": 4}, REASONS)
        self.assertEqual(found, {"inhibit_set_irqwin": 2, "exit_intr": 3, "exit_999": 1, "load": 4})

    def test_what_a_base_has_no_reasons_for(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["git", "init", "--quiet", folder], check=True)
            with self.assertRaises(SystemExit):
                costs.inhibits(Path(folder), "HEAD")

    def test_reasons_of_either_header(self) -> None:
        for header in costs.HEADERS:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / header
                path.parent.mkdir(parents=True)
                path.write_text("enum x {\n\t/* why */\n\tAPICV_INHIBIT_REASON_DISABLED,\n\tAPICV_INHIBIT_REASON_HYPERV,\n};\n")
                git = ["git", "-C", folder, "-c", "user.name=t", "-c", "user.email=t@localhost"]
                subprocess.run([*git, "init", "--quiet"], check=True)
                subprocess.run([*git, "add", "."], check=True)
                subprocess.run([*git, "commit", "--quiet", "--message=t"], check=True)
                self.assertEqual(costs.inhibits(Path(folder), "HEAD"), {0: "disabled", 1: "hyperv"})


class Judged(unittest.TestCase):
    def test_the_stack_that_makes_xen_guests_worse(self) -> None:
        """A real run: IRQWIN is set 13 times instead of once, and nothing said so."""
        ours = Policy(OURS)
        ours.allowed.clear()
        grown = {str(each) for each in growths(ours, "v7.3", captured("base"), captured("stack"))}
        name = f"{LANE} x86/xen_shinfo_test"
        self.assertIn(f"{name}: inhibit_set_irqwin 1 -> 13", grown)
        self.assertIn(f"{name}: refresh 1 -> 26", grown)
        self.assertEqual({each.partition(":")[0] for each in grown}, {name})
        self.assertEqual(growths(ours, "v7.3", captured("base"), captured("base")), [])

    def test_factor_and_more(self) -> None:
        limit = policy("limit * doorbell 1.5 10 ## x\n")
        for after, grown in ((160, False), (161, True)):
            self.assertEqual(bool(growths(limit, "v", one(doorbell=100), one(doorbell=after))), grown)

    def test_a_count_that_the_base_has_not(self) -> None:
        limit = policy("limit * inhibit_* 1 2 ## x\n")
        (growth,) = growths(limit, "v", one(), one(inhibit_set_irqwin=3))
        self.assertEqual(growth, Growth(LANE, "x86/t", "inhibit_set_irqwin", 0, 3))

    def test_the_first_line_counts(self) -> None:
        rules = policy("free t doorbell ## x\nlimit * doorbell 1 0 ## x\n")
        self.assertEqual(growths(rules, "v", one(doorbell=1), one(doorbell=9)), [])

    def test_what_does_not_pass_on_both_is_not_compared(self) -> None:
        limit = policy("limit * doorbell 1 0 ## x\n")
        failed = [Result(LANE, "x86/t", "fail", counts={"doorbell": 1})]
        self.assertEqual(growths(limit, "v", failed, one(doorbell=9)), [])
        self.assertEqual(growths(limit, "v", [], one(doorbell=9)), [])

    def test_further_runs(self) -> None:
        """The least of the stack against the most of the base."""
        limit = policy("limit * doorbell 1 5 ## x\n")
        for base, stack, grown in (([1, 1], [20, 30], True), ([1, 1], [3, 30], False), ([16, 1], [20, 30], False)):
            again = tuple(
                [Result(LANE, f"x86/t@{n}", "pass", counts={"doorbell": count}) for n, count in enumerate(counts, 1)]
                for counts in (base, stack)
            )
            found = growths(limit, "v", one(doorbell=2), one(doorbell=25), again)
            self.assertEqual(bool(found), grown, (base, stack))

    def test_allowed_is_told_with_its_reason(self) -> None:
        rules = policy("limit * doorbell 1 0 ## x\nallow v9 avic=1* x86/t door* 5 ## issue 18\n")
        for base, after, why in (("v9", 2, "issue 18"), ("v8", 2, ""), ("v9", 6, "")):
            (growth,) = growths(rules, base, one(doorbell=1), one(doorbell=after))
            self.assertEqual(growth.why, why)

    def test_sums_of_what_is_judged(self) -> None:
        """For the report: by the lines of ci/run/costs, over tests that pass on both levels."""
        before, after = captured("base"), captured("stack")
        found = costs.totals(Policy(OURS), before, after)
        both = [pair for pair in zip(before, after) if {each.status for each in pair} == {"pass"}]
        faults = [[r.counts.get("exit_npf", 0) for r in pair if "xapic_ipi_test" not in r.name] for pair in both]
        self.assertEqual(found["exit_npf"], {LANE: tuple(sum(pair[n] for pair in faults if pair) for n in (0, 1))})
        self.assertEqual(set(found) & {"exit_intr", "load", "*"}, set())
        after[-1].status = "fail"
        self.assertNotEqual(costs.totals(Policy(OURS), before, after), found)

    def test_lines_that_are_none(self) -> None:
        for line in ("limit * doorbell x 1 ## y", "limit * doorbell 1 ## y", "allow v9 l t c x ## y", "limt * a 1 1 ## y", "free * a"):
            with self.assertRaises(SystemExit):
                policy(f"{line}\n")


if __name__ == "__main__":
    unittest.main()
