# SPDX-License-Identifier: GPL-2.0
"""scripts/avic/ktap.py and scripts/avic/summary.py, on logs captured from real runs (tests/captured)."""

import re
import shutil
import tempfile
import unittest
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path


from project import TOP
from avic import costs, ktap, results, summary
from avic.ktap import Result, SplatRules, read_ktap, worse
from avic.plan import Plan
from avic.results import Column
from avic.runners.emulator import Watch

RULES = SplatRules.read(TOP / "ci/run/splats")
PLAN = {"l": ["before", "bad", "after"]}


def captured(name: str, plan: dict[str, list[str]] = PLAN) -> dict[str, Result]:
    text = (TOP / "tests/captured" / name).read_text()
    return {result.name: result for result in read_ktap(text, plan, RULES)}


class ReadKtap(unittest.TestCase):
    def statuses(self, name: str) -> list[str]:
        return [result.status for result in captured(name).values()]

    def test_five_troubles_are_five_results(self) -> None:
        self.assertEqual(self.statuses("fail.ktap"), ["pass", "fail", "pass"])
        self.assertEqual(self.statuses("timeout.ktap"), ["pass", "timeout", "pass"])
        self.assertEqual(self.statuses("splat.ktap"), ["pass", "splat", "pass"])
        self.assertEqual(self.statuses("panic.ktap"), ["pass", "panic", "not-run"])
        self.assertEqual(self.statuses("hang.ktap"), ["pass", "hang", "not-run"])
        self.assertEqual(self.statuses("boot.ktap"), ["not-run"] * 3)

    def test_what_the_test_said_is_kept(self) -> None:
        self.assertEqual(captured("fail.ktap")["bad"].log, ["went wrong"])
        self.assertIn("WARNING: CPU", captured("splat.ktap")["bad"].note)
        self.assertIn("sysrq triggered crash", captured("panic.ktap")["bad"].note)

    def test_skip_has_a_reason(self) -> None:
        suite = (TOP / "tests/captured/suite.ktap").read_text()
        names = re.findall(r"^    # start (\S+)", suite, re.MULTILINE)
        result = captured("suite.ktap", {"avic=0": names})["guest_memfd_test"]
        self.assertEqual(result.status, "skip")
        self.assertIn("KVM_CAP_GUEST_MEMFD", result.note)

    def test_a_pass_without_avic_is_a_failure(self) -> None:
        active = {"load": 7, "incomplete_ipi": 2}
        for want, avic, status in (
            ("on", active, "pass"),
            ("on", {"load": 0, "incomplete_ipi": 0}, "fail"),
            ("on", {}, "pass"),  # a lane without AVIC
            ("off", active, "fail"),
            ("off", {"load": 7, "incomplete_ipi": 0}, "pass"),
            ("-", {"load": 0, "incomplete_ipi": 0}, "pass"),
        ):
            result = Result("l", "t", "pass", counts=avic)
            ktap.prove(result, want)
            self.assertEqual(result.status, status, (want, avic))

    def test_a_pass_that_nobody_counted(self) -> None:
        for counts, avic, status in (
            ({}, True, "error"),
            ({"exits": 1}, True, "error"),
            ({"load": 1}, True, "error"),
            ({"load": 1, "exits": 0}, True, "pass"),
            ({"exit_msr": 1}, False, "error"),
            ({"exits": 0}, False, "pass"),
            ({"load": 1, "exits": 9, "dropped": 2}, True, "error"),
        ):
            result = Result("l", "t", "pass", counts=counts)
            ktap.prove(result, "-", avic)
            self.assertEqual(result.status, status, counts)

    def test_what_avic_did_is_read(self) -> None:
        results = captured("avic.ktap", {"avic=1,x2avic": ["x86_64/xapic_ipi_test", "x86_64/set_boot_cpu_id"]})
        self.assertGreater(results["x86_64/xapic_ipi_test"].avic["incomplete_ipi"], 0)
        self.assertGreater(results["x86_64/set_boot_cpu_id"].avic["load"], 0)

    def test_a_cut_log_loses_no_test_in_silence(self) -> None:
        text = (TOP / "tests/captured/fail.ktap").read_text()
        for end in range(0, len(text), 7):
            results = read_ktap(text[:end], PLAN, RULES)
            self.assertEqual([r.name for r in results if r.name in PLAN["l"]], PLAN["l"])
        self.assertEqual({r.status for r in read_ktap("", PLAN, RULES)}, {"not-run"})

    def test_module_that_does_not_load(self) -> None:
        block = ["    not ok 1 one # ERROR cannot load kvm-amd.ko"]
        load, unload = ([line for line in ["    # taint: 0"]] for _ in range(2))
        text = "\n".join([
            "KTAP version 1", "1..1", "    KTAP version 1", "    1..1",
            *load, f"    # sum {ktap.sum_of('l', '(load)', load)}",
            *block, f"    # sum {ktap.sum_of('l', 'one', block)}",
            *unload, f"    # sum {ktap.sum_of('l', '(unload)', unload)}",
            "not ok 1 l # ERROR cannot load kvm-amd.ko", "# plan done", "",
        ])  # fmt: skip
        results = read_ktap(text, {"l": ["one"]}, RULES)
        self.assertEqual([(r.name, r.status) for r in results], [("(lane)", "error"), ("one", "error")])


