# SPDX-License-Identifier: GPL-2.0
"""The pipeline on the real v6.12: build, boot, and what each change does.

Uses the same cache as `make run`, i.e. what is there is not built again.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time

from machine import CACHE, ENV, PATCHES, TOP, Machine, image, sh
from avic import ktap


# Selftests that touch what the stack changes, and take seconds.
SUBSET = "xapic_ipi_test xapic_state_test set_boot_cpu_id svm_int_ctl_test recalc_apic_map_test"


class Pipeline(Machine):
    # Apply; the rest of that is in pipeline_bases.py.

    def test_1_top_level_series_is_the_default_base(self) -> None:
        self.assertEqual((TOP / "series").resolve(), PATCHES / "series")

    # Build.

    def test_2_base_and_stack_build(self) -> None:
        for level in ("base", "stack"):
            built = image(level)
            for name in ("bzImage", "kvm.ko", "kvm-amd.ko", "selftests/x86_64/xapic_ipi_test"):
                self.assertGreater((built / name).stat().st_size, 10000, built / name)

    def test_2_nothing_changed_nothing_built(self) -> None:
        built = image("stack")
        before = (built / "kvm.ko").stat().st_mtime_ns
        self.assertEqual((image("stack") / "kvm.ko").stat().st_mtime_ns, before)

    def test_2_interrupted_build_goes_on(self) -> None:
        built = image("stack")
        (built / "key").write_text("stale\n")
        process = subprocess.Popen(
            [TOP / "scripts/build", "stack"],
            env=ENV,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(2)
        os.killpg(process.pid, signal.SIGINT)
        self.assertEqual(process.wait(timeout=60), 130)
        self.assertEqual((built / "key").read_text(), "stale\n")
        self.assertNotEqual((image("stack") / "key").read_text(), "stale\n")
        self.assertEqual(list(built.parent.glob("image.new.*")), [])

    def test_2_lock_and_count_have_a_cache_line(self) -> None:
        """W4, as pahole sees it, before and after the patch."""
        number = [p.name[5:] for p in sorted(PATCHES.glob("*.patch"))].index("irqwin-cacheline.patch")
        commits = sh("git", "-C", self.repo, "rev-list", "--reverse", "base..stack").split()
        before = self.layout(f"{commits[number]}~1")
        after = self.layout(commits[number])
        lock, count = "apicv_update_lock", "apicv_nr_irq_window_req"
        self.assertEqual(before[count], before["apicv_inhibit_reasons"])
        self.assertEqual(before[lock], before["apic_map"])
        self.assertEqual({n for n, line in after.items() if line == after[lock]}, {lock, count})

    def layout(self, commit: str) -> dict[str, int]:
        """Member of struct kvm_arch -> number of the 64-byte line that it starts in.

        From an object compiled as kbuild compiled the stack's, plus -g.
        """
        source, build = self.scratch(), image("stack").parent
        archive = ["git", "-C", self.repo, "archive", "--format=tar", commit]
        subprocess.run(
            ["tar", "--extract", f"--directory={source}"],
            input=subprocess.check_output([*archive, "arch/x86", "include", "virt/kvm"]),
            check=True,
        )
        saved = (build / "arch/x86/kvm/svm/.avic.o.cmd").read_text()
        command = saved.split(":= ", 1)[1].split("\n")[0].split(" ; ")[0].replace("ccache ", "")
        command = re.sub(r"-Wp,-MMD,\S+ ", "", command).replace(str(self.repo), str(source))
        command = re.sub(r" -o \S+ ", f" -g -o {source}/avic.o ", command)
        subprocess.run(command, shell=True, check=True, cwd=build)
        listing = sh("pahole", "--class_name=kvm_arch", f"{source}/avic.o")
        member = re.compile(r"^\t[^\t/{}].*?(\w+)(?:\[\d+\])*(?: __attr\S+)?; +/\* +(\d+) +\d+ \*/")
        found = filter(None, map(member.match, listing.split("\n")))
        return {match[1]: int(match[2]) // 64 for match in found}

    # Boot.

    def test_3_selftests_on_base_and_stack(self) -> None:
        out = sh(TOP / "scripts/run", TESTS=SUBSET)
        verdict = json.loads((CACHE / "report.part/v6.12/verdict.json").read_text())
        self.assertEqual(verdict["worse"], [])
        self.assertIn("nothing got worse", out)
        for level in ("base", "stack"):
            for lane in ("avic=0", "avic=1,x2avic", "avic=1"):
                passed = re.search(rf"^{lane}\s+{level}\s+(\d+)", out, re.MULTILINE)
                self.assertGreaterEqual(int(passed[1]), 4, out)
        self.assertIn("<testsuite", (CACHE / "report.part/v6.12/junit.xml").read_text())

    def test_3_same_again_is_not_run_again(self) -> None:
        first = sh(TOP / "scripts/run", TESTS="set_boot_cpu_id")
        again = sh(TOP / "scripts/run", TESTS="set_boot_cpu_id")
        self.assertEqual(again.count("(ran "), 2 * 3, first + again)

    def test_3_interrupted_run_leaves_nothing(self) -> None:
        process = subprocess.Popen(
            [TOP / "scripts/run"],
            env=ENV | {"TESTS": "xapic_ipi_test", "RERUN": "1"},
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        place = None
        for line in process.stderr:
            # Another run on this machine has one of its own.
            place = place or re.search(r"logs: (/\S+/run/\.new\.\w+)/", line)
            if "tests on stack" in line:
                break
        time.sleep(3)
        os.killpg(process.pid, signal.SIGINT)
        self.assertEqual(process.wait(timeout=60), 130)
        process.stderr.close()
        self.assertFalse(os.path.exists(place[1]))
        left = subprocess.run(["pgrep", "--list-full", "--session", str(process.pid)], stdout=subprocess.PIPE)
        self.assertEqual(left.stdout, b"")

    def test_3_no_such_test_or_lane(self) -> None:
        for wrong in ({"TESTS": "no_such_test"}, {"LANES": "no_such_lane"}):
            self.assertEqual(subprocess.run([TOP / "scripts/run"], env=ENV | wrong).returncode, 2)

    def trouble(self, program: str, after: str = "exit 0", **env: str) -> ktap.Result:
        """What becomes of a test that does something bad, between two good ones."""
        plan = "lane l stack avic=0\ntest 3 before ./before\ntest 3 bad ./bad\ntest 3 after ./after\n"
        results = self.guest("stack", plan, {"before": "exit 0", "bad": program, "after": after}, **env)
        self.assertEqual(results["before"].status, "pass")
        self.after = results["after"]
        return results["bad"]

    def test_4_test_that_hangs(self) -> None:
        self.assertEqual(self.trouble("sleep 100").status, "timeout")
        self.assertEqual(self.after.status, "pass")

    def test_4_what_a_test_has_started_ends_with_it(self) -> None:
        self.assertEqual(self.trouble("sleep 100 & sleep 100", "! pidof sleep").status, "timeout")
        self.assertEqual(self.after.status, "pass")

    def test_4_test_that_fails(self) -> None:
        result = self.trouble("echo went wrong; exit 254")
        self.assertEqual((result.status, result.note), ("fail", "exit status 254"))
        self.assertEqual(result.log, ["went wrong"])

    def test_4_splat(self) -> None:
        result = self.trouble("echo 'WARNING: CPU: 0 PID: 1 at nowhere' >/dev/kmsg")
        self.assertEqual(result.status, "splat")
        self.assertIn("WARNING: CPU", result.note)
        self.assertEqual(self.after.status, "pass")

    def test_4_panic(self) -> None:
        result = self.trouble("echo c >/proc/sysrq-trigger; sleep 100")
        self.assertEqual(result.status, "panic")
        self.assertEqual(self.after.status, "not-run")

    def test_4_machine_that_hangs(self) -> None:
        result = self.trouble("killall -STOP run-plan; sleep 1", GRACE_SECONDS="5")
        self.assertEqual(result.status, "hang")
        self.assertEqual(self.after.status, "not-run")

    def test_4_boot_that_never_ends(self) -> None:
        plan = "lane l stack avic=0\ntest 3 one ./one\n"
        result = self.guest("stack", plan, {"one": "exit 0"}, BOOT_SECONDS="1")["one"]
        self.assertEqual((result.status, result.note), ("not-run", "boot: nothing from the guest after 1 s"))

    # What the changes do, as far as stock QEMU can show it.

    def test_5_irq_windows_of_two_vcpus(self) -> None:
        """W2: another vCPU's windows neither toggle an inhibit that is needed, nor lose an ExtINT."""
        print(f"     flips of the VM's inhibit: {sh(TOP / 'scripts/flips')}")
        levels = json.loads((CACHE / "flips/v6.12/flips.json").read_text())["levels"]
        self.assertGreaterEqual(levels["base"]["flips"], 200)
        self.assertLessEqual(levels["stack"]["flips"], 6)
        self.assertIn("is lost", levels["base"]["lost"])
        self.assertEqual(levels["stack"]["lost"], "")

    def test_5_fuzz(self) -> None:
        """Whatever is done to a VM: the base loses interrupts, and the fewest steps to it are told; the stack loses none."""
        found = sh(TOP / "scripts/fuzz", SEEDS="21-75", STEPS="150")
        print("     " + found.replace("\n", "\n     "))
        # Of 150 steps less than 15 are needed.
        self.assertRegex(found, r"(?m)^base +fuzz: vCPU \d: an interrupt of kind 0 is lost\nbase +fuzz (\d+) \1 150\nbase +fuzz \1 \1 150( \d+){2,14}$")
        self.assertRegex(found, r"\nstack +55 VMs, 150 steps each: 55 with AVIC, 0 failed$")

    def test_5_bench(self) -> None:
        """W2, W3, W6, L2 and irqwin-xen as counts: the rows of docs/PERFORMANCE.md that tell base from stack."""
        # Those whose rows are looked at; ga_log takes five minutes.
        benches = ("windows", "vms", "common", "inhibited", "storm")
        rows = [" ".join(line.split()) for line in sh(TOP / "scripts/bench", *benches).splitlines()]
        for row in ("2 together lost after 1 1000 1000", "8 together lost after 1 250 250", "8 alone 2000 2000 2000"):
            self.assertIn(row, rows)
        for row in ("pit 4 1500 1500 1500 0 0 1000 0", "autoeoi 4 500 500 500 0 0 1000 0", "ipi running xapic npf 0 0 3000"):
            self.assertIn(row, rows)
        for row in ("none create 11 9 9 ", "xen 4 2500 2000", "8 50 % lost after 0 4.2 4.2 "):
            self.assertTrue(any(each.startswith(row) for each in rows), rows)
        # Pages: an interrupt may allocate one more in one of the rounds.
        self.assertTrue(any(re.match(r"split vCPU 1 12(\.\.13)? 14\b", each) for each in rows), rows)

    def test_5_no_irqchip_no_tables(self) -> None:
        """L1 and L2: a VM without an in-kernel irqchip gets no AVIC tables."""
        # A page counts if the function itself asked for it: an interrupt may allocate there, too.
        script = """
            cd /sys/kernel/tracing && echo 1 >tracing_on && echo $$ >set_event_pid && echo 1 >options/event-fork
            echo stacktrace >events/kmem/mm_page_alloc/trigger && echo 8192 >buffer_size_kb
            echo 1 >events/kmem/mm_page_alloc/enable && echo >trace
            /bundle/tests/PROGRAM || exit 1
            echo 0 >tracing_on; grep -B 14 '=> avic_v' trace
            awk '/=> avic_vm_init|=> avic_vcpu_precreate/ && above ~ /page/ { pages++ }
                 { above = $0 } END { print "pages of avic:", pages + 0 }' trace
            echo traced: $(grep -c 'mm_page_alloc: ' trace)"""
        plan = (
            "lane l LEVEL avic=1 force_avic=1\ntest 60 without ./without\n"
            "test 60 with ./with\ntest 60 no_irqchip ./no_irqchip\ntest 60 irqwin_flips ./irqwin_flips\n"
        )
        pages, traces = {}, ""
        for level in ("base", "stack"):
            results = self.guest(
                level,
                plan.replace("LEVEL", level),
                {
                    "without": script.replace("PROGRAM", "no_irqchip"),
                    "with": script.replace("PROGRAM", "irqwin_flips"),
                    "no_irqchip": TOP / "tests/guest/no_irqchip.c",
                    "irqwin_flips": TOP / "tests/guest/irqwin_flips.c",
                },
            )
            for name in ("without", "with"):
                log = "\n".join(results[name].log)
                self.assertEqual(results[name].status, "pass", results[name])
                self.assertGreater(int(re.search(r"^traced: (\d+)$", log, re.MULTILINE)[1]), 10)
                traces += f"\n{level}, {name}:\n{log}"
                pages[level, name] = int(re.search(r"^pages of avic: (\d+)$", log, re.MULTILINE)[1])
        print(f"     pages allocated for AVIC: {pages}")
        self.assertEqual(pages["base", "without"], 2, traces)
        self.assertEqual(pages["stack", "without"], 0, traces)
        # With an irqchip and two vCPUs the same as before: nothing is made twice.
        self.assertGreaterEqual(pages["base", "with"], 2, "the probe sees nothing")
        self.assertEqual(pages["stack", "with"], pages["base", "with"], traces)
