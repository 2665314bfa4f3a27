# SPDX-License-Identifier: GPL-2.0
"""fit [BASE...]: which base's stack applies to a kernel tree, how far, and what blocks it.

  BASE         only these stacks, e.g. scripts/fit v7.2; else all of patches/
  TREE=        a user's own kernel tree (see scripts/fetch), else that of $BASE

Exact, as scripts/apply.  A line for each stack; below one that does not apply
whole, the first hunk in the way, and how its context differs there.  Exit
status 1 if no stack applies whole.
"""

import sys
import textwrap
from pathlib import Path

from avic.base import TOP
from avic.exact import apply_one, tree_aside
from avic.patch import read_patch, read_series
from avic.process import fail, unwind_on_signals
from avic.tree import fetched


def fit(repo: Path, name: str) -> tuple[bool, str]:
    """Whether a base's whole series applies, and the lines that say so."""
    folder = TOP / "patches" / name
    patches = [read_patch(folder / patch) for patch in read_series(folder)]
    with tree_aside(repo) as tree:
        for number, patch in enumerate(patches):
            where, context = apply_one(tree, patch)
            if where:
                shown = textwrap.indent(context.rstrip(), "        ")
                line = f"{name:6} {number} of {len(patches)} apply, then {patch.path.name}: {where}"
                return False, f"{line}\n{shown}"
    return True, f"{name:6} {len(patches)} of {len(patches)} apply"


def main() -> int:
    unwind_on_signals()
    every = sorted(path.parent.name for path in (TOP / "patches").glob("*/series"))
    wanted = sys.argv[1:] or every
    for name in wanted:
        if name not in every:
            fail(2, f"no base '{name}': patches/ has {' '.join(every)}")
    repo = fetched()
    whole = False
    for name in wanted:
        fits, lines = fit(repo, name)
        whole |= fits
        print(lines)
    return 0 if whole else 1
