# SPDX-License-Identifier: GPL-2.0
"""mutate [NAME...]: which test catches which deliberate fault in AVIC's code.

  NAME         only these mutants: shell patterns, e.g. scripts/mutate 'irqwin-*'
  BASE=v6.12   which base           TREE=     a user's own kernel tree
  FULL=1       all tests on each mutant, not only until it is caught as expected
  RERUN=1      run again though nothing has changed
  QEMU=        another emulator than the one that ci/emulator/build prints
  JOBS=, V=1   as in scripts/build

Builds KVM's modules with each fault of ci/mutants on top of the stack.  Runs the
tests of ci/mutants/plan with them in two emulated machines, one with AVIC and one
with x2AVIC.  Shows which tests fail that pass on the stack.  The tests that a
mutant's file names run first; if they all fail, the trial ends there.  A trial that
has not changed is not built or run again.

Exit status 1 if a mutant is not caught and its file does not say why; if it is caught
though its file says that it can't be; if it does not apply, build or run; or if the
stack itself fails a test.  2 for wrong use.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from avic import ktap
from avic.aside import aside, put
from avic.paths import CACHE, TOP
from avic.base import BASE
from avic.build import Images
from avic.bundle import make_bundle
from avic.modules import MODULES, Modules, alone
from avic.plan import Lane, Plan, Test
from avic.process import fail, held_back, say, script
from avic.runners.emulator import cpu

MUTANTS = TOP / "ci" / "mutants"
RUNNER = TOP / "scripts" / "runners" / "emulator"
RUNNER_CODE = TOP / "scripts" / "avic" / "runners" / "emulator.py"

# Not a Zen 1: for erratum 1235, KVM has each IPI exit there.
MACHINES = {"avic": cpu(["zen4", "avic"]), "x2avic": cpu(["zen4", "avic", "x2avic"])}
ENOUGH = 3  # failed tests that end a trial, if they are not those that the mutant's file names
STACK = "stack"
CAUGHT = ("skip", "fail", "timeout", "splat", "hang", "panic")
# The runner's note if the machine ended without a panic, and the guest side's if a VM never ends.
STOPPED = ("the machine stopped", "cannot unload kvm")

FIELDS = ("SPDX-License-Identifier", "Breaks", "Caught-by", "Uncaught")


@dataclass
class Mutant:
    """One fault: a patch, what it breaks, and which tests catch it, or why none does."""

    name: str
    breaks: str
    caught_by: list[str]
    uncaught: str
    diff: str


def read_mutant(path: Path, tests: list[str]) -> Mutant:
    """Read one file of ci/mutants; raises ValueError if a part is missing or unknown."""
    header, mark, diff = path.read_text().partition("diff --git ")
    fields: dict[str, str] = {}
    for number, line in enumerate(header.splitlines(), 1):
        name, colon, value = line.partition(":")
        if not line.strip():
            continue
        if not colon or name not in FIELDS or name in fields or not value.strip():
            raise ValueError(f"{path.name}:{number}: want one each of {', '.join(FIELDS)}")
        fields[name] = value.strip()
    if not mark:
        raise ValueError(f"{path.name}: no 'diff --git': add the patch")
    if "Breaks" not in fields:
        raise ValueError(f"{path.name}: no 'Breaks:': say what goes wrong in the guest")
    if ("Caught-by" in fields) == ("Uncaught" in fields):
        raise ValueError(f"{path.name}: want 'Caught-by: TEST...' or 'Uncaught: reason'")
    caught_by = fields.get("Caught-by", "").split()
    for test in caught_by:
        if test not in tests:
            raise ValueError(f"{path.name}: Caught-by: no test '{test}' in ci/mutants/plan")
    return Mutant(path.stem, fields["Breaks"], caught_by, fields.get("Uncaught", ""), mark + diff)


def read_tests() -> list[Test]:
    """The tests of ci/mutants/plan; raises ValueError for a line that is wrong."""
    return Plan.read((MUTANTS / "plan").read_text()).tests


def bad(result: ktap.Result) -> bool:
    """Whether a test has failed, or the machine ended in a way that counts as caught."""
    return result.status in CAUGHT or result.note.startswith(STOPPED)


def caught(stack: list[ktap.Result], mutant: list[ktap.Result]) -> list[ktap.Result]:
    """The mutant's bad results that are worse than the stack's."""
    return [new for _, new in ktap.worse(stack, mutant) if bad(new)]


def broken(results: list[ktap.Result]) -> str:
    """Why a machine's results say nothing about a mutant, e.g. its modules do not load; or ''."""
    for result in results:
        if result.status in ("boot", "error") and not bad(result):
            return f"{result.name}: {result.status}: {result.note}"
    return ""


