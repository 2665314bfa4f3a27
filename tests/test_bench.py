# SPDX-License-Identifier: GPL-2.0
"""scripts/bench: its files, what it reads of a machine's log, and what is red; logs of real runs on v6.12."""

import contextlib
import io
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from project import TOP
from avic import ktap
from avic.cmd import bench
from avic.results import Benches, Measured, save

RULES = ktap.SplatRules.read(TOP / "ci/run/splats")
# What the files of bench/ had when the logs were made.
LINES = {
    "windows": [["2", "alone", "20"], ["2", "together", "20"]],
    "vms": [["none", "4"], ["split", "4"], ["full", "4"]],
    "common": [["ipi", "running", "xapic", "20"], ["msi", "halted", "xapic", "20"], ["tpr", "running", "x2apic", "20"]],
    "inhibited": [["pit", "2", "20"], ["xen", "2", "20"], ["xen-msi", "2", "20"], ["sint", "2", "20"]],
    "storm": [["2", "50", "10"], ["5", "50", "10"], ["64", "10", "10"]],
    "instructions": [["vm_life", "split", "4"], ["software_irqs", "pit", "2", "20"], ["software_irqs", "xen", "2", "20"]],
    "ga_log": [["1", "50"], ["100", "50"]],
    "irqs_off": [["1", "4"], ["50", "4"], ["200", "4"]],
}
# What the plan has beside the lines.
PROGRAMS = {
    "windows": ["irqwin_flips"], "vms": ["vm_life"], "common": ["common_path"], "inhibited": ["software_irqs"],
    "storm": ["irq_storm"], "instructions": ["vm_life", "software_irqs"], "ga_log": [],
    "irqs_off": ["ga_log"],
}  # fmt: skip


def logs(name: str, level: str, lane: str = "avic=1") -> dict[str, list[str]]:
    """Test -> what it printed."""
    each = bench.BENCHES[name]
    lines = [line for line in (Measured(words, {}) for words in LINES[name]) if each.can_run(line)]
    names = [each.test(line, number).name for line in lines for number in bench.ROUNDS]
    plan = {"avic=1": [*names, *PROGRAMS[name]]}
    if "avic=0" in each.columns and level != "base":
        plan["avic=0"] = names
    text = (TOP / f"tests/captured/bench-{name}-{level}.ktap").read_text()
    return {r.name: r.log for r in ktap.read_ktap(text, plan, RULES) if r.lane == lane}


def measured(name: str, stack: str = "stack") -> list[Measured]:
    """The figures of a bench; stack: whose log passes for the stack's."""
    found = []
    each = bench.BENCHES[name]
    levels = {"base": "base", "stack": stack}
    for words in LINES[name]:
        counts: dict[str, list[dict[str, int]]] = {}
        for column in each.columns if each.can_run(Measured(words, {})) else ():
            level, lane = bench.COLUMNS[column]
            said = logs(name, levels[level], lane)
            counts[column] = [each.read(words, said[f"{name}-{'-'.join(words)}.{number}"]) for number in bench.ROUNDS]
        found.append(Measured(words, counts))
    return found


def cells(name: str) -> list[list[str]]:
    """The cells of the table, below its title."""
    rows = bench.BENCHES[name].table(measured(name))[1:]
    return [[cell.strip() for cell in row.split("  ") if cell.strip()] for row in rows]


class Windows(unittest.TestCase):
    def test_figures_are_those_of_the_trace(self) -> None:
        self.assertEqual(measured("windows")[0].counts["stack"], [{"flips": 40, "arrived": 20}] * 2)
        self.assertEqual(measured("windows")[1].counts["stack"], [{"flips": 20, "arrived": 20}] * 2)
        self.assertEqual([counts["arrived"] for counts in measured("windows")[1].counts["base"]], [1, 1])

    def test_table(self) -> None:
        self.assertEqual(cells("windows"), [
            ["vCPUs", "windows", "base", "stack", "least"],
            ["2", "alone", "2000", "2000", "2000"],
            ["2", "together", "lost after 1", "1000", "1000"],
        ])  # fmt: skip

    def test_stack_as_it_is_is_not_red(self) -> None:
        self.assertEqual([bench.Windows().problems(line) for line in measured("windows")], [[], []])

    def test_stack_that_does_not_count_windows_is_red(self) -> None:
        problems = [bench.Windows().problems(line) for line in measured("windows", stack="base")]
        self.assertEqual(problems, [[], ["an ExtINT is lost on the stack, after 1 of 20"]])

    def test_more_flips_than_enough_are_red(self) -> None:
        """In one round of the two, too."""
        line = measured("windows")[1]
        line.counts["stack"][1]["flips"] = 22
        self.assertEqual(bench.Windows().problems(line), ["22 flips on the stack, 20 are enough"])
        self.assertIn("1000..1100", bench.Windows().rows(line)[0])

    def test_what_is_cut_is_no_figure(self) -> None:
        whole = logs("windows", "stack")["windows-2-alone-20.1"]
        for cut in ([], whole[:-1], [line for line in whole if "arrived" not in line], whole[:1] + whole[2:]):
            with self.assertRaises(ValueError):
                bench.Windows().read(LINES["windows"][0], cut)


