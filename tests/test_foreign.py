# SPDX-License-Identifier: GPL-2.0
"""Firmware and other systems as guests of the machine: what their table may say, and what becomes of it."""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from project import TOP
from avic import foreign, summary
from avic.costs import Policy
from avic.ktap import Result
from avic.results import Column, Suite, judge_suite


class Table(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="avic-foreign."))
        self.addCleanup(shutil.rmtree, self.folder)
        cache = mock.patch.object(foreign, "CACHE", self.folder / "cache")
        cache.start()
        self.addCleanup(cache.stop)

    def refused(self, status: int, line: str) -> str:
        """What is said of a table with this line."""
        (self.folder / "table").write_text(f"{line}\n")
        said = io.StringIO()
        with contextlib.redirect_stderr(said), self.assertRaises(SystemExit) as left:
            foreign.prepare(self.folder / "table")
        self.assertEqual(left.exception.code, status)
        return said.getvalue()

    def test_ours(self) -> None:
        found = foreign.prepare()
        names = [test.name for test in found.tests]
        self.assertEqual(len(names), len(set(names)))
        for boot in foreign.BOOTS:
            self.assertTrue([name for name in names if name.startswith(f"foreign/{boot}-")], boot)
        for name in names:
            with self.subTest(name):
                case = found.cases[name].splitlines()
                self.assertRegex(case[0], "^want .")
                self.assertIn(f"qemu kvm-pit.lost_tick_policy={name.rpartition('-')[2]}", case)
                for file in (line.split("files/")[1].split(",")[0] for line in case if "files/" in line):
                    self.assertTrue(found.files[file].is_file())

    def test_a_disk_that_a_bios_boots(self) -> None:
        content = foreign.grub("grub").read_bytes()
        self.assertEqual(content[510:512], b"\x55\xaa")
        self.assertEqual(foreign.grub("grub").read_bytes(), content)
        # GRUB packs what it brings along.
        more = foreign.grub("mach", foreign.MACH).read_bytes().rstrip(b"\0")
        self.assertGreater(len(more), len(content.rstrip(b"\0")) + foreign.MACH.stat().st_size)
        with mock.patch.object(foreign, "GRUB_MODULES", ("no-such-module",)):
            with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit):
                foreign.grub("grub")

    def test_lines_that_are_none(self) -> None:
        for line in (
            "a 1 on 1 discard seabios words", "a x on 1 discard seabios words ## why",
            "a 1 on x discard seabios words ## why", "a 1 yes 1 discard seabios words ## why", "a 1 on 1 maybe seabios words ## why",
            "a 1 on 1 discard dos words ## why", "a 1 on 1 discard seabios ( ## why", "a 1 on 1 discard seabios ## why",
        ):  # fmt: skip
            with self.subTest(line):
                self.refused(1, line)

    def test_a_package_that_is_missing(self) -> None:
        with mock.patch.object(foreign, "MEMTEST", self.folder / "none"):
            self.assertIn("run scripts/setup", self.refused(2, "a 1 on 1 discard memtest words ## why"))


class Windows(unittest.TestCase):
    def result(self, windows: int) -> Result:
        return Result("avic=1", "foreign/ovmf", "pass", counts={"inhibit_set_irqwin": windows, "load": 1})

    def test_told_of_both_levels(self) -> None:
        levels = [Column("base", [self.result(70)]), Column("stack", [self.result(1)])]
        want = "avic=1 foreign/ovmf: AVIC to be off for an IRQ window 70 on the base, 1 on the stack"
        self.assertEqual(summary.windows(levels), [want])

    def test_more_of_them_on_the_stack_are_red(self) -> None:
        suite = Suite({}, Column("base", [self.result(1)]), Column("stack", [self.result(70)]), [], [])
        found = judge_suite(suite, "v6.12", [], Policy(TOP / "ci/run/costs"))
        self.assertEqual([each.kind for each in found], ["costlier"])


if __name__ == "__main__":
    unittest.main()
