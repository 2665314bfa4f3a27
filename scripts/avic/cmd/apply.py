# SPDX-License-Identifier: GPL-2.0
"""apply: a base's series onto its git tree, as branch `stack`, one commit a patch.

  BASE=v6.12   which base
  TREE=        a user's own kernel tree (see scripts/fetch)
  RESET=1      drop commits on `stack` that were never refreshed into patches/
  RESOLVE=1    where a patch does not apply, keep those before it on `stack`, and leave
               git am at that patch, with what does not fit in files *.rej

Exact: no fuzz, no three-way merge, and git am and quilt make the same files.  The work is
done in a temporary tree; the branch moves only once the whole series has applied, but
for RESOLVE=1.  Prints the folder.
"""

import os

from avic.base import BASE
from avic.exact import apply_all, does_not_apply
from avic.patch import Patch
from avic.paths import TOP
from avic.process import fail, held_back, unwind_on_signals
from avic.tree import git, locked, need_clean, need_on, rev, set_slug


def main() -> None:
    unwind_on_signals()
    patches = BASE.patches
    repo = BASE.tree("fetch")
    need_clean(repo)
    need_on(repo, *(["stack", "base"] if rev(repo, "stack") else ["base"]))
    if rev(repo, "stack") != rev(repo, "refs/avic/applied") and not os.environ.get("RESET"):
        fail(
            1,
            f"branch stack in {repo} has commits that {BASE.folder.relative_to(TOP)} lacks:"
            " run scripts/refresh to keep them, or RESET=1 scripts/apply to drop them",
        )
    commits, where, context = apply_all(repo, patches)
    left = patches[len(commits) :]
    if left and not os.environ.get("RESOLVE"):
        again = f"RESOLVE=1 scripts/apply stops there in {repo}; or rebase branch stack and run scripts/refresh"
        does_not_apply(left[0], where, context, again)
    done = commits[-1] if commits else rev(repo, "base")
    with locked(repo), held_back():
        for commit, patch in zip(commits, patches):
            set_slug(repo, commit, patch.slug)
        git(repo, "checkout", "--quiet", "-B", "stack", done)
        git(repo, "update-ref", "refs/avic/applied", done)
    if left:
        resolve(left, where, context)
    print(repo)


def resolve(left: list[Patch], where: str, context: str) -> None:
    """Leave git am at the first of the patches that are left, and exit with 1: it does not apply."""
    repo = BASE.tree("fetch")
    git(repo, "-c", "core.hooksPath=/dev/null", "am", "--quiet", "--reject", *(str(each.path) for each in left), check=False)
    does_not_apply(
        left[0], where, context,
        f"those before it are on branch stack in {repo}, and git am stands at it: bring in what is in *.rej,"
        " git add, git am --continue until all are there, then scripts/refresh",
    )  # fmt: skip