class Vms(unittest.TestCase):
    def test_figures_are_those_of_the_trace(self) -> None:
        self.assertEqual(measured("vms")[0].counts["base"][0], {
            "create pages": 11, "create bytes": 75920, "first pages": 6, "first bytes": 12264,
            "nth pages": 6, "nth bytes": 11680, "destroy pages": 0, "destroy bytes": 8224,
        })  # fmt: skip

    def test_table(self) -> None:
        rows = cells("vms")
        self.assertEqual(rows[0], "irqchip|step|pages base|pages stack|pages avic=0|bytes base|bytes stack|bytes avic=0".split("|"))
        self.assertEqual(rows[6], ["split", "vCPU 1", "12", "14", "7", "19584", "20160", "16608"])
        self.assertEqual(len(rows), 1 + 3 * 4)

    def test_stack_as_it_is_is_not_red(self) -> None:
        """Two pages go from the VM's creation to that of its first vCPU: in all there are as many."""
        self.assertEqual([bench.Vms().problems(line) for line in measured("vms")], [[], [], []])

    def test_tables_without_an_irqchip_are_red(self) -> None:
        """The first 8 patches: per-vm-init is not one of them."""
        problems = [bench.Vms().problems(line) for line in measured("vms", stack="8")]
        self.assertEqual(problems, [["23 pages in all on the stack, 21 with avic=0"], [], []])

    def test_more_pages_than_on_the_base_are_red(self) -> None:
        line = measured("vms")[1]
        for counts in line.counts["stack"]:
            counts["nth pages"] += 1
        self.assertEqual(bench.Vms().problems(line), ["31 pages in all on the stack, 30 on the base"])

    def test_what_is_cut_is_no_figure(self) -> None:
        whole = logs("vms", "stack")["vms-none-4.1"]
        lost = [line.replace("entries-written: ", "entries-written: 1") for line in whole]
        for cut in ([], whole[1:], lost, [line for line in whole if not line.startswith("traced")]):
            with self.assertRaises(ValueError):
                bench.Vms().read(LINES["vms"][0], cut)


class Common(unittest.TestCase):
    def test_table(self) -> None:
        rows = cells("common")
        self.assertIn(["ipi", "running", "xapic", "npf", "0", "0", "3000"], rows)
        self.assertIn(["msi", "halted", "xapic", "npf", "0", "0", "1000"], rows)
        self.assertIn(["msi", "halted", "xapic", "hlt", "1000", "1000", "1000"], rows)
        self.assertIn(["tpr", "running", "x2apic", "msr", "0", "0", "1000"], rows)

    def test_way_to_the_caller_and_the_host_are_not_counted(self) -> None:
        log = logs("common", "base")["common-ipi-running-xapic-20.1"]
        self.assertTrue(any(line.startswith("exit/interrupt ") for line in log), log)
        counts = bench.Common().read(LINES["common"][0], log)
        self.assertEqual((counts["exits"], counts["arrived"], "exit/interrupt" in counts), (0, 20, False))

    def test_stack_as_it_is_is_not_red(self) -> None:
        self.assertEqual([bench.Common().problems(line) for line in measured("common")], [[], [], []])

    def test_ipis_that_exit_are_red(self) -> None:
        """On a Zen 1 the stack has them exit, and the base does not."""
        problems = [bench.Common().problems(line) for line in measured("common", stack="zen1")]
        self.assertEqual(problems, [["20 VM-Exits on the stack, 0 on the base"], [], []])

    def test_stack_without_avic_is_red(self) -> None:
        line = measured("common")[0]
        line.counts["stack"] = line.counts["avic=0"]
        self.assertEqual(bench.Common().problems(line), [
            "60 VM-Exits on the stack, 0 on the base",
            "AVIC spares nothing: 60 VM-Exits on the stack, 60 with avic=0",
        ])  # fmt: skip

    def test_one_of_hundred_is_not_red(self) -> None:
        line = measured("common")[0]
        line.words = [*line.words[:-1], "500"]
        for exits, problems in ((5, []), (6, ["6 VM-Exits on the stack, 0 on the base"])):
            for counts in line.counts["stack"]:
                counts.update(arrived=500, exits=exits)
            self.assertEqual(bench.Common().problems(line), problems)

    def test_flips_are_red_and_a_spread_is_shown(self) -> None:
        line = measured("common")[0]
        line.counts["stack"] = [{**line.counts["stack"][0], "flips": 2}, {**line.counts["stack"][0], "flips": 4}]
        self.assertEqual(bench.Common().problems(line), ["2..4 flips on the stack, 0 on the base"])
        self.assertIn(["ipi", "running", "xapic", "flip", "0", "100..200", "0"], bench.Common().rows(line))

    def test_what_is_cut_is_no_figure(self) -> None:
        whole = logs("common", "stack")["common-msi-halted-xapic-20.1"]
        lost = [line.replace("entries-written: ", "entries-written: 1") for line in whole]
        for cut in ([], whole[1:], lost, *([line for line in whole if word not in line] for word in ("to the end", "flips", "locked"))):
            with self.assertRaises(ValueError):
                bench.Common().read(LINES["common"][1], cut)


