# SPDX-License-Identifier: GPL-2.0
"""emulator BUNDLE OUT: boot a bundle on an emulated AMD machine.

  BUNDLE   a folder that scripts/bundle made
  OUT      an existing folder; gets ktap and console, and what QEMU says in qemu; strict has
           what its strict mode has detected, as ktap.blame() reads it
  QEMU=    another qemu-system-x86_64 than the one that ci/emulator/build prints
  CPU=     another CPU; by default EPYC with what each CPU with AVIC has, and the features
           that the plan names.  Its word "iommu" stands for an IOMMU and a network card to
           assign, and "zen3" or "zen4" for EPYC-Milan or EPYC-Genoa in EPYC's place
  BOOT_SECONDS=   the most until the first line of KTAP (120; 5 on an idle machine);
                  three times that if the plan has options for QEMU
  GRACE_SECONDS=  how long the guest may take to end a test that timed out (60)

Never uses /dev/kvm: the CPU under test is the one that QEMU's TCG emulates.  If the
machine does not get to the end of its plan, the last line of ktap is
"Bail out! KIND: WHAT", with KIND one of boot, panic, hang, error.
Exit status: 0 if the machine ran to its end, 1 if it bailed out.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from avic import ktap, plan as plans
from avic.paths import TOP
from avic.plan import Plan
from avic.raw import printable

BOOT_SECONDS = int(os.environ.get("BOOT_SECONDS") or 120)
GRACE_SECONDS = int(os.environ.get("GRACE_SECONDS") or plans.GRACE_SECONDS)

# Words of the plan's machine line that are CPU models; without one it is EPYC, a Zen 1.
# They stand here because this file is in the key of what was run.
MODELS = {"zen3": "EPYC-Milan", "zen4": "EPYC-Genoa"}

# Words that are not CPU features, and QEMU's options for them.
DEVICES = {
    # The IOMMU posts interrupts of devices to guests with AVIC; Linux wants the
    # SMBus to remap interrupts; igb and edu are for VFIO.
    "iommu": [
        "-device", "amd-iommu,intremap=on,xtsup=on,guest-vapic=on,irte-cache=on,x-strict=on",
        "-device", "amd-fch-smbus,addr=14.0",
        "-device", "igb",
        "-device", "edu",
    ],
}  # fmt: skip


def cpu(words: list[str]) -> str:
    """The CPU of a machine with these words: a model, what each CPU with AVIC has, and the other words."""
    model = next((MODELS[word] for word in words if word in MODELS), "EPYC")
    # The strict mode tells what would be hidden otherwise.
    features = ["+svm", "+npt", "+vgif", "+nrip-save", "+decodeassists", "x-svm-strict=on"]
    features += [f"+{word}" for word in words if word not in {*DEVICES, *MODELS}]
    return ",".join([model, *features])


def machine(qemu: str, bundle: Path, out: Path) -> list[str]:
    """The command line of the emulated machine."""
    plan = Plan.read((bundle / "plan").read_text())
    words = plan.machine
    devices = [option for word in words for option in DEVICES.get(word, [])]
    return [
        qemu,
        "-accel", "tcg,thread=multi",
        "-machine", "q35",
        "-cpu", os.environ.get("CPU") or cpu(words),
        # Two sockets for the two nodes, or the kernel warns at boot.
        "-smp", "2,sockets=2",
        "-m", "4G",
        # Two nodes, with a CPU each.
        "-object", "memory-backend-ram,id=node0,size=2G",
        "-object", "memory-backend-ram,id=node1,size=2G",
        "-numa", "node,cpus=0,memdev=node0",
        "-numa", "node,cpus=1,memdev=node1",
        "-nodefaults",
        "-display", "none",
        "-no-reboot",
        "-d", "guest_errors",
        *devices,
        *plan.qemu,
        "-serial", f"file:{out / 'console'}",
        "-serial", f"file:{out / 'ktap'}",
        "-kernel", str(bundle / "bzImage"),
        "-initrd", str(bundle / "initramfs"),
        "-append", "console=ttyS0 panic=-1 tsc=reliable no_timer_check nokaslr",
    ]  # fmt: skip


class Watch:
    """Watches the machine's logs: whether it still makes progress, and what its strict mode has detected."""

    def __init__(self, out: Path, plan: Plan) -> None:
        self.ktap, self.console, self.qemu, self.strict = (out / name for name in ("ktap", "console", "qemu", "strict"))
        self.plan = plan
        self.detected = 0
        # An oddity may have the kernel wait for a register at boot, 20 s by its own clock.
        self.boot_seconds = BOOT_SECONDS * (3 if plan.qemu else 1)
        self.size = 0
        self.moved = self.shown = self.begin = time.monotonic()

    def verdict(self, running: bool) -> str | None:
        """'' when the plan is done, 'KIND: WHAT' for a bail-out, None to go on."""
        text = ktap.read_text(self.ktap)
        progress = ktap.Progress.of(text)
        self.note_detections(progress)
        now = time.monotonic()
        if len(text) != self.size:
            self.size, self.moved = len(text), now
        here = f"in {progress.test}" if progress.test else "between tests"
        if now - self.shown > 15:
            self.shown = now
            name = self.ktap.parent.name
            print(f"{now - self.begin:4.0f}s  emulator: {name}: {progress}", file=sys.stderr)
        if progress.ended:
            return ""
        panic = re.search(r"Kernel panic - .*", ktap.read_text(self.console))
        if panic and not running:
            return f"panic: {printable(panic[0].strip())} ({here})"
        if not running:
            return f"error: the machine stopped {here}"
        if not progress.begun:
            if now - self.begin > self.boot_seconds:
                return f"boot: nothing from the guest after {self.boot_seconds} s"
        elif now - self.moved > self.plan.patience(progress.test, GRACE_SECONDS):
            return f"hang: the guest fell silent {here}"
        return None

    def note_detections(self, progress: ktap.Progress) -> None:
        """Write down in which test QEMU's strict mode has detected what."""
        lines = re.findall(r"^strict: .*\n", ktap.read_text(self.qemu), re.MULTILINE)
        if new := lines[self.detected :]:
            with self.strict.open("a") as file:
                file.writelines(f"{progress.done} {line}" for line in new)
            self.detected = len(lines)


