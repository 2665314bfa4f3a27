# SPDX-License-Identifier: GPL-2.0
"""run: the KVM selftests on base and stack in each lane of ci/run/lanes, and the proof of each fix.

  BASE=v6.12   which base           TREE=     a user's own kernel tree
  TESTS=       only these tests: shell patterns, e.g. TESTS='xapic_* svm_*'
  LANES=       only these of ci/run/lanes, e.g. LANES='avic=1 posted,x2avic'; or those of
               ci/run/sanitizers, with kernels that look for more: LANES=sanitizers for all
  FULL=1       also the tests that ci/run/selftests keeps for this, Linux as a guest of
               the guest (ci/l2/list), and guests that nobody here wrote (ci/inner/foreign)
  KUT=         also kvm-unit-tests, of this checkout of theirs, which is only read; as
               tests kut/NAME (ci/inner/kut), e.g. KUT=~/kut TESTS='kut/*'
  RUNNER=      which of scripts/runners (default emulator); hardware runs the lanes that
               the machine's CPU is for, with VFIO= and KEXEC= also those with a
               device, and has no evidence (docs/HARDWARE.md)
  QEMU=        another QEMU than the one that ci/emulator/build makes
  RERUN=1      run again though nothing has changed
  CONFIG=      which of configs/ the kernels are built with (default: as the runner)
  JOBS=, V=1   as in scripts/build

Fetches, applies, builds, boots and reports: the suite's verdict first, then what
each fix shows, line by line.  A level that ran before with
the same kernel, modules, tests, plan and runner is not run again; the table
says when it ran.  A pass in a lane with AVIC counts only if AVIC was active
where ci/run/selftests asks for that.  With all tests and lanes, scripts/evidence and
scripts/flips follow; with only some of them, the report goes to report.part/.
Exit status 1 if a result got worse on the stack, if a test costs more there than
ci/run/costs allows, if a test has no result, or if a line of the evidence is red.
"""

import fnmatch
import itertools
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from avic import costs, foreign, inner, ktap, kut, remote, results, summary
from avic.aside import aside
from avic.base import BASE
from avic.paths import CACHE, TOP
from avic.build import Images
from avic.bundle import with_posted_irq
from avic.cmd import evidence, flips
from avic.kbuild import lacks
from avic.machine import RUNNER, Run, kept, made_with, need_qemu, stack_of, stopped_at_the_end
from avic.plan import Lane, Plan, Test, listed, listed_with_device, sanitized
from avic.process import BEGIN, fail, say, scratch, script, show
from avic.results import Judgement, Column
from avic.tables import entries

FULL = bool(os.environ.get("FULL"))
SLOWER = 4  # times as long as elsewhere a test may take with a kernel of ci/run/sanitizers


def selftests(folder: Path) -> list[Test]:
    """Every built selftest, run as ci/run/selftests says; those for FULL=1 only with it, none that takes a device."""
    table = {words[0]: words[1:] for words in entries("run/selftests")}
    default = table.pop("default")
    tests = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or not os.access(path, os.X_OK):
            continue
        name = str(path.relative_to(folder))
        seconds, avic, *arguments = table.get(path.name, default)
        if seconds == "device":
            continue
        if FULL or not seconds.startswith("full:"):
            limit = int(seconds.removeprefix("full:"))
            tests.append(Test(name, limit, [f"./{name}", *arguments], avic))
    return tests


def of_both(images: dict[str, Path], tests: Callable[[Path], list[Test]]) -> list[Test]:
    """The tests of either level, so that one which the stack has lost is missed."""
    found = {test.name: test for level in ("base", "stack") for test in tests(images[level] / "selftests")}
    return [found[name] for name in sorted(found)]


def guests() -> list[Test]:
    """Linux as a guest of the guest, as ci/l2/list says."""
    return [
        # Some seconds more for the guest side to tell where a guest hangs.
        Test(f"l2/{name}", int(seconds) + 30, ["../l2/run", seconds, *arguments], avic)
        for name, seconds, avic, *arguments in entries("l2/list")
    ]


