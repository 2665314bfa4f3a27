# SPDX-License-Identifier: GPL-2.0
"""A series onto a tree, exactly: no fuzz, no three-way merge, and the same by git am and by quilt."""

from __future__ import annotations

import difflib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from avic import raw
from avic.aside import aside
from avic.paths import TOP
from avic.patch import HUNK, Hunk, Patch
from avic.process import fail, in_progress
from avic.tree import git, locked, rev

WORKTREES = "avic.worktrees.lock"
PRESENT = "its change is in this base already"


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
            return PRESENT, ""
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


def prune(repo: Path) -> None:
    """Forget worktrees that are gone, those as well that a killed git has left half made: it keeps them, and adds no other then."""
    for entry in (repo / ".git/worktrees").glob("*"):
        lock, folder = (raw.read(entry / name).strip() if (entry / name).exists() else "" for name in ("locked", "gitdir"))
        if lock == "initializing" and not (folder and Path(folder).exists()):
            shutil.rmtree(entry)
    git(repo, "worktree", "prune")


@contextmanager
def tree_aside(repo: Path, at: str = "base") -> Iterator[Aside]:
    """An Aside at a commit.  Its worktree has an index and no files: git am checks out what it touches."""
    try:
        # Beside repo: git in another container takes a worktree that it can't see for one that is gone.
        with aside(repo.parent) as place:
            tree, plain = place / "tree", place / "plain"
            plain.mkdir()
            # Git prunes a worktree that is just being added.
            with locked(repo, WORKTREES):
                prune(repo)
                git(repo, "worktree", "add", "--no-checkout", "--detach", str(tree), at)
            git(tree, "read-tree", "HEAD")
            yield Aside(tree, plain)
    finally:
        with locked(repo, WORKTREES):
            prune(repo)


@dataclass
class Applied:
    """How far a series applies."""

    commits: list[tuple[str, Patch]] = field(default_factory=list)
    present: list[Patch] = field(default_factory=list)  # left out, as the tree has their changes
    left: list[Patch] = field(default_factory=list)  # the one that does not apply, and those behind it
    where: str = ""  # of that one, as Aside.add() says it
    context: str = ""


def apply_all(repo: Path, patches: list[Patch], at: str = "base", leave_out: bool = False) -> Applied:
    """Commit a series on a commit, as far as it applies; repo's branches and files stay as they are.

    leave_out: go on behind a patch whose change the tree has.
    """
    done = Applied()
    with tree_aside(repo, at) as aside:
        for number, patch in enumerate(in_progress(patches, "patches applied")):
            head = aside.head
            where, context = aside.add(patch)
            if not where:
                done.commits.append((aside.head, patch))
            elif leave_out and where == PRESENT:
                aside.take_back(patch, head)
                done.present.append(patch)
            else:
                done.left, done.where, done.context = patches[number:], where, context
                break
    return done


def does_not_apply(done: Applied, advice: str) -> NoReturn:
    """Exit with 1: where a series does not apply, and what to do."""
    fail(1, f"{done.left[0].path.relative_to(TOP)} does not apply: {done.where}; {advice}", done.context)


def stop_there(repo: Path, done: Applied, patches: list[Patch], go_on: str) -> NoReturn:
    """Leave git am at the patch that does not apply, and exit with 1.

    patches: what git am gets, that patch first.  go_on: what to do once it is through.
    """
    names = (str(each.path) for each in patches)
    stands = git(repo, "-c", "core.hooksPath=/dev/null", "am", "--quiet", "--reject", *names, check=False).returncode
    to_do = "git am stands at it: bring in what is in *.rej, git add, git am --continue"
    if not stands:
        to_do = "git am has put it there as well: look at what it made of it, git commit --amend"
    does_not_apply(done, f"those before it are on branch stack in {repo}, and {to_do}{go_on}")


def spans(repo: Path, commit: str) -> list[str]:
    """What a commit changes and the lines around that, in its files as they were: options of git log."""
    found, name = [], ""
    for line in git(repo, "show", "--format=", "--no-renames", "--unified=3", commit).stdout.split("\n"):
        if line.startswith("diff --git "):
            name = line.rpartition(" b/")[2]
        elif (match := HUNK.match(line)) and match[2] != "0":
            found.append(f"-L{match[1]},+{match[2] or 1}:{name}")
    return found


def rests_on(repo: Path, patches: list[Patch], patch: Patch) -> list[str]:
    """The slugs of those patches of a series that one of it needs below it, because they made the lines that it fits to.

    Empty where the series does not apply as far as that.
    """
    number = patches.index(patch)
    done = apply_all(repo, patches[: number + 1])
    commits = [commit for commit, _ in done.commits]
    wanted = set() if done.left else {number}
    for at in range(number, 0, -1):
        # One at a time: git breaks off at some sets of them.
        for span in spans(repo, commits[at]) if at in wanted else []:
            made = git(repo, "log", "--no-patch", "--format=%H", span, f"base..{commits[at - 1]}").stdout.split()
            wanted |= {commits.index(commit) for commit in made}
    return [patches[at].slug for at in sorted(wanted - {number})]


def commit_all(repo: Path, patches: list[Patch], advice: Callable[[Patch], str] = lambda patch: "") -> list[str]:
    """Commit a series on the base, and return its commits; exits with 1 where a patch does not apply.

    advice: what to do about that patch; where it says nothing, the stack is to be rebased.
    """
    done = apply_all(repo, patches)
    if done.left:
        does_not_apply(done, advice(done.left[0]) or f"rebase branch stack in {repo} and run scripts/refresh")
    return [commit for commit, _ in done.commits]