@dataclass
class Row:
    """One mutant's results on all machines."""

    mutant: Mutant
    found: dict[str, list[ktap.Result]] = field(default_factory=dict)  # by machine
    trouble: str = ""

    @property
    def red(self) -> bool:
        """Whether the mutant makes the exit status 1."""
        return bool(self.trouble) or any(self.found.values()) == bool(self.mutant.uncaught)

    def verdict(self) -> str:
        """Who caught it, in one line."""
        if self.trouble:
            return f"BROKEN: {self.trouble}"
        if not any(self.found.values()):
            return f"UNCAUGHT: {self.mutant.uncaught or 'and ci/mutants does not say why'}"
        where: dict[str, list[str]] = {}
        for machine, results in self.found.items():
            for result in results:
                where.setdefault(f"{result.name} {result.status}", []).append(machine)
        shown = [
            what if len(machines) == len(MACHINES) else f"{what} ({', '.join(machines)})"
            for what, machines in where.items()
        ]
        text = ", ".join(shown[:ENOUGH])
        if shown[ENOUGH:]:
            text += f" and {len(shown) - ENOUGH} more"
        if self.mutant.uncaught:
            return f"STALE: caught, though its file says 'Uncaught': {text}"
        names = {result.name for results in self.found.values() for result in results}
        missed = [test for test in self.mutant.caught_by if test not in names]
        return text + (f"; not by {' '.join(missed)}" if missed else "")


def table(rows: list[Row]) -> tuple[str, int]:
    """The table for people, and the exit status."""
    width = max([len("mutant"), *(len(row.mutant.name) for row in rows)])
    lines = [f"{'mutant':{width}}  caught by"]
    lines += [f"{row.mutant.name:{width}}  {row.verdict()}" for row in rows]
    number = sum(any(row.found.values()) for row in rows)
    explained = sum(bool(r.mutant.uncaught) and not r.red for r in rows)
    lines += ["", f"{number} of {len(rows)} caught, {explained} explained"]
    return "\n".join(lines) + "\n", 1 if any(row.red for row in rows) else 0