def build_guests(images: list[Path]) -> None:
    """Put Linux as a guest of the guest into each image; it looks for splats by ci/run/splats as well."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in remote.patterns(ktap.SplatRules.read(TOP / "ci/run/splats")).items():
            (Path(folder) / name).write_text(text)
        for image in images:
            script(TOP / "ci" / "l2" / "build", image, folder)


def knows(program: Path, arguments: list[str]) -> bool:
    """Whether a test's help, a string for each option, names all that are given."""
    if not program.exists():
        return False
    text = program.read_bytes()
    return all(f"{word[:2]}\t".encode() in text for word in arguments if word.startswith("-"))


def device_tests(folder: Path) -> list[Test]:
    """The tests with a device, as ci/run/device-tests says; none that this base hasn't, or that can't."""
    return [
        replace(test, command=[f"./{program.relative_to(folder)}", *arguments])
        for test in listed_with_device()
        for name, *arguments in [test.command]
        for program in folder.rglob(name)
        if knows(program, arguments)
    ]


def chosen(tests: dict[str, list[Test]], patterns: list[str]) -> dict[str, list[Test]]:
    """Each lane's tests that a pattern matches, with or without their folder; all if there is none.

    Exits with 2 if a pattern matches no test, so that a typing error
    does not look like a clean run.
    """

    def matches(test: Test, pattern: str) -> bool:
        names = (test.name, Path(test.name).name, test.name.split(",")[0])
        return any(fnmatch.fnmatch(name, pattern) for name in names)

    every = list(itertools.chain(*tests.values()))
    for pattern in patterns:
        if not any(matches(test, pattern) for test in every):
            names = f"{len(every)} tests, {every[0].name} to {every[-1].name}"
            fail(2, f"TESTS={pattern} matches no test of {BASE}: it has {names}")
    return {
        lane: [t for t in each if not patterns or any(matches(t, p) for p in patterns)]
        for lane, each in tests.items()
    }


def machines() -> dict[tuple[str, str], dict[str, list[str]]]:
    """A kernel's configuration, CPU features of a machine -> its lanes -> kvm-amd's parameters.

    The configuration is '' for the lanes of ci/run/lanes.
    """
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for features, lane in listed(BASE):
        found.setdefault(("", features), {})[lane.name] = lane.parameters
    for config, features, lane in sanitized(BASE):
        found.setdefault((config, features), {})[lane.name] = lane.parameters
    return found


def chosen_lanes(lanes: list[str], sanitizers: list[str]) -> list[str]:
    """The lanes that LANES names, or all but the sanitizers; exits with 2 if it names another."""
    named = (os.environ.get("LANES") or "").split() or lanes
    wanted = {lane for name in named for lane in (sanitizers if name == "sanitizers" else [name])}
    every = [*lanes, *sanitizers]
    for lane in wanted - set(every):
        fail(2, f"no lane '{lane}' for this machine: LANES= takes {' '.join(every)}")
    return [lane for lane in every if lane in wanted]


def there(test: Test, image: Path) -> bool:
    """Whether an image has the test; the base lacks those that the stack adds."""
    program = image / "selftests" / test.command[0]
    if "DEVICE" in test.command:
        return knows(program, test.command[1:])
    return test.command[0].startswith("../") or program.exists()


