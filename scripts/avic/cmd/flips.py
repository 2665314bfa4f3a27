# SPDX-License-Identifier: GPL-2.0
"""flips: how often IRQ windows flip a VM's inhibit of AVIC, on base and stack.

  BASE=v6.12   which base           TREE=     a user's own kernel tree
  RUNNER=      which of scripts/runners (default emulator)
  QEMU=        another QEMU than the one that ci/emulator/build makes
  RERUN=1      run again though nothing has changed

Boots each level with AVIC and runs tests/guest/irqwin_flips.c there: one vCPU
waits for a window while another one takes a hundred ExtINTs.  The flips are those
that the kernel traced.  Prints one line, and keeps each flip's time for the
report.  Exit status 1 if a level gives no number, or an ExtINT is lost on the stack.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import accumulate
from pathlib import Path

from avic.aside import aside, replaced
from avic.paths import CACHE, TOP
from avic.base import BASE
from avic.build import Images
from avic.machine import Run, copy_logs, kept, made_with, need_qemu, stack_of, stopped_at_the_end
from avic.plan import Lane, Plan, Test
from avic.process import fail, unwind_on_signals
from avic.results import BothFlips, Flips, judge_flips, save

GUEST = TOP / "tests" / "guest"
SECONDS = 60
ARRIVED = re.compile(r"^(\d+) of \1 ExtINTs arrived$", re.MULTILINE)
FLIP = re.compile(r"([+-])(\d+)/(\d+)")


def read_flips(log: list[str]) -> Flips:
    """Read the output of tests/guest/flips: the flips, with times in us and reasons, and what was lost.

    Raises ValueError if the trace is not all there: the number has to be that
    of the times, and set and cleared have to alternate.
    """
    text = "\n".join(log)
    number = re.search(r"^flips (\d+)$", text, re.MULTILINE)
    flips = FLIP.findall(" ".join(line for line in log if line.startswith("at ")))
    turns = "".join(sign for sign, _, _ in flips)
    # The order is right, but a time may be a little too early: never let it go backwards.
    at: list[int] = list(accumulate((int(us) for _, us, _ in flips), lambda last, us: max(last, us)))
    if not flips or not number or int(number[1]) != len(flips):
        raise ValueError("the trace is not complete")
    if "++" in turns or "--" in turns:
        raise ValueError("the trace is not in order")
    lost = "" if ARRIVED.search(text) else f"an ExtINT is lost ({log[0]})"
    reasons = [int(reason) for _, _, reason in flips]
    return Flips(len(flips), at, reasons, lost)


def image(built: Path, folder: Path) -> Path:
    """A folder for scripts/bundle with a built level and our two programs as its tests."""
    tests = folder / "selftests"
    tests.mkdir(parents=True)
    for name in ("bzImage", "kvm.ko", "kvm-amd.ko"):
        (folder / name).symlink_to(built / name)
    shutil.copy(GUEST / "flips", tests)
    command = ["gcc", "-static", "-O2", "-Wall", "-Werror"]
    command += ["-o", str(tests / "irqwin_flips"), str(GUEST / "irqwin_flips.c")]
    if subprocess.run(command).returncode:
        fail(1, f"{GUEST.relative_to(TOP)}/irqwin_flips.c does not compile: see above")
    return folder


def count_flips(repo: Path) -> BothFlips:
    """Boot both levels, keep what was traced, and return it; exits if there is none."""
    levels: dict[str, Flips] = {}
    with aside(CACHE / "run") as place, stopped_at_the_end() as runs:
        for level in ("base", "stack"):
            built = Images(BASE, repo).image(level)
            # The second test is only there so that its program gets into the bundle.
            tests = [Test(name, SECONDS, [f"./{name}"]) for name in ("flips", "irqwin_flips")]
            plan = Plan(["avic", "x2avic"], [Lane("flips", level, ["avic=1"], tests)])
            bundled = image(built, place / f"{level}.image")
            runs[level] = Run(bundled, plan, place / f"flips.{level}")
            runs[level].start()
        with replaced(kept("flips")) as new:
            for level, run in runs.items():
                folder = run.finish()
                copy_logs(folder, new, level)
                result = next(r for r in run.results() if r.name == "flips")
                try:
                    if result.status not in ("pass", "fail"):
                        raise ValueError(f"{result.status} {result.note}")
                    levels[level] = read_flips(result.log)
                except ValueError as error:
                    fail(1, f"no flips of the {level}: {error} (log: {folder}/ktap)")
            what = {"stack": stack_of(repo), **made_with()}
            what["when"] = (folder / "when").read_text().strip()
            found = BothFlips(what, levels)
            save(new / "flips.json", found)
            return found


def main() -> int:
    unwind_on_signals()
    repo = BASE.tree("apply")
    need_qemu()
    found = count_flips(repo)
    print(found)
    return 1 if judge_flips(found) else 0
