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
from avic.exact import apply_all
from avic.process import fail, say
from avic.raw import printable_lines
from avic.upstream import read_ledger


def fit(repo: Path, base: Base, slugs: list[str]) -> tuple[bool, str]:
    """Whether a base's whole series applies, or the patches of some slugs, and the lines that say so."""
    patches, name = [patch for patch in base.patches if not slugs or patch.slug in slugs], base.name
    if not patches:
        return False, f"{name:6} has none of these"
    done = apply_all(repo, patches)
    line = f"{name:6} {len(done.commits)} of {len(patches)} apply"
    if not done.left:
        return True, line
    shown = textwrap.indent(done.context.rstrip(), "        ")
    return False, f"{line}, then {done.left[0].path.name}: {done.where}\n{shown}"


def main() -> int:
    names = {base.name: base for base in Base.every()}
    wanted = [names[word] for word in sys.argv[1:] if word in names] or list(names.values())
    slugs = [word for word in sys.argv[1:] if word not in names]
    known = {slug for base in names.values() for slug in base.slugs}
    for slug in slugs:
        if slug not in known:
            fail(2, f"no base or patch '{slug}': patches/ has {' '.join(names)}, and patches/changes the slugs")
    for more, why in read_ledger(BASE.name).missing(slugs, known):
        say(f"with {' '.join(more)}: {why}")
        slugs += more
    repo = BASE.tree("fetch")
    whole = False
    for base in wanted:
        fits, lines = fit(repo, base, slugs)
        whole |= fits
        print(printable_lines(lines))
    return 0 if whole else 1
