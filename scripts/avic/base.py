# SPDX-License-Identifier: GPL-2.0
"""A base: a folder of patches/, and the kernel that its series is for."""

from __future__ import annotations

import os
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
BASE = os.environ.get("BASE") or "v6.12"
PATCHES = TOP / "patches" / BASE
CACHE = Path(
    os.environ.get("AVIC_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "avic"
)


def read_base(folder: Path) -> dict[str, list[str]]:
    """The fields of a base's file; patches/v6.12/base says what they mean."""
    fields: dict[str, list[str]] = {}
    for line in (folder / "base").read_text().splitlines():
        name, colon, value = line.partition(":")
        if colon and not line.startswith("#"):
            fields.setdefault(name, []).append(value.strip())
    return fields


def explained(fields: dict[str, list[str]], name: str) -> dict[str, str]:
    """Word -> why, of a base's field 'NAME: WORD...: why', e.g. the slugs of Left-out."""
    found: dict[str, str] = {}
    for text in fields.get(name, []):
        words, _, why = text.partition(": ")
        found |= dict.fromkeys(words.split(), why)
    return found
