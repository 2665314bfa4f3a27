# SPDX-License-Identifier: GPL-2.0
"""models [SCENARIO...]: every interleaving of the models in ci/models, checked with spin.

  SCENARIO     only these: shell patterns, e.g. scripts/models 'ga-*'
  SECONDS=     limit for each run (default 300)
  V=1          also how the checker gets to each violation

Checks each run of ci/models/runs: today's stack, the stack without one of its patches, or with
a fault.  A run is right if the checker finds just the violation that its line names, or, for
`holds`, has seen all states and found none.  Prints a table with the number of states.

Exit status 1 if a run is not right or takes too long; 2 for wrong use.
"""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from avic.paths import TOP
from avic.process import fail, say, scratch
from avic.tables import read_lines

MODELS = TOP / "ci" / "models"
HOLDS = "holds"
KINDS = {"-": "NO", "!": "BREAK", "+": "FIX"}
PAN = ("-DSAFETY", "-DNOFAIR", "-DCOLLAPSE", "-DMEMLIM=3000")  # megabytes

VIOLATION = re.compile(r"^pan:\d+: assertion violated .*\bis_(\w+)\)", re.MULTILINE)
STATES = re.compile(r"^ *(\d+) states, stored", re.MULTILINE)
COMPLETE = re.compile(r"^State-vector .* errors: 0$", re.MULTILINE)
CUT_SHORT = re.compile(r"^(?:error: )?max search depth too small|Search not completed", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """One run of the checker: a scenario, switches, and the verdict that has to come of it."""

    scenario: str
    model: str
    settings: tuple[str, ...]  # KEY=VALUE
    switches: tuple[str, ...]  # -SLUG, !NAME, +NAME
    verdict: str

    @property
    def name(self) -> str:
        return " ".join([self.scenario, *self.switches])

    def defines(self) -> list[str]:
        """The preprocessor's options."""
        words = list(self.settings)
        words += [f"{KINDS[switch[0]]}_{switch[1:].replace('-', '_')}" for switch in self.switches]
        if self.verdict != HOLDS:
            words.append(f"ONLY={self.verdict}")
        return [f"-D{word}" for word in words]


def read_runs(text: str, name: str = "runs") -> list[Run]:
    """Read ci/models/runs; raises ValueError at a line that is wrong."""
    scenarios: dict[str, tuple[str, tuple[str, ...]]] = {}
    runs: list[Run] = []
    for words, _ in read_lines(text, name, "scenario|run WORD WORD ## note"):
        kind, first, second, *rest = words
        if kind == "scenario" and first not in scenarios and all("=" in word for word in rest):
            scenarios[first] = second, tuple(rest)
        elif kind == "run" and first in scenarios and all(word[0] in KINDS for word in rest):
            runs.append(Run(first, *scenarios[first], tuple(rest), second))
        else:
            raise ValueError(f"{name}: '{' '.join(words)}': want a new scenario, or a run of one that is above")
    return runs


@dataclass(frozen=True)
class Answer:
    """What came of a run."""

    verdict: str  # holds, the violation, or why there is none
    states: int
    seconds: float
    trail: str = ""

    def right(self, run: Run) -> bool:
        return self.verdict == run.verdict


def read_pan(output: str) -> tuple[str, int]:
    """The checker's verdict and how many states it has seen."""
    states = int(found[1]) if (found := STATES.search(output)) else 0
    if violation := VIOLATION.search(output):
        return violation[1], states
    if COMPLETE.search(output) and not CUT_SHORT.search(output) and states:
        return HOLDS, states
    return "no verdict: " + (output.strip().splitlines() or ["no output"])[0], states


def tool(folder: Path, *command: str, seconds: float | None = None) -> str:
    """The output of a tool that has to succeed; raises subprocess.TimeoutExpired."""
    result = subprocess.run(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds
    )
    if result.returncode:
        fail(1, f"{command[0]} failed, see below", result.stdout)
    return result.stdout


def check(run: Run, seconds: float, trail: bool) -> Answer:
    """Make a checker of the model, and run it.

    seconds: its limit.  trail: also say how it gets to a violation.
    """
    source = MODELS / f"{run.model}.pml"
    begin = time.monotonic()
    with scratch("avic-models.") as folder:
        tool(folder, "spin", *run.defines(), "-a", str(source))
        # Compiling takes longer than a search that ends early.
        level = "-O2" if run.verdict == HOLDS else "-O0"
        tool(folder, "gcc", level, "-w", *PAN, "-o", "pan", "pan.c")
        try:
            verdict, states = read_pan(tool(folder, "./pan", "-E", "-m1000000", "-w22", seconds=seconds))
        except subprocess.TimeoutExpired:
            return Answer(f"more than {seconds:.0f} s", 0, time.monotonic() - begin)
        steps = ""
        if trail and verdict not in (HOLDS, run.verdict):
            steps = tool(folder, "spin", *run.defines(), "-t", "-p", str(source))
        return Answer(verdict, states, time.monotonic() - begin, steps)


def row(run: Run, answer: Answer, width: int) -> str:
    """A line of the table."""
    verdict = answer.verdict if answer.right(run) else f"WRONG: {answer.verdict}, and not {run.verdict}"
    return f"{run.name:{width}}  {answer.states:>10,}  {verdict}"


def main() -> int:
    patterns = sys.argv[1:]
    seconds = os.environ.get("SECONDS") or "300"
    if not seconds.isdigit():
        fail(2, f"SECONDS={seconds}: want a number of seconds")
    path = MODELS / "runs"
    try:
        runs = read_runs(path.read_text(), str(path.relative_to(TOP)))
    except ValueError as error:
        fail(1, str(error))
    for pattern in patterns:
        if not fnmatch.filter([run.scenario for run in runs], pattern):
            fail(2, f"no scenario '{pattern}' in ci/models/runs")
    chosen = [r for r in runs if not patterns or any(fnmatch.fnmatch(r.scenario, each) for each in patterns)]
    width = max(len(run.name) for run in chosen)
    answers: list[Answer] = []
    for number, run in enumerate(chosen, 1):
        answer = check(run, int(seconds), bool(os.environ.get("V")))
        answers.append(answer)
        say(f"{number}/{len(chosen)} {row(run, answer, width)}")
        if answer.trail:
            print(answer.trail, file=sys.stderr)
    wrong = sum(not answer.right(run) for run, answer in zip(chosen, answers))
    print(f"{'run':{width}}  {'states':>10}  verdict")
    for run, answer in zip(chosen, answers):
        print(row(run, answer, width))
    total = sum(answer.states for answer in answers)
    print(f"\n{len(chosen) - wrong} of {len(chosen)} runs are right, {total:,} states")
    return 1 if wrong else 0
