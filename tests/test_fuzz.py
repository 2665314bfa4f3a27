# SPDX-License-Identifier: GPL-2.0
"""scripts/fuzz: what it takes, and what it makes of the program's output."""

from __future__ import annotations

import os
import subprocess
import unittest

from project import TOP

from avic.cmd import fuzz

# Of v6.12's base, and of a stack.
FAILED = [
    "fuzz: vCPU 2: an interrupt of kind 0 is lost",
    "fuzz 2 2 150",
    "fuzz 2 2 150 57 74 95 108 109",
    "  msi(1) run(2) run(2) extint(2) msi(1)",
    "100 VMs, 150 steps each: 100 with AVIC, 7 failed",
]
GOOD = ["100 VMs, 150 steps each: 100 with AVIC, 0 failed"]


class Fuzz(unittest.TestCase):
    def test_wrong_use(self) -> None:
        for name, value in (
            ("SEEDS", "5"), ("SEEDS", "0-3"), ("SEEDS", "9-3"), ("SEEDS", "1-2x"),
            ("STEPS", "0"), ("STEPS", "1001"), ("STEPS", "many"),
        ):  # fmt: skip
            with self.subTest(name=name, value=value):
                done = subprocess.run([TOP / "scripts/fuzz"], env=os.environ | {name: value}, capture_output=True, text=True)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertRegex(done.stderr, rf"^fuzz: {name}={value}: want ")

    def test_output(self) -> None:
        self.assertEqual(fuzz.read_total(FAILED), FAILED)
        self.assertEqual(fuzz.read_total(GOOD), GOOD)
        for log, why in (
            ([], "it said nothing"),
            (FAILED[:2], "did not come to its end"),
            (["100 VMs, 150 steps each: 99 with AVIC, 0 failed"], "AVIC was active in 99 of 100 VMs"),
        ):
            with self.subTest(why), self.assertRaisesRegex(ValueError, why):
                fuzz.read_total(log)
