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
from itertools import accumulate
from pathlib import Path

from avic.base import BASE
from avic.both import SECONDS, Boot, boots
from avic.machine import kept, need_qemu
from avic.plan import Lane, Test
from avic.results import BothFlips, Flips, judge_flips, save

ARRIVED = re.compile(r"^(\d+) of \1 ExtINTs arrived$", re.MULTILINE)
FLIP = re.compile(r"([+-])(-?\d+)/(\d+)")


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


def count_flips(repo: Path) -> BothFlips:
    """Boot both levels, keep what was traced, and return it; exits if there is none."""
    programs = ("flips", "irqwin_flips")
    machines = {
        level: Boot(level, [Lane("flips", level, ["avic=1"], [Test("flips", SECONDS, ["./flips"])])], programs)
        for level in ("base", "stack")
    }
    with boots("flips", kept("flips"), repo, machines) as both:
        found = BothFlips(both.what, {level: both.read(level, "flips", "flips", read_flips) for level in machines})
        save(both.folder / "flips.json", found)
        return found


def main() -> int:
    repo = BASE.tree("apply")
    need_qemu()
    found = count_flips(repo)
    print(found)
    return 1 if judge_flips(found) else 0
