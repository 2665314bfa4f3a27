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

    def test_linux_as_a_guest(self) -> None:
        """Linux boots, works and crashes with AVIC active; a PIT that reinjects inhibits it."""
        out = sh(TOP / "ci/run", TESTS="2-split-kdump 1-full-reinject", FULL="1")
        for lane in ("avic=0", "avic=1,x2avic", "avic=1"):
            for level in ("base", "stack"):
                self.assertRegex(out, rf"(?m)^{lane} +{level} +2 +0 +0 +0 +0 +0\b")

    def test_extint_is_not_lost(self) -> None:
        """W1 to W3: lost on the base when another vCPU's window closes, and not on the stack."""
        for level, status in (("base", "fail"), ("stack", "pass")):
            for features in ("avic", "avic x2avic"):
                with self.subTest(level=level, features=features):
                    results = self.guest(
                        level,
                        f"machine {features}\nlane l {level} avic=1\n"
                        "test 60 irqwin_flips ./irqwin_flips\n",
                        {"irqwin_flips": TOP / "tests/guest/irqwin_flips.c"},
                    )
                    flips = results["irqwin_flips"]
                    self.assertGreater(flips.avic["load"], 0)
                    self.assertEqual(flips.status, status, flips)
                    if level == "base":
                        # vCPU0 ran on with IRQs enabled, and took no interrupt.
                        lost = "irqwin_flips: exit 2 at port 0x80, expected port 0x82"
                        self.assertEqual(flips.log, [lost])

    def test_duplicate_vcpu_takes_the_ipis(self) -> None:
        """What L6 is to mend: seen on v6.12, stack or not, and only with AVIC."""
        plan = "machine avic x2avic\nlane l base avic={}\ntest 60 duplicate_vcpu ./duplicate_vcpu\n"
        program = {"duplicate_vcpu": TOP / "tests/guest/duplicate_vcpu.c"}
        for avic, status in (("0", "pass"), ("1", "fail")):
            result = self.guest("base", plan.format(avic), program)["duplicate_vcpu"]
            self.assertEqual(result.status, status, result)
        lost = "vCPU0: IPI to an ID that was to be created twice: interrupt lost (0 of 1)"
        self.assertIn(lost, result.log[-1])
