# SPDX-License-Identifier: GPL-2.0
"""Programs of tests/guest in several machines, for verbs that count what comes of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from avic.aside import aside, replaced
from avic.base import BASE
from avic.build import Images
from avic.bundle import compile_program
from avic.ktap import Result
from avic.machine import Run, copy_logs, first_over, made_with, stack_of, stopped_at_the_end
from avic.paths import CACHE, TOP
from avic.plan import Lane, Plan, Test
from avic.process import fail

GUEST = TOP / "tests" / "guest"
FEATURES = ["avic", "x2avic"]
SECONDS = 60
AT_ONCE = 2
Figure = TypeVar("Figure")


@dataclass
class Boot:
    """A machine: the level of its kernel, and what it runs.

    programs: of tests/guest, all that the tests need.  features: of the CPU, beside AVIC, a word for its model that the
    emulator knows (a Zen 1 if there is none), and `iommu`.  qemu: in place of QEMU=.  allowed: regexes for what is no splat.
    """

    level: str
    lanes: list[Lane]
    programs: Sequence[str]
    features: Sequence[str] = ()
    qemu: str = ""
    config: str = "emulator"
    allowed: Sequence[str] = ()

    def run(self, repo: Path, name: str, place: Path) -> Run:
        """What is to be booted, with a kernel that is built for it if need be."""
        named = {test.command[0].removeprefix("./") for lane in self.lanes for test in lane.tests}
        # A program that a test calls gets into the bundle by a test of its own only.
        self.lanes[0].tests += [Test(program, SECONDS, [f"./{program}"]) for program in self.programs if program not in named]
        bundled = image(Images(BASE, repo).image(self.level, self.config), place / f"{name}.image", self.programs)
        return Run(bundled, Plan([*FEATURES, *self.features], self.lanes), place / name, self.qemu, self.allowed)


@dataclass
class Boots:
    """What the machines gave, by name; folder, which is to be kept, has their logs."""

    folder: Path
    what: dict[str, str]
    results: dict[str, list[Result]] = field(default_factory=dict)
    logs: dict[str, Path] = field(default_factory=dict)

    def read(self, name: str, lane: str, test: str, reader: Callable[[list[str]], Figure]) -> Figure:
        """What a reader makes of the output of a machine's test; exits with 1 if there is none, or it raises ValueError."""
        result = next(r for r in self.results[name] if (r.lane, r.name) == (lane, test))
        try:
            if result.status not in ("pass", "fail"):
                raise ValueError(f"{result.status} {result.note}")
            return reader(result.log)
        except ValueError as error:
            fail(1, f"no {test} of the {name}: {error} (log: {self.logs[name]}/ktap)")


def image(built: Path, folder: Path, programs: Sequence[str]) -> Path:
    """A folder for scripts/bundle with a built level, and programs of tests/guest, NAME or NAME.c, as its tests."""
    tests = folder / "selftests"
    tests.mkdir(parents=True)
    for name in ("bzImage", "kvm.ko", "kvm-amd.ko"):
        (folder / name).symlink_to(built / name)
    for name in programs:
        source = GUEST / f"{name}.c"
        if not source.exists():
            shutil.copy(GUEST / name, tests)
            continue
        compile_program(source, tests / name)
    return folder


@contextmanager
def boots(kind: str, folder: Path, repo: Path, machines: dict[str, Boot]) -> Iterator[Boots]:
    """Boot machines, some at once, and put their logs, with what the caller adds, into a folder.

    kind: for names.  machines: by name; a level's own has the level's.
    """
    with aside(CACHE / "run") as place, stopped_at_the_end() as runs:
        for name, boot in machines.items():
            running = [run for run in runs.values() if not run.over()]
            if len(running) >= AT_ONCE:
                first_over(running).finish()
            runs[name] = boot.run(repo, f"{kind}.{name}", place)
            runs[name].start()
        with replaced(folder) as new:
            booted = Boots(new, {"stack": stack_of(repo), **made_with()})
            for name, run in runs.items():
                booted.logs[name] = run.finish()
                copy_logs(booted.logs[name], new, name)
                booted.results[name] = run.results()
                booted.what["when"] = (booted.logs[name] / "when").read_text().strip()
            yield booted