class Suite:
    """The tests of base and stack, run in parallel: most use only one CPU."""

    def __init__(self, repo: Path, images: dict[str, dict[str, Path]], tests: dict[str, list[Test]]) -> None:
        """images: of each configuration, of each level.  tests: of each lane."""
        self.images, self.tests = images, tests
        self.reasons = costs.inhibits(repo, "stack")
        self.kut = kut.Policy.read()
        self.logs: dict[str, Path] = {}  # LEVEL.MACHINE -> the folder of its run

    def run(self, tests: dict[str, list[Test]], suffix: str = "") -> list[Column]:
        """Run these tests of each lane on both levels, and prove the passes."""
        levels = {level: Column(level) for level in ("base", "stack")}
        with aside(CACHE / "run") as place, stopped_at_the_end() as runs:
            for (config, features), lanes in machines().items():
                lanes = {lane: words for lane, words in lanes.items() if tests.get(lane)}
                if not lanes:
                    continue
                name = ".".join(filter(None, [config, features])) + suffix
                for level, image in self.images[config].items():
                    plan = Plan(
                        features.split(","),
                        [
                            Lane(lane, level, words, [t for t in tests[lane] if there(t, image)])
                            for lane, words in lanes.items()
                        ],
                    )
                    runs[level] = Run(image, plan, place / f"{level}.{name}")
                    runs[level].start()
                for level, run in runs.items():
                    self.take(levels[level], run, name)
        return list(levels.values())

    def take(self, level: Column, run: Run, machine: str) -> None:
        """Wait for a machine, and add its results to its level."""
        folder = run.finish()
        wants = {test.name: test.wants for test in run.plan.tests}
        avic = {lane.name for lane in run.plan.lanes if lane.avic}
        for result in run.results():
            if result.name.startswith("kut/"):
                kut.settle(result, BASE.name, self.kut)
            ktap.prove(result, wants.get(result.name, "-"), result.lane in avic)
            result.counts = costs.named(result.counts, self.reasons)
            level.results.append(result)
        level.machines.append(machine)
        level.when = max(level.when, (folder / "when").read_text().strip())
        level.reused = max(level.reused, run.reused)
        self.logs[f"{level.name}.{machine}"] = folder

    def second_look(self, found: list[Judgement]) -> list[Column]:
        """Tests that got worse or costlier on the stack, AGAIN times more on both levels.

        Only for a plain failure, a time-out or a cost: a splat, a hang or a panic counts
        the first time.  The first result stays in the report, whatever comes.
        """
        names = {each.name for each in found if each.kind in ("worse", "costlier")}
        again: dict[str, list[Test]] = {}
        for lane, tests in self.tests.items():
            for test in tests:
                if f"{lane} {test.name}" in names:
                    again.setdefault(lane, []).extend(test.again())
        if not again:
            return []
        say(f"{len(names)} results got worse or costlier: a second look at them")
        return self.run(again, suffix=".again")


def main() -> int:
    with scratch("avic-run.") as place:
        return run_all(place)


