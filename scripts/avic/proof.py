# SPDX-License-Identifier: GPL-2.0
"""ci/proofs, read: what proves each change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from avic.paths import TOP
from avic.process import fail
from avic.tables import read_lines, read_table

MACHINE = "avic x2avic"
WITH_DEVICE = MACHINE + " iommu"
RACES = TOP / "ci" / "races"
ODDITIES = TOP / "ci" / "emulator" / "oddities"
KERNELS = {"kasan", "lock-nesting"}  # of configs/: kernels that tell more
FORM = (
    "SLUG TEST CASE [VARIANT] ## why"
    "; a VARIANT is kasan, lock-nesting, a patch of ci/races, a line of ci/emulator/oddities, or A+B of the last two"
)


@cache
def oddities() -> dict[str, list[str]]:
    """ci/emulator/oddities: name -> QEMU's options; exits with 1 for a line that is not one."""
    return {words[0]: words[1:] for words, _ in read_table(ODDITIES, "NAME QEMU-OPTION ## why")}


def parts_of(variant: str) -> tuple[str, list[str]]:
    """What kernel and modules are built for, '' or one of KERNELS or a patch of ci/races, and QEMU's options.

    Raises ValueError for a variant that there is not.
    """
    words = variant.split("+") if variant else []
    builds = [word for word in words if word not in oddities()]
    known = KERNELS | {path.stem for path in RACES.glob("*.patch")}
    if len({*words}) < len(words) or len(builds) > 1 or not known >= {*builds}:
        raise ValueError(f"no VARIANT {variant}")
    return "".join(builds), [option for word in words for option in oddities().get(word, [])]


def is_variant(words: list[str]) -> bool:
    """Whether a line of ci/proofs may have these words behind CASE."""
    try:
        parts_of("".join(words))
    except ValueError:
        return False
    return len(words) <= 1


@dataclass
class Proof:
    """A line of ci/proofs."""

    id: str  # of each slug, joined by +
    slug: str
    test: str
    case: str
    why: str
    variant: str = ""  # of kernel and modules, or of the machine: see parts_of()
    home: str = ""  # the base whose stack has the test, if it is not each base's own
    needs: str = ""  # the change without which it fails anyway

    @property
    def slugs(self) -> list[str]:
        """The changes that it proves; more than one if they show only together."""
        return self.slug.split("+")

    @property
    def name(self) -> str:
        return f"{self.test}:{self.case}"

    @property
    def arguments(self) -> list[str]:
        return [] if self.case == "-" else self.case.split(",")

    @property
    def wants(self) -> str:
        """What a pass has to show: that of a blocked vCPU (-b), that the IOMMU posts its interrupts."""
        return "on,host_irqs=0" if {"DEVICE", "-b"} <= {*self.arguments} else "on"

    @property
    def machine(self) -> str:
        return WITH_DEVICE if "DEVICE" in self.arguments else MACHINE


def read_proofs(text: str, ids: Mapping[str, str] = {}) -> list[Proof]:
    """Parse ci/proofs; raises ValueError for a line that is not one.  ids: slug -> ID."""
    proofs = []
    for words, why in read_lines(text, "ci/proofs", FORM, lambda words: is_variant(words[3:])):
        needs, _, slug = words[0].rpartition(">")
        home, _, test = words[1].rpartition("/")
        id = "+".join(ids.get(each, "") for each in slug.split("+"))
        proofs.append(Proof(id, slug, test, words[2], why, "".join(words[3:]), home, needs))
    return proofs


def load_proofs(path: Path, ids: Mapping[str, str]) -> list[Proof]:
    """ci/proofs, read; exits with 1 for a line that is not one."""
    try:
        return read_proofs(path.read_text(), ids)
    except ValueError as error:
        fail(1, str(error))
