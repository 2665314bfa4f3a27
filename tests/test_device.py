# SPDX-License-Identifier: GPL-2.0
"""ci/run/device-tests: which tests its lines stand for, and what a pass of one has to show."""

import tempfile
import unittest
from pathlib import Path

from project import TOP
from avic import ktap
from avic.cmd import run
from avic.ktap import Result
from avic.plan import combinations


class Combinations(unittest.TestCase):
    def test_with_and_without_and_either(self) -> None:
        for words, lists in (
            ("-d X", ["-d X"]),
            ("[-a]", ["", "-a"]),
            ("-v1|-v2", ["-v1", "-v2"]),
            ("-n [-a] -v1|-v2", ["-n -v1", "-n -v2", "-n -a -v1", "-n -a -v2"]),
        ):
            self.assertEqual([" ".join(a) for a in combinations(words.split())], lists)

    def test_upstreams_options_are_all_combined(self) -> None:
        """Default, and each combination of -a -e -m -n -x for one vCPU and two."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "irq_test").write_bytes(b"".join(b"-%c\thelp\0" % c for c in b"adeimnxv"))
            tests = run.device_tests(Path(folder))
        self.assertEqual(len(tests), 65)
        self.assertEqual(len({test.name for test in tests}), 65)
        seen = {frozenset(test.command) & set("-a -e -m -n -x -v1 -v2".split()) for test in tests}
        self.assertEqual(len(seen), 65)
        for test in tests:
            self.assertEqual("-n" in test.command, "host_irqs=0" not in test.wants, test.name)

    def test_what_a_test_does_not_know_is_left_out(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "irq_test"
            self.assertEqual(run.device_tests(Path(folder)), [])
            program.write_bytes(b"-e\tempty\0-i\tnumber\0")
            # Below another folder, and with all that it is asked for.
            other = Path(folder) / "x86" / "svm_ga_log_test"
            other.parent.mkdir()
            other.write_bytes(b"".join(b"-%c\thelp\0" % c for c in b"dik"))
            tests = {test.name: test.command for test in run.device_tests(Path(folder))}
            self.assertEqual(tests["svm_ga_log_test,device,-k20"], ["./x86/svm_ga_log_test", "-d", "DEVICE", "-k20"])
            self.assertEqual(set(tests), {"svm_ga_log_test,device,-k20", "svm_ga_log_test,device,-i200"})
            other.unlink()
            self.assertTrue(run.knows(program, ["-e", "-i200"]))
            self.assertFalse(run.knows(program, ["-d", "DEVICE"]))
            self.assertEqual(run.device_tests(Path(folder)), [])


class Suite(unittest.TestCase):
    def test_what_takes_a_device_is_not_run_without(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name in ("irq_test", "svm_ga_log_test"):
                (Path(folder) / name).touch(mode=0o755)
            self.assertEqual([test.name for test in run.selftests(Path(folder))], ["irq_test"])


class Posted(unittest.TestCase):
    def test_captured(self) -> None:
        """A real run: what its counts prove, and what they don't."""
        names = ["irq_test,device", "irq_test,n", "irq_test,b", "irq_test,b2", "irq_test,k"]
        rules = ktap.SplatRules.read(TOP / "ci/run/splats")
        text = (TOP / "tests/captured/device.ktap").read_text()
        for name, want, status in (
            ("irq_test,device", "on,host_irqs=0", "timeout"),
            ("irq_test,n", "on,host_irqs=100", "pass"),
            ("irq_test,n", "on,host_irqs=0", "fail"),
            ("irq_test,b", "on,host_irqs=0,ga_log>=900", "pass"),
            ("irq_test,b", "on,host_irqs=0,ga_log>=991", "fail"),
            ("irq_test,b2", "on,host_irqs=0,ga_log=1002", "pass"),
            ("irq_test,k", "on", "pass"),
        ):
            results = {r.name: r for r in ktap.read_ktap(text, {"posted": names}, rules)}
            ktap.prove(results[name], want)
            self.assertEqual(results[name].status, status, (name, want))

    def test_a_count_that_nobody_took(self) -> None:
        result = Result("l", "t", "pass", counts={"load": 7})
        ktap.prove(result, "on,host_irqs=0")
        self.assertEqual(result.status, "fail")


if __name__ == "__main__":
    unittest.main()
