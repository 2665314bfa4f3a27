# SPDX-License-Identifier: GPL-2.0
"""The git tree that a series is applied to."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

from avic import raw
from avic.process import fail, held_back, say, scratch

# Options of git format-patch with which the same commit always gives the same bytes.
FORMAT = [
    "--zero-commit",
    "--no-signature",
    "--no-notes",
    "--abbrev=12",
    "--diff-algorithm=histogram",
    "--no-renames",
]


def git(
    repo: Path, *args: str, check: bool = True, stdin: str = "", env: Mapping[str, str] = {}
) -> subprocess.CompletedProcess[str]:
    """Run git in repo, with our settings (scripts/gitconfig) and not the user's.

    What it reads and says is text of avic.raw: each byte comes through.

    stdin: what git reads.  env: more variables, e.g. GIT_AUTHOR_NAME; without it the
    author is nobody.
    """
    # A git that is interrupted would leave the tree half switched.
    with held_back():
        result = subprocess.run(
            ["git", "-C", str(repo), *args],
            input=raw.encode(stdin),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | dict(env),
        )
    said = subprocess.CompletedProcess(args, result.returncode, raw.decode(result.stdout), raw.decode(result.stderr))
    if check and said.returncode:
        fail(1, f"git {args[0]} failed in {repo}: {' '.join(said.stderr.split())}")
    return said


def rev(repo: Path, name: str) -> str:
    """The commit that a name stands for, or '' if there is none."""
    return git(repo, "rev-parse", "--verify", "--quiet", name, check=False).stdout.strip()


def slug_note(repo: Path, commit: str) -> str:
    """The slug that a commit carries over rebase and amend, '' if none."""
    return git(repo, "notes", "--ref=slug", "show", commit, check=False).stdout.strip()


def set_slug(repo: Path, commit: str, slug: str) -> None:
    """Let a commit, and what a rebase or amend makes of it, carry a slug."""
    if slug_note(repo, commit) != slug:
        git(repo, "config", "notes.rewriteRef", "refs/notes/slug")
        git(repo, "notes", "--ref=slug", "add", "--force", f"--message={slug}", commit)


def unpack(repo: Path, commit: str, folder: Path, *names: str) -> str:
    """Write files, or folders with what is in them, as the commit has them, below a folder.

    Returns git's complaint if the commit has no such names, else ''.
    """
    archive = folder / "archive.tar"
    made = git(repo, "archive", f"--output={archive}", commit, "--", *names, check=False)
    if made.returncode:
        return made.stderr.strip()
    with tarfile.open(archive) as files:
        files.extractall(folder)
    archive.unlink()
    return ""


@contextmanager
def locked(repo: Path, name: str = "avic.lock") -> Iterator[None]:
    """While the block runs, no other script switches repo's tree or builds from it (scripts/build takes the same lock).

    name: of another lock, for something else that only one may do.
    """
    with (repo / ".git" / name).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for the holder of the lock {lock.name}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def need_clean(repo: Path) -> None:
    """Exit with 1 if tracked files in repo have changes that no commit has."""
    if git(repo, "status", "--porcelain", "--untracked-files=no").stdout:
        fail(1, f"{repo} has uncommitted changes: commit them on branch stack, or git checkout .")


# What git keeps while it waits for its user -> what it is in the middle of.
WAITING = {
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase or git am",
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "BISECT_START": "a bisect",
}


def need_on(repo: Path, *branches: str) -> None:
    """Exit with 1 if the user is at work on anything else in repo: in the middle of a rebase, or on another branch."""
    for name, what in WAITING.items():
        if Path(git(repo, "rev-parse", "--path-format=absolute", "--git-path", name).stdout.strip()).exists():
            fail(1, f"{repo} is in the middle of {what}: finish or abort it first, git status says how")
    branch = git(repo, "symbolic-ref", "--short", "--quiet", "HEAD", check=False).stdout.strip()
    if branch not in branches:
        where = f"on branch {branch}" if branch else "at no branch"
        fail(1, f"{repo} is {where}, not on {branches[0]}: git -C {quote(str(repo))} switch {branches[0]}")


def untracked(repo: Path) -> list[str]:
    """Files in repo that no commit has and that the kernel's .gitignore does not name.

    Debian's kernels ignore everything at the top, and so a new file anywhere: that line does not count.
    """
    ignored = repo / ".gitignore"
    rules = raw.read(ignored).split("\n") if ignored.exists() else []
    listed = ["ls-files", "--others", "-z"]
    if "/*" not in rules:
        return git(repo, *listed, "--exclude-standard").stdout.split("\0")[:-1]
    with scratch("avic-ignore.") as folder:
        raw.write(folder / "rules", "\n".join(rule for rule in rules if rule != "/*"))
        return git(repo, *listed, f"--exclude-from={folder / 'rules'}").stdout.split("\0")[:-1]
