# SPDX-License-Identifier: GPL-2.0
"""affected SOURCE [COMMIT]: which of AVIC's bugs a kernel's source has.

  SOURCE   unpacked kernel source of 5.6 or later; or a git tree, whose COMMIT is
           looked at; or an installed package that has source, as linux-source-6.1
  COMMIT   of the git tree; it need not be checked out
  --json   the same for programs: a list with slug, verdict, why and symptom

Prints a line for each bug that this stack fixes: its slug, a verdict, and how the bug
shows.  The verdict is `affected`, `not`, or `cannot tell`, if the code is neither as it
is known with the bug nor as it is known without.  The rules are in patches/affected; they
look at the code, not at version numbers.  Exit status 1 if the source has a bug, or if
that cannot be told.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from shlex import quote

from avic.csource import COMMENT, units
from avic.paths import TOP
from avic.process import fail, say
from avic.tables import read_table
from avic.tree import git, rev

AVIC = "arch/x86/kvm/svm/avic.c"
RULES = "patches/affected"
KINDS = ("has", "lacks", "fixed", "without", "was")


class Rules:
    """patches/affected."""

    def __init__(self) -> None:
        self.of: dict[str, list[list[str]]] = {}
        self.symptoms: dict[str, str] = {}
        self.older: dict[str, list[str]] = {}  # what a file or function was called before
        for (slug, *rule), symptom in read_table(TOP / RULES, "SLUG FILE has REGEX"):
            if rule[1] not in KINDS:
                fail(1, f"{RULES}: {slug} wants one of {' '.join(KINDS)}, not '{rule[1]}'")
            if rule[1] == "was":
                self.older.setdefault(rule[0], []).extend(rule[2:])
                continue
            self.of.setdefault(slug, []).append(rule)
            self.symptoms.setdefault(slug, symptom)

    def files(self, file: str) -> list[str]:
        """A file's name, and those that it had."""
        return [file, *self.older.get(file, [])]

    @property
    def all_files(self) -> list[str]:
        """Each file that a rule looks into, by any of its names."""
        found = dict.fromkeys(rule[0].partition(":")[0] for rules in self.of.values() for rule in rules)
        return [name for file in found for name in self.files(file)]


class Source:
    """A kernel's source, read as far as it is asked for."""

    def __init__(self, rules: Rules, read: Callable[[str], str]) -> None:
        """read: gives a file's text, '' if there is none."""
        self.rules, self.read = rules, read
        self.texts: dict[str, str] = {}

    def text(self, place: str) -> str:
        """FILE, or one function of it as FILE:FUNCTION, in one line; '' if there is none."""
        if place not in self.texts:
            file, _, function = place.partition(":")
            names = [function, *self.rules.older.get(place, [])]
            self.texts[place] = ""
            for code in filter(None, map(self.read, self.rules.files(file))):
                found = units(code) if function else {}
                lines = next((found[name] for name in names if name in found), []) if function else [COMMENT.sub("", code)]
                self.texts[place] = self.texts[place] or " ".join(lines)
        return self.texts[place]

    def judge(self, slug: str) -> tuple[str, str]:
        """What one bug's rules say: affected, not or cannot tell; and why that cannot be told."""
        doubts = []
        for place, how, regex in self.rules.of[slug]:
            text = self.text(place)
            seen = bool(re.search(regex, text, re.DOTALL))
            if text and (how in ("lacks", "fixed") and seen or how == "without" and not seen):
                return "not", ""
            if how in ("has", "lacks") and not text:
                doubts.append(f"no {place}")
            elif how == "has" and not seen:
                doubts.append(f"{place} is not as it is known, with the bug or without")
        return ("cannot tell", doubts[0]) if doubts else ("affected", "")


def in_folder(folder: Path) -> Callable[[str], str]:
    """Reads unpacked source."""

    def read(file: str) -> str:
        path = folder / file
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    return read


def in_git(repo: Path, name: str) -> Callable[[str], str]:
    """Reads a commit of a git tree; exits with 2 if there is none of that name."""
    commit = rev(repo, f"{name}^{{commit}}")
    if not commit:
        fail(2, f"{repo} has no commit '{name}': fetch it first")
    return lambda file: git(repo, "cat-file", "blob", f"{commit}:{file}", check=False).stdout


def in_package(package: str, wanted: list[str]) -> Callable[[str], str]:
    """Reads the source that an installed package has; exits with 2 if it has none."""
    listed = subprocess.run(["dpkg-query", "--listfiles", package], capture_output=True, text=True).stdout.split("\n")
    tarballs = [name for name in listed if re.fullmatch(r".*/usr/src/.*\.tar\.\w+", name)]
    if not tarballs:
        image = package.startswith("linux-image")
        hint = "install the linux-source package of the same version, and give that" if image else "want a folder, a git tree, or a package as linux-source-6.1"
        fail(2, f"{package} is no folder, and no installed package with a kernel's source: {hint}")
    say(f"reading {tarballs[0]} (about 20 s)")
    texts: dict[str, str] = {}
    with tarfile.open(tarballs[0], "r|*") as files:
        for member in files:
            name = member.name.removeprefix("./").partition("/")[2]
            if name in wanted and (file := files.extractfile(member)):
                texts[name] = file.read().decode(errors="replace")
    return lambda file: texts.get(file, "")


def main() -> int:
    arguments = [each for each in sys.argv[1:] if each != "--json"]
    if not 1 <= len(arguments) <= 2:
        fail(2, "which source? scripts/affected SOURCE [COMMIT]")
    rules = Rules()
    path = Path(arguments[0])
    if arguments[1:]:
        read = in_git(path, arguments[1])
    elif not path.is_dir():
        read = in_package(arguments[0], [*rules.all_files, AVIC])
    elif (path / "HEAD").exists():
        read = in_git(path, "HEAD")
    else:
        read = in_folder(path)
    source = Source(rules, read)
    if "avic" not in source.text(AVIC):
        fail(2, f"{' '.join(arguments)} is no kernel source with AVIC: it has no {AVIC}")
    verdicts = {slug: source.judge(slug) for slug in rules.of}
    if "--json" in sys.argv:
        rows = [
            {"slug": slug, "verdict": verdict, "why": why, "symptom": rules.symptoms[slug]}
            for slug, (verdict, why) in verdicts.items()
        ]
        print(json.dumps(rows, indent=1))
    else:
        for slug, (verdict, why) in verdicts.items():
            shown = f"{verdict}: {why}" if why else f"{verdict:9} {rules.symptoms[slug] if verdict == 'affected' else ''}"
            print(f"{slug:22} {shown}".rstrip())
    if all(verdict == "not" for verdict, _ in verdicts.values()):
        return 0
    tree = f"TREE={quote(str(path))}" if path.is_dir() and rev(path, "HEAD") else "in a git tree of that kernel: TREE=."
    print(f"next, {tree} scripts/fit tells which stack applies; docs/BACKPORTING.md goes on", file=sys.stderr)
    return 1
