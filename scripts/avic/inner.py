# SPDX-License-Identifier: GPL-2.0
"""Guests of the emulated machine that nobody here wrote: Debian's QEMU, with KVM, inside it (ci/inner/run)."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from avic.aside import replaced
from avic.paths import TOP
from avic.plan import Test
from avic.process import fail

RUN = TOP / "ci" / "inner" / "run"
PROGRAM = "../inner/run"
QEMU = Path("/usr/bin/qemu-system-x86_64")
# What QEMU's machines `pc` and `q35` need of Debian's firmware.
FIRMWARE = (
    Path("/usr/share/seabios/bios-256k.bin"),
    *(Path("/usr/share/qemu", name) for name in ("kvmvapic.bin", "linuxboot_dma.bin", "multiboot_dma.bin")),
)
TIME = "`date +%s`"


@dataclass
class Guests:
    """Guests of a kind, as tests.

    cases, files: for ci/inner/run, by the names that they have below its cases/ and files/.  what: for the report.
    """

    tests: list[Test] = field(default_factory=list)
    cases: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    what: dict[str, str] = field(default_factory=dict)

    def add(self, other: Guests) -> None:
        """Guests of another kind, too."""
        self.tests += other.tests
        self.cases |= other.cases
        self.files |= other.files
        self.what |= other.what

    def test(self, name: str, seconds: int, avic: str, case: str) -> None:
        """Add one, whose case is a file for ci/inner/run."""
        self.cases[name] = case
        self.tests.append(Test(name, seconds, [PROGRAM, name], avic))


def case(options: list[str], *others: str) -> str:
    """A file of cases/: QEMU's options, and other lines.

    Raises ValueError at an option that would not arrive as it is.
    """
    for word in options:
        if re.search(r"[`$\n]", word.replace(TIME, "")) or word != word.strip():
            raise ValueError(f"'{word}' can't be given to QEMU")
    return "\n".join([*others, *(f"qemu {word}" for word in without_reserve(options))]) + "\n"


def without_reserve(options: list[str]) -> list[str]:
    """QEMU's options with a guest's memory taken as it is used: the machine has less than some guests are given."""
    if "-m" not in options[:-1]:
        return options
    size = options[options.index("-m") + 1]
    # Without a unit it is MiB for the one, and bytes for the other.
    memory = f"memory-backend-ram,id=ram,size={size}{'M' if size.isdigit() else ''},reserve=off"
    return [*options, "-object", memory, "-machine", "memory-backend=ram"]


def libraries(program: Path) -> list[Path]:
    """What a program is linked with, the loader included; [] if it is static."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    return [Path(path) for path in re.findall(r"^\t(?:\S+ => )?(/\S+)", said, re.MULTILINE)]


def need(path: Path) -> Path:
    """A file of a Debian package; exits with 2 if it is not there."""
    if not path.is_file():
        fail(2, f"no file {shlex.quote(str(path))}: run scripts/setup")
    return path


def put(image: Path, guests: Guests) -> None:
    """Put QEMU and guests into an image, as inner/; exits if a file of theirs is not there."""
    with replaced(image / "inner") as new:
        for name in ("lib", "share", "files"):
            (new / name).mkdir()
        for path in (need(QEMU), RUN):
            shutil.copy(path, new)
        for path in libraries(QEMU):
            shutil.copy(path, new / "lib" / ("ld.so" if path.name.startswith("ld-linux") else path.name))
        for path in FIRMWARE:
            shutil.copy(need(path), new / "share")
        for name, path in guests.files.items():
            shutil.copy(path, new / "files" / name)
        for name, text in guests.cases.items():
            (new / "cases" / name).parent.mkdir(parents=True, exist_ok=True)
            (new / "cases" / name).write_text(text)