class Inhibited(unittest.TestCase):
    def test_table(self) -> None:
        self.assertEqual(cells("inhibited"), [
            "source|vCPUs|exits base|exits stack|exits avic=0|flips base|flips stack|locks base|locks stack".split("|"),
            ["pit", "2", "1500", "1500", "1500", "0", "0", "1000", "0"],
            ["xen", "2", "2500", "2000", "2000", "3000", "0", "5000", "0"],
            ["xen-msi", "2", "0", "1500", "1500", "0", "0", "0", "0"],
            ["sint", "2", "0", "0", "1500", "0", "0", "0", "0"],
        ])  # fmt: skip

    def test_stack_as_it_is_is_not_red(self) -> None:
        self.assertEqual([bench.Inhibited().problems(line) for line in measured("inhibited")], [[]] * 4)

    def test_lock_for_a_window_that_changes_nothing_is_red(self) -> None:
        """The first 35 patches: irqwin-fastpath is not one of them.  Xen's upcalls alone leave AVIC off there, too."""
        problems = [bench.Inhibited().problems(line) for line in measured("inhibited", stack="35")]
        self.assertEqual(problems, [["20 writes of apicv_update_lock on the stack, there is nothing to change"], [], [], []])

    def test_flips_are_red(self) -> None:
        line = measured("inhibited")[1]
        line.counts["stack"] = line.counts["base"]
        self.assertEqual(bench.Inhibited().problems(line)[0], "60 flips on the stack, there is nothing to change")

    def test_more_exits_are_red(self) -> None:
        line = measured("inhibited")[0]
        line.counts["stack"][1]["exits"] += 1
        self.assertEqual(bench.Inhibited().problems(line), [
            "31 VM-Exits on the stack, 30 on the base", "31 VM-Exits on the stack, 30 with avic=0",
        ])  # fmt: skip

    def test_interrupt_that_is_lost_is_red(self) -> None:
        line = measured("inhibited")[0]
        line.counts["stack"][1]["arrived"] = 7
        self.assertEqual(bench.Inhibited().problems(line), ["an interrupt is lost on the stack, after 7 of 20"])
        self.assertEqual(bench.Inhibited().rows(line)[0][3], "lost after 7..20")

    def test_without_the_event_for_ipis(self) -> None:
        log = [line for line in logs("inhibited", "base")["inhibited-xen-2-20.1"] if "kicks" not in line]
        self.assertGreater(bench.Inhibited().read(LINES["inhibited"][1], log)["exits"], 0)


