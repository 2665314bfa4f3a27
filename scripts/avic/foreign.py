# SPDX-License-Identifier: GPL-2.0
"""Firmware, boot loaders and other systems of Debian as guests of the machine, as ci/inner/foreign says."""

from __future__ import annotations

import re
import subprocess
import tarfile
from pathlib import Path

from avic import inner
from avic.aside import replaced
from avic.build import digest
from avic.inner import Guests, need
from avic.paths import CACHE, TOP
from avic.process import fail
from avic.tables import read_table

TABLE = TOP / "ci" / "inner" / "foreign"
FORM = "NAME SECONDS AVIC CPUS PIT BOOT WANT ## why"
GRUB = Path("/usr/lib/grub/i386-pc")
GRUB_MODULES = ("biosdisk", "serial", "terminal", "echo", "sleep")
KERNEL_MODULES = ("memdisk", "tar", "gzio", "multiboot", "boot")
# What can be booted: QEMU's options, and the file of files/ among them.
BOOTS = {
    # Its messages go to the serial port as well if there is no screen.
    "seabios": (["-machine", "graphics=off"], ""),
    "ovmf": (["-bios", "files/ovmf"], "ovmf"),
    "grub": (["-drive", "file=files/grub,format=raw"], "grub"),
    "mach": (["-drive", "file=files/mach,format=raw"], "mach"),
    "ipxe": (["-machine", "graphics=off", "-kernel", "files/ipxe"], "ipxe"),
    "memtest": (["-kernel", "files/memtest", "-append", "console=ttyS0,115200"], "memtest"),
}
OVMF = Path("/usr/share/ovmf/OVMF.fd")
IPXE = Path("/boot/ipxe.lkrn")
MACH = Path("/boot/gnumach-1.8-486.gz")
MEMTEST = Path("/boot/memtest86+x64.bin")


def grub(name: str, kernel: Path | None = None) -> Path:
    """A disk with GRUB that does what ci/inner/NAME.cfg says, with a kernel as (memdisk)/kernel; exits if it can't be made."""
    boot, config = need(GRUB / "boot.img"), TOP / "ci" / "inner" / f"{name}.cfg"
    modules = (*GRUB_MODULES, *(KERNEL_MODULES if kernel else ()))
    content = need(kernel).read_bytes() if kernel else b""
    key = digest(boot.read_bytes(), (GRUB / "kernel.img").read_bytes(), config.read_bytes(), content, *modules)
    done = CACHE / "foreign" / key
    if not done.exists():
        with replaced(done) as new:
            command = ["grub-mkimage", "--format=i386-pc", "--prefix=/", f"--config={config}", f"--output={new}/core"]
            if kernel:
                with tarfile.open(new / "kernel.tar", "w") as tar:
                    tar.add(kernel, "kernel")
                command.append(f"--memdisk={new}/kernel.tar")
            if subprocess.run([*command, *modules]).returncode:
                fail(1, "grub-mkimage failed: see above")
            # As long as no file system is on the disk, GRUB's core may be right behind its first sector.
            disk = boot.read_bytes() + (new / "core").read_bytes()
            (new / "disk").write_bytes(disk.ljust(2 << 20, b"\0"))
    return done / "disk"


def source(file: str) -> Path:
    """What a file of BOOTS is on this machine; exits with 2 if its package is not installed."""
    if file in ("grub", "mach"):
        return grub(file, MACH if file == "mach" else None)
    return need({"ovmf": OVMF, "ipxe": IPXE, "memtest": MEMTEST}[file])


def prepare(path: Path = TABLE) -> Guests:
    """The guests of ci/inner/foreign; exits with 1 at a line that is wrong, with 2 if a package is missing."""
    found = Guests()
    for (name, seconds, avic, cpus, pit, boot, *want), _ in read_table(path, FORM):
        regex = " ".join(want)
        try:
            re.compile(regex)
            if pit not in ("discard", "delay") or avic not in ("on", "off", "-"):
                raise ValueError(f"{pit} {avic}")
            options, file = BOOTS[boot]
            words = ["-smp", str(int(cpus)), "-global", f"kvm-pit.lost_tick_policy={pit}", *options]
            found.test(f"foreign/{name}", int(seconds), avic, inner.case(words, f"want {regex}"))
        except (ValueError, KeyError, re.error) as error:
            fail(1, f"{path.name}: {name}: {error}: see its head")
        if file:
            found.files[file] = source(file)
    return found
