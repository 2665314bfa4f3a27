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


def captured(level: str) -> list[Result]:
    """xen_shinfo_test and others on v7.3, 28 November 2026, before the stack gave Xen's windows back."""
    text = (TOP / f"tests/captured/costs-{level}.ktap").read_text()
    names = re.findall(r"^    # start (\S+)", text, re.MULTILINE)
    results = ktap.read_ktap(text, {LANE: names}, ktap.SplatRules([], []))
    for result in results:
        result.counts = costs.named(result.counts, REASONS)
    return results


def one(**counts: int) -> list[Result]:
    return [Result(LANE, "x86/t", "pass", counts=counts)]


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

    def test_lines_that_are_none(self) -> None:
        for line in ("limit * doorbell x 1 ## y", "limit * doorbell 1 ## y", "allow v9 l t c x ## y", "limt * a 1 1 ## y", "free * a"):
            with self.assertRaises(SystemExit):
                policy(f"{line}\n")


if __name__ == "__main__":
    unittest.main()
