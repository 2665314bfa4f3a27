# SPDX-License-Identifier: GPL-2.0
"""scripts/evidence: ci/proofs, which level runs what, and when a line is red."""

import json
import re
import shutil
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from project import TOP
from avic import ktap
from avic.base import Base
from avic.cmd import evidence
from avic.ktap import Result
from avic.plan import Plan
from avic.proof import KERNELS, MACHINE, oddities, parts_of, read_proofs
from avic.runners import emulator

PROOFS = """\
# comment
fix-one    a_test  one    ## it is lost
fix-two    a_test  two    ## it hangs
plain      -       -      ## nothing to see
selftest-a a_test  -      ## all cases
"""
SLUGS = ["fix-one", "plain", "fix-two", "selftest-a"]
IDS = {"fix-one": "F1", "plain": "F3", "fix-two": "F2", "selftest-a": "T1"}
ALONE = {level: level for level in range(5)}


def rows(text: str = PROOFS, slugs: list[str] = SLUGS) -> list[object]:
    return evidence.choose(read_proofs(text, IDS), slugs)


class Proofs(unittest.TestCase):
    def test_our_own(self) -> None:
        """Each change of each base's series has an entry, and each regex compiles."""
        proofs = read_proofs((TOP / "ci/proofs").read_text())
        for proof in proofs:
            re.compile(proof.why)
        known = {slug for proof in proofs for slug in proof.slugs}
        for series in TOP.glob("patches/*/series"):
            slugs = set(Base(series.parent).slugs)
            self.assertLessEqual(slugs, known, series)

    def test_a_line_that_is_none(self) -> None:
        for line in (
            "fix-one a_test ## why",
            "fix-one a_test one",
            "fix-one a_test one ##",
            "fix-one a_test one no-such-variant ## why",
            "fix-one a_test one late-entry late-run ## why",
        ):
            with self.assertRaisesRegex(ValueError, "ci/proofs:1: .* ci/races, .* ci/emulator/oddities"):
                read_proofs(line)

    def test_a_case_with_a_device(self) -> None:
        """Arguments, and a machine and a kernel of its own."""
        proof, plain = read_proofs("f t -d,DEVICE,-k,9 kasan ## x\nf t one ## x\n")
        self.assertEqual(proof.arguments, ["-d", "DEVICE", "-k", "9"])
        self.assertEqual((proof.machine, proof.variant), (evidence.WITH_DEVICE, "kasan"))
        self.assertEqual((plain.machine, plain.variant), (MACHINE, ""))

    def test_a_blocked_vcpu_is_woken_by_the_iommu(self) -> None:
        """Where the IOMMU posts nothing, the host takes the interrupts, and the test passes."""
        blocked, other, plain = read_proofs("f t -d,DEVICE,-b ## x\nf t -d,DEVICE,-o ## x\nf t -b ## x\n")
        self.assertEqual([proof.wants for proof in (blocked, other, plain)], ["on,host_irqs=0", "on", "on"])

    def test_kernels_of_variants(self) -> None:
        """A window is widened in the modules, or else in the kernel."""
        self.assertEqual(evidence.kernel_of(""), ("emulator", "", ""))
        for config in KERNELS:
            self.assertEqual(evidence.kernel_of(config), (config, "", ""))
            self.assertTrue((TOP / f"configs/{config}.config").exists(), config)
        *kernel, diff = evidence.kernel_of("notifier")
        self.assertEqual(kernel, ["emulator", ""])
        self.assertIn("mdelay", diff)
        self.assertEqual(evidence.kernel_of("control"), ("emulator", "control", ""))

    def test_parts_of_variants(self) -> None:
        """What is built, and what QEMU does; no name stands for both."""
        late = ["-global", "amd-iommu.x-late-log-entries=on"]
        self.assertEqual(parts_of(""), ("", []))
        self.assertEqual(parts_of("control"), ("control", []))
        self.assertEqual(parts_of("late-entry"), ("", late))
        self.assertEqual(parts_of("control+late-entry"), ("control", late))
        for wrong in ("late", "late-entry+", "+late-entry", "control+status", "kasan+control", "late-entry+late-entry"):
            with self.assertRaisesRegex(ValueError, "no VARIANT"):
                parts_of(wrong)
        self.assertFalse({*oddities()} & {*KERNELS, *(path.stem for path in (TOP / "ci/races").iterdir())})

    def test_properties_of_oddities(self) -> None:
        """QEMU takes a property of the name, and a bare-metal test has it."""
        patches = "".join(path.read_text() for path in (TOP / "ci/emulator/patches").glob("*.patch"))
        tests = (TOP / "ci/emulator/tests/run").read_text()
        for name, options in oddities().items():
            for property in re.findall(r"\.([\w-]+)=", " ".join(options)):
                self.assertRegex(patches, rf'(?m)^\+ +DEFINE_PROP\w*\("{property}"', name)
                self.assertIn(f"{property}=", tests, name)

    def test_a_test_of_another_base(self) -> None:
        """Where this base's stack has no test that could tell."""
        (proof,) = read_proofs("f v7.3/t -d,DEVICE notifier ## x\n")
        self.assertEqual((proof.home, proof.test, proof.name), ("v7.3", "t", "t:-d,DEVICE"))

    def test_a_change_without_proof_is_an_error(self) -> None:
        with self.assertRaises(SystemExit):
            rows(slugs=[*SLUGS, "unknown"])

    def test_where_rows_begin(self) -> None:
        """A fix at its level and the one before, a test at its own, what the base has at 0."""
        begin = {row.proof.id: (row.first, row.fails_before) for row in rows()}
        self.assertEqual(begin, {"F1": (1, True), "F2": (3, True), "T1": (4, False)})
        begin = {row.proof.id: (row.first, row.fails_before) for row in rows(slugs=["fix-two", "selftest-a"])}
        self.assertEqual(begin, {"F1": (0, False), "F2": (1, True), "T1": (2, False)})

    def test_a_test_that_the_base_lacks(self) -> None:
        """What the base has already isn't run without it; what the stack fixes needs it."""
        self.assertEqual([row.proof.id for row in rows(slugs=["fix-two"])], ["F2"])
        self.assertEqual([row.proof.id for row in rows(PROOFS.replace(" a_test", " v7.3/a_test"), ["fix-two"])], ["F1", "F2"])

    def test_levels(self) -> None:
        """All levels, but for a variant, or if named, only those around the change, and the whole stack."""
        slugs = ["plain", "fix", "one", "two", "three"]
        line = "fix t a {} ## x\n" + "".join(f"{slug} - - ## x\n" for slug in slugs if slug != "fix")

        def levels(variant: str, slugs: list[str], chosen: bool = False) -> set[int]:
            return evidence.levels_for(rows(line.format(variant), slugs), len(slugs), chosen)

        self.assertEqual(levels("", slugs), {1, 2, 3, 4, 5})
        self.assertEqual(levels("", slugs, chosen=True), {1, 2, 5})
        self.assertEqual(levels("kasan", slugs), {1, 2, 5})
        self.assertEqual(levels("kasan", ["plain"]), {0, 1})

    def test_a_case_that_fails_anyway_before_another_change(self) -> None:
        """It begins there, on a base that never needed its own change."""
        line = "fix-one a_test - ## x\nfix-one>fix-two a_test b ## x\nplain - - ## x\n"
        for slugs, want in (
            (["plain", "fix-one", "fix-two"], (2, 3, True)),
            (["plain", "fix-one"], (2, 2, False)),
            (["plain"], (0, 0, False)),
        ):
            (row,) = (row for row in rows(line, slugs) if row.proof.slug == "fix-two")
            self.assertEqual((row.before, row.first, row.fails_before), want)


