# SPDX-License-Identifier: GPL-2.0
"""The git tree that a series is applied to."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
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


def set_stack(repo: Path, slugs: Mapping[str, str], onto: str, was: str, *refs: str) -> None:
    """Let branch `stack`, checked out, end in the last of some commits, in one step.

    slugs: the commits in order, each with the slug that it gets.  onto: the commit if there
    are none.  was: where the branch is to be until then, '' if there is none; exits with 1 if its
    user has gone on meanwhile.  refs: what else is to name that commit.
    """
    last = [rev(repo, onto), *slugs][-1]
    with locked(repo), held_back():
        # Another run may have made the same.
        if at_rest(repo) not in (was, last):
            fail(1, f"branch stack in {repo} has moved meanwhile: look at what came, and run again")
        for commit, slug in slugs.items():
            set_slug(repo, commit, slug)
        git(repo, "checkout", "--quiet", "-B", "stack", last)
        for ref in refs:
            git(repo, "update-ref", ref, last)


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


# What a git locks while it changes something, beside a reference.
GITS_LOCKS = ("index.lock", "HEAD.lock", "ORIG_HEAD.lock", "packed-refs.lock", "config.lock", "shallow.lock")


@contextmanager
def locked(repo: Path, name: str = "avic.lock") -> Iterator[None]:
    """While the block runs, no other script switches repo's tree or builds from it (scripts/build takes the same lock).

    name: of another lock, for something else that only one may do.
    """
    with (repo / ".git" / name).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for the holder of the lock {lock.name}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        if lock.read():
            sweep(repo)
        # If it is there next time, the holder was killed.
        lock.write("at work\n")
        lock.flush()
        try:
            yield
        finally:
            lock.truncate(0)


def sweep(repo: Path) -> None:
    """Remove what a git that was killed with its script has left locked in repo, unless one is at work there."""
    folder = repo / ".git"
    # First these, then who may have made them.
    left = [folder / name for name in GITS_LOCKS if (folder / name).exists()]
    left += (folder / "refs").rglob("*.lock")
    if left and not at_work(repo):
        for path in left:
            path.unlink(missing_ok=True)


def at_work(repo: Path) -> bool:
    """Whether a git runs in repo: the user's, as ours have the lock."""
    for process in Path("/proc").glob("[0-9]*"):
        # Others' processes don't show where they are, and many end meanwhile.
        with suppress(OSError):
            if (process / "comm").read_text().startswith("git") and (process / "cwd").readlink().is_relative_to(repo.resolve()):
                return True
    return False


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


def waiting(repo: Path) -> str:
    """What git is in the middle of in repo, for its user; '' if nothing."""
    for name, what in WAITING.items():
        if Path(git(repo, "rev-parse", "--path-format=absolute", "--git-path", name).stdout.strip()).exists():
            return what
    return ""


def need_on(repo: Path, *branches: str) -> None:
    """Exit with 1 if the user is at work on anything else in repo: in the middle of a rebase, or on another branch."""
    if what := waiting(repo):
        fail(1, f"{repo} is in the middle of {what}: finish or abort it first, git status says how")
    branch = git(repo, "symbolic-ref", "--short", "--quiet", "HEAD", check=False).stdout.strip()
    if branch not in branches:
        where = f"on branch {branch}" if branch else "at no branch"
        fail(1, f"{repo} is {where}, not on {branches[0]}: git -C {quote(str(repo))} switch {branches[0]}")


def settle(repo: Path) -> None:
    """Back to branch `stack`, if a script ended while it built one of the stack's commits.

    A commit of the user's stays: need_on() says where it is.
    """

    def ended_there() -> bool:
        """Whether the tree is at no branch, with no change and no commit that only it has."""
        if not git(repo, "symbolic-ref", "--quiet", "HEAD", check=False).returncode:
            return False
        if waiting(repo) or not rev(repo, "refs/heads/stack"):
            return False
        # What a build puts on top of a commit has no date, see Images.patched().
        dates = git(repo, "log", "--format=%ct", "HEAD", "--not", "stack").stdout.split()
        return set(dates) <= {"0"} and not git(repo, "status", "--porcelain", "--untracked-files=no").stdout

    if ended_there():
        with locked(repo):
            if ended_there():
                git(repo, "checkout", "--quiet", "stack")


def at_rest(repo: Path) -> str:
    """The commit of branch `stack`, '' if there is none; exits with 1 if its user is at work on anything else, or has not committed it."""
    stack = rev(repo, "refs/heads/stack")
    need_on(repo, *(["stack", "base"] if stack else ["base"]))
    need_clean(repo)
    return stack


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
