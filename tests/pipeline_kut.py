# SPDX-License-Identifier: GPL-2.0
"""kvm-unit-tests in v6.12's machines: of the checkout that KUT= names, and not at all without one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import unittest
from pathlib import Path

from machine import CACHE, TOP, Machine, sh
from avic.ktap import Result
from avic.results import Suite

KUT = os.environ.get("KUT") or ""
LANES = ("avic=0", "avic=1,x2avic")


@unittest.skipUnless(KUT, "they are not part of Debian: KUT= takes a checkout of kvm-unit-tests")
class UnitTests(Machine):
    def run_them(self, tests: str, checkout: str = KUT, status: int = 0, **env: str) -> list[tuple[str, Result]]:
        """The level and the result of each test, in two lanes."""
        command = ["env", f"KUT={checkout}", f"TESTS={tests}", f"LANES={' '.join(LANES)}", TOP / "scripts/run"]
        try:
            sh(*command, **env)
            self.assertEqual(status, 0)
        except AssertionError as error:
            self.assertIn(f"exited with {status}:", str(error))
        suite = Suite.read(CACHE / "report.part/v6.12")
        assert suite
        return [(level.name, result) for level in suite.levels for result in level.results]

    def test_apic_and_exits(self) -> None:
        """They pass on both levels; with AVIC it was active, without it nobody counted it."""
        found = self.run_them("kut/x2apic kut/vmexit_ipi")
        self.assertEqual(len(found), 2 * 2 * len(LANES))
        for level, result in found:
            with self.subTest(level, lane=result.lane, name=result.name):
                self.assertEqual(result.status, "pass", result.note)
                self.assertEqual(bool(result.avic.get("load")), result.lane != "avic=0")
        self.assertIn("kut", json.loads((CACHE / "report.part/v6.12/verdict.json").read_text()))

    def test_a_case_that_fails_is_named(self) -> None:
        """Of a copy in which one of theirs has to fail; it fails on both levels, so the verdict is not red."""
        copy = self.scratch() / "kut"
        shutil.copytree(KUT, copy, symlinks=True)
        (copy / "x86/smptest.c").write_text(
            '#include "libcflat.h"\nint main(void)\n{\n\treport(true, "fine");\n\treport(false, "wanted");\n'
            '\treport_xfail(true, false, "as ever");\n\treturn report_summary();\n}\n'
        )
        found = self.run_them("kut/smptest", str(copy))
        self.assertEqual(len(found), 2 * len(LANES))
        for _, result in found:
            self.assertEqual((result.status, result.failing), ("fail", ["wanted"]), result.note)
            self.assertEqual(result.note, "1 cases fail: wanted")

    def test_the_checkout_stays_as_it_is(self) -> None:
        def state() -> str:
            return subprocess.check_output(["git", "-C", KUT, "status", "--porcelain", "--ignored"], text=True)

        before = state(), sorted((path, path.stat().st_mtime_ns) for path in Path(KUT).glob("x86/*"))
        self.run_them("kut/smptest")
        self.assertEqual((state(), sorted((path, path.stat().st_mtime_ns) for path in Path(KUT).glob("x86/*"))), before)


if __name__ == "__main__":
    unittest.main()
