# SPDX-License-Identifier: GPL-2.0
"""A USB stick that boots base and stack on somebody's machine, runs the plan and keeps the results.

ci/stick/ has what runs there.  The guest side (run-plan, modules, selftests) is that of avic.bundle.
"""

from __future__ import annotations

import gzip
import itertools
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from avic import remote
from avic.aside import replaced
from avic.base import Base
from avic.bundle import compile_program, fill, pack_initramfs
from avic.ktap import SplatRules
from avic.paths import TOP
from avic.plan import AGAIN, Plan, listed
from avic.process import fail, scratch
from avic.runners.emulator import DEVICES, MODELS

STICK = TOP / "ci" / "stick"
LABEL = "AVIC-REPORT"
FAT_MIB = 32
# What the kernel is told.  One that stands still restarts: after a minute, in which its last words can be
# photographed.  UEFI's services are not used, so its variables stay as they are.
WORDS = (
    "loglevel=1", "panic=60", "softlockup_panic=1", "hung_task_panic=1", "nmi_watchdog=panic", "efi=noruntime",
)  # fmt: skip
# Memory for the biggest selftest, and twice what is unpacked: to get to the other kernel all is packed once more.
TESTS_MIB = 1500
# All that grub.cfg asks for, and what GRUB's own start by UEFI does: it complains of each that is missing.
GRUB = (
    "linux normal serial iso9660 fat search all_video terminal reboot halt test part_msdos part_gpt part_acorn part_amiga"
    " part_apple part_bsd part_dfly part_dvh part_plan part_sun part_sunpc"
)
README = """\
The results of the AVIC test stick come here: avic-report-001.tar.gz and so on.
The file CONTENTS in each says what is in it. Please send the newest one.
The folder `running` has the results of a run that did not come to its end:
boot the stick once more, it makes a report of them.
"""


@dataclass
class Level:
    """What a level brings: an image as avic.bundle takes it, and a plan for each kind of machine, see kinds()."""

    name: str
    image: Path
    plans: dict[str, Plan]

    @property
    def whole(self) -> Plan:
        """One plan with each lane of any kind of machine, for the programs that the level needs."""
        lanes = {lane.name: lane for plan in self.plans.values() for lane in plan.lanes}
        return Plan([], list(lanes.values()))


def flags(base: Base) -> list[str]:
    """The CPU flags that any of a base's lanes names, in the order in which ci/stick/key joins them."""
    words = {word for features, _ in listed(base) for word in features.split(",")}
    return sorted(words - set(MODELS) - set(DEVICES))


def kinds(base: Base) -> dict[str, list[str]]:
    """Kinds of machines, by what ci/stick/key prints there -> their lanes.

    NAME+device is such a machine with a device for VFIO; it is left out if that brings no other lane.
    """
    found: dict[str, list[str]] = {}
    words = flags(base)
    for chosen in itertools.chain.from_iterable(itertools.combinations(words, n) for n in range(len(words) + 1)):
        name = ",".join(chosen)
        without, having = (remote.lanes_for(base, list(chosen), device) for device in (False, True))
        if without:
            found[name] = without
        if having != without:
            found[f"{name}+device"] = having
    return found


def set_refused_apart(tests: Path, apart: Path) -> None:
    """Put a skip in the place of each test of ci/hardware/refused; the tests themselves go to another folder."""
    why = remote.refused("")
    for path in sorted(tests.rglob("*")):
        if path.is_file() and path.name in why:
            target = apart / path.relative_to(tests)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, target)
            path.write_text(remote.instead(path.name, why[path.name]).replace(f"TESTS={path.name} runs", "line 3 of the menu runs"))
            path.chmod(0o755)


