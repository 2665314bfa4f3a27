# SPDX-License-Identifier: GPL-2.0
"""Our data files: words, `##`, and a note; `#` begins a comment line."""

from __future__ import annotations

from pathlib import Path

from avic.base import TOP
from avic.process import fail


def read_table(path: Path, form: str) -> list[tuple[list[str], str]]:
    """The entries of a data file: the words before `##`, and the note behind it.

    form: an entry's shape, such as `SLUG WHERE ## note`; exits with 1 at a line
    with fewer words, or without the note where the form has one.
    """
    wanted = len(form.partition("##")[0].split())
    entries = []
    lines = path.read_text().splitlines() if path.exists() else []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        words, _, note = line.partition("##")
        if len(words.split()) < wanted or ("## " in form and not note.strip()):
            shown = path.relative_to(TOP) if path.is_relative_to(TOP) else path
            fail(1, f"{shown}:{number}: want '{form}'")
        entries.append((words.split(), note.strip()))
    return entries


def entries(name: str) -> list[list[str]]:
    """The words of each line of a data file in ci/, comments left out."""
    lines = (line.split("##")[0] for line in (TOP / "ci" / name).read_text().splitlines())
    return [line.split() for line in lines if line.strip() and not line.startswith("#")]
