# SPDX-License-Identifier: GPL-2.0
"""threads [PROGRAM...]: the stack's own code with real threads, watched by ThreadSanitizer.

  PROGRAM      only these of ci/threads, e.g. scripts/threads irqwin
  BASE=v6.12   which base's stack   TREE=     a user's own kernel tree
  SEEDS=       how many seeds each run is tried with (default 30; with a fault up to ten times as
               many, until it is found)

Takes the functions that a program of ci/threads names out of the tree, compiles both for user
space, and does each run of ci/threads/runs: the stack as it is, or with a fault of ci/threads/faults or ci/mutants.
What the models of scripts/models show of every interleaving of a model, this shows of some
interleavings of the code itself.

Exit status 1 if a run does not end as it has to; 2 for wrong use.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from avic.base import BASE
from avic.csource import units
from avic.paths import TOP
from avic.process import fail, say, scratch
from avic.tables import read_lines
from avic.tree import git

THREADS = TOP / "ci" / "threads"
HOLDS, RACE, STUCK = "holds", "data_race", "stuck"
SECONDS = 120  # until a program counts as stuck; it takes some seconds
FROM = re.compile(r"^ \* bases from (\S+)$", re.MULTILINE)
TAKE = re.compile(r"^ \* take (\S+): (.+)$", re.MULTILINE)
RACY = re.compile(r"^(?:WARNING|==\d+==ERROR): ThreadSanitizer: (?:data race|heap-use-after-free|SEGV)", re.MULTILINE)
VERDICT = re.compile(r"^(holds|violated: (\w+))", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """A line of ci/threads/runs."""

    program: str
    verdict: str  # or several, joined by |
    fault: str = ""

    def right(self, verdict: str) -> bool:
        """Whether a verdict is one that has to come of it."""
        return verdict in self.verdict.split("|")


def read_runs(text: str, name: str = "runs") -> list[Run]:
    """Read ci/threads/runs; raises ValueError at a line that is wrong."""
    runs = []
    for words, _ in read_lines(text, name, "run PROGRAM VERDICT [FAULT] ## note"):
        if words[0] != "run" or not 3 <= len(words) <= 4:
            raise ValueError(f"{name}: '{' '.join(words)}': want run PROGRAM VERDICT [FAULT] ## note")
        runs.append(Run(*words[1:]))
    return runs


def for_base(run: Run) -> bool:
    """Whether the base has what the program takes."""
    first = FROM.search((THREADS / f"{run.program}.c").read_text())
    return not first or BASE.at_least(first[1])


def taken_from(program: str) -> dict[str, list[str]]:
    """The files of the kernel, and which of their functions a program takes."""
    found: dict[str, list[str]] = {}
    for file, names in TAKE.findall(program):
        found.setdefault(file, []).extend(names.split())
    return found


def take(files: dict[str, str], wanted: dict[str, list[str]]) -> str:
    """Functions out of C files, in the order in which they are wanted.

    files: the text of each file.  Raises ValueError if one has no such function.
    """
    taken = []
    for file, names in wanted.items():
        functions = units(files[file])
        for name, _, older in (each.partition("|") for each in names):
            if name not in functions and older in functions:
                taken.append(f"#define {name} {older}")
                name = older
            if name not in functions:
                raise ValueError(f"{file} has no function {name}(): adapt what ci/threads takes")
            taken.append("\n".join(functions[name]))
    return "\n\n".join(taken) + "\n"


def fault_file(name: str) -> Path:
    """The patch of a fault."""
    for folder in (THREADS / "faults", TOP / "ci" / "mutants"):
        if (folder / f"{name}.patch").exists():
            return folder / f"{name}.patch"
    fail(1, f"ci/threads/runs: no fault '{name}' in ci/threads/faults or ci/mutants")


def code(repo: Path, wanted: dict[str, list[str]], fault: str, folder: Path) -> str:
    """The functions that are wanted, as the stack has them, or with a fault; the folder is for their files."""

    def taken() -> str:
        return take({file: (folder / file).read_text() for file in wanted}, wanted)

    for file in wanted:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(git(repo, "show", f"stack:{file}").stdout)
    right = taken()
    if not fault:
        return right
    patch = fault_file(fault)
    only = [f"--include={file}" for file in wanted]
    # Outside of any repository: the files are what is there.
    outside = {"GIT_CEILING_DIRECTORIES": str(folder.parent)}
    applied = git(folder, "apply", *only, str(patch), env=outside, check=False)
    if applied.returncode:
        fail(1, f"{patch.relative_to(TOP)} does not apply to the stack of {BASE}: rebase it", applied.stderr)
    wrong = taken()
    if wrong == right:
        fail(1, f"{patch.relative_to(TOP)} changes nothing that is taken: take its run out of ci/threads/runs")
    return wrong


def compile_program(program: str, functions: str, folder: Path) -> Path:
    """Compile a program with the functions that it takes."""
    (folder / "taken.h").write_text(functions)
    command = [
        "gcc", "-g", "-O1", "-fsanitize=thread", "-pthread", "-Wall", "-Wno-unused-function", "-Wno-unused-variable",
        "-Wno-tsan", f"-I{folder}", "-o", "program", str(THREADS / f"{program}.c"),
    ]  # fmt: skip
    result = subprocess.run(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode:
        fail(1, f"ci/threads/{program}.c does not compile with the stack of {BASE}, see below: adapt it", result.stdout)
    return folder / "program"


def read_verdict(output: str) -> str:
    """What a program, or ThreadSanitizer, has said; "" if it is no verdict."""
    if RACY.search(output):
        return RACE
    if found := VERDICT.search(output):
        return found[2] or found[1]
    return ""


def try_seed(program: Path, seed: int) -> tuple[str, str]:
    """The verdict with a seed, and all that was said."""
    env = {"TSAN_OPTIONS": "halt_on_error=1 report_thread_leaks=0", "PATH": os.environ["PATH"]}
    try:
        # Where addresses are too random ThreadSanitizer doesn't start.
        result = subprocess.run(
            ["setarch", "--addr-no-randomize", str(program), str(seed)], env=env, text=True, timeout=SECONDS,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return STUCK, ""
    return read_verdict(result.stdout), result.stdout


def check(run: Run, repo: Path, seeds: int) -> tuple[str, str]:
    """What comes of a run, and what was said if that is not right."""
    with scratch("avic-threads.") as folder:
        wanted = taken_from((THREADS / f"{run.program}.c").read_text())
        program = compile_program(run.program, code(repo, wanted, run.fault, folder), folder)
        # Whether a fault shows depends on what else the machine does.
        for seed in range(1, (10 if run.fault else 1) * seeds + 1):
            verdict, said = try_seed(program, seed)
            if verdict != HOLDS:
                shown = "" if run.right(verdict) else said
                return verdict or "no verdict", f"seed {seed}:\n{shown}" if shown else ""
    return HOLDS, ""


def main() -> int:
    chosen = sys.argv[1:]
    number = os.environ.get("SEEDS") or "30"
    if not number.isdigit() or number == "0":
        fail(2, f"SEEDS={number}: want how many, at least 1")
    try:
        runs = read_runs((THREADS / "runs").read_text(), "ci/threads/runs")
    except ValueError as error:
        fail(1, str(error))
    for name in set(chosen) - {run.program for run in runs}:
        fail(2, f"no program '{name}' in ci/threads/runs")
    repo = BASE.tree("apply")
    # The faults are for the default base.
    faults = (TOP / "series").resolve().parent == BASE.folder
    runs = [run for run in runs if (not chosen or run.program in chosen) and (faults or not run.fault) and for_base(run)]
    wrong = 0
    for run in runs:
        name = " ".join(filter(None, [run.program, run.fault]))
        say(f"{name}: {number} seeds at the most")
        try:
            verdict, said = check(run, repo, int(number))
        except ValueError as error:
            fail(1, str(error))
        right = run.right(verdict)
        wrong += not right
        print(f"{name:40}  {verdict if right else f'WRONG: {verdict}, and not {run.verdict}'}", flush=True)
        if said:
            print(said, file=sys.stderr)
    print(f"\n{len(runs) - wrong} of {len(runs)} runs are right")
    return 1 if wrong else 0