class Storm(unittest.TestCase):
    def test_table(self) -> None:
        rows = cells("storm")
        self.assertEqual(rows[0], ["vCPUs", "IRQs off", "base", "stack", "ExtINT waits", "mean", "any waits", "mean"])
        self.assertEqual(rows[2][3:], ["3.5", "3.5", "2.7", "21.8", "15.0"])
        self.assertRegex(rows[2][2], "^lost after ")
        self.assertEqual(rows[3], ["64", "10 %", "-", "-", "-", "6.6", "-", "762.3"])

    def test_stack_as_it_is_is_not_red(self) -> None:
        self.assertEqual([bench.Storm().problems(line) for line in measured("storm")], [[], [], []])

    def test_windows_of_other_interrupts_that_count_are_red(self) -> None:
        """The first 40 patches: irqwin-extint-only is not one of them.  The model has the very number."""
        line = measured("storm", stack="40")[1]
        _, every = bench.walk(5, 50, 10)
        self.assertEqual([counts["while_off"] for counts in line.counts["stack"]], [every, every])
        self.assertRegex(bench.Storm().problems(line)[0], rf"^AVIC is off for {every} interrupts on the stack, \d+ come while")

    def test_means_are_those_of_many(self) -> None:
        for vcpus, percent in ((1, 50), (2, 50), (4, 50), (5, 30), (8, 10)):
            with self.subTest(f"{vcpus} {percent}"):
                drawn = [number / 20000 for number in bench.walk(vcpus, percent, 20000)]
                for number, mean in zip(drawn, bench.means(vcpus, percent)):
                    self.assertAlmostEqual(number, mean, delta=0.05 * mean + 0.001)

    def test_rounded(self) -> None:
        self.assertEqual([bench.rounded(number) for number in (0, 12.34, 2.4e23, 6.7e153)], ["0.0", "12.3", "2e23", "7e153"])


