# SPDX-License-Identifier: GPL-2.0
"""scripts/mutate: its files, what counts as caught, and what it prints."""

import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from project import TOP
from avic import ktap
from avic.cmd import mutate
from avic.ktap import Result
from avic.plan import Plan

DIFF = "diff --git a/x.c b/x.c\n--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-a\n+b\n"
HEAD = "SPDX-License-Identifier: GPL-2.0\n\nBreaks: it\n"


def mutant(caught_by: str = "", uncaught: str = "") -> object:
    return mutate.Mutant("name", "it", caught_by.split(), uncaught, DIFF)


def row(statuses: dict[str, str], caught_by: str = "", uncaught: str = "") -> object:
    """A row in which each machine has a result of the test `t`."""
    stack = [Result("l", "t", "pass")]
    found = {
        machine: mutate.caught(stack, [Result("l", "t", status)])
        for machine, status in statuses.items()
    }
    return mutate.Row(mutant(caught_by, uncaught), found)


class Files(unittest.TestCase):
    def read(self, text: str) -> object:
        folder = tempfile.TemporaryDirectory(prefix="avic-mutants.")
        self.addCleanup(folder.cleanup)
        path = Path(folder.name) / "name.patch"
        path.write_text(text)
        return mutate.read_mutant(path, ["a", "b"])

    def refused(self, text: str, message: str) -> None:
        with self.assertRaisesRegex(ValueError, message):
            self.read(text)

    def test_well_formed(self) -> None:
        read = self.read(f"{HEAD}Caught-by: a b\n\n{DIFF}")
        self.assertEqual((read.name, read.caught_by, read.uncaught), ("name", ["a", "b"], ""))
        self.assertEqual(read.diff, DIFF)
        read = self.read(f"{HEAD}Uncaught: why: this\n\n{DIFF}")
        self.assertEqual((read.caught_by, read.uncaught), ([], "why: this"))

    def test_what_is_missing_is_named(self) -> None:
        self.refused(f"Uncaught: why\n{DIFF}", "name.patch: no 'Breaks:'")
        self.refused(f"{HEAD}{DIFF}", "want 'Caught-by: TEST...' or")
        self.refused(f"{HEAD}Caught-by: a\nUncaught: why\n{DIFF}", "want 'Caught-by: TEST...' or")
        self.refused(f"{HEAD}Caught-by: a\n", "no 'diff --git'")

    def test_slips_are_named(self) -> None:
        self.refused(f"{HEAD}Caught-by: c\n{DIFF}", "no test 'c' in ci/mutants/plan")
        self.refused(f"{HEAD}Caugth-by: a\n{DIFF}", "name.patch:4: want one each of")
        self.refused(f"{HEAD}Breaks: more\n{DIFF}", "name.patch:4: want one each of")
        self.refused(f"{HEAD}Uncaught:\n{DIFF}", "name.patch:4: want one each of")

    def test_plan(self) -> None:
        plan = Plan.read("# x\n\nlane l stack avic=1\ntest 5 a ./a\ntest 6 b:c ./a --b c\n")
        self.assertEqual({t.name: t.command for t in plan.tests}, {"a": ["./a"], "b:c": ["./a", "--b", "c"]})
        self.assertEqual(Plan.read(plan.text()), plan)
        for line in ("test 5 a", "test x a ./a", "lane l", "test 1 a ./a", "machine\ntests 1 a ./a"):
            with self.assertRaisesRegex(ValueError, "plan:[12]: want "):
                Plan.read(line)
        with self.assertRaisesRegex(ValueError, "two tests named a"):
            Plan.read("lane l stack\ntest 1 a ./a\ntest 1 a ./a")

    def test_ours(self) -> None:
        """Those that are here: well-formed, one file each, and every case is in the plan."""
        tests = [test.name for test in mutate.read_tests()]
        paths = sorted((TOP / "ci/mutants").glob("*.patch"))
        self.assertGreaterEqual(len(paths), 24)
        for path in paths:
            with self.subTest(path.name):
                read = mutate.read_mutant(path, tests)
                self.assertEqual(read.diff.count("diff --git"), 1)
        source = (TOP / "tests/guest/avic.c").read_text()
        cases = re.findall(r'^\t{ "([a-z/-]+)",', source, re.MULTILINE)
        self.assertGreater(len(cases), 20)
        for case in cases:
            self.assertTrue({case, f"x2apic:{case}"} & set(tests), case)

    def test_unknown_name(self) -> None:
        result = subprocess.run([TOP / "scripts/mutate", "nosuch-*"], capture_output=True, text=True)
        self.assertEqual(result.returncode, 2)
        self.assertEqual(result.stderr, "mutate: no mutant 'nosuch-*' in ci/mutants\n")


