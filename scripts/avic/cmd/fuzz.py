# SPDX-License-Identifier: GPL-2.0
"""fuzz: VMs to which anything may happen in any order, on base and stack.

  BASE=v6.12     which base           TREE=     a user's own kernel tree
  SEEDS=1-100    which VMs: each number is one
  STEPS=200      how many things happen to each
  LEVEL=         one level only: base, stack, or a number of patches
  CONFIG=        kernels with another configuration of configs/, such as kasan
  QEMU=          another QEMU than the one that ci/emulator/build makes
  RERUN=1        run again though nothing has changed

Boots each level with AVIC and runs tests/guest/fuzz.c there: an interrupt that is lost or
that nobody sent, or AVIC that stays off, fails a VM.  What fails is shrunk to the fewest
steps, and printed as the line that runs just these in `make shell`.  Exit status 1 if a VM
fails on the stack, or on the one level asked for.
"""

from __future__ import annotations

import os
import re

from avic.base import BASE
from avic.both import Boot, boots
from avic.machine import kept, need_qemu
from avic.plan import Lane, Test
from avic.process import fail, show

TOTAL = re.compile(r"^(\d+) VMs, (\d+) steps each: (\d+) with AVIC, (\d+) failed$")
# Of one VM and one step, on a busy machine, with all that it takes to shrink what fails.
SECONDS_OF_A_STEP = 0.05
SHRINKING = 900


def numbers() -> tuple[int, int, int]:
    """First seed, last seed and steps; exits with 2 if they are wrong."""
    seeds = re.fullmatch(r"([1-9]\d{0,8})-([1-9]\d{0,8})", os.environ.get("SEEDS") or "1-100")
    steps = re.fullmatch(r"[1-9]\d{0,2}|1000", os.environ.get("STEPS") or "200")
    if not seeds or int(seeds[1]) > int(seeds[2]):
        fail(2, f"SEEDS={os.environ.get('SEEDS')}: want FIRST-LAST, such as 1-100")
    if not steps:
        fail(2, f"STEPS={os.environ.get('STEPS')}: want a number from 1 to 1000")
    return int(seeds[1]), int(seeds[2]), int(steps[0])


def read_total(log: list[str]) -> list[str]:
    """The program's output, if it came to its end with AVIC active in each VM; raises ValueError if not."""
    total = TOTAL.match(log[-1]) if log else None
    if not total:
        raise ValueError(f"it did not come to its end ({log[-1] if log else 'it said nothing'})")
    if total[3] != total[1]:
        raise ValueError(f"AVIC was active in {total[3]} of {total[1]} VMs: the others show nothing")
    return log


def main() -> int:
    first, last, steps = numbers()
    repo = BASE.tree("apply")
    need_qemu()
    levels = [os.environ["LEVEL"]] if os.environ.get("LEVEL") else ["base", "stack"]
    seconds = SHRINKING + int((last - first + 1) * steps * SECONDS_OF_A_STEP)
    command = ["./fuzz", str(first), str(last), str(steps)]
    machines = {
        level: Boot(
            level, [Lane("fuzz", level, ["avic=1"], [Test("fuzz", seconds, command)])], ["fuzz"],
            config=os.environ.get("CONFIG") or "emulator",
        )
        for level in levels
    }  # fmt: skip
    with boots("fuzz", kept("fuzz"), repo, machines) as both:
        # A base that comes to no end must not hide the stack.
        for level in levels[:-1]:
            [result] = [each for each in both.results[level] if each.name == "fuzz"]
            ended = [] if result.status in ("pass", "fail") else [f"{result.status} {result.note}"]
            show("\n".join(f"{level:<8} {line}" for line in [*result.log, *ended]))
        found = both.read(levels[-1], "fuzz", "fuzz", read_total)
        show("\n".join(f"{levels[-1]:<8} {line}" for line in found))
    return 0 if found[-1].endswith(" 0 failed") else 1
