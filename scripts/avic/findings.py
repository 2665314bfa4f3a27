# SPDX-License-Identifier: GPL-2.0
"""What compilers and checkers complain about.

Two findings are the same if file, function and message are: line numbers move from
level to level.  How often each occurs counts as well, so that a new warning cannot
take the place of an old one.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

# What gcc, clang, sparse and spatch have in common.
LINE = re.compile(
    r"(?P<file>[^\s:][^:]*):(?P<line>\d+):(?:(?P<column>\d+)(?:-\d+)?:)? ?"
    r"(?P<message>(?:fatal )?(?:error|warning): .*|(?:ERROR|WARNING|INFO|[A-Z][\w-]+)\b.*)"
)
# The linker names the compiler's line, but not the kind.
UNDEFINED = re.compile(r"(?:\S*ld: )?(?P<file>[^\s:]+\.[ch]):(?P<line>\d+): (?P<message>undefined reference to .*)")
# What kbuild, or a plain make that shows its commands, is compiling.
UNIT = re.compile(r"^  (?:CC|CHECK)(?: \[M\])? +(\S+)|^\S*(?:gcc|clang|cc)\S* .*\s-o (\S+)(?:\s|$)")
GAVE_UP = re.compile(r"^make.*\*\*\* \[(?:[^\]]*: )?([^\]: ]+)\] (.*)")
# What a tool says when it crashes: no finding, the gate could not check.  The same if
# make skips a checker that it was given.
BROKE = re.compile(
    r"internal compiler error|PLEASE submit a bug report|Killed|Terminated|Segmentation fault"
    r"|[Nn]o such file or directory: '|command not found|No rule to make target|Fatal error: exception"
    r"|C=\d specified, but|Stack dump:|Aborted|No space left on device|cannot execute|EXN: "
)
# The parts of a message that change though the finding is the same.
PLACE = re.compile(r"\b(line|lines) \d+(?:[-,] ?\d+)*|(?<=:)\d+(?::\d+)?\b|0x[0-9a-f]+")
HEAD = re.compile(r"^[A-Za-z_][^;={}]*?\b(\w+)\s*\(")


@dataclass(frozen=True)
class Finding:
    """One complaint.  `at`, the line number, is for people and not part of its identity."""

    file: str
    function: str
    message: str
    at: str = ""

    @property
    def identity(self) -> tuple[str, str, str]:
        """What makes two findings the same."""
        return (self.file, self.function, PLACE.sub("N", self.message))

    def __str__(self) -> str:
        where = f"{self.file}{f':{self.at}' if self.at else ''}"
        return f"{where}: {f'{self.function}(): ' if self.function else ''}{self.message}"

    def as_json(self) -> dict[str, str]:
        """For the results that machines read, and for the cache."""
        return asdict(self)


def more(found: Iterable[Finding], before: Iterable[Finding]) -> list[Finding]:
    """The findings of `found` that `before` lacks; of one that both have, as many as are more."""
    left = Counter(each.identity for each in before)
    new = []
    for finding in found:
        if left[finding.identity] > 0:
            left[finding.identity] -= 1
        else:
            new.append(finding)
    return new


def enclosing(lines: list[str], number: int) -> str:
    """The function that line `number` (from 1) of a C file stands in, or ''."""
    for index in range(min(number, len(lines)) - 1, -1, -1):
        line = lines[index]
        if line.startswith("}") and index != number - 1:
            return ""
        head = HEAD.match(line)
        if head and not line.rstrip().endswith((";", ":")):
            return head[1]
    return ""


class Places:
    """Kernel file names for the names in a tool's output, and the function at a line."""

    def __init__(self, tree: Path, *cwd: Path) -> None:
        """cwd: other folders that relative names may start from."""
        self.tree, self.cwd = tree, cwd
        self.lines: dict[str, list[str]] = {}

    def name(self, path: str) -> str:
        """The path below the tree, or below the build folder, or as it is."""
        roots = (*self.cwd, self.tree)
        full = [os.path.normpath(root / path) for root in roots]
        best = next((each for each in full if os.path.exists(each)), full[-1])
        for root in (self.tree, *self.cwd):
            if best.startswith(f"{root}/"):
                return best[len(str(root)) + 1 :]
        return path

    def function(self, file: str, line: int) -> str:
        """The function there, or ''."""
        if file not in self.lines:
            path = self.tree / file
            text = path.read_text(errors="replace") if path.is_file() else ""
            self.lines[file] = text.split("\n")
        return enclosing(self.lines[file], line)

    def finding(self, line: str) -> Finding | None:
        """A line of a tool's output as a finding; None if it is none."""
        match, kind = LINE.match(line), ""
        if not match:
            match, kind = UNDEFINED.match(line), "error: "
        if not match or BROKE.search(line):
            return None
        file, number = self.name(match["file"]), match["line"]
        return Finding(file, self.function(file, int(number)), kind + match["message"].strip(), number)


def of_make(log: str, places: Places) -> tuple[dict[str, list[Finding]], list[str]]:
    """Findings by object, and what could not be checked, of a make with --output-sync=target.

    If make gave up on an object, that counts as checked only if an error message says why.
    """
    units: dict[str, list[Finding]] = {}
    broken: list[str] = []
    gave_up: list[tuple[str, str]] = []
    unit = ""
    for line in log.split("\n"):
        if match := UNIT.match(line):
            unit = places.name(match[1] or match[2])
            units.setdefault(unit, [])
        elif match := GAVE_UP.match(line):
            gave_up.append((places.name(match[1]), match[2]))
        elif finding := places.finding(line):
            units.setdefault(unit, []).append(finding)
        elif BROKE.search(line):
            broken.append(line.strip())
    for target, why in gave_up:
        told = any("error:" in finding.message for finding in units.get(target, []))
        # The outer make reports a folder with Error 2; the object in it has a line of its own.
        folder = why == "Error 2" and not target.endswith(".o")
        if not told and not folder:
            broken.append(f"{target}: {why}")
    return units, broken


def of_spatch(output: str, places: Places) -> list[Finding]:
    """What a semantic patch in report mode prints."""
    return [finding for line in output.split("\n") if (finding := places.finding(line))]


CHECKPATCH = re.compile(r"^.*?:(\d+): ((?:ERROR|WARNING|CHECK):[A-Z_0-9]+: .*)$")


def of_checkpatch(output: str, name: str, inside: Callable[[int], str]) -> list[Finding] | None:
    """What `checkpatch.pl --terse --show-types` says of one patch; None if it did not finish.

    inside: which file of the kernel a line of the patch belongs to.
    """
    if not re.search(r"^total: \d+ errors", output, re.MULTILINE):
        return None
    return [
        Finding(name, inside(int(match[1])), match[2], match[1])
        for line in output.split("\n")
        if (match := CHECKPATCH.match(line))
    ]
