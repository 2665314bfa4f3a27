# SPDX-License-Identifier: GPL-2.0
"""inject [VM...]: VMs in whose making each allocation fails once, on base and stack.

  VM             only these: with the split irqchip, the full one, or a device whose
                 interrupts are posted: split, full, posted
  BASE=v6.12     which base           TREE=     a user's own kernel tree
  LEVEL=         one level only: base, stack, or a number of patches
  QEMU=          another QEMU than the one that ci/emulator/build makes
  RERUN=1        run again though nothing has changed

Boots each level with AVIC and runs tests/guest/inject.c there: an ioctl that does not work
when it is called again, a VM that can't be used, and memory that is left behind are wrong.
What is wrong is printed as the line that makes just this VM (SHARE= of
`make shell CONFIG=inject` takes the program along).  Exit status 1 if anything is wrong on the stack, or on the one level asked for.
"""

from __future__ import annotations

import os
import re
import sys

from avic.base import BASE
from avic.both import Boot, boots
from avic.machine import kept, need_qemu
from avic.plan import Lane, Test
from avic.process import fail, show

# What the program is told, and what the machine has beside AVIC.
KINDS: dict[str, tuple[str, list[str]]] = {"split": ("split", []), "full": ("full", []), "posted": ("DEVICE", ["iommu"])}
MADE = re.compile(r"^\S+: (\d+) ioctls, (\d+) allocations failed, (\d+) ioctls failed, (\d+) VMs wrong$")
LEFT = re.compile(r"^\S+: (\d+) objects leaked, (\d+) kinds of pages differ$")
SECONDS = 3600
# What the kernel prints, with a trace, of an allocation that has failed: warn_alloc().
ALLOWED = (r"\bvmalloc error: size \d", r"\bpage allocation failure: order:\d")


def chosen(words: list[str]) -> list[str]:
    """The kinds of VMs that are wanted; exits with 2 if there are none such."""
    if wrong := [word for word in words if word not in KINDS]:
        fail(2, f"no VM '{wrong[0]}': want some of {' '.join(KINDS)}")
    return list(dict.fromkeys(words)) or list(KINDS)


def nothing_wrong(log: list[str]) -> bool:
    """Whether the program's output tells of nothing wrong; raises ValueError if it did not come to its end, or nothing failed."""
    made = next(filter(None, map(MADE.match, log)), None)
    left = LEFT.match(log[-1]) if log else None
    if not made or not left:
        raise ValueError(f"it did not come to its end ({log[-1] if log else 'it said nothing'})")
    if "0" in made.group(2, 3):
        raise ValueError(f"no allocation, or no ioctl, has failed: {made[0]}")
    return (made[4], *left.groups()) == ("0", "0", "0")


def main() -> int:
    wanted = chosen(sys.argv[1:])
    repo = BASE.tree("apply")
    need_qemu()
    levels = [os.environ["LEVEL"]] if os.environ.get("LEVEL") else ["base", "stack"]
    kinds = {f"{level}.{kind}": (level, kind) for kind in wanted for level in levels}
    machines = {}
    for name, (level, kind) in kinds.items():
        word, features = KINDS[kind]
        test = Test("faults", SECONDS, ["./faults", word])
        machines[name] = Boot(
            level, [Lane("inject", level, ["avic=1"], [test])], ["faults", "inject"], features,
            config="inject", allowed=ALLOWED,
        )  # fmt: skip
    with boots("inject", kept("inject"), repo, machines) as both:
        # What comes to no end must not hide the others.
        for name, (level, kind) in kinds.items():
            [result] = [each for each in both.results[name] if each.name == "faults"]
            ended = [] if result.status in ("pass", "fail") else [f"{result.status} {result.note}"]
            show("\n".join(f"{level:<6} {kind:<7} {line}" for line in [*result.log, *ended]))
        good = [
            both.read(name, "inject", "faults", nothing_wrong)
            for name, (level, _) in kinds.items() if level == levels[-1]
        ]  # fmt: skip
    return 0 if all(good) else 1
