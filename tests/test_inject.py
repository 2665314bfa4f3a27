# SPDX-License-Identifier: GPL-2.0
"""scripts/inject: what it takes, and what it makes of the program's output."""

from __future__ import annotations

import re
import subprocess
import unittest

from project import TOP

from avic.cmd import inject
from avic.ktap import SplatRules

MADE = "split: 33 ioctls, 812 allocations failed, 390 ioctls failed, 0 VMs wrong"
GOOD = ["KVM_CREATE_VM                      300 allocations failed, the ioctl failed 200 times", MADE]
CLEAN = "split: 0 objects leaked, 0 kinds of pages differ"


class Inject(unittest.TestCase):
    def test_wrong_use(self) -> None:
        done = subprocess.run([TOP / "scripts/inject", "split", "whole"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (2, "inject: no VM 'whole': want some of split full posted\n"))

    def test_output(self) -> None:
        self.assertTrue(inject.nothing_wrong([*GOOD, CLEAN]))
        for made, left in (
            (MADE.replace("0 VMs", "1 VMs"), CLEAN),
            (MADE, CLEAN.replace("0 objects", "2 objects")),
            (MADE, CLEAN.replace("0 kinds", "1 kinds")),
        ):
            with self.subTest(made=made, left=left):
                self.assertFalse(inject.nothing_wrong([made, left]))
        for log, why in (
            ([], "it said nothing"),
            (GOOD, "did not come to its end"),
            ([CLEAN], "did not come to its end"),
            ([MADE.replace("812 alloc", "0 alloc"), CLEAN], "no allocation, or no ioctl, has failed"),
            ([MADE.replace("390 ioctls", "0 ioctls"), CLEAN], "no allocation, or no ioctl, has failed"),
        ):
            with self.subTest(why, log=log), self.assertRaisesRegex(ValueError, why):
                inject.nothing_wrong(log)

    def test_failures_of_its_own_making_are_no_splats(self) -> None:
        """What any base prints of memory that is short; what else it prints still is one."""
        rules = SplatRules.read(TOP / "ci/run/splats")
        rules.allowed += map(re.compile, inject.ALLOWED)
        samples = sorted((TOP / "tests/captured/splats").glob("*/vmalloc.log"))
        self.assertGreater(len(samples), 2)
        for sample in samples:
            lines = sample.read_text().splitlines()
            self.assertEqual(rules.find(lines), "")
            self.assertTrue(rules.find([*lines, "BUG: KFENCE: use-after-free read in f+0x1/0x2"]))


if __name__ == "__main__":
    unittest.main()
