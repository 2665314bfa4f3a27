# SPDX-License-Identifier: GPL-2.0
"""ci/proofs, read: what proves each change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from avic.paths import TOP
from avic.process import fail
from avic.tables import read_lines

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
    def machine(self) -> str:
        return WITH_DEVICE if "DEVICE" in self.arguments else MACHINE


def read_proofs(text: str, ids: Mapping[str, str] = {}) -> list[Proof]:
    """Parse ci/proofs; raises ValueError for a line that is not one.  ids: slug -> ID."""
    form = "SLUG TEST CASE [VARIANT] ## why"
    variants = ([], ["kasan"], *([path.stem] for path in RACES.glob("*.patch")))
    proofs = []
    for words, why in read_lines(text, "ci/proofs", form, lambda words: words[3:] in variants):
        needs, _, slug = words[0].rpartition(">")
        home, _, test = words[1].rpartition("/")
        id = ids.get(slug.partition("+")[0], "")
        proofs.append(Proof(id, slug, test, words[2], why, "".join(words[3:]), home, needs))
    return proofs


def load_proofs(path: Path, ids: Mapping[str, str]) -> list[Proof]:
    """ci/proofs, read; exits with 1 for a line that is not one."""
    try:
        return read_proofs(path.read_text(), ids)
    except ValueError as error:
        fail(1, str(error))
