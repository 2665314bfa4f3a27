# SPDX-License-Identifier: GPL-2.0
"""ci/hardware on a machine of files: what a job does where a step of it hangs, fails or is killed.

Each case has a /run, a /sys/module and processes of its own (unshare), and programs in
place of rmmod and modprobe that do as the case says.  tests/pipeline_hardware.py has the
same on a kernel.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import unittest
from pathlib import Path

from project import TOP, slow
from avic import remote

JOB = Path("/run/avic")
RULES = "splat: .*BUG"
# A machine of files: $T/sys is its modules, $T/usr what it has in place of kmod.
MACHINE = r"""
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs ${RUN_SIZE:+-o size=$RUN_SIZE} tmpfs /run
mount --bind "$T/module" /sys/module
mount -t tmpfs tmpfs /sys/kernel/tracing
mkdir /sys/kernel/tracing/instances
: >/sys/kernel/tracing/kprobe_events
mount --bind "$T/kmsg" /dev/kmsg
mount --bind "$T/usr" /usr/local/sbin
exec 8<>/dev/kmsg
echo '6,1,0,-;Linux version toy' >&8
echo '6,2,0,-;the name of the owner' >&8
modprobe kvm_amd
exec sh "$T/case"
"""
# What the machine's shell runs; the bundle's busybox prefers its own programs, but not to functions.
PROGRAMS = {
    "modprobe": r"""