def fill_stick(root: Path, levels: Sequence[Level], words: list[str], what: str) -> None:
    """The root folder of the stick's initramfs."""
    stick = root / "stick"
    stick.mkdir(parents=True)
    for path in sorted(STICK.iterdir()):
        if path.name not in ("grub.cfg", "kexec.c", "init"):
            shutil.copy(path, stick)
    shutil.copy(STICK / "init", root)
    compile_program(STICK / "kexec.c", stick / "kexec")
    patience = {"-": Plan([], []).patience("")}
    for level in levels:
        place = root / level.name
        fill(place, level.image, level.whole)
        for name in ("bin", "dev", "proc", "sys"):
            if not (root / name).exists():
                shutil.move(place / name, root / name)
        (root / "bundle").mkdir(exist_ok=True)
        shutil.move(place / "bundle", root / "bundle" / level.name)
        shutil.rmtree(place)
        (stick / "refused" / level.name).mkdir(parents=True)
        set_refused_apart(root / "bundle" / level.name / "tests", stick / "refused" / level.name)
        shutil.copy(level.image / "bzImage", stick / f"bzImage.{level.name}")
        for name, plan in level.plans.items():
            (stick / "plans" / level.name).mkdir(parents=True, exist_ok=True)
            (stick / "plans" / level.name / name).write_text(plan.text())
        patience |= {test.name: level.whole.patience(test.name) for test in level.whole.tests}
    (stick / "patience").write_text("".join(f"{name} {seconds}\n" for name, seconds in patience.items()))
    (stick / "taints").write_text(remote.patterns(SplatRules.read(TOP / "ci/run/splats"))["taints"])
    (stick / "levels").write_text("".join(f"{level.name}\n" for level in levels))
    (stick / "times").write_text(f"{AGAIN}\n")
    (stick / "flags").write_text("".join(f"{word}\n" for word in words))
    (stick / "what").write_text(f"{what}\n")
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    (stick / "mib").write_text(f"{2 * (size >> 20) + TESTS_MIB}\n")


def run_tool(*command: str | Path) -> None:
    """A program of Debian's; what it says is shown only if it fails, and then we exit."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode:
        fail(1, f"{Path(command[0]).name} failed: see below", done.stdout)


def make_fat(path: Path) -> None:
    """A FAT file system for the results, with a text for who finds it."""
    with path.open("wb") as file:
        file.truncate(FAT_MIB << 20)
    run_tool("/usr/sbin/mkfs.vfat", "-F", "16", "-n", LABEL, path)
    with scratch("avic-stick.") as place:
        (place / "README.TXT").write_text(README.replace("\n", "\r\n"))
        run_tool("mcopy", "-i", path, place / "README.TXT", "::")


def need_tools() -> None:
    """Exits with 2 if a program or GRUB's files are missing."""
    missing = [tool for tool in ("grub-mkrescue", "xorriso", "mcopy", "/usr/sbin/mkfs.vfat") if not shutil.which(tool)]
    missing += [name for name in ("i386-pc", "x86_64-efi") if not Path("/usr/lib/grub", name).is_dir()]
    if missing:
        fail(2, f"{' '.join(missing)} not there: run scripts/setup, which installs ci/packages")


def make_stick(levels: Sequence[Level], words: list[str], what: str, out: Path, more: Sequence[str] = ()) -> None:
    """Make the folder out: stick.img, and in net/ what iPXE and kexec take.

    levels: in the order in which they run.  words: of flags().  what: one line about the kernels,
    which begins with the base's name.  more: words for the kernel's command line.
    """
    need_tools()
    first = levels[0].name
    line = " ".join([*WORDS, *more])
    with replaced(out) as new, scratch("avic-stick.") as place:
        root, tree = place / "root", place / "tree"
        fill_stick(root, levels, words, what)
        (tree / "boot/grub").mkdir(parents=True)
        pack_initramfs(root, place / "initramfs")
        with (place / "initramfs").open("rb") as plain, gzip.GzipFile(
            tree / "boot/initramfs", "wb", compresslevel=6, mtime=0
        ) as packed:
            shutil.copyfileobj(plain, packed)
        shutil.copy(levels[0].image / "bzImage", tree / f"boot/bzImage.{first}")
        grub = (STICK / "grub.cfg").read_text().replace("@LEVEL@", first).replace("@WORDS@", line)
        (tree / "boot/grub/grub.cfg").write_text(grub)
        make_fat(place / "fat")
        run_tool(
            "grub-mkrescue", "--locales=", "--fonts=", "--themes=", f"--install-modules={GRUB}",
            "-o", new / "stick.img", tree,
            "--", "-volid", "AVIC_STICK", "-append_partition", "4", "0x0c", place / "fat",
        )  # fmt: skip
        net = new / "net"
        net.mkdir()
        for name in (f"bzImage.{first}", "initramfs"):
            shutil.copy(tree / "boot" / name, net)
        line = f"console=ttyS0,115200 console=tty0 {line} stick_level={first}"
        (net / "stick.ipxe").write_text(f"#!ipxe\nkernel bzImage.{first} initrd=initramfs {line}\ninitrd initramfs\nboot\n")
        (net / "kexec").write_text(
            "# SPDX-License-Identifier: GPL-2.0\n# As root, in this folder; the machine's own system ends.\n"
            f"kexec --load --kexec-file-syscall bzImage.{first} --initrd=initramfs --command-line='{line}' &&\n"
            "\tsystemctl kexec\n"
        )
