# SPDX-License-Identifier: GPL-2.0
"""A stick of `make stick` in the emulated AMD machine: from USB, by BIOS and by UEFI, to the end and through failures.

Those of Failures, each of which boots a machine once or twice, run if they are named:
tests/run pipeline_stick.Failures
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import unittest
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from machine import TOP, Machine, sh
from avic import bundle, ktap, stick, takenreport
from avic.base import Base
from avic.plan import Lane, Plan, Test, listed_with_device
from avic.runners.emulator import DEVICES

PATIENCE = 400  # s, the most that a machine may say nothing while a test waits; none asserts how long it took
OVMF = Path("/usr/share/OVMF")
VGABIOS = "/usr/share/seabios/vgabios-stdvga.bin"
# A machine of QEMU's needs these as well, as in scripts/avic/runners/emulator.py.
WORDS = ("stick_wait=3", "tsc=reliable", "no_timer_check")
CPU = "EPYC-Genoa,+svm,+npt,+vgif,+avic,+x2avic"
POSTED = [test for test in listed_with_device() if test.command[0] == "posted_irq"]
IOMMU = DEVICES["iommu"][:4]
RULES = ktap.SplatRules.read(TOP / "ci/run/splats")
HELLO = "echo hello from the stick; exit 0"


def partitioned(path: Path, label: str) -> Path:
    """A disk with one partition, a FAT file system of this name, that has a file."""
    fat = path.with_name(f"{path.name}.fat")
    with fat.open("wb") as file:
        file.truncate(8 << 20)
    subprocess.run(["/usr/sbin/mkfs.vfat", "-F", "16", "-s", "1", "-n", label, fat], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["mcopy", "-i", fat, "-", "::MINE.TXT"], input=os.urandom(5000), check=True)
    entry = bytes([0, 0, 2, 0, 0x0E, 0, 0, 0]) + (2048).to_bytes(4, "little") + (fat.stat().st_size >> 9).to_bytes(4, "little")
    path.write_bytes(bytes(446) + entry + bytes(48) + b"\x55\xaa" + bytes((2048 << 9) - 512) + fat.read_bytes())
    return path


def sum_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


class Booted:
    """A machine that boots by itself; what its serial line says comes in `said`."""

    def __init__(self, folder: Path, uefi: bool, cpu: str, more: list[str], qemu: str = "") -> None:
        """more: options for QEMU, with what it boots from.  qemu: another one than the emulator."""
        self.folder, self.serial = folder, folder / "serial"
        qemu = qemu or os.environ.get("QEMU") or sh(TOP / "ci/emulator/build")
        firmware: list[str] = []
        if uefi:
            shutil.copy(OVMF / "OVMF_VARS.fd", folder / "vars")
            firmware = [
                "-drive", f"if=pflash,format=raw,readonly=on,file={OVMF / 'OVMF_CODE.fd'}",
                "-drive", f"if=pflash,format=raw,file={folder / 'vars'}",
            ]  # fmt: skip
        self.process = subprocess.Popen(
            [
                qemu, "-accel", "tcg,thread=multi", "-machine", "q35", "-cpu", cpu, "-smp", "2", "-m", "4G",
                "-nodefaults", "-display", "none", "-device", f"VGA,romfile={VGABIOS}", *firmware,
                "-device", "i6300esb", *more,
                "-chardev", f"socket,id=serial,path={folder / 'port'},server=on,wait=off,logfile={self.serial}",
                "-serial", "chardev:serial",
                "-monitor", f"unix:{folder / 'monitor'},server=on,wait=off",
            ],
            stdin=subprocess.DEVNULL, stderr=(folder / "qemu").open("w"), cwd=folder,
        )  # fmt: skip

    @property
    def said(self) -> str:
        return self.serial.read_text(errors="replace").replace("\r", "") if self.serial.exists() else ""

    def wait(self, regex: str, times: int = 1) -> str:
        """What the machine has said, once it has said this so often."""
        said, end = self.said, time.monotonic() + PATIENCE
        while len(re.findall(regex, said)) < times:
            if self.process.poll() is not None or time.monotonic() > end:
                qemu = (self.folder / "qemu").read_text()
                raise AssertionError(f"no '{regex}' came; the last it said:\n{said[-3000:]}\nQEMU:\n{qemu[-1000:]}")
            time.sleep(0.5)
            if (now := self.said) != said:
                said, end = now, time.monotonic() + PATIENCE
        return said

    def monitor(self, command: str) -> None:
        """A command for QEMU."""
        with socket.socket(socket.AF_UNIX) as port:
            port.connect(str(self.folder / "monitor"))
            for text in ("", f"{command}\n"):
                port.sendall(text.encode())
                # Up to its prompt: what is closed before may not be carried out.
                said = b""
                while not said.endswith(b"(qemu) "):
                    said += port.recv(4096)

    def type(self, text: str) -> None:
        """A line on the serial port; again, until it is echoed: before somebody reads there it is lost."""
        before = self.said.count(text)
        for _ in range(PATIENCE // 10):
            with socket.socket(socket.AF_UNIX) as port:
                port.connect(str(self.folder / "port"))
                port.sendall(f"{text}\n".encode())
                end = time.monotonic() + 10
                while time.monotonic() < end:
                    if self.said.count(text) > before:
                        return
                    time.sleep(0.2)
        raise AssertionError(f"nobody takes '{text}'; the last it said:\n{self.said[-3000:]}")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Sticks(Machine):
    """Sticks with programs of a test's own, on the stack's kernel at both levels."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.built = Path(sh(TOP / "scripts/build", "stack", "stick"))

    def stick(
        self, programs: dict[str, str], seconds: int = 60, runs: tuple[str, ...] = ("base", "stack"),
        device: bool = False, words: tuple[str, ...] = WORDS,
    ) -> Path:  # fmt: skip
        """The image of a stick on which these run, and with a device posted_irq; returns its path."""
        folder = self.scratch()
        image = folder / "image"
        (image / "selftests").mkdir(parents=True)
        for name in ("bzImage", "kvm.ko", "kvm-amd.ko"):
            (image / name).symlink_to(self.built / name)
        for name, program in programs.items():
            (image / "selftests" / name).write_text(f"#!/bin/sh\n{program}\n")
            (image / "selftests" / name).chmod(0o755)
        if device:
            image = bundle.with_posted_irq(image, folder / "with")
        levels = []
        for level in runs:
            lane = Lane("avic=1", level, ["avic=1"], [Test(name, seconds, [f"./{name}"]) for name in programs])
            plans = {"avic,x2avic": Plan(["avic", "x2avic"], [lane])}
            if device:
                posted = Lane("posted,x2avic", level, ["avic=1"], [replace(t, command=["./posted_irq", *t.command[1:]]) for t in POSTED])
                plans["avic,x2avic+device"] = Plan(["avic", "x2avic", "iommu"], [lane, posted])
            levels.append(stick.Level(level, image, plans))
        flags = stick.flags(Base(TOP / "patches/v6.12"))
        stick.make_stick(levels, flags, "v6.12 (toy), stack toy, stick toy", folder / "stick", words)
        return folder / "stick/stick.img"

    @contextlib.contextmanager
    def boot(
        self, image: Path | None, uefi: bool = False, cpu: str = CPU, more: Sequence[str] = (), qemu: str = "", iommu: bool = False
    ) -> Iterator[Booted]:
        """A machine with this stick, and with disks of its own, of which none may change, whatever happens to the run.

        SCREENS=, if set, is a folder that gets what each test's machine said, and its last report.
        """
        folder = self.scratch()
        disks = [partitioned(folder / name, label) for name, label in (("sata", stick.LABEL), ("nvme", stick.LABEL), ("usb", "OTHER"))]
        before = [sum_of(path) for path in disks]
        drives = [
            *IOMMU * iommu, "-device", "qemu-xhci,id=usb,addr=15.0",
            *(word for path in disks for word in ("-drive", f"if=none,id={path.name},format=raw,file={path}")),
            "-device", "ide-hd,drive=sata,bus=ide.0", "-device", "nvme,drive=nvme,serial=toy,addr=13.0",
            "-device", "usb-storage,bus=usb.0,drive=usb",
        ]  # fmt: skip
        if image:
            drives += ["-drive", f"if=none,id=stick,format=raw,file={image}", "-device", "usb-storage,bus=usb.0,drive=stick,id=key,bootindex=1"]
        machine = Booted(folder, uefi, cpu, [*drives, *more], qemu)
        try:
            yield machine
        finally:
            machine.stop()
            if place := os.environ.get("SCREENS"):
                kept = Path(place, self.id().rpartition(".")[2])
                kept.write_text(f"{machine.said}disks {before}\n   -> {[sum_of(path) for path in disks]}\n")
                for name in sorted(self.names(image)) if image else []:
                    if name.endswith(".tar.gz"):
                        subprocess.run(["mcopy", "-n", "-o", "-i", self.fat(image), f"::{name}", kept.with_suffix(".tar.gz")])
        self.assertEqual([sum_of(path) for path in disks], before)

    def until(self, holds: Callable[[], bool], machine: Booted) -> None:
        """Wait until something holds, of a machine that runs."""
        end = time.monotonic() + PATIENCE
        while not holds():
            self.assertTrue(machine.process.poll() is None and time.monotonic() < end, machine.said[-3000:])
            time.sleep(0.5)

    def fat(self, image: Path) -> str:
        """The stick's FAT partition, as mtools take it."""
        table = image.read_bytes()[446:510]
        starts = [int.from_bytes(table[n + 8 : n + 12], "little") for n in range(0, 64, 16) if table[n + 4] == 0x0C]
        return f"{image}@@{starts[0] * 512}"

    def names(self, image: Path, folder: str = "") -> list[str]:
        done = subprocess.run(["mdir", "-b", "-i", self.fat(image), f"::{folder}"], capture_output=True, text=True)
        return [line.rpartition("/")[2] or line for line in done.stdout.splitlines()]

    def report(self, image: Path, number: int = 1) -> dict[str, str]:
        """The files of a report on the stick."""
        data = subprocess.check_output(["mtype", "-i", self.fat(image), f"::avic-report-{number:03}.tar.gz"])
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            return {each.name.removeprefix("./"): tar.extractfile(each).read().decode() for each in tar if each.isreg()}


