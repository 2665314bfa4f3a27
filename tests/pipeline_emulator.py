# SPDX-License-Identifier: GPL-2.0
"""The emulator: it builds, its bare-metal tests pass, and what it shows of the stack."""

import os
import re
import subprocess

from machine import TOP, Machine, sh

EMULATOR = TOP / "ci/emulator"


class Emulator(Machine):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.qemu = sh(EMULATOR / "build")

    def run_suites(self, qemu: str, *suites: str) -> tuple[int, str]:
        result = subprocess.run(
            [EMULATOR / "tests/run", "--qemu", qemu, *suites],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return result.returncode, result.stdout

    def test_bare_metal(self) -> None:
        status, output = self.run_suites(self.qemu)
        self.assertEqual(status, 0, output)
        self.assertRegex(output, r"(?m)^\d+ passed, 0 failed, 0 skipped$")

    def test_the_tests_can_fail(self) -> None:
        """Stock QEMU has no AVIC, and the same tests say so."""
        stock = os.environ.get("QEMU") or "qemu-system-x86_64"
        status, output = self.run_suites(stock, "xavic-registers")
        self.assertEqual(status, 1, output)
        self.assertGreater(int(re.search(r"(\d+) failed", output)[1]), 0)

    def test_features_show_only_when_asked_for(self) -> None:
        listed = subprocess.check_output([self.qemu, "-cpu", "help"], text=True)
        self.assertRegex(listed, r"\bavic\b")
        self.assertRegex(listed, r"\bx2avic\b")

    def test_linux_as_a_guest(self) -> None:
        """Linux boots, works and crashes with AVIC active; a PIT that reinjects inhibits it."""
        out = sh(TOP / "scripts/run", TESTS="2-split-kdump 1-full-reinject", FULL="1", LANES="avic=1,x2avic")
        for level in ("base", "stack"):
            self.assertRegex(out, rf"(?m)^avic=1,x2avic +{level} +2 +0 +0 +0 +0 +0\b")

    def test_fixes_are_proven(self) -> None:
        """Some that fail before their patch and pass from it on, with AVIC active; `make run` does this with all."""
        slugs = {"irqwin-count", "memslot-undo", "physical-id-claim"}
        lines = sh(TOP / "scripts/evidence", *sorted(slugs)).splitlines()
        self.assertEqual([line for line in lines if "RED" in line], [])
        self.assertEqual({line.split()[1] for line in lines if re.search(r"fails at \d+( in run \d)?, passes", line)}, slugs)
