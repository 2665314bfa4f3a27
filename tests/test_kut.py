# SPDX-License-Identifier: GPL-2.0
"""kvm-unit-tests and other guests of the machine: what is run of a checkout, how, and what comes of it."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from project import TOP
from avic import inner, ktap, kut, results
from avic.costs import Policy as Costs
from avic.ktap import Result
from avic.results import Column, Suite

RULES = ktap.SplatRules.read(TOP / "ci/run/splats")
# In the form of theirs; the words are ours.
CONFIGS = """\
# a comment
[one]
file = one.flat
smp = 2
test_args = "first second"
qemu_params = -cpu max,+svm -m 4g
arch = x86_64
groups = apic

[two]
file = two.flat
test_args = "10 `date +%s`"
check = /sys/module/kvm/parameters/a=Y /proc/b=0

[old]
file = old.flat
arch = i386

[by_hand]
file = one.flat
groups = a nodefault

[vmx_first]
file = vmx.flat
"""


class Scratch(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="avic-kut."))
        self.addCleanup(shutil.rmtree, self.folder)

    def policy(self, text: str) -> kut.Policy:
        path = self.folder / "kut"
        path.write_text(text)
        return kut.Policy.read(path)

    def refused(self, status: int, call: object, *arguments: object) -> str:
        """What a function says that exits."""
        said = io.StringIO()
        with contextlib.redirect_stderr(said), self.assertRaises(SystemExit) as left:
            call(*arguments)  # type: ignore[operator]
        self.assertEqual(left.exception.code, status)
        return said.getvalue()


class Choice(Scratch):
    def choose(self, text: str) -> inner.Guests:
        for name in ("one.flat", "two.flat"):
            (self.folder / name).write_text(name)
        return kut.choose(text, kut.Policy.read(), self.folder)

    def test_what_is_run_and_what_not(self) -> None:
        found = self.choose(CONFIGS)
        self.assertEqual([test.name for test in found.tests], ["kut/one", "kut/two"])
        self.assertEqual(found.tests[0].command, ["../inner/run", "kut/one"])
        self.assertEqual(found.what, {"no kut": "old by_hand vmx_first (ci/inner/kut)"})
        self.assertEqual(sorted(found.files), ["one.flat", "two.flat"])

    def test_options(self) -> None:
        """Each word as it is, blanks within; memory that the machine lacks is not reserved."""
        cases = self.choose(CONFIGS).cases
        one = [line.partition(" ")[2] for line in cases["kut/one"].splitlines()]
        at = one.index("-kernel")
        want = ["-kernel", "files/one.flat", "-smp", "2", "-append", "first second", "-cpu", "max,+svm", "-m", "4g"]
        self.assertEqual(one[at : at + len(want)], want)
        self.assertIn("memory-backend-ram,id=ram,size=4g,reserve=off", one)
        two = cases["kut/two"].splitlines()
        self.assertEqual(two[:2], ["check /sys/module/kvm/parameters/a=Y", "check /proc/b=0"])
        self.assertIn("qemu 10 `date +%s`", two)
        self.assertNotIn("memory-backend", cases["kut/two"])

    def test_what_cannot_be_understood(self) -> None:
        for text in (
            "", "file = x.flat\n", "[one]\nsmp = 1\n", "[one]\nwhatever\n",
            "[one]\nfile = one.flat\nqemu_params = \"\"\"-cpu\n",
            "[one]\nfile = one.flat\ntest_args = `reboot`\n",
            "[one]\nfile = one.flat\ntest_args = $HOME\n",
            "[one]\nfile = none.flat\n",
        ):  # fmt: skip
            with self.subTest(text), self.assertRaises(ValueError):
                self.choose(text)


class PolicyFile(Scratch):
    def test_ours_has_a_line_for_each(self) -> None:
        policy = kut.Policy.read()
        self.assertEqual(policy.rule("x2apic")[1:], ("on", ""))
        self.assertEqual(policy.rule("whatever")[1:], ("-", ""))
        self.assertIn("Intel", policy.rule("vmx_first")[2])

    def test_lines_that_are_none(self) -> None:
        for line in (
            "test a b on ## why", "test a 1 maybe ## why", "test a 1 ## why", "leave a b ## why",
            "known v6.12 * a ( ## why", "less a 1 2 ## why", "less a 2 ## why", "other a ## why", "leave a",
        ):  # fmt: skip
            with self.subTest(line):
                self.refused(1, self.policy, f"{line}\n")

    def test_known_is_by_base_lane_and_test(self) -> None:
        policy = self.policy("known v6* avic=1* x2apic self ipi .* ## why\n")
        for base, lane, test, number in (
            ("v6.12", "avic=1,x2avic", "x2apic", 1), ("v7.3", "avic=1", "x2apic", 0),
            ("v6.12", "avic=0", "x2apic", 0), ("v6.12", "avic=1", "xapic", 0),
        ):  # fmt: skip
            with self.subTest(base, lane=lane, test=test):
                self.assertEqual(len(policy.expected(base, lane, test)), number)


class Checkout(Scratch):
    """A toy of theirs, in the form of theirs."""

    def setUp(self) -> None:
        super().setUp()
        self.theirs = self.folder / "theirs"
        (self.theirs / "x86").mkdir(parents=True)
        (self.theirs / "x86/unittests.cfg").write_text(CONFIGS)
        (self.theirs / "configure").write_text("#!/bin/sh\ntouch config.mak\n")
        (self.theirs / "configure").chmod(0o755)
        (self.theirs / "Makefile").write_text("all: config.mak\n\tfor f in one two; do cat text >x86/$$f.flat; done\n")
        (self.theirs / "text").write_text("committed, 1000 times\n")
        (self.theirs / ".gitignore").write_text("*.flat\nconfig.mak\n")
        self.git("init", "--quiet")
        self.git("add", "--all")
        self.git("-c", "user.name=n", "-c", "user.email=e", "commit", "--quiet", "--message=m")
        cache = mock.patch.object(kut, "CACHE", self.folder / "cache")
        cache.start()
        self.addCleanup(cache.stop)

    def git(self, *words: str) -> str:
        return subprocess.run(["git", "-C", self.theirs, *words], check=True, stdout=subprocess.PIPE, text=True).stdout

    def built(self) -> Path:
        with contextlib.redirect_stderr(io.StringIO()):
            return kut.built(self.theirs, self.policy("less text 1000 10 ## why\n"))

    def test_built_beside_it(self) -> None:
        """Nothing in it changes, what the user has built there is not taken, and what the user has edited is."""
        (self.theirs / "x86/one.flat").write_text("the user's own\n")
        before = {path: path.stat().st_mtime_ns for path in self.theirs.rglob("*") if ".git" not in path.parts}
        first = self.built()
        self.assertEqual((first / "one.flat").read_text(), "committed, 10 times\n")
        self.assertEqual(sorted(path.name for path in first.iterdir()), ["one.flat", "two.flat", "unittests.cfg"])
        after = {path: path.stat().st_mtime_ns for path in self.theirs.rglob("*") if ".git" not in path.parts}
        self.assertEqual(after, before)
        self.assertEqual(self.built(), first)
        self.assertNotIn("dirty", kut.version(self.theirs))
        (self.theirs / "text").write_text("edited, 1000 + 10000\n")
        self.assertEqual((self.built() / "two.flat").read_text(), "edited, 10 + 10000\n")
        self.assertIn("dirty", kut.version(self.theirs))

    def test_that_does_not_build(self) -> None:
        (self.theirs / "Makefile").write_text("all:\n\techo broken; false\n")
        self.assertIn("do not build", self.refused(1, kut.built, self.theirs, kut.Policy()))
        self.assertEqual([path.name for path in (self.folder / "cache/kut").iterdir()], ["build.log"])

    def test_a_number_that_is_gone(self) -> None:
        """Else a test would take hours again."""
        (self.theirs / "text").write_text("10000\n")
        policy = self.policy("less text 1000 10 ## why\n")
        self.assertIn("text has no 1000: mend the line", self.refused(1, kut.built, self.theirs, policy))

    def test_none(self) -> None:
        with mock.patch.dict(os.environ, {"KUT": ""}):
            self.assertIsNone(kut.checkout())
        for name in (self.folder, self.folder / "nothing"):
            with mock.patch.dict(os.environ, {"KUT": str(name)}):
                self.assertIn("no checkout", self.refused(2, kut.checkout))
        with mock.patch.dict(os.environ, {"KUT": str(self.theirs)}):
            self.assertEqual(kut.checkout(), self.theirs.resolve())

    def test_pinned(self) -> None:
        """The commit that the file names, and no newer one; once."""
        commit = self.git("rev-parse", "HEAD").strip()
        (self.theirs / "text").write_text("newer\n")
        self.git("-c", "user.name=n", "-c", "user.email=e", "commit", "--quiet", "--all", "--message=newer")
        source = self.folder / "kut-source"
        source.write_text(f"# why\nFrom: file://{self.theirs}\nCommit: {commit}\n")
        with contextlib.redirect_stderr(io.StringIO()):
            folder = kut.pinned(source)
        self.assertEqual((folder / "text").read_text(), "committed, 1000 times\n")
        self.assertEqual(kut.version(folder), commit[:7])
        shutil.rmtree(self.theirs)
        self.assertEqual(kut.pinned(source), folder)

    def test_pinned_that_cannot_be_had(self) -> None:
        """No such commit, nobody who answers, a file that says nothing: nothing is left behind."""
        source = self.folder / "kut-source"
        for address, commit in ((f"file://{self.theirs}", "0" * 40), ("git://127.0.0.1:1/kut", "1" * 40)):
            source.write_text(f"From: {address}\nCommit: {commit}\n")
            self.assertIn(f"can't be had from {address}: ", self.refused(1, kut.pinned, source))
        for text in (f"From: file://{self.theirs}\n", f"From: file://{self.theirs}\nCommit: HEAD\n"):
            source.write_text(text)
            self.assertIn("want 'From: ADDRESS'", self.refused(1, kut.pinned, source))
        self.assertEqual(list((self.folder / "cache").rglob("source-*")), [])


class InTheMachine(Scratch):
    """ci/inner/run with busybox, as in the machine; in the place of QEMU and its loader is a shell script."""

    def run_case(self, qemu: str, case: str = "qemu -cpu\nqemu a b\n") -> tuple[int, list[str]]:
        """The exit status and what it prints.  qemu: shell text; its arguments are those of QEMU."""
        (self.folder / "lib").mkdir(exist_ok=True)
        (self.folder / "cases").mkdir(exist_ok=True)
        (self.folder / "bin").mkdir(exist_ok=True)
        for name in ("sh", "usleep", "sleep", "grep", "sed", "head", "tail", "date", "cat", "mkdir", "touch"):
            (self.folder / "bin" / name).unlink(missing_ok=True)
            (self.folder / "bin" / name).symlink_to(shutil.which("busybox") or "busybox")
        loader = self.folder / "lib/ld.so"
        # Of the option for the log its last word is the file, where QEMU writes what it also prints.
        loader.write_text(
            '#!/bin/sh\nfor word; do case $word in stdio,*logfile=*) log=${word##*logfile=} ;; esac; done\n'
            f'{{\n{qemu}\n}} >"$log"\nstatus=$?\ncat "$log"\nexit $status\n'
        )
        loader.chmod(0o755)
        (self.folder / "cases/a").write_text(case)
        shutil.copy(TOP / "ci/inner/run", self.folder)
        done = subprocess.run(
            [self.folder / "bin/sh", self.folder / "run", "a"], env={"PATH": f"{self.folder}/bin"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=60,
        )  # fmt: skip
        return done.returncode, done.stdout.decode().rstrip("\n").split("\n")

    def test_words_reach_qemu_as_they_are(self) -> None:
        status, said = self.run_case(
            'for word; do echo "<$word>"; done; (exit 1)', "qemu -append\nqemu a  *  b\nqemu `date +%s`\n"
        )
        self.assertEqual(status, 0, said)
        self.assertIn("<a  *  b>", said)
        self.assertRegex("\n".join(said), r"<\d{10}>")

    def test_its_end(self) -> None:
        for qemu, want, last in (
            ("echo 'PASS: x'; (exit 1)", 0, "inner: QEMU ended with 1, failures: 0"),
            ("echo 'FAIL: x'; (exit 3)", 1, "FAIL: x"),
            ("printf 'SKIP: no VMX\\r\\n'; (exit 77)", 4, "1..0 # SKIP no VMX"),
            ("echo no such CPU >&2; (exit 1)", 1, "inner: QEMU failed"),
            ("echo 'qemu: warning: TCG' >&2; (exit 1)", 0, "inner: QEMU ended with 1, failures: 0"),
            ("true", 1, "inner: QEMU ended with 0, failures: 0"),
        ):  # fmt: skip
            with self.subTest(qemu):
                status, said = self.run_case(qemu)
                self.assertEqual((status, said[-1]), (want, last), said)

    def test_a_check_that_fails_skips(self) -> None:
        (self.folder / "p").write_text("N\n")
        status, said = self.run_case("(exit 1)", f"check {self.folder}/p=Y\n")
        self.assertEqual((status, said), (4, [f"1..0 # SKIP {self.folder}/p is not Y"]))
        self.assertEqual(self.run_case("(exit 1)", f"check {self.folder}/p=N\n")[0], 0)

    def test_what_is_wanted(self) -> None:
        status, said = self.run_case("echo 'Shell> '; exec sleep 1000", "want Shell>\n")
        self.assertEqual((status, said[-1]), (0, "inner: it said 'Shell>'"))
        status, said = self.run_case("echo other; (exit 0)", "want Shell>\n")
        self.assertEqual(status, 1)
        self.assertIn("had not said 'Shell>'", said[-1])


class Captured(Scratch):
    """What they said on v6.12's stack, 29 November 2026; the run was ended in the middle of a test."""

    LANE = "avic=1,x2avic"
    KNOWN = "TMCCT should have a non-zero value", "TMCCT should be reset to the initial-count"

    def results(self, text: str = "") -> dict[str, Result]:
        text = text or (TOP / "tests/captured/kut.ktap").read_text(errors="surrogateescape")
        names = re.findall(r"^    # start (\S+)", text, re.MULTILINE)
        return {each.name: each for each in ktap.read_ktap(text, {self.LANE: names}, RULES)}

    def settled(self, name: str, policy: str = "", lines: slice = slice(None)) -> Result:
        result = self.results()[name]
        result.log = result.log[lines]
        kut.settle(result, "v6.12", self.policy(policy))
        return result

    def test_all_of_them(self) -> None:
        """By the project's list; what fails besides is named, and nothing else of it is taken for a pass."""
        found = self.results()
        policy = kut.Policy.read()
        for result in found.values():
            kut.settle(result, "v6.12", policy)
        self.assertEqual(found["kut/vmexit_ipi"].status, "pass")
        self.assertEqual(found["kut/ioapic"].failing, [])
        self.assertEqual(found["kut/xapic"].status, "timeout")
        # Its reason had a CR then, which damaged it; the other one's is of ci/inner/run.
        self.assertEqual(found["kut/pks"].status, "error")
        self.assertEqual(found["kut/vmware_backdoors"].status, "skip")
        self.assertEqual(found["kut/asyncpf"].status, "fail")
        self.assertEqual((found["kut/x2apic"].status, found["kut/x2apic"].failing), ("pass", list(self.KNOWN)))
        self.assertEqual(found["kut/x2apic"].note, "2 cases fail, as ci/inner/kut says")
        self.assertIn("1 cases fail: Expected #GP", found["kut/msr"].note)

    def test_cases_that_fail(self) -> None:
        result = self.settled("kut/x2apic")
        self.assertEqual(result.status, "fail")
        self.assertEqual(result.note, f"2 cases fail: {'; '.join(self.KNOWN)}")
        result = self.settled("kut/x2apic", f"may * * x2apic {self.KNOWN[0]} ## why\n")
        self.assertEqual((result.status, result.note), ("fail", f"1 cases fail: {self.KNOWN[1]}"))

    def test_known_ones(self) -> None:
        known = "".join(f"known v6.12 * x2apic {case} ## why\n" for case in self.KNOWN)
        result = self.settled("kut/x2apic", known)
        self.assertEqual((result.status, result.failing), ("pass", list(self.KNOWN)))
        other = self.settled("kut/x2apic", f"{known}known * * x2apic other ## why\n")
        gone = "'other' does not fail any more: remove it from ci/inner/kut"
        self.assertEqual((other.status, other.note), ("fail", gone))
        self.assertEqual(self.settled("kut/x2apic", f"{known}may * * x2apic other ## why\n").status, "pass")
        # Where all is well an entry is too much as well.
        self.assertEqual(self.settled("kut/ioapic", "known * * ioapic other ## why\n").status, "fail")
        self.assertEqual(self.settled("kut/ioapic", "known * avic=0 ioapic other ## why\n").status, "pass")

    def test_cut_short(self) -> None:
        """Lines that are missing are no pass, and no known failure."""
        known = "".join(f"may * * x2apic {case} ## why\n" for case in self.KNOWN)
        self.assertEqual(self.settled("kut/x2apic", known, slice(None, -4)).status, "fail")
        result = self.settled("kut/x2apic", known, slice(None, -2))
        self.assertEqual((result.status, result.note), ("fail", "2 cases fail, only 1 of them are in the log"))
        result = self.settled("kut/ioapic", "", slice(None, -2))
        self.assertEqual((result.status, result.note), ("error", "passed, but its end is not there"))

    def test_expected_failures_and_unexpected_passes(self) -> None:
        """Of a smptest in which all that theirs can report is reported: PASS, FAIL, XFAIL, XPASS and SKIP."""
        text = (TOP / "tests/captured/kut-xfail.ktap").read_text(errors="surrogateescape")
        result = self.results(text)["kut/smptest"]
        said = [line.split(":")[0] for line in result.log]
        self.assertLessEqual({"PASS", "FAIL", "XFAIL", "XPASS", "SKIP"}, set(said))
        kut.settle(result, "v6.12", self.policy(""))
        self.assertEqual((result.status, result.failing), ("fail", ["wanted", "no more"]))
        self.assertEqual(result.note, "2 cases fail: wanted; no more")

    def test_a_machine_that_ended_early(self) -> None:
        text = (TOP / "tests/captured/kut.ktap").read_text()
        last = re.findall(r"^    # start (\S+)", text, re.MULTILINE)[-1]
        self.assertNotIn(self.results()[last].status, ("pass", "fail", "skip"))

    def test_a_line_lost_on_the_way(self) -> None:
        text = (TOP / "tests/captured/kut.ktap").read_text()
        line = f"    #o FAIL: {self.KNOWN[1]}\n"
        result = self.results(text.replace(line, "", 1))["kut/x2apic"]
        kut.settle(result, "v6.12", kut.Policy.read())
        self.assertEqual(result.status, "error")