class Whole(Sticks):
    def test_1_to_the_end_by_bios(self) -> None:
        """Both levels, by kexec; the report is on the stick."""
        image = self.stick({"hello": HELLO, "skipped": "echo '- Skipping test: no'; exit 4"})
        with self.boot(image) as machine:
            said = machine.wait("The tests are over")
        self.assertIn("The tests with the base kernel, 2 of them", said)
        self.assertIn("The tests with the stack kernel, 2 of them", said)
        self.assertRegex(said, r"base\.1 +1 +1 +0 +0")
        self.assertRegex(said, r"stack\.1 +1 +1 +0 +0")
        found = self.report(image)
        for name in ("base.1.ktap", "stack.1.ktap"):
            self.assertIn("#o hello from the stick", found[name])
            self.assertIn("# plan done", found[name])
        self.assertIn("AuthenticAMD", found["machine"])
        self.assertNotIn("SerialNumber", found["base.1.dmesg"])
        self.assertNotIn("running", self.names(image))

    def test_2_panic_by_uefi_and_on(self) -> None:
        """The next boot tells which test it was, goes on without it, and the report has both tries."""
        image = self.stick({"a": HELLO, "b": "echo c >/proc/sysrq-trigger", "c": HELLO}, runs=("stack",))
        with self.boot(image, uefi=True) as machine:
            said = machine.wait("The tests are over")
        self.assertIn("The run before this one did not come to its end", said)
        self.assertIn("The test that did it: stack b", said)
        found = self.report(image)
        self.assertIn("Bail out! error: the machine restarted or lost power in b", found["stack.1.ktap"])
        self.assertIn("# plan done", found["stack.2.ktap"])
        self.assertNotIn("start b", found["stack.2.ktap"])
        self.assertEqual(found["skip"], "stack b\n")