mkdir -p /sys/module/$1/parameters
[ "$1" != kvm_amd ] || { mkdir -p /sys/module/kvm && echo Y >/sys/module/kvm_amd/parameters/avic; }""",
}
FUNCTIONS = r"""
rmmod() {
	[ "$1" != "$(busybox cat "$T/stays" 2>/dev/null)" ] || return 1
	if [ -e "$T/stuck" ] && [ -e "$(busybox cat "$T/stuck")" ]; then
		mv "$T/stuck" "$T/used"
		sleep 1000
	fi
	[ ! -e "$T/used" ] && [ -d "/sys/module/$1" ] && rm -r "/sys/module/$1"
}
insmod() { :; }
pci=$T/pci
bind() {
	[ ! -e "$T/bind" ] || sleep 1000
	echo "$1|$2" >>"$T/bound"
}
grep() {
	[ "$1" != -rs ] || busybox cat "$T/setting" 2>/dev/null
	busybox grep "$@"
}
# After the machine's own module is unloaded: the job's one comes, with what it depends on.
modinfo() {
	mkdir -p /sys/module/kvm
	busybox cat "$T/depends" 2>/dev/null
}
cut() {
	case "$*" in
	*/proc/modules) echo other && ls -1 /sys/module | busybox grep -v '^kvm' ;;
	*) busybox cut "$@" ;;
	esac
}
# /dev/kvm is a line.
stat() {
	case "$*" in
	*/dev/kvm) busybox cat "$T/device" 2>/dev/null ;;
	*) busybox stat "$@" ;;
	esac
}
chmod() { echo "device $1 0:0" >"$T/device"; }
chown() { read -r _ mode _ <"$T/device" && echo "device $mode $1" >"$T/device"; }
cat() {
	if [ $# = 0 ] && [ -e "$T/overrun" ]; then
		rm "$T/overrun"
		# Until the job's first line.
		head -n 3
		return 1
	fi
	busybox cat "$@"
}
"""
TAKE = 'sh -c "$(cat "$T/take")" <"$T/archive"'
# From taking the machine to the plan.
BEGIN = f"""
{TAKE}
mkdir {JOB}/work/root && cp -r "$T/bundle" {JOB}/work/root/ && : >{JOB}/go
until grep -q . {JOB}/ktap; do sleep 0.1; done
"""
# The driver lives.
LEASE = f"(while sleep 1; do : >{JOB}/lease || exit; done 2>/dev/null) &\n"
END = f"""
until [ -e {JOB}/done ]; do sleep 0.1; done
echo "done: $(cat {JOB}/done)"
echo "mark: $(cat /run/avic.reboot 2>/dev/null)"
for name in log ktap console; do sed "s/^/$name: /" {JOB}/$name; done
ls /sys/module | sed 's/^/module: /'
"""


class Job(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="avic-job.", dir="/var/tmp"))
        self.addCleanup(shutil.rmtree, self.folder)
        for name in ("module", "usr", "bin", "bundle", "want", "pci"):
            (self.folder / name).mkdir()
        shutil.copytree(TOP / "ci/hardware", self.folder / "hardware")
        with (self.folder / "hardware/lib.sh").open("a") as lib:
            lib.write(f"T={self.folder}\n{FUNCTIONS}")
        # Nobody waits for a real machine here.
        for path in (self.folder / "hardware").iterdir():
            path.write_text(re.sub(r"within (30|60|120)\b", "within 15", path.read_text()))
        os.mkfifo(self.folder / "kmsg")
        shutil.copy("/bin/busybox", self.folder / "bin")
        for name, text in PROGRAMS.items():
            (self.folder / "usr" / name).write_text(f"#!/bin/sh\n{text}\n")
            (self.folder / "usr" / name).chmod(0o755)
        files = {
            "lease": "20", "patience": "- 20\n", "taints": "", "splats": "BUG:\n", "allowed": "never\n",
            "who": "a test", "token": "one",
        }  # fmt: skip
        for name, text in files.items():
            (self.folder / "want" / name).write_text(text)

    def archive(self) -> None:
        with tarfile.open(self.folder / "archive", "w") as tar:
            for name in ("hardware", "want", "bin"):
                tar.add(self.folder / name, name)

    def machine(self, case: str, plan: str = "echo '# plan done'", **env: str) -> str:
        """Carry out a case: the machine's side, with run-plan as its plan; returns what it prints."""
        (self.folder / "take").write_text(remote.take("one"))
        (self.folder / "bundle/run-plan").write_text(plan + "\n")
        (self.folder / "case").write_text(case)
        self.archive()
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", MACHINE]
        result = subprocess.run(
            command, env=os.environ | {"T": str(self.folder)} | env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=200,
        )  # fmt: skip
        return result.stdout

    def test_a_job(self) -> None:
        said = self.machine(BEGIN + LEASE + END)
        self.assertIn("done: restored\nmark: \n", said)
        self.assertIn("module: kvm_amd", said)
        self.assertIn("console: [    0.000000] Linux version toy", said)

    @slow
    def test_a_module_that_hangs_on_its_way_out(self) -> None:
        """rmmod never returns: the job ends all the same, says so, and asks for a reboot."""
        (self.folder / "stuck").write_text(f"{JOB}/unloaded")
        said = self.machine(BEGIN + LEASE + END, "echo x; echo '# plan done'")
        self.assertRegex(said, "done: not restored\nmark: no end in: unload\n(.*\n)*the machine is not as it was")
        self.assertIn("log: kvm hangs on its way out", said)

    @slow
    def test_the_machines_own_module_hangs(self) -> None:
        (self.folder / "stuck").write_text(f"{JOB}/changed")
        case = BEGIN.replace("until grep", f"until [ -e {JOB}/done ] || grep") + LEASE + END
        said = self.machine(case)
        self.assertIn("mark: no end in: unload", said)
        self.assertIn("Bail out! error: the machine's own kvm can't be unloaded", said)

    def test_supervise_is_killed(self) -> None:
        """Its parent restores; nothing of the job lives on."""
        kill = "kill -KILL $(pgrep -f hardware/supervise)\n"
        left = "pgrep -f hardware/follow; pgrep -f run-plan"
        said = self.machine(BEGIN + left + "; echo begun\n" + LEASE + kill + END + left, "echo x; sleep 100")
        self.assertRegex(said, r"(\d+\n){2,}begun")
        self.assertIn("done: restored", said)
        self.assertIn("Bail out! error: supervise was killed", said)
        self.assertTrue(said.endswith("module: kvm_amd\n"), said)

    @slow
    def test_the_whole_session_is_killed(self) -> None:
        """The next job restores first, and is not kept from it by what the one before left behind."""
        kill = "kill -KILL $(pgrep -f hardware/guard) $(pgrep -f hardware/supervise)\nsleep 1\n"
        said = self.machine(BEGIN + kill + BEGIN + LEASE + END, "echo x; [ $(ls /tmp | wc -l) -gt 0 ] || sleep 5; echo '# plan done'")
        self.assertIn("done: restored\nmark: \n", said)
        self.assertNotRegex(said, "busy")

    def test_the_next_job_restores_before_it_begins(self) -> None:
        """The machine has its own module back as soon as it is taken anew."""
        kill = "kill -KILL $(pgrep -f hardware/guard) $(pgrep -f hardware/supervise)\nsleep 1\n"
        said = self.machine(BEGIN + "ls /sys/module | sed 's/^/before: /'\n" + kill + TAKE + "; ls /sys/module", "echo x; sleep 100")
        self.assertNotIn("before: kvm_amd", said)
        self.assertTrue(said.endswith("\nkvm\nkvm_amd\n"), said)

    def test_a_device_goes_back_to_its_driver(self) -> None:
        device = self.folder / "pci/0000:00:04.0"
        device.mkdir()
        (device / "driver_override").write_text("(null)\n")
        (device / "driver").symlink_to("../../../bus/pci/drivers/igb")
        (self.folder / "want/vfio").write_text("0000:00:04.0\n")
        said = self.machine(BEGIN + LEASE + END)
        self.assertIn("done: restored\n", said)
        self.assertEqual((self.folder / "bound").read_text(), "vfio-pci|vfio-pci\n|igb\n")

    @slow
    def test_a_device_that_hangs(self) -> None:
        """vfio-pci never takes it, and nobody gets it back: the job ends all the same."""
        (self.folder / "bind").touch()
        (self.folder / "want/vfio").write_text("0000:00:04.0\n")
        said = self.machine(BEGIN.replace("until grep", f"until [ -e {JOB}/done ] || grep") + LEASE + END)
        self.assertIn("Bail out! error: vfio-pci does not take 0000:00:04.0", said)
        self.assertIn("mark: no end in: bind vfio-pci vfio-pci\nno end in: give_back\n", said)
        self.assertIn("log: 0000:00:04.0 is not given back", said)

    def test_what_the_machine_was_set_to(self) -> None:
        """A sysctl that the job leaves changed is said, and asks for a reboot."""
        (self.folder / "setting").write_text("/proc/sys/vm/toy:1\n")
        said = self.machine(BEGIN + f"echo /proc/sys/vm/toy:2 >{self.folder}/setting\n" + LEASE + END, "echo x; sleep 3; echo '# plan done'")
        self.assertIn("done: not restored\nmark: the machine is not as it was", said)
        self.assertIn("log: +setting /proc/sys/vm/toy:2", said)

    def test_what_kvm_belongs_to(self) -> None:
        """/dev/kvm gets back its mode and its owner; a module that ours depends on goes again."""
        (self.folder / "device").write_text("device 660 0:78\n")
        (self.folder / "depends").write_text("ccp\n")
        changed = f"ls /sys/module | sed 's/^/meanwhile: /'\necho device 600 0:0 >{self.folder}/device\n"
        said = self.machine(BEGIN + changed + LEASE + END, "echo x; sleep 3; echo '# plan done'")
        self.assertIn("meanwhile: ccp\n", said)
        self.assertIn("done: restored\n", said)
        self.assertNotIn("\nmodule: ccp", said)
        self.assertEqual((self.folder / "device").read_text(), "device 660 0:78\n")

    def test_a_module_that_ours_depended_on_stays(self) -> None:
        (self.folder / "depends").write_text("ccp\n")
        (self.folder / "stays").write_text("ccp\n")
        said = self.machine(BEGIN + LEASE + END)
        self.assertIn("done: not restored\n", said)
        self.assertIn("log: a module that kvm needed does not unload", said)

    def test_something_is_mounted_below_proc(self) -> None:
        """As systemd's binfmt_misc; the job's own /proc hides it."""
        said = self.machine("mount -t ramfs x /proc/irq\n" + BEGIN + LEASE + END)
        self.assertIn("done: restored\nmark: \n", said)
        self.assertNotIn("Bail out!", said)

    @slow
    def test_the_kernels_log_has_nothing_of_ours(self) -> None:
        """kernel.printk_devkmsg=off: no splat would be seen."""
        path = self.folder / "hardware/supervise"
        path.write_text(path.read_text().replace('echo "$begins" >/dev/kmsg', ":"))
        said = self.machine(BEGIN.replace("until grep", f"until [ -e {JOB}/done ] || grep") + LEASE + END)
        self.assertIn("Bail out! error: the kernel's log can't be followed", said)

    @slow
    def test_nobody_watches_any_more(self) -> None:
        """Guard and supervise are killed, and the driver is gone: the tests end all the same."""
        (self.folder / "want/lease").write_text("2")
        kill = "kill -KILL $(pgrep -f hardware/guard) $(pgrep -f hardware/supervise)\n"
        look = "pgrep -f run-plan | sed 's/^/plan: /'\n"
        said = self.machine(BEGIN + kill + look.replace("plan: ", "at first: ") + "sleep 12\n" + look, "echo x; sleep 100")
        self.assertIn("at first: ", said)
        self.assertNotIn("plan: ", said)

    def test_probes_of_others_stay(self) -> None:
        tracing = "/sys/kernel/tracing"
        made = f"mkdir -p {tracing}/instances/avic/events/avic; printf 'p:mine/own a\\np:avic/one b\\n' >{tracing}/kprobe_events\n"
        said = self.machine(BEGIN + made + LEASE + END + f"cat {tracing}/kprobe_events", "echo x; sleep 3; echo '# plan done'")
        self.assertTrue(said.endswith("\np:mine/own a\np:avic/one b\n-:avic/one\n"), said)

    def test_who_is_killed_when_memory_runs_out(self) -> None:
        guard = "echo guard $(cat /proc/$(pgrep -f hardware/guard | head -n 1)/oom_score_adj)\n"
        said = self.machine(BEGIN + guard + LEASE + END, "cat /proc/self/oom_score_adj; sleep 3; echo '# plan done'")
        # A container's root may not.
        may = not subprocess.run(["sh", "-c", "echo -1000 >/proc/self/oom_score_adj"], stderr=subprocess.DEVNULL).returncode
        self.assertIn("guard -1000\n" if may else "log: sh: write error: Permission denied\n", said)
        self.assertIn("ktap: 500\n", said)

    def test_only_its_own_driver_keeps_a_job_alive(self) -> None:
        attend = "; ".join(
            f"touch -d @1 {JOB}/lease; (echo; sleep 2) | PATH={JOB}/work/bin sh {JOB}/work/hardware/attend {token} 0 >/run/said & "
            f"sleep 1; echo {token} $(stat -c %Y {JOB}/lease) $(cat /run/said)" for token in ("other", "one")
        )  # fmt: skip
        said = self.machine(BEGIN + attend, "echo x; sleep 100")
        self.assertRegex(said, r"(?m)^other 1$")
        self.assertRegex(said, r"(?m)^one \d{10} x$")

    def test_last_words_of_earlier_kernels_stay_there(self) -> None:
        folder = "/var/lib/systemd/pstore"
        old = f"mount -t tmpfs tmpfs /var/lib; mkdir -p {folder}; echo old >{folder}/old\n"
        new = f"echo new >{folder}/new\n"
        said = self.machine(old + BEGIN + new + LEASE + END + f"cat {JOB}/pstore/*", "echo x; sleep 3; echo '# plan done'")
        self.assertTrue(said.endswith("\nnew\n"), said)

    def test_two_drivers_at_one_leftover(self) -> None:
        """One restores and gets the machine; the other one has to wait."""
        kill = "kill -KILL $(pgrep -f hardware/guard) $(pgrep -f hardware/supervise)\nsleep 1\n"
        two = f"({TAKE} >/run/a 2>&1; echo status $? >>/run/a) & {TAKE} >/run/b 2>&1; echo status $? >>/run/b; wait $!\n"
        said = self.machine(BEGIN + kill + two + "cat /run/a /run/b; pgrep -f hardware/guard | wc -l", "echo x; sleep 100")
        self.assertEqual(sorted(re.findall(r"status (\d+)", said)), ["0", "75"], said)
        self.assertTrue(said.endswith("\n1\n"), said)

    def test_a_number_that_is_used_again(self) -> None:
        """A process with the PID of the dead supervisor does not keep the machine busy, and is not killed."""
        again = "sleep 100 & other=$!\n" + f'sed -i "s/^[0-9]*/$other/" {JOB}/supervisor {JOB}/inside {JOB}/attend 2>/dev/null\n'
        kill = "kill -KILL $(pgrep -f hardware/guard) $(pgrep -f hardware/supervise)\nsleep 1\n"
        said = self.machine(BEGIN + kill + again + TAKE + "; echo status $?; kill -0 $other && echo lives", "echo x; sleep 3")
        self.assertIn("status 0\nlives", said)

    def test_the_kernels_log_runs_over(self) -> None:
        """A read of /dev/kmsg fails once: a splat after that is found all the same."""
        (self.folder / "overrun").touch()
        later = "echo x; sleep 2; echo '4,3,1,-;BUG: late' >/dev/kmsg; sleep 100"
        said = self.machine(BEGIN + LEASE + END, later)
        self.assertIn("Bail out! splat: [    0.000001] BUG: late", said)

    def test_the_kernels_log_ran_over(self) -> None:
        """What was lost may have been a splat: without one the job is no good, either."""
        (self.folder / "overrun").touch()
        said = self.machine(BEGIN + LEASE + END, "echo x; sleep 2; echo '# plan done'")
        self.assertIn("Bail out! error: lines of the kernel's log are lost", said)

    def test_a_kernel_that_prints_without_end(self) -> None:
        case = BEGIN + LEASE + END.replace("log ktap console", "log ktap") + f"echo size $(stat -c %s {JOB}/console)"
        line = "4,3,1,-;" + "x" * 3000
        said = self.machine(case, f"echo x; yes '{line}' | head -n 6000 >/dev/kmsg; sleep 60", RUN_SIZE="60m")
        self.assertIn("Bail out! error: console has 16000000 bytes, and is cut off", said)
        self.assertTrue(said.endswith("\nsize 16000000\n"), said[-200:])

    def test_what_the_kernel_said_before_is_not_taken_along(self) -> None:
        said = self.machine(BEGIN + LEASE + END)
        self.assertNotIn("owner", said)
        self.assertIn("console: [    0.000000] Linux version toy", said)

    def test_a_plan_that_prints_without_end(self) -> None:
        case = BEGIN + LEASE + END.replace("log ktap console", "log") + f"tail -c 100 {JOB}/ktap"
        said = self.machine(case, "yes", RUN_SIZE="60m")
        self.assertIn("done: restored\nmark: \n", said)
        self.assertIn("Bail out! error: ktap has 16000000 bytes, and is cut off", said)

    def test_no_disk_can_be_opened(self) -> None:
        """Where this machine has one below /dev: it is /dev/null there."""
        if not (disk := subprocess.check_output("find /dev -xdev -type b | head -n 1", shell=True, text=True).strip()):
            self.skipTest("this machine has no block device")
        said = self.machine(BEGIN + LEASE + END, f"stat -c '%t:%T' {disk}; echo '# plan done'")
        self.assertIn("ktap: 1:3\n", said)

    def test_no_disk_is_written_to(self) -> None:
        """Nothing outside of the job's own memory can be written to, and a core file never is."""
        plan = f"ulimit -c; echo y >{self.folder}/written; echo '# plan done'"
        said = self.machine("ulimit -c unlimited\n" + BEGIN + LEASE + END, plan)
        self.assertFalse((self.folder / "written").exists())
        self.assertRegex(said, r"(?m)^ktap: 0$")
        self.assertIn("done: restored", said)


if __name__ == "__main__":
    unittest.main()