class Bench:
    """The programs, the plan and the machines that all mutants share."""

    def __init__(self, image: Path, aside: Path, results: Path) -> None:
        """Compile tests/guest and choose the selftests that the plan names."""
        self.tests = {test.name: test for test in read_tests()}
        self.aside, self.results = aside, results
        self.image = aside / "image"
        tests = self.image / "selftests"
        tests.mkdir(parents=True)
        (self.image / "bzImage").symlink_to(image / "bzImage")
        for program in sorted({test.command[0] for test in self.tests.values()}):
            (tests / program).parent.mkdir(parents=True, exist_ok=True)
            source = TOP / "tests" / "guest" / f"{program}.c"
            if source.exists():
                script("gcc", "-static", "-O2", "-Wall", "-Werror", "-o", tests / program, source)
            elif (image / "selftests" / program).is_file():
                shutil.copy2(image / "selftests" / program, tests / program)
            else:
                fail(1, f"ci/mutants/plan: no program '{program}': add tests/guest/{program}.c")
        self.qemu = os.environ.get("QEMU") or script(TOP / "ci" / "emulator" / "build")
        self.rules = ktap.SplatRules.read(TOP / "ci" / "run" / "splats")
        files = [image / "bzImage", RUNNER, RUNNER_CODE, TOP / "scripts" / "avic" / "bundle.py"]
        files += sorted(path for path in tests.rglob("*") if path.is_file())
        files += sorted((TOP / "ci" / "guest").iterdir())
        parts = [path.read_bytes() for path in files]
        parts.append(f"{self.qemu} {MACHINES}".encode())
        self.key = b"".join(hashlib.sha256(part).digest() for part in parts)

    def plan(self, expected: list[str]) -> Plan:
        """A plan that begins with the tests that are expected to fail."""
        names = [*expected, *(name for name in self.tests if name not in expected)]
        return Plan([], [Lane("l", "stack", ["avic=1"], [self.tests[name] for name in names])])

    def read(self, folder: Path, plan: Plan) -> list[ktap.Result]:
        """What a runner has left in a folder so far, in the order of the bench's tests."""
        order = {name: number for number, name in enumerate(self.tests)}
        return sorted(
            ktap.read_run(folder, plan.names, self.rules), key=lambda result: order.get(result.name, -1)
        )


class Trial:
    """One mutant, or the stack, in all machines at once.  The results of an equal trial are reused."""

    def __init__(self, bench: Bench, name: str, modules: Path, expected: list[str]) -> None:
        self.bench, self.name, self.modules, self.expected = bench, name, modules, expected
        self.plan = bench.plan(expected)
        key = bench.key + self.plan.text().encode() + os.environ.get("FULL", "").encode()
        for module in MODULES:
            key += hashlib.sha256((modules / module).read_bytes()).digest()
        self.key = hashlib.sha256(key).hexdigest()[:16]
        self.done = bench.results / self.key
        self.aside = bench.aside / name
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def results(self) -> dict[str, list[ktap.Result]]:
        """The results so far, by machine; some machines may still run."""
        folder = self.done if self.done.exists() else self.aside
        return {machine: self.bench.read(folder / machine, self.plan) for machine in MACHINES}

    def proven(self) -> bool:
        """Whether the trial can end: the expected tests have failed, or enough others."""
        if self.name == STACK or os.environ.get("FULL"):
            return False
        failed = {r.name for each in self.results().values() for r in each if bad(r)}
        expected = bool(self.expected) and failed.issuperset(self.expected)
        return expected or len(failed) >= ENOUGH

    def run(self) -> None:
        """Boot all machines and wait until they have ended, or the mutant is proven bad."""
        say(f"running {self.name}")
        image = self.aside / "image"
        image.mkdir(parents=True)
        for path in self.bench.image.iterdir():
            (image / path.name).symlink_to(path)
        for module in MODULES:
            (image / module).symlink_to(self.modules / module)
        (self.aside / "plan").write_text(self.plan.text())
        make_bundle(image, self.plan, self.aside / "bundle")
        try:
            for machine, processor in MACHINES.items():
                folder = self.aside / machine
                folder.mkdir()
                with (folder / "runner").open("w") as log:
                    self.processes[machine] = subprocess.Popen(
                        [RUNNER, self.aside / "bundle", folder],
                        env=os.environ | {"QEMU": self.bench.qemu, "CPU": processor},
                        stdin=subprocess.DEVNULL, stderr=log,
                    )  # fmt: skip
            while any(process.poll() is None for process in self.processes.values()):
                if self.proven():
                    break
                time.sleep(0.5)
        finally:
            ended = self.stop()
        for machine, process in self.processes.items():
            folder = self.aside / machine
            if machine in ended:
                with (folder / "ktap").open("a") as log:
                    log.write("\nBail out! not-run: enough tests have failed\n")
            elif process.returncode not in (0, 1):
                fail(1, f"{RUNNER.name}: {(folder / 'runner').read_text().strip()}")
        self.keep()

    def stop(self) -> list[str]:
        """End the machines that still run, and return which."""
        running = [m for m, process in self.processes.items() if process.poll() is None]
        for machine in running:
            self.processes[machine].terminate()
        for machine in running:
            self.processes[machine].wait()
        return running

    def keep(self) -> None:
        """Keep the logs for the next time, unless they say nothing of the mutant."""
        shutil.rmtree(self.aside / "bundle")
        shutil.rmtree(self.aside / "image")
        if not any(broken(results) for results in self.results().values()):
            self.done.parent.mkdir(parents=True, exist_ok=True)
            with held_back():
                put(self.aside, self.done)

    def settle(self) -> None:
        """Run, unless an equal trial was run before."""
        if os.environ.get("RERUN"):
            shutil.rmtree(self.done, ignore_errors=True)
        if not self.done.exists():
            self.run()