class Devices(Sticks):
    """Line 2 of the menu: interrupts of a device that is chosen and confirmed by its number."""

    SPARE = ["-device", "qemu-xhci,addr=10.0", "-device", "e1000e,addr=11.0,romfile=", "-device", "igb,addr=6.0"]

    def on(self, image: Path) -> contextlib.AbstractContextManager[Booted]:
        """A machine with spare devices, and this stick."""
        return self.boot(image, more=self.SPARE, iommu=True)

    def with_device(self, program: str, runs: tuple[str, ...] = ("stack",)) -> Path:
        """A stick whose menu waits for somebody; the program runs before the tests with the device."""
        return self.stick({"a": program}, runs=runs, device=True, words=("stick_wait=0", *WORDS[1:]))

    def choose(self, machine: Booted, typed: list[list[str]]) -> None:
        """Choose line 2 and answer its questions, each time with one of these lists."""
        for times, answers in enumerate(typed, 1):
            machine.wait(r"Which one\? \(a number", times)
            machine.type("2")
            confirmed = sum(len(each) > 1 for each in typed[:times])
            for answer, (asked, count) in zip(answers, (("Only Enter: none", times), ("once more to confirm:", confirmed))):
                machine.wait(asked, count)
                machine.type(answer)

    def run_with(self, typed: list[list[str]], runs: tuple[str, ...] = ("stack",)) -> tuple[str, Path]:
        """A run with these answers; what is said, and the stick."""
        image = self.with_device(HELLO, runs)
        with self.on(image) as machine:
            self.choose(machine, typed)
            return machine.wait("The tests are over"), image

    def posted(self, image: Path, level: str) -> list[tuple[str, str, str]]:
        """What came of the tests with the device: name, result, and its note."""
        found = ktap.read_ktap(self.report(image)[f"{level}.1.ktap"], {"avic=1": ["a"], "posted,x2avic": [t.name for t in POSTED]}, RULES)
        for result in found:
            ktap.prove(result, takenreport.wants(result.name), True)
        return [(r.name, r.status, r.note) for r in found if r.lane == "posted,x2avic"]

    def test_1_chosen_and_confirmed(self) -> None:
        """Not the disk, nor what the stick is on, nor what is not confirmed; a spare USB controller's interrupts are posted."""
        spare, disk, own = "0000:00:10.0", "0000:00:13.0", "0000:00:15.0"
        said, image = self.run_with(
            [[disk], [own], [f"force:{own}"], [spare, disk], [spare, spare]], runs=("base", "stack")
        )  # fmt: skip
        self.assertIn(f"  {spare} USB controller (1b36:000d)\n", said)
        self.assertIn(f"  not {disk} NVMe disk (1b36:0010): what it holds can't be seen here\n", said)
        self.assertEqual(said.count(f"Not that one: {disk} NVMe disk"), 1)
        self.assertEqual(said.count(f"Not that one: {own} USB controller (1b36:000d): this stick is on it"), 2)
        # The tests have no way to drive it.
        self.assertNotIn("0000:00:11.0", said)
        self.assertEqual(self.report(image)["choice"], f"device {spare}\n")
        for level in ("base", "stack"):
            self.assertEqual([each for each in self.posted(image, level) if each[1] != "pass"], [])
        self.assertEqual(len(self.posted(image, "stack")), 4)

    def test_2_disk_by_force(self) -> None:
        """An NVMe disk that somebody insists on sends interrupts, and keeps what is on it."""
        disk = "0000:00:13.0"
        _, image = self.run_with([[f"force:{disk}", disk]])
        self.assertEqual([each[1] for each in self.posted(image, "stack")], ["pass"] * 4, self.posted(image, "stack"))

    def test_3_network_card(self) -> None:
        card = "0000:00:06.0"
        _, image = self.run_with([[card, card]])
        self.assertEqual([each[1] for each in self.posted(image, "stack")], ["pass"] * 4, self.posted(image, "stack"))


    def test_4_chosen_anew_after_a_restart(self) -> None:
        """The same number may be another device, as the stick may be in another machine: nothing is taken by itself."""
        spare = "0000:00:10.0"
        image = self.with_device("sleep 50")
        with self.on(image) as machine:
            self.choose(machine, [[spare, spare]])
            self.until(lambda: b"# start a" in image.read_bytes(), machine)
        with self.on(image) as machine:
            machine.wait(r"Which one\? \(after")
            machine.type("1")
            machine.wait("has to be chosen anew")
            machine.wait("Only Enter: none")
            machine.type("no")
            said = machine.wait("The tests are over")
        self.assertIn("Going on without one.", said)
        found = self.report(image)
        self.assertEqual(found["choice"], "all\n")
        self.assertIn("posted_irq", found["stack.1.plan"])
        self.assertNotIn("posted_irq", found["stack.2.plan"])


