# SPDX-License-Identifier: GPL-2.0
"""scripts/flips: what it takes for a trace of flips, from real runs on v6.1 and v7.3."""

import unittest

from project import TOP
from avic import ktap
from avic.cmd import flips

RULES = ktap.SplatRules.read(TOP / "ci/run/splats")


def log(run: str) -> list[str]:
    text = (TOP / f"tests/captured/cache/flips/{run}.ktap").read_text()
    return ktap.read_ktap(text, {"flips": ["flips", "irqwin_flips"]}, RULES)[0].log


class Flips(unittest.TestCase):
    def test_base_flips_and_loses_an_extint(self) -> None:
        found = flips.read_flips(log("v6.1/base"))
        self.assertEqual((found.flips, len(found.at), len(found.reasons)), (202, 202, 202))
        self.assertIn("exit 2 at port 0x80, expected port 0x82", found.lost)

    def test_stack_does_neither(self) -> None:
        found = flips.read_flips(log("v6.1/stack"))
        self.assertEqual((found.flips, found.lost), (4, ""))
        # The VM's set-up and the window are two reasons, each set and cleared.
        self.assertEqual(found.reasons[0::2], found.reasons[1::2])
        self.assertEqual(len(set(found.reasons)), 2)

    def test_a_cut_trace_is_none(self) -> None:
        whole = log("v6.1/base")
        at = [line for line in whole if line.startswith("at ")]
        for broken in (
            [line for line in whole if line != at[3]],
            [line for line in whole if not line.startswith("flips ")],
            [line.replace("flips 202", "flips 201") for line in whole],
            [],
        ):
            with self.assertRaisesRegex(ValueError, "not complete"):
                flips.read_flips(broken)

    def test_a_trace_out_of_order_is_none(self) -> None:
        whole = [line.replace("+", "-") if line.startswith("at ") else line for line in log("v7.3/stack")]
        with self.assertRaisesRegex(ValueError, "not in order"):
            flips.read_flips(whole)

    def test_time_does_not_go_back(self) -> None:
        """As seen on a busy machine, with a clock for each CPU."""
        said = ["101 of 101 ExtINTs arrived", "at +0/2 -9/2 +30/8 -20/8", "flips 4"]
        self.assertEqual(flips.read_flips(said).at, [0, 9, 30, 30])

    def test_time_before_the_first(self) -> None:
        """As seen on v6.12: its sign is none of a flip."""
        said = ["1 of 400 ExtINTs arrived", "at +0/2 -224/2 +-6861/8 -14598/8", "flips 4"]
        self.assertEqual(flips.read_flips(said).at, [0, 224, 224, 14598])


if __name__ == "__main__":
    unittest.main()