class Caught(unittest.TestCase):
    def statuses(self, log: str) -> tuple[list[str], str]:
        """What a captured log says against a mutant, and whether it is broken."""
        rules = ktap.SplatRules.read(TOP / "ci/run/splats")
        text = (TOP / "tests/captured" / log).read_text()
        plan = ["before", "bad", "after"]
        results = ktap.read_ktap(text, {"l": plan}, rules)
        stack = [Result("l", name, "pass") for name in plan]
        return [r.status for r in mutate.caught(stack, results)], mutate.broken(results)

    def test_each_trouble_is_a_catch(self) -> None:
        for trouble in ("fail", "timeout", "splat", "panic", "hang"):
            self.assertEqual(self.statuses(f"{trouble}.ktap"), ([trouble], ""))

    def test_a_machine_that_does_not_boot_says_nothing(self) -> None:
        text = "Bail out! boot: nothing from the guest after 120 s\n"
        results = ktap.read_ktap(text, {"l": ["t"]}, ktap.SplatRules([], []))
        self.assertEqual(mutate.caught([Result("l", "t", "pass")], results), [])
        lane = [Result("l", "t", "error", "cannot load kvm-amd.ko")]
        self.assertEqual(mutate.caught([Result("l", "t", "pass")], lane), [])
        self.assertEqual(mutate.broken(lane), "t: error: cannot load kvm-amd.ko")

    def test_a_machine_that_stops_is_a_catch(self) -> None:
        results = [Result("l", "t", "error", "the machine stopped in t")]
        self.assertEqual(mutate.caught([Result("l", "t", "pass")], results), results)
        self.assertEqual(mutate.broken(results), "")

    def test_only_what_is_worse_than_the_stack(self) -> None:
        self.assertEqual(mutate.caught([Result("l", "t", "skip")], [Result("l", "t", "skip")]), [])
        skip = [Result("l", "t", "skip")]
        self.assertEqual(mutate.caught([Result("l", "t", "pass")], skip), skip)


class Table(unittest.TestCase):
    def verdict(self, *rows: object) -> tuple[list[str], int]:
        text, status = mutate.table(list(rows))
        return text.splitlines(), status

    def test_caught(self) -> None:
        lines, status = self.verdict(row({"avic": "fail", "x2avic": "fail"}, "t"))
        self.assertEqual(lines[1], "name    t fail")
        self.assertEqual((lines[-1], status), ("1 of 1 caught, 0 explained", 0))
        lines, _ = self.verdict(row({"avic": "pass", "x2avic": "splat"}, "t"))
        self.assertEqual(lines[1], "name    t splat (x2avic)")

    def test_caught_by_another_test(self) -> None:
        lines, status = self.verdict(row({"avic": "fail", "x2avic": "fail"}, "other"))
        self.assertEqual((lines[1], status), ("name    t fail; not by other", 0))

    def test_uncaught(self) -> None:
        good = {"avic": "pass", "x2avic": "pass"}
        lines, status = self.verdict(row(good, uncaught="no such machine"))
        self.assertEqual(lines[1], "name    UNCAUGHT: no such machine")
        self.assertEqual((lines[-1], status), ("0 of 1 caught, 1 explained", 0))
        lines, status = self.verdict(row(good, "t"), row({"avic": "fail"}, "t"))
        self.assertEqual(lines[1], "name    UNCAUGHT: and ci/mutants does not say why")
        self.assertEqual((lines[-1], status), ("1 of 2 caught, 0 explained", 1))

    def test_stale_reason(self) -> None:
        lines, status = self.verdict(row({"avic": "hang"}, uncaught="no such machine"))
        self.assertIn("STALE: caught, though its file says 'Uncaught': t hang", lines[1])
        self.assertEqual((lines[-1], status), ("1 of 1 caught, 0 explained", 1))

    def test_broken(self) -> None:
        broken = row({}, "t")
        broken.trouble = "does not build (log: x)"
        lines, status = self.verdict(broken)
        self.assertEqual((lines[1], status), ("name    BROKEN: does not build (log: x)", 1))