class WithoutStick(Sticks):
    """The files of net/: what boots is no stick."""

    def test_kernel_initramfs_and_command_line(self) -> None:
        """What `kexec` says, without the program kexec: QEMU starts a kernel in the same way."""
        net = self.stick({"a": HELLO}, runs=("stack",)).parent / "net"
        words = shlex.split((net / "kexec").read_text(), comments=True)
        line = next(word for word in words if word.startswith("--command-line=")).partition("=")[2]
        more = ["-kernel", str(net / "bzImage.stack"), "-initrd", str(net / "initramfs"), "-append", line]
        self.assertLess({"bzImage.stack", "--initrd=initramfs"}, {*words})
        with self.boot(None, more=more) as machine:
            said = machine.wait("The tests are over")
        self.assertIn("without   report: no partition AVIC-REPORT", said)
        self.assertRegex(said, r"stack\.1 +1 +0 +0 +0")
        self.assertIn("Report: in memory only (/tmp/report/avic-report-001.tar.gz)", said)

    @unittest.skipUnless(Path("/usr/lib/ipxe/qemu").is_dir(), "no ipxe-qemu: scripts/setup installs it")
    def test_ipxe(self) -> None:
        """A network card's iPXE takes the script; a stick that is there gets the report.

        By Debian's QEMU, as ours has no network: it has no AVIC, and that is said.
        """
        image = self.stick({"a": HELLO}, runs=("stack",))
        more = ["-netdev", f"user,id=net,tftp={image.parent / 'net'},bootfile=stick.ipxe", "-device", "e1000,netdev=net,bootindex=0"]
        with self.boot(image, cpu="EPYC", more=more, qemu="/usr/bin/qemu-system-x86_64") as machine:
            said = machine.wait("The tests are over")
        self.assertNotIn("GRUB", said)
        self.assertIn("MISSING   avic: this processor, or its BIOS, does not offer AVIC", said)
        self.assertNotIn("The tests with", said)
        self.assertIn("MISSING avic", self.report(image)["preflight"])