class Detections(unittest.TestCase):
    """What the emulated machine's strict mode has detected."""

    def blamed(self, strict: str) -> list[tuple[str, str]]:
        results = captured("timeout.ktap")
        ktap.blame(list(results.values()), PLAN, RULES, strict)
        return [(result.status, result.note) for result in results.values()]

    def test_nothing(self) -> None:
        self.assertEqual([status for status, _ in self.blamed("")], ["pass", "timeout", "pass"])

    def test_goes_to_the_test_in_which_it_was_seen(self) -> None:
        found = self.blamed("0 strict: CPU 1: one\n2 strict: IOMMU: two\n9 strict: IOMMU: three\n")
        self.assertEqual(found[0], ("splat", "strict: CPU 1: one"))
        self.assertEqual(found[1][0], "timeout")
        self.assertEqual(found[2], ("splat", "strict: IOMMU: two"))

    def test_a_hang_stays_one(self) -> None:
        results = captured("hang.ktap")
        ktap.blame(list(results.values()), PLAN, RULES, "1 strict: CPU 0: what\n")
        self.assertEqual(results["bad"].status, "hang")
        self.assertIn("strict: CPU 0: what", results["bad"].kernel)

    def test_written_down_while_it_runs(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            watch = Watch(out, Plan(["avic"], []))
            (out / "qemu").write_text("other\nstrict: one\nstrict: hal")
            (out / "ktap").write_text("KTAP version 1\n    ok 1 first # 1s\n")
            watch.verdict(True)
            (out / "qemu").write_text("other\nstrict: one\nstrict: half\n")
            (out / "ktap").write_text("KTAP version 1\n    ok 1 first # 1s\n    ok 2 second # 1s\n")
            watch.verdict(True)
            watch.verdict(True)
            self.assertEqual((out / "strict").read_text(), "1 strict: one\n2 strict: half\n")


class Damage(unittest.TestCase):
    """What a serial line loses, or adds, never makes a result better (F14, F15)."""

    text = (TOP / "tests/captured/fail.ktap").read_text()

    def read(self, text: str) -> dict[str, str]:
        return {r.name: r.status for r in read_ktap(text, PLAN, RULES)}

    def test_undamaged(self) -> None:
        self.assertEqual(self.read(self.text), {"before": "pass", "bad": "fail", "after": "pass"})

    def test_four_bytes_lost_anywhere(self) -> None:
        for at in range(len(self.text) - 4):
            found = self.read(self.text[:at] + self.text[at + 4 :])
            self.assertNotIn(found["bad"], ("pass", "skip"), at)

    def test_a_line_lost_anywhere(self) -> None:
        """If a line is lost, its test or lane has no result; only lines beside the tests may be missing."""
        lines = self.text.split("\n")
        for number, line in enumerate(lines):
            found = self.read("\n".join(lines[:number] + lines[number + 1 :]))
            beside = ("", "KTAP version 1", "    KTAP version 1", "1..1")
            if line not in beside and not line.startswith("    # start "):
                wrong = {"error", "not-run"} & set(found.values())
                self.assertTrue(wrong, line)

    def test_what_a_terminal_would_obey(self) -> None:
        """In a test's name; a result's line with such a character is a damaged one."""
        running = ktap.Progress.of(self.text.partition("    # sum ")[0] + "\n    # start \x1b[2Jone\n")
        self.assertEqual(running.test, "?[2Jone")

    def test_a_damaged_skip_is_no_pass(self) -> None:
        for line in ("ok 3 after # SKIP no AVIC", "ok 3 after # KIP no AVIC", "ok 3 after"):
            block = ["    # taint: 0", f"    {line}"]
            text = self.text.replace("\n".join(["    # taint: 0", "    ok 3 after # 0s"]), "\n".join(block))
            text = re.sub(r"(ok 3 after.*\n    # sum )\w+", rf"\g<1>{ktap.sum_of('l', 'after', block)}", text)
            self.assertEqual(self.read(text)["after"], "skip" if "SKIP" in line else "error")

    def test_the_kernels_own_lines_between_ours(self) -> None:
        """On a machine with one serial line, after a splat has made the kernel loud."""
        loud = self.text.replace("\n", "\n[   12.345678] tsc: unstable\r\n")
        self.assertEqual(self.read(loud), self.read(self.text))
        cut = self.text.replace("exit status 254", "exit [  12.3] tsc: unstable\nstatus 254")
        self.assertEqual(self.read(cut)["bad"], "error")

    def test_what_a_test_says_is_not_ours(self) -> None:
        """F15: it can neither wipe its log, nor count, nor bail out, nor end a lane."""
        said = ["assertion failed", "start of phase 2", "avic: load=5", "# counts: load=5", "Bail out! x: y",
                "ok 9 l", "    ok 2 bad # 1s", "# sum 0000", "\x1b[31mred\x07"]  # fmt: skip
        block = [*(f"    #o {line}" for line in said), "    # taint: 0", "    not ok 2 bad # exit status 254"]
        old = ["    #o went wrong", "    # taint: 0", "    not ok 2 bad # exit status 254"]
        text = self.text.replace("\n".join(old), "\n".join(block))
        text = text.replace(ktap.sum_of("l", "bad", old), ktap.sum_of("l", "bad", block))
        bad = next(r for r in read_ktap(text, PLAN, RULES) if r.name == "bad")
        self.assertEqual((bad.status, bad.log[0], bad.counts), ("fail", "assertion failed", {}))
        self.assertEqual((bad.log[-1], len(bad.log)), ("?[31mred?", len(said)))
        self.assertEqual(self.read(text), self.read(self.text))
        self.assertEqual(ktap.Progress.of(text).bail, "")

    def test_lanes_that_do_not_add_up(self) -> None:
        for old, new in (
            ("    1..3", "    1..4"),
            ("\nnot ok 1 l\n", "\nok 1 l\n"),
            ("\nnot ok 1 l\n", "\nnot ok 1 l # ERROR cannot unload kvm\n"),
        ):
            self.assertEqual(self.read(self.text.replace(old, new)).get("(lane)"), "error", new)

    def test_what_comes_after_the_last_test(self) -> None:
        """A panic at rmmod, a machine that does not end, a second run behind the first."""
        cut = self.text[: self.text.rindex("    # taint")]
        for text, status in (
            (cut, "error"),
            (f"{cut}\nBail out! panic: Kernel panic - not syncing (between tests)\n", "panic"),
            (f"{self.text}\nBail out! hang: the guest did not power off\n", "hang"),
            (self.text + self.text, "error"),
        ):
            self.assertEqual(self.read(text).get("(lane)"), status)

    def test_a_taint_counts_once(self) -> None:
        """A report of KASAN taints the kernel as well, and it stays tainted: that is no second splat."""
        text = (TOP / "tests/captured/kasan.ktap").read_text()
        (result,) = read_ktap(text, {"level-2": ["irq_test:-d,DEVICE,-k,100"]}, RULES)
        self.assertEqual((result.name, result.status), ("irq_test:-d,DEVICE,-k,100", "splat"))
        self.assertIn("BUG: KASAN: slab-use-after-free in kvm_vcpu_wake_up", result.note)

    def test_a_taint_is_a_splat(self) -> None:
        """Also where no line of the kernel's log says anything."""
        for taint, status in ((512, "splat"), (4096, "fail")):
            old = ["    #o went wrong", "    # taint: 0", "    not ok 2 bad # exit status 254"]
            new = [old[0], f"    # taint: {taint}", old[2]]
            text = self.text.replace("\n".join(old), "\n".join(new))
            text = text.replace(ktap.sum_of("l", "bad", old), ktap.sum_of("l", "bad", new))
            bad = next(r for r in read_ktap(text, PLAN, RULES) if r.name == "bad")
            self.assertEqual(bad.status, status)
            if status == "splat":
                self.assertEqual(bad.note, "the kernel is tainted: warning")


class Splats(unittest.TestCase):
    def rules(self, text: str) -> SplatRules:
        with tempfile.NamedTemporaryFile("w", suffix=".rules") as file:
            file.write(text)
            file.flush()
            return SplatRules.read(Path(file.name))

    def test_what_kernels_print(self) -> None:
        for line in (
            "[    4.2] WARNING: CPU: 0 PID: 97 at arch/x86/kvm/svm/avic.c:350 avic_vcpu_load+0x1/0x2",
            "[    4.2] BUG: KASAN: slab-use-after-free in avic_ga_log_notifier+0x1/0x2",
            "[    4.2] BUG: sleeping function called from invalid context at mm/page_alloc.c:1",
            "[    4.2] WARNING: possible circular locking dependency detected",
            "[    4.2] INFO: task kvm:12 blocked for more than 120 seconds.",
            "[    4.2] watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [sh:1]",
            "[    4.2] UBSAN: shift-out-of-bounds in arch/x86/kvm/x86.c:1:2",
            "[    4.2] Oops: Oops: 0000 [#1] SMP",
        ):
            self.assertTrue(RULES.find([line]), line)

    def test_what_is_no_splat(self) -> None:
        for line in ("[    4.2] kvm_amd: Nested Paging enabled", "[    4.2] debug: no bug here"):
            self.assertEqual(RULES.find([line]), "")

    def test_allowed_splat(self) -> None:
        rules = self.rules("splat WARNING\nallow at known.c ## why, link, when to remove\n")
        self.assertEqual(rules.find(["WARNING at known.c"]), "")
        self.assertEqual(rules.find(["WARNING at new.c"]), "WARNING at new.c")

    def test_allow_needs_a_reason(self) -> None:
        with self.assertRaisesRegex(ValueError, ":1: want"):
            self.rules("allow WARNING\n")


class Compare(unittest.TestCase):
    def pairs(self, base: str, stack: str) -> int:
        return len(worse([Result("l", "t", base)], [Result("l", "t", stack)]))

    def test_only_worse_counts(self) -> None:
        for base, stack in [("pass", "fail"), ("pass", "skip"), ("fail", "timeout"),
                            ("fail", "panic"), ("skip", "splat"), ("pass", "not-run")]:  # fmt: skip
            self.assertEqual(self.pairs(base, stack), 1, (base, stack))
            self.assertEqual(self.pairs(stack, base), 0, (stack, base))
        for status in ktap.STATUSES:
            self.assertEqual(self.pairs(status, status), 0)

    def test_lost_and_new_tests(self) -> None:
        test = Result("l", "t", "pass")
        self.assertEqual(worse([test], [])[0][1].status, "not-run")
        self.assertEqual(worse([], [test]), [])
        self.assertEqual(len(worse([], [Result("l", "t", "fail")])), 1)


class Report(unittest.TestCase):
    def write(
        self,
        base: list[Result],
        stack: list[Result],
        *again: list[Result],
        policy: str = "",
        judgements: Sequence[results.Judgement] = (),
    ) -> tuple[str, ET.Element]:
        root = Path(tempfile.mkdtemp(prefix="avic-report."))
        self.addCleanup(shutil.rmtree, root)
        for name in ("plan", "ktap", "console", "when"):
            (root / name).write_text("")
        (root / "costs").write_text(policy)
        suite = results.Suite(
            {"base": "v"}, Column("base", base, ["m"]), Column("stack", stack, ["m"]),
            [Column("again", results) for results in again], [],
        )  # fmt: skip
        suite.judgements = results.judge_suite(suite, "v9", ["avic=1"], costs.Policy(root / "costs"))
        suite.judgements += judgements
        summary.write(root / "report", suite, {"base.m": root, "stack.m": root}, [])
        self.assertEqual(results.Suite.read(root / "report"), suite)
        text = (root / "report/summary.txt").read_text()
        return text, ET.parse(root / "report/junit.xml").getroot()

    def test_known_failure_is_named_but_green(self) -> None:
        base = [Result("l", "good", "pass"), Result("l", "t", "fail")]
        text, junit = self.write(base, base)
        self.assertIn("known    l t: fail on the base too", text)
        self.assertIn("verdict  nothing got worse", text)
        self.assertEqual(junit.findall(".//failure"), [])

    def test_worse_is_red_and_named(self) -> None:
        text, junit = self.write(
            [Result("l", "t", "pass"), Result("l", "good", "pass")],
            [Result("l", "t", "panic", "Kernel panic"), Result("l", "good", "pass")],
        )
        self.assertIn("worse    l t: pass -> panic: Kernel panic", text)
        self.assertIn("verdict  WORSE: l t", text)
        failed = {(case.get("classname"), case.get("name")): case.find("failure").get("type")
                  for case in junit.iter("testcase") if case.find("failure") is not None}  # fmt: skip
        self.assertEqual(failed, {
            ("stack.l", "t"): "panic",
            ("judge.verdict", "l:t"): "fail",
            ("judge.verdict", "stack:did:not:run:to:its:end"): "fail",
        })  # fmt: skip

    def test_a_second_look_is_shown(self) -> None:
        good = [Result("l", "t", "pass"), Result("l", "good", "pass")]
        bad = [Result("l", "t", "fail", "why"), good[1]]

        def again(*statuses: str) -> list[Result]:
            return [Result("l", f"t@{n}", status) for n, status in enumerate(statuses, 1)]

        for base, stack, verdict in (
            (("pass", "pass"), ("pass", "pass"), "nothing got worse"),
            (("pass", "fail"), ("fail", "pass"), "nothing got worse"),
            (("pass", "pass"), ("fail", "pass"), "WORSE: l t"),
            (("pass", "pass"), ("pass", "splat"), "WORSE: l t"),
        ):
            text, _ = self.write(good, bad, again(*base), again(*stack))
            word = "worse   " if "WORSE" in verdict else "unsteady"
            seen = f"again: base {' '.join(base)}, stack {' '.join(stack)}"
            self.assertIn(f"{word} l t: pass -> fail: why; {seen}\n", text)
            self.assertIn(f"verdict  {verdict}\n", text)

    def test_red_evidence_is_red(self) -> None:
        good = [Result("l", "t", "pass")]
        case = results.Case("W5", "irqwin-withdrawn", "t", "c", "why", 2, True, [], [])
        evidence = results.Evidence({}, {}, [case])
        text, _ = self.write(good, good, judgements=results.judge_evidence(evidence))
        self.assertIn("verdict  nothing got worse", text)
        case.problems.append("does not fail at 1: pass")
        text, _ = self.write(good, good, judgements=results.judge_evidence(evidence))
        self.assertIn("verdict  WORSE: evidence irqwin-withdrawn\n", text)

    def test_an_extint_that_is_lost_is_red(self) -> None:
        good = [Result("l", "t", "pass")]
        lost, kept = results.Flips(202, [], [], "an ExtINT is lost (exit 2)"), results.Flips(4, [], [], "")
        both = results.BothFlips({}, {"base": lost, "stack": kept})
        text, _ = self.write(good, good, judgements=results.judge_flips(both))
        self.assertIn("verdict  nothing got worse", text)
        both.levels["stack"] = lost
        text, _ = self.write(good, good, judgements=results.judge_flips(both))
        self.assertIn("flips    an ExtINT is lost (exit 2) on the stack\n", text)
        self.assertIn("verdict  WORSE: flips\n", text)

    def test_our_own_test_that_skips_is_red_where_avic_has_to_be_on(self) -> None:
        """That AVIC is off there may be the bug."""
        good = Result("avic=1", "good", "pass", counts={"load": 1})
        skip = Result("avic=1", "ours", "skip", "AVIC is off")
        text, _ = self.write([good], [good, skip])
        self.assertIn("worse    avic=1 ours: not there -> skip: AVIC is off\n", text)
        text, _ = self.write([good, skip], [good, skip])
        self.assertIn("verdict  nothing got worse", text)
        without = [good, Result("avic=0", "t", "pass")]
        text, _ = self.write(without, [*without, Result("avic=0", "ours", "skip", "AVIC is off")])
        self.assertIn("verdict  nothing got worse", text)

    def test_what_hardware_refuses_may_skip(self) -> None:
        good = Result("avic=1", "good", "pass", counts={"load": 1})
        text, _ = self.write([good], [good, Result("avic=1", "ours", "skip", "refused on hardware, L6: why")])
        self.assertIn("verdict  nothing got worse", text)

    def test_a_skip_is_no_acquittal(self) -> None:
        """Our own test that skips each time is no unsteady one."""
        good = Result("avic=1", "good", "pass", counts={"load": 1})
        skip = Result("avic=1", "ours", "skip", "AVIC is off")
        again = [Result("avic=1", f"ours@{n}", "skip", "AVIC is off") for n in (1, 2, 3)]
        text, _ = self.write([good], [good, skip], [], again)
        self.assertIn("verdict  WORSE: avic=1 ours", text)

    def test_what_the_second_look_must_not_acquit(self) -> None:
        """A splat counts the first time; lost machines say nothing; a flaky base is no excuse."""
        good = [Result("l", "t", "pass"), Result("l", "good", "pass")]

        def again(*statuses: str) -> list[Result]:
            return [Result("l", f"t@{n}", status) for n, status in enumerate(statuses, 1)]

        for first, base, stack in (
            ("splat", ("pass",) * 3, ("pass",) * 3),
            ("fail", ("not-run",) * 3, ("fail",) * 3),
            ("fail", ("not-run",) * 3, ("not-run",) * 3),
            ("fail", ("pass", "fail", "pass"), ("fail",) * 3),
        ):
            bad = [Result("l", "t", first, "why"), good[1]]
            text, _ = self.write(good, bad, again(*base), again(*stack))
            self.assertIn("verdict  WORSE: l t\n", text, (first, base, stack))
        beside = [*again("pass", "pass", "pass"), Result("l", "(unload)", "splat", "KASAN")]
        text, _ = self.write(good, [Result("l", "t", "fail"), good[1]], again("pass", "pass", "pass"), beside)
        self.assertIn("verdict  WORSE: l (unload)\n", text)

    def test_bad_on_both_in_different_ways(self) -> None:
        good = Result("l", "good", "pass")
        for base, stack in (
            (Result("l", "t", "timeout"), Result("l", "t", "fail", "assertion")),
            (Result("l", "t", "fail"), Result("l", "t", "skip", "AVIC is off")),
            (Result("l", "t", "splat", "WARNING: a"), Result("l", "t", "splat", "KASAN: use-after-free")),
        ):
            text, _ = self.write([base, good], [stack, good])
            self.assertIn("verdict  WORSE: l t\n", text)
        same = [Result("l", "t", "splat", f"WARNING at f+0x{n}/0x9 CPU: {n}") for n in (1, 2)]
        text, _ = self.write([same[0], good], [same[1], good])
        self.assertIn("verdict  nothing got worse", text)

    def test_a_lane_that_shows_nothing(self) -> None:
        good = Result("avic=0", "good", "pass")
        for result, name in (
            (Result("avic=1", "t", "skip"), "no test passed in avic=1"),
            (Result("avic=1", "t", "pass", counts={"load": 0}), "no AVIC in avic=1"),
        ):
            text, _ = self.write([good, result], [good, result])
            self.assertIn(f"verdict  WORSE: {name}\n", text)

    def test_more_flips_than_the_base(self) -> None:
        good = [Result("l", "t", "pass")]
        flips = {"base": results.Flips(4, [], [], ""), "stack": results.Flips(40, [], [], "")}
        text, _ = self.write(good, good, judgements=results.judge_flips(results.BothFlips({}, flips)))
        self.assertIn("verdict  WORSE: flips\n", text)

    def test_what_a_lane_costs(self) -> None:
        results = [
            Result("a", "one", "pass", "10s"), Result("a", "two", "pass", "10s"),
            Result("b", "one", "pass", "11s"), Result("b", "two", "fail", "exit status 1"),
        ]  # fmt: skip
        text, _ = self.write(results, results)
        self.assertIn("cost     b: 1.10 times the seconds of a, over 1 tests on the base", text)

    def test_base_that_hangs_is_red(self) -> None:
        good = [Result("l", "a", "pass"), Result("l", "b", "pass")]
        text, _ = self.write([good[0], Result("l", "b", "hang", "silent")], good)
        self.assertIn("verdict  WORSE: base did not run to its end", text)

    def test_nothing_passed_is_red(self) -> None:
        results = [Result("l", "t", "skip")]
        text, _ = self.write(results, results)
        self.assertIn("verdict  WORSE: no test passed in l", text)