class Instructions(unittest.TestCase):
    def test_figures_are_what_the_programs_print(self) -> None:
        self.assertEqual(measured("instructions")[0].counts["base"][1], {
            "create": 111098, "first": 142105, "nth": 84225, "destroy": 136803,
        })  # fmt: skip
        self.assertEqual(measured("instructions")[1].counts["base"], [{"begin": 462536 // 20}] * 2)

    def test_table(self) -> None:
        rows = cells("instructions")
        self.assertEqual([row[1] for row in rows], ["step", "create", "vCPU 1", "vCPU 4", "destroy", "interrupt", "interrupt"])
        self.assertEqual(rows[5], ["pit 2", "interrupt", "23126", "21866", "21402"])

    def test_stack_as_it_is_is_not_red(self) -> None:
        self.assertEqual([bench.Instructions().problems(line) for line in measured("instructions")], [[], [], []])

    def test_more_than_without_avic_is_red(self) -> None:
        """The first 38 patches: irqwin-fastpath is not one of them."""
        problems = [bench.Instructions().problems(line) for line in measured("instructions", stack="38")]
        self.assertEqual(problems, [[], ["22915 instructions for an interrupt on the stack, 21320 with avic=0"], []])

    def test_what_is_cut_is_no_figure(self) -> None:
        for number, name in enumerate(("vm_life-split-4", "software_irqs-pit-2-20")):
            whole = logs("instructions", "stack")[f"instructions-{name}.1"]
            lost = [line.replace("20 of", "19 of") for line in whole]
            for cut in ([], whole[:1], whole[1:], *([lost] if number else [])):
                with self.subTest(cut), self.assertRaises(ValueError):
                    bench.Instructions().read(LINES["instructions"][number], cut)


class GaLog(unittest.TestCase):
    def test_table(self) -> None:
        rows = cells("ga_log")
        self.assertEqual(rows[0], ["VMs", "what", "base", "stack"])
        self.assertEqual(rows[4], ["100", "an entry", "3469..3472", "3632..3634"])
        self.assertEqual([row[1] for row in rows[1:4]], ["an entry", "overflow: the log's thread", "overflow: workers"])

    def test_stack_as_it_is_is_not_red(self) -> None:
        self.assertEqual([bench.GaLog().problems(line) for line in measured("ga_log")], [[], []])

    def test_entry_that_takes_more_is_red(self) -> None:
        """In both rounds."""
        line = measured("ga_log")[1]
        for counts, problems in zip(line.counts["stack"], ([], ["4000 instructions for an entry on the stack, 3469..3472 on the base"])):
            counts["entries"] = 4000
            self.assertEqual(bench.GaLog().problems(line), problems)

    def test_what_is_cut_is_no_figure(self) -> None:
        whole = logs("ga_log", "stack")["ga_log-1-50.1"]
        for cut in ([], whole[1:], whole[:-1]):
            with self.assertRaises(ValueError):
                bench.GaLog().read(LINES["ga_log"][0], cut)


class IrqsOff(unittest.TestCase):
    def test_table(self) -> None:
        rows = cells("irqs_off")
        self.assertEqual(rows[0], ["VMs", "vCPUs each", "base", "stack"])
        self.assertEqual(rows[3], ["200", "4", "1727..2404", "61..68"])

    def test_stack_as_it_is_is_not_red(self) -> None:
        self.assertEqual([bench.IrqsOff().problems(line) for line in measured("irqs_off")], [[], [], []])

    def test_walk_with_irqs_off_is_red(self) -> None:
        """The stack's worker takes that many instructions for 200 VMs; in both rounds."""
        line = measured("irqs_off")[2]
        walk = 4840
        for counts, problems in zip(
            line.counts["stack"], ([], ["4840 thousand instructions with IRQs off on the stack, 1727..2404 on the base"])
        ):
            counts["longest"] = walk
            self.assertEqual(bench.IrqsOff().problems(line), problems)

    def test_what_is_cut_is_no_figure(self) -> None:
        whole = logs("irqs_off", "stack")["irqs_off-1-4.1"]
        for cut in ([], whole[:3], whole[:1]):
            with self.assertRaises(ValueError):
                bench.IrqsOff().read(LINES["irqs_off"][0], cut)


class Files(unittest.TestCase):
    def refused(self, name: str, text: str) -> str:
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(bench, "FOLDER", Path(folder)):
            (Path(folder) / name).write_text(text)
            said = io.StringIO()
            with contextlib.redirect_stderr(said), self.assertRaises(SystemExit) as end:
                bench.BENCHES[name].lines()
            self.assertEqual(end.exception.code, 1)
        return said.getvalue()

    def test_each_file_is_a_bench(self) -> None:
        self.assertEqual({path.name for path in (TOP / "bench").iterdir()}, set(bench.BENCHES))

    def test_ours_are_right(self) -> None:
        for each in bench.BENCHES.values():
            lines = each.lines()
            self.assertGreater(len(lines), 2)
            names = [each.test(line, number).name for line in lines for number in bench.ROUNDS]
            self.assertEqual(len(names), len(set(names)))

    def test_wrong_lines(self) -> None:
        for line in ("9 alone 90", "0 alone 10", "2 both 10", "3 together 10", "2 alone 402", "2 alone", "two alone 2", "2 alone 2 2"):
            with self.subTest(line):
                self.assertIn("want 'VCPUS alone|together EXTINTS'", self.refused("windows", line + "\n"))
        for line in ("some 4", "none 1", "none 65", "none", "none two", "none 4 4"):
            with self.subTest(line):
                self.assertIn("want 'IRQCHIP VCPUS'", self.refused("vms", line + "\n"))
        for line in ("ipi running apic 9", "ipi asleep xapic 9", "nmi running xapic 9", "tpr halted xapic 9", "ipi running xapic 1001"):
            with self.subTest(line):
                self.assertIn("want 'SOURCE TARGET APIC EVENTS'", self.refused("common", line + "\n"))
        for line in ("pit 1 9", "pit 9 10", "pit 0 10", "rtc 1 10", "pit 1 2002", "pit 1"):
            with self.subTest(line):
                self.assertIn("want 'SOURCE VCPUS EVENTS'", self.refused("inhibited", line + "\n"))
        for line in ("0 50 10", "1 0 10", "1 100 10", "1 50 0", "1 50 101", "one 50 10"):
            with self.subTest(line):
                self.assertIn("want 'VCPUS PERCENT EXTINTS'", self.refused("storm", line + "\n"))
        for line in ("vm_life some 4", "software_irqs rtc 1 10", "irq_storm 1 50 10", "vm_life"):
            with self.subTest(line):
                self.assertIn("want 'PROGRAM ARGUMENT...'", self.refused("instructions", line + "\n"))
        for line in ("0 50", "10001 50", "1 0", "1 1001", "1", "one 50"):
            with self.subTest(line):
                self.assertIn("want 'VMS ENTRIES'", self.refused("ga_log", line + "\n"))
        for line in ("0 4", "1001 4", "1 0", "1 9", "1", "one 4"):
            with self.subTest(line):
                self.assertIn("want 'VMS VCPUS'", self.refused("irqs_off", line + "\n"))


class Verb(unittest.TestCase):
    def test_span(self) -> None:
        self.assertEqual((bench.span([3, 3]), bench.span([4, 3])), ("3", "3..4"))

    def test_wrong_use(self) -> None:
        for call in (lambda: bench.chosen(["windows", "no-such"]), bench.chosen_level):
            with mock.patch.dict("os.environ", {"LEVEL": "base"}), contextlib.redirect_stderr(io.StringIO()):
                with self.assertRaises(SystemExit) as end:
                    call()
            self.assertEqual(end.exception.code, 2)

    def test_what_is_kept_is_read_again(self) -> None:
        kept = Benches({"stack": "abc"}, {name: measured(name) for name in LINES})
        with tempfile.TemporaryDirectory() as folder:
            save(Path(folder) / "bench.json", kept)
            self.assertEqual(Benches.read(Path(folder)), kept)


if __name__ == "__main__":
    unittest.main()
