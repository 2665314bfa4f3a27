# SPDX-License-Identifier: GPL-2.0
"""Programs of tests/guest in machines of several levels at a time, for verbs that count what comes of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from avic.aside import aside, replaced
from avic.base import BASE
from avic.build import Images
from avic.bundle import compile_program
from avic.ktap import Result
from avic.machine import Run, copy_logs, made_with, stack_of, stopped_at_the_end
from avic.paths import CACHE, TOP
from avic.plan import Lane, Plan, Test
from avic.process import fail

GUEST = TOP / "tests" / "guest"
FEATURES = ["avic", "x2avic"]
SECONDS = 60
Figure = TypeVar("Figure")


@dataclass
class Boots:
    """What the levels' machines gave; folder, which is to be kept, has their logs."""

    folder: Path
    what: dict[str, str]
    results: dict[str, list[Result]]
    logs: dict[str, Path]

    def read(self, level: str, lane: str, name: str, reader: Callable[[list[str]], Figure]) -> Figure:
        """What a reader makes of the output of a level's test; exits with 1 if there is none, or it raises ValueError."""
        result = next(r for r in self.results[level] if (r.lane, r.name) == (lane, name))
        try:
            if result.status not in ("pass", "fail"):
                raise ValueError(f"{result.status} {result.note}")
            return reader(result.log)
        except ValueError as error:
            fail(1, f"no {name} of the {level}: {error} (log: {self.logs[level]}/ktap)")


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
def boots(
    kind: str, folder: Path, repo: Path, lanes: dict[str, list[Lane]], programs: Sequence[str],
    model: Sequence[str] = (), config: str = "emulator",
) -> Iterator[Boots]:  # fmt: skip
    """Boot the levels, and put their logs, with what the caller adds, into a folder.

    kind: for names.  lanes: level -> what its machine runs.  programs: of tests/guest, all that the tests need.
    model: of the CPU, a word that the emulator knows; a Zen 1 if there is none.  config: of configs/, the kernels'.
    """
    with aside(CACHE / "run") as place, stopped_at_the_end() as runs:
        for level, planned in lanes.items():
            built = Images(BASE, repo).image(level, config)
            named = {test.command[0].removeprefix("./") for lane in planned for test in lane.tests}
            # A program that a test calls gets into the bundle by a test of its own only.
            planned[0].tests += [Test(name, SECONDS, [f"./{name}"]) for name in programs if name not in named]
            bundled = image(built, place / f"{level}.image", programs)
            runs[level] = Run(bundled, Plan([*FEATURES, *model], planned), place / f"{kind}.{level}")
            runs[level].start()
        with replaced(folder) as new:
            logs = {level: run.finish() for level, run in runs.items()}
            for level, log in logs.items():
                copy_logs(log, new, level)
            what = {"stack": stack_of(repo), **made_with(), "when": (log / "when").read_text().strip()}
            yield Boots(new, what, {level: run.results() for level, run in runs.items()}, logs)
