# SPDX-License-Identifier: GPL-2.0
"""stick: a USB stick that runs the selftests on base and stack on any AMD machine, and touches nothing else there.

  BASE=v6.12       which base           TREE=     a user's own kernel tree
  LANES=           only these of ci/run/lanes
  TESTS=           only these tests: shell patterns
  RUNS=base,stack  which levels, in this order
  JOBS=, V=1       as in scripts/build

Prints a folder: stick.img, for dd, and net/, for iPXE and kexec.  docs/HARDWARE.md says how to
write it, what it does, and what becomes of the report.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from avic.base import BASE, Base
from avic.build import Images
from avic.bundle import with_posted_irq
from avic.cmd.run import chosen, chosen_lanes, device_tests, selftests, there
from avic.machine import made_with, stack_of
from avic.paths import CACHE
from avic.plan import Lane, Plan, Test, listed
from avic.process import fail, say, scratch
from avic.runners.emulator import DEVICES
from avic.stick import Level, flags, kinds, make_stick, need_tools


def chosen_runs() -> list[str]:
    """The levels of RUNS=; exits with 2 if it names another, or one twice."""
    runs = (os.environ.get("RUNS") or "base,stack").split(",")
    if not runs or len({*runs}) != len(runs) or set(runs) - {"base", "stack"}:
        fail(2, f"RUNS={','.join(runs)}: it takes base, stack, or base,stack")
    return runs


def of_all(images: dict[str, Path], kind: Callable[[Path], list[Test]]) -> list[Test]:
    """The tests of a kind that any of the levels has."""
    found = {test.name: test for image in images.values() for test in kind(image / "selftests")}
    return [found[name] for name in sorted(found)]


def plans(level: str, tests: dict[str, list[Test]], base: Base) -> dict[str, Plan]:
    """A level's plan for each kind of machine that has one of the lanes in `tests`."""
    every = {lane.name: lane for _, lane in listed(base)}
    found = {}
    for kind, names in kinds(base).items():
        lanes = [Lane(name, level, every[name].parameters, tests[name]) for name in names if tests.get(name)]
        words = kind.removesuffix("+device").split(",") + (["iommu"] if kind.endswith("+device") else [])
        if lanes:
            found[kind] = Plan(words, lanes)
    return found


def chosen_levels(images: dict[str, Path], lanes: list[str], base: Base) -> list[Level]:
    """What each level runs of TESTS= in these lanes; exits with 2 if that is nothing."""
    posted = {lane.name for features, lane in listed(base) if set(features.split(",")) & set(DEVICES)}
    every, devices = (of_all(images, kind) for kind in (selftests, device_tests))
    tests = chosen(
        {name: devices if name in posted else every for name in lanes}, (os.environ.get("TESTS") or "").split()
    )
    levels = []
    for level, image in images.items():
        own = {name: [test for test in each if there(test, image)] for name, each in tests.items()}
        found = plans(level, own, base)
        if not found:
            fail(2, f"no machine has any of these lanes: {' '.join(lanes)}")
        levels.append(Level(level, image, found))
    return levels


def main() -> int:
    need_tools()
    base, runs = Base.named(BASE.name), chosen_runs()
    lanes = chosen_lanes([lane.name for _, lane in listed(base)], [])
    repo = base.tree("apply")
    built = {level: Images(base, repo).image(level, "stick") for level in runs}
    what = f"{base} ({repo.name}), stack {stack_of(repo)}, stick {made_with()['commit']}"
    out = CACHE / "stick" / base.name
    with scratch("avic-stick.") as place:
        images = {level: with_posted_irq(image, place / level) for level, image in built.items()}
        levels = chosen_levels(images, lanes, base)
        say("packing the stick")
        make_stick(levels, flags(base), what, out)
    say(f"{out / 'stick.img'}: {(out / 'stick.img').stat().st_size >> 20} MiB; docs/HARDWARE.md says how to write it")
    print(out)
    return 0
