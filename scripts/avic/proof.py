# SPDX-License-Identifier: GPL-2.0
"""ci/proofs, read: what proves each change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avic.base import TOP
from avic.process import fail

MACHINE = "avic x2avic"
WITH_DEVICE = MACHINE + " iommu"
RACES = TOP / "ci" / "races"


@dataclass
class Proof:
    """A line of ci/proofs."""

    id: str
    slug: str
    test: str
    case: str
    why: str
    variant: str = ""  # of kernel and modules: kasan, or a patch of ci/races
    home: str = ""  # the base whose stack has the test, if it is that of one base
    needs: str = ""  # the change without which it fails anyway

    @property
    def slugs(self) -> list[str]:
        """The changes that it is about: more than one if they show only together."""
        return self.slug.split("+")

    @property
    def name(self) -> str:
        return f"{self.test}:{self.case}"

    @property
    def arguments(self) -> list[str]:
        return [] if self.case == "-" else self.case.split(",")

    @property
    def machine(self) -> str:
        return WITH_DEVICE if "DEVICE" in self.arguments else MACHINE


def read_proofs(text: str) -> list[Proof]:
    """Parse ci/proofs; raises ValueError for a line that is not one."""
    proofs = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        words, _, why = line.partition("##")
        fields = words.split()
        known = [[], ["kasan"], *([path.stem] for path in RACES.glob("*.patch"))]
        if len(fields) < 4 or not why.strip() or fields[4:] not in known:
            raise ValueError(f"ci/proofs:{number}: want 'ID SLUG TEST CASE [VARIANT] ## why'")
        needs, _, slug = fields[1].rpartition(">")
        home, _, test = fields[2].rpartition("/")
        variant = "".join(fields[4:])
        proofs.append(Proof(fields[0], slug, test, fields[3], why.strip(), variant, home, needs))
    return proofs


def load_proofs(path: Path) -> list[Proof]:
    """ci/proofs, read; exits with 1 for a line that is not one."""
    try:
        return read_proofs(path.read_text())
    except ValueError as error:
        fail(1, str(error))
        raise
