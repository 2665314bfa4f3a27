# SPDX-License-Identifier: GPL-2.0
"""The hardware lane, on an emulated AMD machine that runs Debian and is reached by ssh.

After each case the machine has to be as it was: modules, parameters, processes, mounts.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from machine import ENV, RULES, TOP, Machine, sh
from avic import ktap
from avic.bundle import compile_program

STANDIN = TOP / "tests/standin"
RUNNER = TOP / "scripts/runners/hardware"
BOOT_SECONDS = 180
# The same as scripts/runners/emulator: an IOMMU that posts interrupts.
IOMMU = ["-device", "amd-iommu,intremap=on,xtsup=on,guest-vapic=on", "-device", "amd-fch-smbus,addr=14.0"]
CPU = "EPYC-Genoa,+svm,+npt,+vgif,+avic,+x2avic"
# A device that nobody there uses.
EDU = "0000:00:1e.0"
# A network card with a driver, and without a cable.
CARD = "0000:00:1d.0"
# A USB controller with nothing on it.
USB = "0000:00:1b.0"
# A test's first argument is that device, and VFIO has it.
GETS_EDU = f"[ $1 = {EDU} ] && readlink /sys/bus/pci/devices/$1/driver | grep -q vfio-pci"
# What a job may change, and all processes; see snapshot() for those of this very login.
SNAPSHOT = r"""
: standin-snapshot
cut -d' ' -f1 /proc/modules
grep . /sys/module/kvm*/parameters/*
cut -d' ' -f2- /proc/mounts
ls /sys/kernel/tracing/instances; cat /sys/kernel/tracing/kprobe_events
ls /run /tmp /root
cd /sys/bus/pci/devices; for d in *; do echo $d $(readlink $d/driver) $(cat $d/driver_override); done
for p in /proc/[0-9]*; do tr '\0\n' '  ' <$p/cmdline && echo " (process)"; done 2>/dev/null
"""
THIS_LOGIN = re.compile(r"sshd: |standin-snapshot|^tr |^ \(process\)")


def tsc_khz() -> int:
    """The emulated TSC is the host's; what a guest measures on a busy host may be far off."""
    return int(float(re.search(r"cpu MHz\s*: ([\d.]+)", Path("/proc/cpuinfo").read_text())[1]) * 1000)


class StandIn:
    """A machine that plays the hardware."""

    def __init__(self, folder: Path, qemu: str, kernel: Path, cpu: str) -> None:
        """Boot it; kernel: an image of scripts/build with the hardware configuration."""
        self.folder = folder
        self.console, self.monitor_socket = folder / "console", folder / "monitor"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True
        )
        self.config = folder / "ssh_config"
        self.config.write_text(
            f"Host standin\n HostName 127.0.0.1\n Port {self.port}\n User root\n"
            f" IdentityFile {folder}/key\n IdentitiesOnly yes\n"
            f" UserKnownHostsFile {folder}/known_hosts\n"
        )
        # The way there ends at loopback; the emulator is built without one, stock QEMU has it.
        cable = f"addr.type=unix,addr.path={folder}/cable"
        self.network = subprocess.Popen(
            [
                os.environ.get("QEMU") or "qemu-system-x86_64",
                "-machine", "none",
                "-nodefaults",
                "-display", "none",
                "-netdev", f"stream,id=cable,server=on,{cable}",
                "-netdev", f"user,id=way,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:22",
                "-netdev", "hubport,id=one,hubid=0,netdev=cable",
                "-netdev", "hubport,id=other,hubid=0,netdev=way",
            ],
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.wait(lambda: (folder / "cable").exists(), "its network")
        self.process = subprocess.Popen(
            [
                qemu,
                "-accel", "tcg,thread=multi",
                "-machine", "q35",
                "-cpu", cpu,
                "-smp", "2",
                "-m", "3G",
                "-nodefaults",
                "-display", "none",
                *IOMMU,
                "-device", f"edu,addr={EDU[-4:]}",
                "-device", f"qemu-xhci,addr={USB[-4:]}",
                "-netdev", f"stream,id=n0,server=off,{cable}",
                "-device", "virtio-net-pci,netdev=n0,romfile=",
                "-device", f"virtio-net-pci,romfile=,addr={CARD[-4:]}",
                "-monitor", f"unix:{self.monitor_socket},server=on,wait=off",
                "-serial", f"file:{self.console}",
                "-kernel", str(kernel / "bzImage"),
                "-initrd", str(self.initramfs(kernel)),
                "-append", "console=ttyS0 no_timer_check nokaslr nowatchdog rdinit=/standin"
                f" tsc=reliable tsc_early_khz={tsc_khz()}"
                " memmap=1M$0x60000000 ramoops.mem_address=0x60000000 ramoops.mem_size=0x100000",
            ],
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.wait_up()

    def initramfs(self, kernel: Path) -> Path:
        """Debian, and what makes it this machine."""
        root = self.folder / "root"
        release = re.search(rb"vermagic=(\S+)", (kernel / "kvm.ko").read_bytes())[1].decode()
        modules = root / "lib/modules" / release / "kernel"
        ssh = root / "etc/ssh"
        for path in (modules, ssh, root / "etc/modprobe.d", root / "root/.ssh"):
            path.mkdir(parents=True)
        for name in ("kvm.ko", "kvm-amd.ko"):
            shutil.copy(kernel / name, modules)
        subprocess.run(
            ["depmod", "--basedir", root, release], stderr=subprocess.DEVNULL, check=True
        )
        # Debian's lib is a link to usr/lib, which the kernel would replace.
        (root / "usr").mkdir()
        (root / "lib").rename(root / "usr/lib")
        (root / "etc/modprobe.d/kvm.conf").write_text("options kvm_amd vls=0\n")
        shutil.copy(STANDIN / "init", root / "standin")
        shutil.copy(STANDIN / "sshd_config", ssh / "standin")
        shutil.copy(self.folder / "key.pub", root / "root/.ssh/authorized_keys")
        host_key = ssh / "standin_key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", host_key], check=True)
        public = host_key.with_suffix(".pub").read_text()
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {public}")
        names = subprocess.check_output(["find", ".", "-mindepth", "1"], cwd=root)
        cpio = ["cpio", "--create", "--format=newc", "--owner=0:0", "--quiet"]
        ours = subprocess.check_output(cpio, cwd=root, input=names)
        packed = self.folder / "initramfs"
        shutil.copy(sh(STANDIN / "root"), packed)
        with packed.open("ab") as file:
            file.write(bytes(-file.tell() % 4) + ours)
        return packed

    def wait(self, ready: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + BOOT_SECONDS
        while not ready():
            if time.monotonic() > end:
                raise AssertionError(f"the stand-in does not come up: no {what} (see {self.folder})")
            time.sleep(0.2)

    def wait_up(self, since: int = 0) -> None:
        """Until it is up, as the console says behind byte `since`."""
        self.wait(
            lambda: self.console.exists() and b"stand-in: up" in self.console.read_bytes()[since:],
            "sshd",
        )

    def sh(self, text: str, status: int = 0) -> str:
        result = subprocess.run(
            ["ssh", "-F", self.config, "standin", text],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
        if result.returncode != status:
            raise AssertionError(f"{text} on the stand-in: status {result.returncode}")
        return result.stdout

    def monitor(self, command: str) -> None:
        """A command of QEMU's monitor."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(10)
            monitor.connect(str(self.monitor_socket))
            text = b""
            for send in (command, ""):
                while not text.endswith(b"(qemu) "):
                    text += monitor.recv(4096)
                text = b""
                monitor.sendall(f"{send}\n".encode() if send else b"")

    def snapshot(self) -> str:
        """What has to be the same before and after."""
        lines = self.sh(SNAPSHOT).splitlines()
        return "\n".join(sorted(line for line in lines if not THIS_LOGIN.search(line)))

    def stop(self) -> None:
        for process in (self.process, self.network):
            process.kill()
            process.wait()


KEXEC = "console=ttyS0 tsc=reliable no_timer_check nowatchdog"


class Hardware(Machine):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.qemu = sh(TOP / "ci/emulator/build")
        cls.kernel = Path(sh(TOP / "scripts/build", "stack", "hardware"))
        cls.folder = Path(tempfile.mkdtemp(prefix="avic-standin."))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.standin = cls.boot("amd", CPU)
        cls.first = cls.standin.snapshot()

    @classmethod
    def boot(cls, name: str, cpu: str, kernel: Path | None = None) -> StandIn:
        """kernel: an image of scripts/build; the stack's, which has all that either level needs."""
        (cls.folder / name).mkdir()
        standin = StandIn(cls.folder / name, cls.qemu, kernel or cls.kernel, cpu)
        cls.addClassCleanup(standin.stop)
        return standin

    def bundle(
        self, programs: dict[str, str | Path], lanes: str = "lane l l avic=1", machine: str = "avic x2avic", seconds: int = 60,
        arguments: str = "DEVICE",
    ) -> Path:  # fmt: skip
        """A bundle with shell programs, or C files, as the tests of each lane, which may take some seconds each."""
        folder = self.scratch()
        tests = folder / "image/selftests"
        tests.mkdir(parents=True)
        (folder / "image/modules").mkdir()
        (folder / "image/modules/l").symlink_to(self.kernel)
        (folder / "image/bzImage").symlink_to(self.kernel / "bzImage")
        for name, program in programs.items():
            if isinstance(program, Path):
                compile_program(program, tests / name)
                continue
            (tests / name).write_text(f"#!/bin/sh\n{program}\n")
            (tests / name).chmod(0o755)
        plan = [f"machine {machine}"]
        for lane in lanes.split("\n"):
            plan += [lane, *(f"test {seconds} {name} ./{name} {arguments}" for name in programs)]
        (folder / "plan").write_text("\n".join(plan) + "\n")
        sh(TOP / "scripts/bundle", folder / "image", folder / "plan", folder / "bundle")
        shutil.copy(self.kernel / "config", folder / "bundle")
        return folder

    def env(self, standin: StandIn | None = None, **more: str) -> dict[str, str]:
        standin = standin or self.standin
        return ENV | {
            "HOST": "standin", "SSH_CONFIG": str(standin.config), "LEASE_SECONDS": "20",
            # A driver that is killed leaves its own behind.
            "TMPDIR": str(self.folder),
        } | more  # fmt: skip

    def start(self, folder: Path, standin: StandIn | None = None, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [RUNNER, folder / "bundle", folder], env=self.env(standin, **more),
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def run_lane(self, folder: Path, standin: StandIn | None = None, **more: str) -> tuple[int, str]:
        process = self.start(folder, standin, **more)
        said = process.communicate()[1]
        print(said, end="")
        for name in ("log", "ktap"):
            if process.returncode == 1 and (folder / name).exists():
                print((folder / name).read_text(errors="replace")[-1000:])
        return process.returncode, said

    def wait_for(self, path: Path, text: str) -> None:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            if path.exists() and text in path.read_text(errors="replace"):
                return
            time.sleep(0.2)
        self.fail(f"no '{text}' in {path}")

    def results(self, folder: Path) -> dict[str, ktap.Result]:
        text = (folder / "ktap").read_text(errors="replace")
        plan = (folder / "plan").read_text()
        names = re.findall(r"(?m)^test \d+ (\S+)", plan)
        lane = re.search(r"(?m)^lane (\S+)", plan)[1]
        return {result.name: result for result in ktap.read_ktap(text, {lane: names}, RULES)}

    def snapshot(self) -> str:
        """The stand-in's; why there is none, if it can't be reached."""
        try:
            return self.standin.snapshot()
        except (AssertionError, subprocess.TimeoutExpired) as error:
            return str(error)

    def assert_as_before(self) -> None:
        """Processes of the last connection may need a moment to end, and a machine to boot."""
        end = time.monotonic() + 60
        while (now := self.snapshot()) != self.first and time.monotonic() < end:
            time.sleep(0.5)
        self.maxDiff = None
        self.assertEqual(now, self.first)

    # Each test boots on the same machine: that it is as before is what makes the next one possible.

    def test_1_base_and_stack(self) -> None:
        """`make run` on a machine: both levels, with and without AVIC; a dangerous test is refused."""
        out = sh(
            TOP / "scripts/run", TESTS="svm_int_ctl_test xapic_ipi_test vcpu_create_fail*",
            RUNNER="hardware", RERUN="1", **{k: self.env()[k] for k in ("HOST", "SSH_CONFIG")},
        )  # fmt: skip
        print(out)
        for lane in ("avic=0", "avic=1,x2avic"):
            self.assertRegex(out, rf"(?m)^{lane} +base +2 +0 +0 +0 +0 +0\b")
            self.assertRegex(out, rf"(?m)^{lane} +stack +2 +1 +0 +0 +0 +0\b")
        self.assertNotRegex(out, r"(?m)^avic=1 ")
        self.assert_as_before()

    def test_2_a_test_that_fails(self) -> None:
        """Its result is all that is wrong; meanwhile a spare device is VFIO's."""
        driver = f"readlink /sys/bus/pci/devices/{EDU}/driver | grep -q vfio-pci"
        folder = self.bundle({"good": driver, "bad": "exit 1"}, "lane l l avic=0")
        self.assertEqual(self.run_lane(folder, VFIO=EDU)[0], 0)
        statuses = {name: result.status for name, result in self.results(folder).items()}
        self.assertEqual(statuses, {"good": "pass", "bad": "fail"})
        self.assertIn("Linux version", (folder / "console").read_text())
        self.assert_as_before()

    def test_2_a_device(self) -> None:
        """A lane with an IOMMU gives its tests the device that VFIO= names, and no other."""
        folder = self.bundle({"good": GETS_EDU}, "lane l l avic=0", "avic x2avic iommu")
        status, said = self.run_lane(folder)
        self.assertEqual(status, 2)
        self.assertIn("vfio: none, and the lane has tests for a device: VFIO= names one", said)
        self.assert_as_before()
        self.assertEqual(self.run_lane(folder, VFIO=EDU)[0], 0)
        self.assertEqual(self.results(folder)["good"].status, "pass")
        self.assert_as_before()

    def test_2_a_device_that_has_a_driver(self) -> None:
        """It gets its driver back; if it is up, with or without a cable, or in use, it is not taken."""
        folder = self.bundle({"good": GETS_EDU.replace(EDU, CARD)}, "lane l l avic=0", "avic x2avic iommu")
        self.assertIn(f"{CARD} virtio-pci", self.standin.sh(SNAPSHOT).replace("../../../bus/pci/drivers/", ""))
        self.standin.sh("ip link set eth1 up")
        status, said = self.run_lane(folder, VFIO=CARD)
        self.standin.sh("ip link set eth1 down")
        self.assertEqual(status, 2)
        self.assertIn(f"vfio: {CARD} is a network that is up", said)
        self.assert_as_before()
        self.assertEqual(self.run_lane(folder, VFIO=CARD)[0], 0)
        self.assertEqual(self.results(folder)["good"].status, "pass")
        self.assert_as_before()

    def test_2_interrupts_of_a_usb_controller(self) -> None:
        """They are posted, and wake a halted vCPU by way of the GA Log: what VFIO= is for with any such controller."""
        folder = self.bundle(
            {"posted_irq": TOP / "tests/guest/posted_irq.c"}, machine="avic x2avic iommu", arguments="-d DEVICE -i50"
        )
        self.assertEqual(self.run_lane(folder, VFIO=USB)[0], 0)
        result = self.results(folder)["posted_irq"]
        ktap.prove(result, "on,host_irqs=0,ga_log>=35", True)
        self.assertEqual(result.status, "pass", result)
        self.assert_as_before()

    def test_2_avic_that_is_never_active(self) -> None:
        """A lane with AVIC in which no vCPU had it active proves nothing."""
        folder = self.bundle({"good": "true"})
        status, said = self.run_lane(folder)
        self.assertEqual(status, 2)
        self.assertIn("l: AVIC was never active, as the probe counts it", said)
        self.assert_as_before()

    def test_3_lost_connection(self) -> None:
        """The cable is pulled in mid-run: the machine restores itself, and the driver says so."""
        folder = self.bundle({"good": "true", "long": "sleep 1000 & sleep 1000"})
        process = self.start(folder)
        self.wait_for(folder / "ktap", "# start long")
        self.standin.monitor("set_link n0 off")
        try:
            time.sleep(30)
        finally:
            self.standin.monitor("set_link n0 on")
        said = process.communicate()[1]
        print(said, end="")
        self.assertEqual(process.returncode, 1)
        self.assertIn("error: no sign of life from the driver for 20 s", said)
        self.assertIn("standin: restored", said)
        results = self.results(folder)
        self.assertEqual((results["good"].status, results["long"].status), ("pass", "error"))
        self.assert_as_before()

    def test_3_killed_driver(self) -> None:
        """Nobody comes back; the next job takes the machine when the lease is over."""
        folder = self.bundle({"long": "sleep 1000"})
        process = self.start(folder)
        self.wait_for(folder / "ktap", "# start long")
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        end = time.monotonic() + 60
        while "done" not in self.standin.sh("ls /run/avic") and time.monotonic() < end:
            time.sleep(1)
        self.standin.sh("touch -d '1 hour ago' /run/avic/lease")
        self.assertEqual(self.run_lane(self.bundle({"good": "true"}, "lane l l avic=0"))[0], 0)
        self.assert_as_before()

    def test_3_ctrl_c(self) -> None:
        folder = self.bundle({"long": "sleep 1000"})
        process = self.start(folder)
        self.wait_for(folder / "ktap", "# start long")
        os.kill(process.pid, signal.SIGINT)
        said = process.communicate()[1]
        print(said, end="")
        self.assertEqual(process.returncode, 130)
        self.assertIn("standin: restored", said)
        self.assertEqual(self.results(folder)["long"].status, "error")
        self.assert_as_before()

    def test_4_module_that_will_not_unload(self) -> None:
        """A process has /dev/kvm open: the pre-flight names it, and nothing is touched."""
        folder = self.bundle({"good": "true"})
        holder = "sleep 1000 3</dev/kvm >/dev/null 2>&1 & echo $!"
        pid = self.standin.sh(holder).strip()
        try:
            status, said = self.run_lane(folder)
        finally:
            self.standin.sh(f"kill {pid}")
        self.assertEqual(status, 2)
        self.assertIn(f"no-vm: KVM is in use by sleep (process {pid}): kvm will not unload", said)
        self.assertNotIn("# start", (folder / "ktap").read_text())
        self.assert_as_before()

    def test_4_machine_without_avic(self) -> None:
        other = self.boot("without", "EPYC,+svm,+npt")
        before = other.snapshot()
        status, said = self.run_lane(self.bundle({"good": "true"}), other)
        self.assertEqual(status, 2)
        for name in ("avic", "x2avic"):
            self.assertRegex(said, rf"standin: MISSING {name} not in cpuinfo")
        self.assertEqual(other.snapshot(), before)
        other.stop()

    def test_4_another_kernel(self) -> None:
        """The release is the same, the configuration is not: no module is loaded."""
        folder = self.bundle({"good": "true"})
        with (folder / "bundle/config").open("a") as config:
            config.write("CONFIG_OF_ANOTHER_KERNEL=y\n")
        status, said = self.run_lane(folder)
        self.assertEqual(status, 2)
        self.assertRegex(said, r"kernel: \S+ runs, in another configuration: 1 options differ")
        self.assertIn("KEXEC= boots the modules' kernel from RAM", said)
        self.assert_as_before()

    def test_4_kernel_without_what_the_modules_need(self) -> None:
        """The stack's kvm-amd on the base's kernel: no verdict, and the symbol's name."""
        base = self.boot("base", CPU, Path(sh(TOP / "scripts/build", "base", "hardware")))
        before = base.snapshot()
        status, said = self.run_lane(self.bundle({"good": "true"}), base)
        self.assertEqual(status, 2)
        self.assertIn("kvm_amd needs amd_iommu_register_ga_log_overflow_notifier: not in the", said)
        self.assertEqual(base.snapshot(), before)
        base.stop()

    def test_5_splat(self) -> None:
        """A splat ends the run; the machine is restored, but takes no job until it is rebooted."""
        warn = "echo '<4>WARNING: CPU: 0 PID: 1 at deliberate.c:1' >/dev/kmsg; sleep 1000"
        folder = self.bundle({"good": "true", "warns": warn})
        status, said = self.run_lane(folder)
        self.assertEqual(status, 1)
        self.assertIn("splat: ", said)
        results = self.results(folder)
        self.assertEqual((results["good"].status, results["warns"].status), ("pass", "splat"))
        self.assertIn("deliberate.c:1", (folder / "console").read_text())
        self.assertIn("deliberate.c:1", self.standin.sh("cat /run/avic.reboot"))
        status, said = self.run_lane(self.bundle({"good": "true"}))
        self.assertEqual(status, 2)
        self.assertRegex(said, r"clean: reboot this machine: .*deliberate.c:1")
        self.standin.sh("rm /run/avic.reboot")
        self.assert_as_before()

    def test_5_splat_after_an_overrun(self) -> None:
        """The log's reader was too slow, and lines are lost: the splat behind them is found."""
        folder = self.bundle({"long": "sleep 1000"})
        process = self.start(folder)
        self.wait_for(folder / "ktap", "# start long")
        self.standin.sh(
            "read pid start </run/avic/follower; mode=$(cat /proc/sys/kernel/printk_devkmsg);"
            "echo on >/proc/sys/kernel/printk_devkmsg; kill -STOP -- -$pid;"
            "yes '<7>many' | head -n 40000 | while read -r line; do echo \"$line\"; done >/dev/kmsg;"
            "kill -CONT -- -$pid; sleep 1; echo '<4>WARNING: at late.c:1' >/dev/kmsg;"
            "echo $mode >/proc/sys/kernel/printk_devkmsg"
        )
        said = process.communicate()[1]
        print(said, end="")
        self.assertEqual(process.returncode, 1)
        self.assertIn("lines of the kernel's log are lost", (folder / "console").read_text())
        self.assertIn("late.c:1", self.standin.sh("cat /run/avic.reboot"))
        self.standin.sh("rm /run/avic.reboot")
        self.assert_as_before()

    def test_6_taint(self) -> None:
        """A taint without a line in the log that says so ends the run, too, and only a reboot helps."""
        folder = self.bundle({"oopses": "echo 128 >/proc/sys/kernel/tainted; sleep 1000"})
        status, said = self.run_lane(folder)
        self.assertEqual(status, 1)
        self.assertIn("splat: kernel tainted: oops", said)
        self.standin.sh("rm /run/avic.reboot")
        self.assert_as_before()
        status, said = self.run_lane(self.bundle({"good": "true"}))
        self.assertEqual(status, 2)
        self.assertIn("clean: reboot this machine: its kernel is tainted: oops", said)

    def test_7_kexec_and_back(self) -> None:
        """The modules' own kernel, booted from RAM; results by the serial line; a reboot undoes it.

        Also the taint of the test before is gone with that.
        """
        programs = {"good": GETS_EDU, "who": "cat /proc/cmdline"}
        folder = self.bundle(programs, "lane l l avic=0", "avic x2avic iommu")
        size = self.standin.console.stat().st_size
        status, said = self.run_lane(
            folder, VFIO=EDU, KEXEC=KEXEC,
            SERIAL=f"exec tail --bytes=+{size + 1} --follow '{self.standin.console}'",
        )  # fmt: skip
        self.assertEqual(status, 0)
        results = self.results(folder)
        self.assertEqual([r.status for r in results.values()], ["pass", "pass"])
        self.assertIn("loglevel=1 panic=10 softlockup_panic=1", results["who"].log[0])
        self.standin.wait_up(size)
        self.assert_as_before()

    def kexec(self, folder: Path, **more: str) -> tuple[subprocess.Popen[str], int]:
        """A run with KEXEC, and where the stand-in's console begins for it."""
        size = self.standin.console.stat().st_size
        serial = f"exec tail --bytes=+{size + 1} --follow '{self.standin.console}'"
        return self.start(folder, KEXEC=KEXEC, SERIAL=serial, **more), size

    def reset(self) -> Path:
        """A command that does to the stand-in what a power cycle does."""
        path = self.folder / "reset"
        path.write_text(
            "#!/usr/bin/env python3\nimport socket\nmonitor = socket.socket(socket.AF_UNIX)\n"
            f"monitor.connect('{self.standin.monitor_socket}')\nmonitor.recv(4096)\n"
            "monitor.sendall(b'system_reset\\n')\nmonitor.recv(4096)\n"
        )
        path.chmod(0o755)
        return path

    def test_7_kexec_that_does_not_return(self) -> None:
        """Its plan stands still: the machine is power-cycled, once."""
        folder = self.bundle({"long": "kill -STOP $PPID; sleep 1000"}, "lane l l avic=0", "avic x2avic", 5)
        process, size = self.kexec(folder, BOOT_SECONDS="60", POWER=str(self.reset()))
        said = process.communicate()[1]
        print(said, end="")
        self.assertEqual(process.returncode, 1)
        self.assertIn("hang: the serial line fell silent", said)
        self.assertIn(f"standin: {self.folder}/reset", said)
        self.standin.wait_up(size)
        self.assert_as_before()

    def test_7_ctrl_c_during_kexec(self) -> None:
        """It ends at once, and says when the machine is back."""
        folder = self.bundle({"long": "sleep 1000"}, "lane l l avic=0", "avic x2avic")
        process, size = self.kexec(folder)
        self.wait_for(folder / "ktap", "# start long")
        os.kill(process.pid, signal.SIGINT)
        said = process.communicate(timeout=60)[1]
        print(said, end="")
        self.assertEqual(process.returncode, 130)
        self.assertRegex(said, r"standin runs the bundle's kernel; it reboots into its own in \d+ s at the latest")
        subprocess.run([self.reset()], check=True)
        self.standin.wait_up(size)
        self.assert_as_before()

    def test_8_panic(self) -> None:
        """The machine reboots in mid-run: a panic, with what pstore has kept of it."""
        folder = self.bundle({"good": "true", "dies": "sleep 3; echo c >/proc/sysrq-trigger"})
        status, said = self.run_lane(folder)
        self.assertEqual(status, 1)
        self.assertIn("panic: standin rebooted", said)
        self.assertEqual(self.results(folder)["dies"].status, "panic")
        kept = "".join(p.read_text(errors="replace") for p in (folder / "pstore").glob("dmesg*"))
        self.assertIn("sysrq triggered crash", kept)
        self.standin.sh("rm /sys/fs/pstore/*")
        self.assert_as_before()