def kind(levels: dict, stands: dict[int, int]):
    return evidence.Kind("", MACHINE, Path("selftests"), levels, stands)


class Oddities(unittest.TestCase):
    LINES = """\
fix-one a_test -d,DEVICE,-b late-entry         ## x
fix-two a_test -d,DEVICE,-b                    ## y
plain   a_test -d,DEVICE,-b control+late-entry ## z
"""

    def test_only_the_proofs_own_machines_have_them(self) -> None:
        """By the plan, which is part of the key of what a run gave."""
        every = rows(self.LINES, ["fix-one", "plain", "fix-two"])
        levels = {n: evidence.Built(Path("modules"), Path("k")) for n in range(4)}
        late = ["-global", "amd-iommu.x-late-log-entries=on"]
        folder = Path(tempfile.mkdtemp(prefix="avic-oddities."))
        self.addCleanup(shutil.rmtree, folder)
        (folder / "a_test").touch()
        for variant, want in (("late-entry", late), ("", []), ("control+late-entry", late)):
            these = [row for row in every if row.proof.variant == variant]
            machines = evidence.boots(these, evidence.Kind(variant, evidence.WITH_DEVICE, folder, levels, ALONE))
            self.assertEqual(len(machines), 2)
            for boot in machines:
                plan = boot.plan()
                self.assertEqual(plan.qemu, want, boot.name)
                self.assertEqual({test.wants for test in plan.tests}, {"on,host_irqs=0"})
                self.assertEqual(Plan.read(plan.text()).text(), plan.text())
                self.assertEqual(Plan.read(plan.text()).qemu, want)
                (folder / "plan").write_text(plan.text())
                line = " ".join(emulator.machine("qemu", folder, folder))
                self.assertEqual(" ".join(late) in line, variant != "", boot.name)