@unittest.skipUnless(any("Failures" in word for word in sys.argv), "it boots a dozen machines: tests/run pipeline_stick.Failures runs it")
class Failures(Sticks):
    def ended(self, image: Path, **how: object) -> str:
        """What the machine says until its report is made."""
        with self.boot(image, **how) as machine:
            return machine.wait("The tests are over")

    def test_silent(self) -> None:
        """A plan that does not go on: the machine restarts by itself, and goes on without the test."""
        image = self.stick({"a": HELLO, "b": "kill -STOP $(pidof run-plan); sleep 1000"}, seconds=1, runs=("stack",))
        said = self.ended(image)
        self.assertIn("!! hang: nothing came any more in b", said)
        self.assertIn("Bail out! hang: nothing came any more in b", self.report(image)["stack.1.ktap"])

    def test_watchdog(self) -> None:
        """User space stands still: the machine's own watchdog restarts it."""
        image = self.stick({"a": HELLO, "b": "kill -STOP $(pidof watchdog); sleep 1000"}, seconds=2000, runs=("stack",))
        self.assertIn("The test that did it: stack b", self.ended(image))

    def test_oops(self) -> None:
        """A kernel that is damaged but goes on: the level ends, the other one starts."""
        splat = "echo 128 >/proc/sys/kernel/tainted; sleep 1000"
        image = self.stick({"a": HELLO, "b": splat})
        said = self.ended(image)
        self.assertIn("!! splat: the kernel is damaged (oops) in b", said)
        self.assertIn("The tests with the stack kernel", said)

    def test_second_look(self) -> None:
        """A test that fails with the stack kernel only is run again with both."""
        fails_once = "[ -e /run/avic/again ] || [ ! -e /run/avic/stack.1.plan ]"
        image = self.stick({"a": HELLO, "b": fails_once})
        said = self.ended(image)
        self.assertIn("Tests that ended otherwise with the stack kernel: 1. A second look, 3 times each.", said)
        self.assertRegex(said, r"base\.1 +2 +0 +0 +0\nbase\.2 +3 +0 +0 +0\nstack\.1 +1 +0 +1 +0\nstack\.2 +3 +0 +0 +0\n")
        self.assertEqual(self.report(image)["again"], "avic=1 b\n")

    def fill(self, image: Path, left: int) -> None:
        """Put a file onto the stick's partition that leaves so many bytes free."""
        said = subprocess.check_output(["mdir", "-i", self.fat(image), "::"], text=True)
        free = int(re.sub(r"\D", "", re.search(r"([\d ]+) bytes free", said)[1]))
        filler = self.scratch() / "filler"
        filler.write_bytes(bytes(free - left))
        subprocess.run(["mcopy", "-i", self.fat(image), filler, "::"], check=True)

    def test_full(self) -> None:
        """From the beginning: the menu says so, and the tests run."""
        image = self.stick({"a": HELLO}, runs=("stack",))
        self.fill(image, 0)
        said = self.ended(image)
        self.assertIn("without   report: no partition AVIC-REPORT, or it is full", said)
        self.assertRegex(said, r"stack\.1 +1 +0 +0 +0")
        self.assertIn("Report: in memory only", said)

    def test_full_on_the_way(self) -> None:
        """There is room for some of the results: it is said once, and the tests run to their end."""
        image = self.stick({"a": HELLO, "b": HELLO}, runs=("stack",))
        self.fill(image, 20 << 10)
        said = self.ended(image)
        self.assertIn("ok        report: results go to the partition", said)
        self.assertEqual(said.count("!! The stick is full, or it was pulled out: from here on results are in memory only"), 1)
        self.assertRegex(said, r"stack\.1 +2 +0 +0 +0")
        self.assertIn("Report: !! not on the stick: it is full, or gone", said)

    def test_pulled(self) -> None:
        image = self.stick({"a": "sleep 20", "b": HELLO}, runs=("stack",))
        with self.boot(image) as machine:
            machine.wait("The tests with the stack kernel")
            machine.monitor("device_del key")
            said = machine.wait("The tests are over")
        self.assertIn("!! The stick is full, or it was pulled out", said)
        self.assertRegex(said, r"stack\.1 +2 +0 +0 +0")

    def test_power_cut(self) -> None:
        image = self.stick({"a": HELLO, "b": "sleep 50", "c": HELLO}, runs=("stack",))
        with self.boot(image) as machine:
            machine.wait("1 of 3")
            # So long as it takes to have the next one's name on the stick.
            self.until(lambda: b"# start b" in image.read_bytes(), machine)
        said = self.ended(image)
        self.assertIn("Bail out! error: the machine restarted or lost power in b", said)
        self.assertRegex(said, r"stack\.1 +1 +0 +0 +0\n    error: the machine restarted or lost power in b\n")
        self.assertRegex(said, r"stack\.2 +2 +0 +0 +0")

    def test_no_svm(self) -> None:
        image = self.stick({"a": HELLO}, runs=("stack",))
        said = self.ended(image, cpu="EPYC-Genoa,-svm")
        self.assertIn("has no SVM", said)
        self.assertIn("MISSING svm", self.report(image)["preflight"])

    def test_wrong_vendor(self) -> None:
        for uefi in (True, False):
            with self.subTest(uefi=uefi):
                image = self.stick({"a": HELLO}, runs=("stack",))
                said = self.ended(image, cpu="Skylake-Client", uefi=uefi)
                # GRUB's, before the menu.
                self.assertNotIn("error:", said)
                self.assertIn("is no processor of AMD's (GenuineIntel)", " ".join(said.split()))
                self.assertNotIn("The tests with", said)
                self.assertIn("MISSING processor", self.report(image)["preflight"])
                self.assertEqual(self.report(image)["choice"], "none\n")

    def test_iommu(self) -> None:
        image = self.stick({"a": HELLO}, runs=("stack",))
        self.ended(image, iommu=True)
        self.assertIn("ok iommu", self.report(image)["preflight"])