def check_stack(bench: Bench, modules: Path) -> Trial:
    """The stack's own trial; if a test fails there, a mutant's failure says nothing."""
    trial = Trial(bench, STACK, modules, [])
    trial.settle()
    failed = [
        f"  {r.name} {r.status} ({machine}): {r.note} {' '.join(r.log[-1:])}"
        for machine, results in trial.results().items()
        for r in results
        if r.status not in ("pass", "skip")
    ]
    if failed:
        # Next time it has to run again.
        shutil.rmtree(trial.done, ignore_errors=True)
        fail(1, "the stack itself fails, fix that first:", "\n".join(failed))
    return trial


def prune(folder: Path, used: set[str]) -> None:
    """Remove the results that no mutant uses any more."""
    for each in folder.iterdir():
        if each.name not in used:
            shutil.rmtree(each)


def mutate(repo: Path, mutants: list[Mutant], everything: bool) -> int:
    """Build, run and show."""
    image = Images(BASE, repo).image("stack")
    with aside(CACHE / "mutants") as place:
        modules = Modules(repo, image)
        bench = Bench(image, place, CACHE / "mutants" / "results" / repo.name)
        stacked = script("git", "-C", repo, "rev-parse", "stack")
        plain, trouble = modules.build(STACK, stacked)
        if trouble:
            fail(1, f"the stack {trouble}")
        stack = check_stack(bench, plain)
        used = {stack.key}
        rows = [Row(mutant) for mutant in mutants]
        built: dict[str, Path] = {}
        for row in rows:
            built[row.mutant.name], row.trouble = modules.build(
                row.mutant.name, stacked, row.mutant.diff
            )
        for row in rows:
            if row.trouble:
                continue
            name = row.mutant.name
            trial = Trial(bench, name, built[name], row.mutant.caught_by)
            trial.settle()
            used.add(trial.key)
            for machine, results in trial.results().items():
                row.found[machine] = caught(stack.results()[machine], results)
                row.trouble = row.trouble or broken(results)
        modules.prune()
        if everything:
            prune(bench.results, used)
        text, status = table(rows)
        print(text, end="")
        return status


def main() -> int:
    try:
        tests = [test.name for test in read_tests()]
        mutants = [read_mutant(path, tests) for path in sorted(MUTANTS.glob("*.patch"))]
    except ValueError as error:
        fail(1, f"ci/mutants/{error}")
    for pattern in sys.argv[1:]:
        if not any(fnmatch.fnmatch(mutant.name, pattern) for mutant in mutants):
            fail(2, f"no mutant '{pattern}' in ci/mutants")
    wanted = [
        mutant
        for mutant in mutants
        if not sys.argv[1:] or any(fnmatch.fnmatch(mutant.name, p) for p in sys.argv[1:])
    ]
    repo = BASE.tree("apply")
    with alone(repo):
        return mutate(repo, wanted, len(wanted) == len(mutants))