class Together(unittest.TestCase):
    """Changes that show only together."""

    LINE = "fix-one+fix-two a_test one ## it is lost\nplain - - ## nothing\n"

    def begin(self, *slugs: str) -> list[tuple[str, int, int, bool]]:
        return [(r.proof.slug, r.before, r.first, r.fails_before) for r in rows(self.LINE, [*slugs])]

    def test_each_has_a_line(self) -> None:
        """It fails before the first of them, and passes from the last one on."""
        both = [("fix-one", 0, 3, True), ("fix-two", 0, 3, True)]
        self.assertEqual(self.begin("fix-one", "plain", "fix-two"), both)
        lines = [row.proof.id for row in rows(self.LINE, ["fix-one", "plain", "fix-two"])]
        self.assertEqual(lines, ["F1", "F2"])

    def test_base_has_some_of_them(self) -> None:
        self.assertEqual(self.begin("plain", "fix-two"), [("fix-two", 1, 2, True)])
        self.assertEqual(self.begin("plain"), [("fix-one", 0, 0, False)])

    def test_one_shows_alone_as_well(self) -> None:
        """Its own line counts for it; on a base that needs only this one, the other has no row."""
        alone = "fix-two a_test two ## it hangs\n"
        found = [(r.proof.id, r.before, r.first) for r in rows(self.LINE + alone, ["fix-one", "plain", "fix-two"])]
        self.assertEqual(found, [("F1", 0, 3), ("F2", 2, 3)])
        found = [(r.proof.id, r.before, r.first) for r in rows(self.LINE + alone, ["plain", "fix-two"])]
        self.assertEqual(found, [("F2", 1, 2)])

    def test_they_have_one_case(self) -> None:
        levels = {n: evidence.Built(Path("modules"), Path("k")) for n in range(4)}
        these = rows(self.LINE, ["fix-one", "plain", "fix-two"])
        found = evidence.boots(these, kind(levels, {n: n for n in range(4)}))
        self.assertEqual([(boot.name, [*boot.cases]) for boot in found], [("before-fix-one", [0]), ("after-0", [3])])
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "a_test").touch()
            found[0].kind.selftests = Path(folder)
            self.assertEqual(len(found[0].plan().tests), 1)
        found[0].note(Result("level-0", "a_test:one", "fail"))
        self.assertEqual([row.seen[0].status for row in these], ["fail", "fail"])


class Told(unittest.TestCase):
    def test_a_row_is_told_when_all_its_levels_are_seen(self) -> None:
        (row,) = rows("fix a_test - ## why\nother - - ## x\n", ["other", "fix"])
        stands = {1: 1, 2: 2}
        self.assertFalse(row.complete(stands))
        row.seen[2] = Result("l", "t", "pass")
        self.assertFalse(row.complete(stands))
        row.seen[1] = Result("l", "t", "fail")
        self.assertTrue(row.complete(stands))