class Judged(unittest.TestCase):
    def judge(self, base: Result, stack: Result, again: tuple[list[Result], list[Result]] = ([], [])) -> list[str]:
        good = Result("l", "good", "pass")
        looks = [Column(level, found) for level, found in zip(("base", "stack"), again)] if again[0] else []
        suite = Suite({}, Column("base", [base, good]), Column("stack", [stack, good]), looks, [])
        found = results.judge_suite(suite, "v6.12", [], Costs(TOP / "ci/run/costs"))
        return [each.kind for each in found]

    def failed(self, *cases: str, name: str = "kut/a") -> Result:
        return Result("l", name, "fail" if cases else "pass", failing=list(cases))

    def test_another_case_that_fails_is_worse(self) -> None:
        self.assertEqual(self.judge(self.failed("x"), self.failed("x")), ["known"])
        self.assertEqual(self.judge(self.failed("x", "y"), self.failed("x")), ["known"])
        self.assertEqual(self.judge(self.failed("x at 0x10"), self.failed("x at 0x20")), ["known"])
        self.assertIn("worse", self.judge(self.failed("x"), self.failed("x", "y")))

    def test_a_second_look_is_at_that_case(self) -> None:
        def again(*cases: str) -> list[Result]:
            return [self.failed(*cases, name=f"kut/a@{n}") for n in (1, 2, 3)]

        pair = self.failed("x"), self.failed("x", "y")
        self.assertIn("worse", self.judge(*pair, (again("x"), again("x", "y"))))
        self.assertIn("unsteady", self.judge(*pair, (again("x"), again("x"))))
        self.assertIn("unsteady", self.judge(*pair, (again("y"), again("y"))))

    def test_what_is_known_is_named(self) -> None:
        known = Result("l", "kut/a", "pass", failing=["x"])
        self.assertEqual(self.judge(known, known), ["known"])


if __name__ == "__main__":
    unittest.main()
