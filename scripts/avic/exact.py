# SPDX-License-Identifier: GPL-2.0
"""A series onto a tree, exactly: no fuzz, no three-way merge."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from avic.aside import aside
from avic.paths import TOP
from avic.patch import Hunk, Patch
from avic.process import fail
from avic.tree import git, locked, rev

WORKTREES = "avic.worktrees.lock"


def nearest(hunk: Hunk, lines: list[str]) -> int:
    """The index in lines where the hunk's old lines fit best."""
    matcher = difflib.SequenceMatcher(None, b=hunk.old, autojunk=False)

    def fit(start: int) -> tuple[float, int]:
        matcher.set_seq1(lines[start : start + len(hunk.old)])
        if matcher.quick_ratio() < 0.3:
            return (0.0, 0)
        return (matcher.ratio(), -abs(start - hunk.line + 1))

    return max(range(max(1, len(lines) - len(hunk.old) + 1)), key=fit)


def explain(patch: Patch, tree: Path) -> tuple[str, str]:
    """Which file and hunk do not fit, and how the context there has moved."""
    for name, hunks in patch.files.items():
        shown = git(tree, "show", f":{name}", check=False)
        if shown.returncode:
            if any(hunk.old for hunk in hunks):
                return f"{name} is not in this base", ""
            continue
        lines = shown.stdout.split("\n")
        at = 0
        for number, hunk in enumerate(hunks, 1):
            size = len(hunk.old)
            fits = (i for i in range(at, len(lines) - size + 1) if lines[i : i + size] == hunk.old)
            found = next(fits, None)
            if found is None:
                start = nearest(hunk, lines)
                moved = difflib.unified_diff(
                    hunk.old,
                    lines[start : start + size],
                    f"{patch.path.name}, hunk {number}",
                    f"{name} at line {start + 1}",
                    lineterm="",
                )
                where = f"{name}, hunk {number} of {len(hunks)} (line {hunk.line})"
                return f"{where}: the context moved", "\n".join(moved)
            at = found + size
    return "git am refuses it", ""


@contextmanager
def tree_aside(repo: Path) -> Iterator[Path]:
    """A temporary worktree at the base that has an index and no files: git am checks out what it touches."""
    try:
        # Beside repo: git in another container takes a worktree that it can't see for one that is gone.
        with aside(repo.parent) as place:
            tree = place / "tree"
            # Git prunes a worktree that is just being added.
            with locked(repo, WORKTREES):
                git(repo, "worktree", "prune")
                git(repo, "worktree", "add", "--no-checkout", "--detach", str(tree), "base")
            git(tree, "read-tree", "HEAD")
            yield tree
    finally:
        with locked(repo, WORKTREES):
            git(repo, "worktree", "prune")


def apply_one(tree: Path, patch: Patch) -> tuple[str, str]:
    """Commit a patch; if it does not apply, where, and how the context there has moved."""
    result = git(
        tree,
        "-c", "core.hooksPath=/dev/null",
        "am",
        "--quiet",
        "--no-3way",
        "--committer-date-is-author-date",
        str(patch.path),
        check=False,
    )  # fmt: skip
    if not result.returncode:
        return "", ""
    if not git(tree, "apply", "--cached", "--reverse", "--check", str(patch.path), check=False).returncode:
        return "its change is in this base already", ""
    where, context = explain(patch, tree)
    return where, context or result.stderr


def commit_all(repo: Path, patches: list[Patch], advice: str = "") -> list[str]:
    """Commit a series on the base, and return its commits; repo's branches and files stay as they are.

    advice: what to do where a patch does not apply.
    """
    advice = advice or f"rebase branch stack in {repo} and run scripts/refresh"
    commits = []
    with tree_aside(repo) as tree:
        for patch in patches:
            where, context = apply_one(tree, patch)
            if where:
                fail(
                    1,
                    f"{patch.path.relative_to(TOP)} does not apply: {where}; {advice}",
                    context,
                )
            commits.append(rev(tree, "HEAD"))
    return commits
