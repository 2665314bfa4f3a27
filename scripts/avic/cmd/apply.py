# SPDX-License-Identifier: GPL-2.0
"""apply: a base's series onto its git tree, as branch `stack`, one commit a patch.

  BASE=v6.12   which base
  TREE=        a user's own kernel tree (see scripts/fetch)
  RESET=1      drop commits on `stack` that were never refreshed into patches/

Exact: no fuzz, no three-way merge.  The work is done in a temporary tree; the
branch moves only once the whole series has applied.  Prints the folder.
"""

import os

from avic.base import BASE
from avic.paths import TOP
from avic.exact import commit_all
from avic.process import fail, held_back, unwind_on_signals
from avic.tree import git, locked, need_clean, rev


def main() -> None:
    unwind_on_signals()
    patches = BASE.patches
    repo = BASE.tree("fetch")
    need_clean(repo)
    if rev(repo, "stack") != rev(repo, "refs/avic/applied") and not os.environ.get("RESET"):
        fail(
            1,
            f"branch stack in {repo} has commits that {BASE.folder.relative_to(TOP)} lacks:"
            " run scripts/refresh to keep them, or RESET=1 scripts/apply to drop them",
        )
    commits = commit_all(repo, patches)
    done = commits[-1] if commits else rev(repo, "base")
    with locked(repo), held_back():
        for commit, patch in zip(commits, patches):
            git(repo, "notes", "--ref=slug", "add", "--force", f"--message={patch.slug}", commit)
        if patches:
            git(repo, "config", "notes.rewriteRef", "refs/notes/slug")
        git(repo, "checkout", "--quiet", "-B", "stack", done)
        git(repo, "update-ref", "refs/avic/applied", done)
    print(repo)
