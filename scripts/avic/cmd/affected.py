# SPDX-License-Identifier: GPL-2.0
"""affected FOLDER: which of AVIC's bugs a kernel's source has.

  FOLDER   unpacked kernel source, of any version; git is not needed

Prints a line for each bug that this stack fixes: its slug, whether the source has
the bug, and how the bug shows.  The rules are in patches/affected; they look at the
code, not at version numbers.  Exit status 1 if the source has a bug, or if that
cannot be told.
"""

import re
import sys
from pathlib import Path

from avic.paths import TOP
from avic.csource import COMMENT, units
from avic.process import fail
from avic.tables import read_table

AVIC = "arch/x86/kvm/svm/avic.c"


class Source:
    """A kernel's source, read as far as it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.texts: dict[str, str] = {}

    def text(self, place: str) -> str:
        """FILE, or one function of it as FILE:FUNCTION, in one line; '' if there is none."""
        if place not in self.texts:
            file, _, function = place.partition(":")
            path = self.folder / file
            code = path.read_text(errors="replace") if path.exists() else ""
            lines = units(code).get(function, []) if function else [COMMENT.sub("", code)]
            self.texts[place] = " ".join(lines)
        return self.texts[place]


def judge(source: Source, rules: list[list[str]]) -> str:
    """What one bug's rules say: affected, not, or why that cannot be told."""
    missing = ""
    for place, how, regex in rules:
        text = source.text(place)
        if not text:
            missing = missing or place
        elif bool(re.search(regex, text, re.DOTALL)) != (how == "has"):
            return "not"
    return f"cannot tell: no {missing}" if missing else "affected"


def main() -> int:
    if len(sys.argv) != 2:
        fail(2, "which source? scripts/affected FOLDER")
    folder = Path(sys.argv[1])
    if not (folder / AVIC).is_file():
        fail(2, f"{folder} is no kernel source with AVIC: it has no {AVIC}")
    rules: dict[str, list[list[str]]] = {}
    symptoms: dict[str, str] = {}
    for (slug, *rule), symptom in read_table(TOP / "patches/affected", "SLUG FILE has REGEX"):
        if rule[1] not in ("has", "lacks"):
            fail(1, f"patches/affected: {slug} wants 'has' or 'lacks', not '{rule[1]}'")
        rules.setdefault(slug, []).append(rule)
        symptoms.setdefault(slug, symptom)
    source = Source(folder)
    verdicts = {slug: judge(source, rules[slug]) for slug in rules}
    for slug, verdict in verdicts.items():
        print(f"{slug:20} {verdict:9} {symptoms[slug] if verdict != 'not' else ''}".rstrip())
    if all(verdict == "not" for verdict in verdicts.values()):
        return 0
    print(f"next: TREE={folder} scripts/fit tells which stack applies; docs/BACKPORTING.md goes on")
    return 1