def run(qemu: str, bundle: Path, out: Path) -> str:
    """Boot, watch to the end, and return the bail-out or ''."""
    with (out / "qemu").open("w") as log:
        process = subprocess.Popen(
            machine(qemu, bundle, out),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    watch = Watch(out, Plan.read((bundle / "plan").read_text()))
    try:
        while (verdict := watch.verdict(process.poll() is None)) is None:
            time.sleep(0.2)
        if verdict == "":
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                return "hang: the guest did not power off"
            # One that came when the plan was done already.
            if panic := re.search(r"Kernel panic - .*", ktap.read_text(out / "console")):
                return f"panic: {printable(panic[0].strip())} (at power-off)"
        return verdict
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def built_qemu() -> str:
    """The QEMU with AVIC, built first if need be; exits if that fails."""
    build = TOP / "ci" / "emulator" / "build"
    result = subprocess.run([build], stdout=subprocess.PIPE, text=True)
    if result.returncode:
        sys.exit(result.returncode)
    return result.stdout.strip()


def main() -> int:
    if len(sys.argv) != 3:
        print("emulator: usage: emulator BUNDLE OUT", file=sys.stderr)
        return 2
    qemu = shutil.which(os.environ.get("QEMU") or built_qemu())
    if not qemu:
        print(f"emulator: no program QEMU={os.environ.get('QEMU')}", file=sys.stderr)
        return 2
    bundle, out = Path(sys.argv[1]), Path(sys.argv[2])
    bail = run(qemu, bundle, out)
    if bail:
        with (out / "ktap").open("a") as ktap:
            ktap.write(f"\nBail out! {bail}\n")
        print(f"emulator: {bail} (logs: {out})", file=sys.stderr)
    return 1 if bail else 0