def run_all(place: Path) -> int:
    """All that the verb does; place is a folder for what is made on the way."""
    emulated = RUNNER == "emulator"
    if not os.access(TOP / "scripts" / "runners" / RUNNER, os.X_OK):
        fail(2, f"no runner '{RUNNER}' in scripts/runners")
    checkout = kut.checkout()
    if checkout and not emulated:
        fail(2, f"KUT={checkout}: kvm-unit-tests run in the emulated machine only; leave RUNNER={RUNNER} out")
    machine = ""
    lanes = [lane.name for _, lane in listed(BASE)]
    if not emulated:
        flags, machine = script(TOP / "scripts" / "runners" / RUNNER, "--machine").split("\n", 1)
        # Lanes with a device also test the IOMMU's driver, which is not a module.
        device = bool(os.environ.get("VFIO") and os.environ.get("KEXEC"))
        others, lanes = lanes, remote.lanes_for(BASE, flags.split(), device)
        if not lanes:
            fail(2, f"{machine}: no lane of ci/run/lanes is for its /proc/cpuinfo: see docs/HARDWARE.md")
        for lane in [lane for lane in others if lane not in lanes]:
            say(f"lane {lane} is left out: it is for another CPU, or for VFIO= with KEXEC=")
    # On hardware the kernels are the machine's own.
    configs = {lane.name: config for config, _, lane in sanitized(BASE)} if emulated else {}
    lanes = chosen_lanes(lanes, list(configs))
    repo = BASE.tree("apply")
    if emulated:
        need_qemu()
    images: dict[str, dict[str, Path]] = {}
    lacking: dict[str, str] = {}
    for config in dict.fromkeys(configs.get(lane, "") for lane in lanes):
        build = config or os.environ.get("CONFIG") or RUNNER
        images[config] = {level: Images(BASE, repo).image(level, build) for level in ("base", "stack")}
        if option := lacks(build, images[config]["base"] / "config"):
            say(f"lanes with {config} are left out: {BASE} has no {option}")
            lacking |= {lane: option for lane in lanes if configs.get(lane) == config}
    if os.environ.get("VFIO") and not emulated:
        for config, levels in images.items():
            images[config] = {level: with_posted_irq(image, place / f"{config}.{level}") for level, image in levels.items()}
    lanes = [lane for lane in lanes if lane not in lacking]
    if not lanes:
        fail(2, f"no lane is left: {BASE} has no {' '.join(sorted(set(lacking.values())))}: take other LANES")
    any_images = next(iter(images.values()))
    every = of_both(any_images, selftests)
    devices = of_both(any_images, device_tests)
    every_image = [image for levels in images.values() for image in levels.values()]
    if FULL:
        every += guests()
        build_guests(every_image)
    inside = kut.prepare(checkout) if checkout else inner.Guests()
    if FULL and emulated:
        inside.add(foreign.prepare())
    if inside.tests:
        for image in every_image:
            inner.put(image, inside)
        every += inside.tests
    patterns = (os.environ.get("TESTS") or "").split()
    with_device = {lane for (_, features), names in machines().items() if "iommu" in features for lane in names}
    every_lane = {lane: devices if lane in with_device else every for lane in lanes}
    if not devices and set(lanes) <= with_device:
        fail(2, f"no selftest of {BASE} takes a device: LANES={' '.join(lanes)} has no test")
    for lane in lanes:
        if lane in configs:
            every_lane[lane] = [replace(test, seconds=SLOWER * test.seconds) for test in every_lane[lane]]
    suite = Suite(repo, images, chosen(every_lane, patterns))
    base, stack = suite.run(suite.tests)
    full = [name for name, seconds, *_ in entries("run/selftests")[1:] if seconds.startswith("full:")]
    what = {
        "base": f"{BASE} ({repo.name})",
        "stack": stack_of(repo),
        "runner": f"{RUNNER}: {machine}" if machine else RUNNER,
        "left out": "nothing" if FULL else f"l2/* foreign/* {' '.join(full)} (FULL=1 runs them)",
        **inside.what,
        **made_with(),
    }
    if not devices and with_device & set(lanes):
        what["no lane"] = f"{' '.join(sorted(with_device & set(lanes)))}: no selftest of this base takes a device"
    if lacking:
        what["no option"] = ", ".join(f"{lane}: {option}" for lane, option in lacking.items())
    if no_build := BASE.why("No-build"):
        what["no build"] = f"{' '.join(no_build)} (patches/{BASE}/base says why)"
    policy = costs.Policy(TOP / "ci" / "run" / "costs")
    avic = [lane.name for _, lane in listed(BASE) if lane.avic]
    avic += [lane.name for _, _, lane in sanitized(BASE) if lane.avic]
    found = results.Suite(what, base, stack, [], [])
    first = results.judge_suite(found, BASE.name, avic, policy)
    found.again = suite.second_look(first)
    found.judgements = results.judge_suite(found, BASE.name, avic, policy)
    what["seconds"] = str(round(time.monotonic() - BEGIN))
    # A run of some tests must not replace the report of a complete run.
    whole = not patterns and not os.environ.get("LANES")
    folder = kept("report") if whole else kept("report.part")
    text = summary.summary(found, [])
    if whole and emulated:
        # Until it is there, the report is not green.
        found.judgements.append(Judgement("evidence", "evidence not complete", "it has not come to its end"))
    summary.write(folder, found, suite.logs, [])
    show(f"{text}report   {folder}")
    if whole and emulated:
        found.judgements.pop()
        prove_fixes(repo, folder, found, suite.logs)
    return 1 if results.red(found.judgements) else 0


def prove_fixes(repo: Path, folder: Path, found: results.Suite, logs: dict[str, Path]) -> None:
    """Flips and evidence, each line as it comes; then the report once more, with them."""
    counted = flips.count_flips(repo)
    found.what["flips"] = str(counted)
    show(f"\nflips    {counted}")
    lines = []
    for line, _ in evidence.collect(repo, set()):
        lines.append(line)
        show(f"evidence {line}")
    found.judgements += results.judge_flips(counted)
    found.judgements += results.judge_evidence(results.Evidence.read(kept("evidence")))
    found.what["seconds"] = str(round(time.monotonic() - BEGIN))
    summary.write(folder, found, logs, lines)
    show(f"{summary.verdict(found)}\nreport   {folder}")
