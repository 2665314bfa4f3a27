# SPDX-License-Identifier: GPL-2.0
"""Our data files: words, `##`, and a note; `#` begins a comment line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from avic import raw
from avic.paths import TOP
from avic.process import fail


def read_lines(
    text: str, name: str, form: str, good: Callable[[list[str]], bool] = lambda words: True
) -> list[tuple[list[str], str]]:
    """The entries of a data file's text: the words before `##`, and the note behind it.

    form: an entry's shape, such as `SLUG WHERE ## note`; raises ValueError at a line
    that is not UTF-8, with fewer words, with words that are not good, or without the note where the form
    has one; [WORD] may be left out.
    """
    wanted = sum(not word.startswith("[") for word in form.partition("##")[0].split())
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        words, _, note = line.partition("##")
        if len(words.split()) < wanted or ("## " in form and not note.strip()) or not good(words.split()):
            raise ValueError(f"{name}:{number}: want '{form}'")
        if not raw.plain(line):
            raise ValueError(f"{name}:{number}: it is not UTF-8")
        found.append((words.split(), note.strip()))
    return found


def read_table(path: Path, form: str) -> list[tuple[list[str], str]]:
    """The entries of a data file, as read_lines(); none if there is no file, and exits with 1 where that raises."""
    shown = path.relative_to(TOP) if path.is_relative_to(TOP) else path
    try:
        return read_lines(raw.read(path) if path.exists() else "", str(shown), form)
    except ValueError as error:
        fail(1, str(error))


def entries(name: str) -> list[list[str]]:
    """The words of each line of a data file in ci/."""
    return [words for words, _ in read_table(TOP / "ci" / name, "WORD")]
