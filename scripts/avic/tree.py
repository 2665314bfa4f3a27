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

from avic.process import fail, held_back, say

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

    stdin: what git reads.  env: more variables, e.g. GIT_AUTHOR_NAME; without it the
    author is nobody.
    """
    # A git that is interrupted would leave the tree half switched.
    with held_back():
        result = subprocess.run(
            ["git", "-C", str(repo), *args],
            text=True,
            errors="surrogateescape",
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | dict(env),
        )
    if check and result.returncode:
        fail(1, f"git {args[0]} failed in {repo}: {result.stderr.strip()}")
    return result


def rev(repo: Path, name: str) -> str:
    """The commit that a name stands for, or '' if there is none."""
    return git(repo, "rev-parse", "--verify", "--quiet", name, check=False).stdout.strip()


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
