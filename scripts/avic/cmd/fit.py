# SPDX-License-Identifier: GPL-2.0
"""fit [BASE...]: which base's stack applies to a kernel tree, how far, and what blocks it.

  BASE         only these stacks, e.g. scripts/fit v7.2; else all of patches/
  TREE=        a user's own kernel tree (see scripts/fetch), else that of $BASE

Exact, as scripts/apply.  Prints a line for each stack.  Below a stack that does not
apply completely are the first hunk that fails, and how its context differs there.
Exit status 1 if no stack applies completely.
"""

import sys
import textwrap
from pathlib import Path

from avic.base import BASE, Base
from avic.exact import tree_aside
from avic.process import unwind_on_signals
from avic.raw import printable_lines


def fit(repo: Path, base: Base) -> tuple[bool, str]:
    """Whether a base's whole series applies, and the lines that say so."""
    patches, name = base.patches, base.name
    with tree_aside(repo) as aside:
        for number, patch in enumerate(patches):
            where, context = aside.add(patch)
            if where:
                shown = textwrap.indent(context.rstrip(), "        ")
                line = f"{name:6} {number} of {len(patches)} apply, then {patch.path.name}: {where}"
                return False, f"{line}\n{shown}"
    return True, f"{name:6} {len(patches)} of {len(patches)} apply"


def main() -> int:
    unwind_on_signals()
    wanted = [Base.named(name) for name in sys.argv[1:]] or Base.every()
    repo = BASE.tree("fetch")
    whole = False
    for base in wanted:
        fits, lines = fit(repo, base)
        whole |= fits
        print(printable_lines(lines))
    return 0 if whole else 1