class Boots(unittest.TestCase):
    def boots(self, stands: dict[int, int], kernels: str = "bbbss") -> dict[str, dict[int, list[str]]]:
        levels = {
            n: evidence.Built(Path("modules"), Path(kernel)) for n, kernel in enumerate(kernels)
        }
        return {
            boot.name: {n: [row.proof.id for row in each] for n, each in boot.cases.items()}
            for boot in evidence.boots(rows(), kind(levels, stands))
        }

    def test_before_each_fix_alone_then_all(self) -> None:
        self.assertEqual(
            self.boots(ALONE),
            {
                "before-fix-one": {0: ["F1"]},
                "before-fix-two": {2: ["F2"]},
                "after-0": {1: ["F1"], 2: ["F1"]},
                "after-1": {3: ["F1", "F2"], 4: ["F1", "F2", "T1"]},
            },
        )

    def test_equal_levels_run_once(self) -> None:
        found = self.boots({0: 0, 1: 1, 2: 1, 3: 3, 4: 3})
        self.assertEqual(found["after-0"], {1: ["F1"]})
        self.assertEqual(found["after-1"], {3: ["F1", "F2", "T1"]})

    def test_a_race_that_is_missed_is_tried_again(self) -> None:
        """v7.3's L9 and L14 were red beside other work, and not without it."""
        levels = {n: evidence.Built(Path("modules"), Path("k")) for n in range(5)}
        folder = Path(tempfile.mkdtemp(prefix="avic-tries."))
        self.addCleanup(shutil.rmtree, folder)
        for name in ("a_test", "b_test"):
            (folder / name).touch()
        these = rows()
        its_kind = evidence.Kind("", MACHINE, folder, levels, ALONE)
        (boot,) = (boot for boot in evidence.boots(these, its_kind) if boot.name == "before-fix-two")
        (row,) = boot.cases[2]
        names = []
        for status in ("pass", "pass", "fail"):
            (test,) = boot.plan().tests
            names.append((boot.name, test.name))
            boot.note(Result("level-2", test.name, status, log=["it hangs"]))
            row.seen |= {3: Result("l", "t", "pass"), 4: Result("l", "t", "pass")}
            again = boot.once_more()
            self.assertEqual(row.complete(ALONE), status == "fail")
            self.assertEqual(again is None, status == "fail")
            boot = again or boot
        plain = row.proof.name
        self.assertEqual(names, [
            ("before-fix-two", plain), ("before-fix-two@2", f"{plain}@2"), ("before-fix-two@3", f"{plain}@3"),
        ])  # fmt: skip
        self.assertIn("  fails at 2 in run 3, passes 3..4", row.text(ALONE))
        # Three times are enough: then it does not fail.
        boot.note(Result("level-2", f"{plain}@3", "pass"))
        self.assertIsNone(boot.once_more())
        self.assertIn("RED: does not fail at 2", row.text(ALONE))

    def test_what_fails_is_not_tried_again(self) -> None:
        levels = {n: evidence.Built(Path("modules"), Path("k")) for n in range(5)}
        for boot in evidence.boots(rows(), kind(levels, ALONE)):
            for number, each in boot.cases.items():
                for row in each:
                    status = "fail" if row.before == number else "pass"
                    boot.note(Result(evidence.lane(number), row.proof.name, status))
            self.assertIsNone(boot.once_more(), boot.name)


class Order(unittest.TestCase):
    """Which machines run, and when."""

    def test_a_long_one_keeps_nobody_waiting(self) -> None:
        """It begins first; beside it all others run, one after the other."""
        begun, left = [], {"long": 9, "middle": 2, "short": 1, "shortest": 0}

        class Machine:
            def __init__(self, image: Path, plan: Plan, place: Path) -> None:
                self.name = place.name.partition(".")[2]
                self.plan = plan

            def start(self) -> None:
                begun.append(self.name)

            def over(self) -> bool:
                left[self.name] -= 1
                return left[self.name] < 0

            def finish(self) -> Path:
                return Path()

            def results(self) -> list[Result]:
                return []

            def stop(self) -> None:
                raise AssertionError("a machine is left")

        def boot(name: str, cases: int) -> evidence.Boot:
            test = evidence.Test("t", 120, ["./t"])
            found = evidence.Boot(name, {}, kind({}, {}))
            found.image = lambda folder: folder
            found.plan = lambda: Plan([], [evidence.Lane("l", "l", [], [test] * cases)], [])
            return found

        boots = [boot("short", 1), boot("long", 95), boot("shortest", 0), boot("middle", 7)]
        with mock.patch.object(evidence, "Run", Machine), mock.patch("time.sleep"):
            ended = [each.name for each in evidence.run(boots, Path("place"))]
        self.assertEqual(begun, ["long", "middle", "short", "shortest"])
        self.assertEqual(ended[-1], "long")


