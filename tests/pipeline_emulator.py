# SPDX-License-Identifier: GPL-2.0
"""The emulator: QEMU's source builds with our series, and its bare-metal tests pass."""

import os
import re
import subprocess
import unittest
from pathlib import Path

EMULATOR = Path(__file__).resolve().parent.parent / "ci/emulator"


class Emulator(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        built = subprocess.run([EMULATOR / "build"], stdout=subprocess.PIPE, text=True, check=True)
        cls.qemu = built.stdout.strip()

    def run_suites(self, qemu: str, *suites: str) -> tuple[int, str]:
        result = subprocess.run(
            [EMULATOR / "tests/run", "--qemu", qemu, *suites],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return result.returncode, result.stdout

    def test_bare_metal(self) -> None:
        status, output = self.run_suites(self.qemu)
        self.assertEqual(status, 0, output)
        self.assertRegex(output, r"(?m)^1\d\d passed, 0 failed, 0 skipped$")

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
