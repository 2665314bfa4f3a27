# SPDX-License-Identifier: GPL-2.0
"""apply: a base's series onto its git tree, as branch `stack`, one commit a patch.

  BASE=v6.12   which base
  TREE=        a user's own kernel tree (see scripts/fetch)
  TREE_NAME=   what the user gave it as, if not as TREE; only as an option
  RESET=1      drop commits on `stack` that were never refreshed into patches/
  RESOLVE=1    where a patch does not apply, keep those before it on `stack`, and leave
               git am at that patch, with what does not fit in files *.rej

Exact: no fuzz, no three-way merge, and git am and quilt make the same files.  The work is
done in a temporary tree; the branch moves only once the whole series has applied, but
for RESOLVE=1.  What stands there already is not applied again.  Prints the folder.
"""

import os
from pathlib import Path

from avic import exact, patch, raw, tree
from avic.aside import write
from avic.base import BASE
from avic.build import digest
from avic.exact import apply_all, does_not_apply, stop_there
from avic.patch import Patch
from avic.paths import TOP
from avic.process import fail
from avic.tree import at_rest, git, locked, rev, set_stack, settle


def key(onto: str, patches: list[Patch]) -> str:
    """What decides what comes of a series: the commit below it, the patches, and the code that applies them."""
    ours = [Path(str(module.__file__)).read_bytes() for module in (exact, patch, tree)]
    return digest(onto, *ours, *(raw.encode(f"{each.path.name}\n{each.raw}") for each in patches))


def main() -> None:
    patches = BASE.patches
    repo = BASE.tree("fetch")
    settle(repo)
    stack, applied, onto = at_rest(repo), rev(repo, "refs/avic/applied"), rev(repo, "base")
    made = key(onto, patches)
    stands = repo / ".git" / "avic.applied"
    if stack == applied and stands.exists() and raw.read(stands) == f"{made} {stack}":
        if git(repo, "symbolic-ref", "HEAD").stdout.strip() != "refs/heads/stack":
            with locked(repo):
                git(repo, "checkout", "--quiet", "stack")
        print(repo)
        return
    if stack != applied and not os.environ.get("RESET"):
        fail(
            1,
            f"branch stack in {repo} has commits that {BASE.folder.relative_to(TOP)} lacks:"
            " run scripts/refresh to keep them, or RESET=1 scripts/apply to drop them",
        )
    done = apply_all(repo, patches, onto)
    if done.left and not os.environ.get("RESOLVE"):
        again = f"RESOLVE=1 scripts/apply stops there in {repo}; or rebase branch stack and run scripts/refresh"
        does_not_apply(done, again)
    slugs = {commit: each.slug for commit, each in done.commits}
    set_stack(repo, slugs, onto, stack, "refs/avic/applied")
    if done.left:
        stop_there(repo, done, done.left, " until all are there, then scripts/refresh")
    write(stands, f"{made} {[onto, *slugs][-1]}")
    print(repo)