class Verdict(unittest.TestCase):
    def line(self, before: Result, *after: str) -> str:
        row = rows()[1]
        row.seen = {2: before} | {n: Result("l", "t", s) for n, s in zip((3, 4), after)}
        return row.text(ALONE)

    def test_fails_before_and_passes_after(self) -> None:
        before = Result("l", "t", "fail", "exit status 254", ["vCPU0: it hangs"])
        self.assertTrue(self.line(before, "pass", "pass").endswith("  fails at 2, passes 3..4"))

    def test_levels_that_were_not_run(self) -> None:
        """A variant's line names the levels that it was run on."""
        row = rows()[1]
        row.seen = {2: Result("l", "t", "fail", "", ["vCPU0: it hangs"])}
        row.seen |= {n: Result("l", "t", "pass") for n in (3, 9)}
        self.assertTrue(row.text({2: 2, 3: 3, 9: 9}).endswith("  fails at 2, passes 3 9"))

    def test_red(self) -> None:
        hangs = Result("l", "t", "fail", "", ["it hangs"])
        for before, after, why in (
            (Result("l", "t", "pass"), ("pass", "pass"), "does not fail at 2: pass"),
            (Result("l", "t", "skip"), ("pass", "pass"), "does not fail at 2: skip"),
            (Result("l", "t", "hang", "silent"), ("pass", "pass"), "fails for another reason at 2: hang silent"),
            (Result("l", "t", "panic", "oops"), ("pass", "pass"), "fails for another reason at 2: panic"),
            (Result("l", "t", "fail", "", ["other"]), ("pass", "pass"), "fails for another reason at 2"),
            (hangs, ("fail", "pass"), "does not pass at 3"),
            (hangs, ("pass", "skip"), "does not pass at 4"),
            (hangs, ("pass", "not-run"), "does not pass at 4"),
        ):
            self.assertIn(f"  RED: {why}", self.line(before, *after))

    def test_a_machine_that_hangs(self) -> None:
        """It is a proof only where ci/proofs says so."""
        (row,) = rows("fix t a ## the guest fell silent\n", ["fix"])
        row.seen = {0: Result("l", "t", "hang", "the guest fell silent in t"), 1: Result("l", "t", "pass")}
        self.assertEqual(row.problems({0: 0, 1: 1}), [])

    def test_real_runs(self) -> None:
        """The levels before and after a fix of v6.12, as their machines told it."""
        proofs = read_proofs((TOP / "ci/proofs").read_text())
        rules = ktap.SplatRules.read(TOP / "ci/run/splats")
        slugs = [f"patch-{n}" for n in range(6)] + ["physical-id-claim"]
        fillers = "".join(f"patch-{n} - - ## none\n" for n in range(6))
        every = evidence.choose([*read_proofs(fillers), *proofs], slugs)
        mine = [row for row in every if row.fails_before]
        self.assertEqual(len(mine), 2)
        ran = []
        for name, number in (("before", 6), ("after", 7)):
            boot = evidence.Boot(name, {number: mine}, kind([], {}))
            text = (TOP / f"tests/captured/evidence-{name}.ktap").read_text()
            plan = {evidence.lane(number): [row.proof.name for row in mine]}
            for result in ktap.read_ktap(text, plan, rules):
                boot.note(result)
            boot.logs = self.logs(name, text)
            ran.append(boot)
        for row in mine:
            self.assertEqual(row.problems({6: 6, 7: 7}), [])
        folder = self.logs("kept", "")
        evidence.store(folder, {"stack": "c0ffee1"}, mine, {"": {6: 6, 7: 7}}, ran)
        kept = json.loads((folder / "evidence.json").read_text())
        self.assertEqual(kept["what"]["when"], "2026-11-21 12:00:00")
        seen = {
            case["case"]: [(one["level"], one["boot"], one["result"]["status"]) for one in case["seen"]]
            for case in kept["cases"]
        }
        both = [(6, "before", "fail"), (7, "after", "pass")]
        self.assertEqual(seen, {"duplicate": both, "emfile": both})
        said = kept["cases"][0]["seen"][0]["result"]["log"]
        self.assertIn("an IPI to vCPU0 is lost", "\n".join(said))
        self.assertEqual((folder / "before.ktap").read_text(), (ran[0].logs / "ktap").read_text())

    def logs(self, name: str, text: str) -> Path:
        """A run's folder."""
        folder = Path(tempfile.mkdtemp(prefix=f"avic-{name}."))
        self.addCleanup(shutil.rmtree, folder)
        for log, content in (("ktap", text), ("console", ""), ("plan", ""), ("when", "2026-11-21 12:00:00\n")):
            (folder / log).write_text(content)
        return folder

    def test_real_runs_with_a_device(self) -> None:
        """v7.3 before L4 and before L5: the test itself passes, and the kernel's log shows the bug."""
        proofs = read_proofs((TOP / "ci/proofs").read_text())
        rules = ktap.SplatRules.read(TOP / "ci/run/splats")
        for slug, name, lane, test in (
            ("ga-log-wake-locked", "uaf", "posted", "irq_test,k"),
            ("ga-log-notifier-rcu", "unload", "level-1", "irq_test:-d,DEVICE,-k,5,-c,../reload"),
        ):
            (row,) = evidence.choose([p for p in proofs if slug in p.slugs], [slug])
            text = (TOP / f"tests/captured/{name}.ktap").read_text()
            (before,) = ktap.read_ktap(text, {lane: [test]}, rules)
            row.seen = {0: before, 1: Result("l", "t", "pass")}
            self.assertEqual(row.problems({0: 0, 1: 1}), [])
            row.seen[1] = before
            self.assertIn("does not pass at 1: splat", row.problems({0: 0, 1: 1})[0])
