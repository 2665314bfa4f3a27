# SPDX-License-Identifier: GPL-2.0
"""A series onto a tree, exactly: no fuzz, no three-way merge, and the same by git am and by quilt."""

from __future__ import annotations

import difflib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from avic import raw
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


# As quilt and dpkg-source call patch(1); but the file that does not fit is not written beside.
PATCH = [
    "patch", "--strip=1", "--fuzz=0", "--forward", "--force", "--remove-empty-files",
    "--no-backup-if-mismatch", "--reject-file=-", "--silent",
]  # fmt: skip


class Aside:
    """A temporary worktree that gets a series by git am, and a folder that gets it by patch(1), as quilt would.

    A patch counts as applied if both make the same files of it.
    """

    def __init__(self, tree: Path, plain: Path) -> None:
        self.tree = tree
        self.plain = plain
        self.laid_out: set[str] = set()  # files that plain has, or had and the series removed

    @property
    def head(self) -> str:
        """The commit of what was applied last."""
        return rev(self.tree, "HEAD")

    def files(self, names: set[str]) -> dict[str, str]:
        """Mode and blob of files in the worktree's index, by name."""
        listed = git(self.tree, "--literal-pathspecs", "ls-files", "--stage", "-z", "--", *sorted(names)).stdout
        entries = (entry.partition("\t") for entry in listed.split("\0") if entry)
        return {name: state.rpartition(" ")[0] for state, _, name in entries}

    def lay_out(self, names: set[str]) -> None:
        """Give plain these files, as they are now; it keeps those that it has."""
        missing = names - self.laid_out
        self.laid_out |= missing
        for name, state in (self.files(missing) if missing else {}).items():
            mode, blob = state.split()
            path = self.plain / name
            path.parent.mkdir(parents=True, exist_ok=True)
            raw.write(path, git(self.tree, "cat-file", "blob", blob).stdout)
            path.chmod(int(mode, 8) & 0o777)

    def by_patch(self, patch: Patch) -> tuple[str, str]:
        """Apply a patch, which git am has applied, with patch(1); what is different then, as add() says it."""
        ran = subprocess.run(
            PATCH, cwd=self.plain, input=raw.encode(patch.raw), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        )  # fmt: skip
        if ran.returncode:
            return "git am takes it, quilt does not", raw.decode(ran.stdout)
        paths = [path for path in sorted(self.plain.rglob("*")) if not path.is_dir()]
        blobs = git(self.tree, "hash-object", "--no-filters", "--stdin-paths", stdin="".join(f"{each}\n" for each in paths))
        made = {
            str(path.relative_to(self.plain)): f"100{'755' if path.stat().st_mode & 0o100 else '644'} {blob}"
            for path, blob in zip(paths, blobs.stdout.split())
        }
        wanted = self.files(self.laid_out)
        for name in sorted(made.keys() | wanted.keys()):
            if made.get(name) != wanted.get(name):
                return f"git am and quilt make different files {name} of it", ""
        return "", ""

    def add(self, patch: Patch) -> tuple[str, str]:
        """Commit a patch; if it does not apply, where, and how the context there has moved."""
        self.lay_out(set(patch.files))
        result = git(
            self.tree,
            "-c", "core.hooksPath=/dev/null",
            "am",
            "--quiet",
            "--no-3way",
            "--committer-date-is-author-date",
            stdin=patch.raw,
            check=False,
        )  # fmt: skip
        if not result.returncode:
            return self.by_patch(patch)
        if not git(self.tree, "apply", "--cached", "--reverse", "--check", stdin=patch.raw, check=False).returncode:
            return "its change is in this base already", ""
        where, context = explain(patch, self.tree)
        return where, context or result.stderr

    def take_back(self, patch: Patch, head: str) -> None:
        """Be as before add(patch), when head was the head."""
        git(self.tree, "am", "--quit", check=False)
        git(self.tree, "reset", "--quiet", "--soft", head)
        git(self.tree, "read-tree", head)
        for name in patch.files:
            (self.tree / name).unlink(missing_ok=True)
            (self.plain / name).unlink(missing_ok=True)
        self.laid_out -= set(patch.files)


@contextmanager
def tree_aside(repo: Path) -> Iterator[Aside]:
    """An Aside at the base.  Its worktree has an index and no files: git am checks out what it touches."""
    try:
        # Beside repo: git in another container takes a worktree that it can't see for one that is gone.
        with aside(repo.parent) as place:
            tree, plain = place / "tree", place / "plain"
            plain.mkdir()
            # Git prunes a worktree that is just being added.
            with locked(repo, WORKTREES):
                git(repo, "worktree", "prune")
                git(repo, "worktree", "add", "--no-checkout", "--detach", str(tree), "base")
            git(tree, "read-tree", "HEAD")
            yield Aside(tree, plain)
    finally:
        with locked(repo, WORKTREES):
            git(repo, "worktree", "prune")


def apply_all(repo: Path, patches: list[Patch]) -> tuple[list[str], str, str]:
    """Commit a series on the base, as far as it applies; repo's branches and files stay as they are.

    Returns the commits, and for the patch behind them what Aside.add() says.
    """
    commits: list[str] = []
    with tree_aside(repo) as aside:
        for patch in patches:
            where, context = aside.add(patch)
            if where:
                return commits, where, context
            commits.append(aside.head)
    return commits, "", ""


def does_not_apply(patch: Patch, where: str, context: str, advice: str) -> NoReturn:
    """Exit with 1: where a patch does not apply, and what to do."""
    fail(1, f"{patch.path.relative_to(TOP)} does not apply: {where}; {advice}", context)


def commit_all(repo: Path, patches: list[Patch], advice: str = "") -> list[str]:
    """Commit a series on the base, and return its commits; exits with 1 where a patch does not apply.

    advice: what to do then.
    """
    commits, where, context = apply_all(repo, patches)
    if where:
        advice = advice or f"rebase branch stack in {repo} and run scripts/refresh"
        does_not_apply(patches[len(commits)], where, context, advice)
    return commits
