# SPDX-License-Identifier: GPL-2.0
"""A base: a folder of patches/, and the kernel that its series is for."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from avic import raw
from avic.patch import Patch, read_patch, slug_in
from avic.paths import CACHE, TOP
from avic.process import fail, script
from avic.series import SeriesFile, read_series


def numbers(version: str) -> list[int]:
    """A version's numbers: v6.6 comes before v6.12."""
    return [int(number) for number in re.findall(r"\d+", version)]


@dataclass
class Base:
    """What a folder of patches/ says; patches/v6.12/base says what its fields mean."""

    folder: Path

    @classmethod
    def every(cls, top: Path = TOP) -> list[Base]:
        """All bases that have a series, in the order of their versions."""
        return sorted((cls(path.parent) for path in top.glob("patches/*/series")), key=lambda base: base.version)

    @classmethod
    def named(cls, name: str) -> Base:
        """The base of a name; exits with 2 if there is none."""
        base = cls(TOP / "patches" / name)
        if not (base.folder / "series").exists():
            fail(2, f"no base '{name}': patches/ has {' '.join(map(str, cls.every()))}")
        return base

    @property
    def name(self) -> str:
        return self.folder.name

    def __str__(self) -> str:
        return self.name

    @property
    def version(self) -> list[int]:
        """The numbers of its name."""
        return numbers(self.name)

    def at_least(self, version: str) -> bool:
        """Whether the base is a version of mainline, or newer; not so for a base without numbers in its name."""
        return self.version >= numbers(version)

    @cached_property
    def fields(self) -> dict[str, list[str]]:
        """The fields of its file; a field may occur more than once."""
        found: dict[str, list[str]] = {}
        for line in raw.read(self.folder / "base").split("\n"):
            name, colon, value = line.partition(":")
            if colon and not line.startswith("#"):
                found.setdefault(name, []).append(value.strip())
        return found

    def why(self, field: str) -> dict[str, str]:
        """Word -> why, of a field 'NAME: WORD...: why', e.g. the slugs of Left-out."""
        found: dict[str, str] = {}
        for text in self.fields.get(field, []):
            words, _, why = text.partition(": ")
            found |= dict.fromkeys(words.split(), why)
        return found

    @property
    def series(self) -> SeriesFile:
        """Its series file."""
        return read_series(self.folder)

    @property
    def names(self) -> list[str]:
        """The files of its series, in order."""
        return self.series.names

    @property
    def slugs(self) -> list[str]:
        """The slugs of its series, in order."""
        return [slug_in(name) for name in self.names]

    @property
    def patches(self) -> list[Patch]:
        """The patches of its series, in order."""
        return self.read(self.names)

    def read(self, names: list[str]) -> list[Patch]:
        """Some patches of its series, by their files."""
        return [read_patch(self.folder / name) for name in names]

    @property
    def small(self) -> list[Patch]:
        """Its series in the small form; empty if it has none, and exits with 1 if a patch of it takes no place.

        `Small` of its file names the changes that it does without; small/SLUG.patch takes the
        place of the series' patch.
        """
        without = self.why("Small")
        own = {path.stem: path for path in sorted((self.folder / "small").glob("*.patch"))}
        if lost := sorted({*without, *own} - set(self.slugs)):
            fail(1, f"patches/{self} has no patch {lost[0]}, which its small form names: correct Small, or small/")
        names = [name for name in self.names if slug_in(name) not in without] if without or own else []
        return [read_patch(own.get(slug_in(name), self.folder / name), name) for name in names]

    @property
    def by_slug(self) -> dict[str, Patch]:
        """The patches of its series, by slug."""
        return {patch.slug: patch for patch in self.patches}

    def tree(self, verb: str, tree: str = "") -> Path:
        """The git tree that scripts/fetch or scripts/apply makes for it; exits as they do.

        tree: a user's own kernel tree for it, OTHER_TREE=; TREE= is only for the base that the user asks for.
        """
        own = os.environ.get("TREE", "") if self.name == BASE.name else ""
        name = "OTHER_TREE" if tree else os.environ.get("TREE_NAME", "TREE")
        env = os.environ | {"BASE": self.name, "TREE": tree or own}
        return Path(script(TOP / "scripts" / verb, f"--tree-name={name}", env=env))


def default() -> str:
    """The name of the base when BASE= gives none: that of the cache's tree in which one stands, as scripts/lib.sh has it."""
    with contextlib.suppress(OSError, ValueError):
        name, _, *_ = Path.cwd().relative_to((CACHE / "base").resolve()).parts
        return name
    return "v6.12"


# The one that the user asks for.
BASE = Base(TOP / "patches" / (os.environ.get("BASE") or default()))
