# SPDX-License-Identifier: GPL-2.0
"""fit [BASE...] [SLUG...]: which base's stack applies to a kernel tree, how far, and what blocks it.

  BASE         only these stacks, e.g. scripts/fit v7.2; else all of patches/
  SLUG         only these patches, e.g. scripts/fit physical-id-claim, with those that
               patches/upstream says must be together with one
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
from avic.process import fail, say, unwind_on_signals
from avic.raw import printable_lines
from avic.upstream import read_ledger


def together(slugs: list[str]) -> list[str]:
    """These changes, and those that must not be without one of them; says which and why."""
    wanted = dict.fromkeys(slugs)
    groups = read_ledger(BASE.name).together
    grown = True
    while grown:
        grown = False
        for group, why in groups:
            if group & set(wanted) and (more := sorted(group - set(wanted))):
                say(f"with {' '.join(more)}: {why}")
                wanted |= dict.fromkeys(more)
                grown = True
    return list(wanted)


def fit(repo: Path, base: Base, slugs: list[str]) -> tuple[bool, str]:
    """Whether a base's whole series applies, or the patches of some slugs, and the lines that say so."""
    patches, name = [patch for patch in base.patches if not slugs or patch.slug in slugs], base.name
    if not patches:
        return False, f"{name:6} has none of these"
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
    names = {base.name: base for base in Base.every()}
    wanted = [names[word] for word in sys.argv[1:] if word in names] or list(names.values())
    slugs = [word for word in sys.argv[1:] if word not in names]
    known = {slug for base in names.values() for slug in base.slugs}
    for slug in slugs:
        if slug not in known:
            fail(2, f"no base or patch '{slug}': patches/ has {' '.join(names)}, and patches/changes the slugs")
    slugs = together(slugs)
    repo = BASE.tree("fetch")
    whole = False
    for base in wanted:
        fits, lines = fit(repo, base, slugs)
        whole |= fits
        print(printable_lines(lines))
    return 0 if whole else 1
