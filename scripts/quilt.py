# SPDX-License-Identifier: GPL-2.0
"""What a stack is made of: the series, its patches, and the git tree it is applied to."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from interrupt import held_back

TOP = Path(__file__).resolve().parent.parent
VERB = Path(sys.argv[0]).name
BASE = os.environ.get("BASE") or "v6.12"
PATCHES = TOP / "patches" / BASE
CACHE = Path(
    os.environ.get("AVIC_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "avic"
)
BEGIN = time.monotonic()

NAME = re.compile(r"(\d{4})-([a-z0-9][a-z0-9-]*)\.patch")
HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
STAT = re.compile(
    r"^ (\d+) files? changed(?:, (\d+) insertions?\(\+\))?(?:, (\d+) deletions?\(-\))?$",
    re.MULTILINE,
)

# A git that does not hear the user's settings.
DEAF = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
# A commit as a patch: the same commit always gives the same bytes.
FORMAT = [
    "--zero-commit",
    "--no-signature",
    "--no-notes",
    "--abbrev=12",
    "--diff-algorithm=histogram",
    "--no-renames",
]


def fail(status: int, message: str, details: str = "") -> None:
    """Say in one line what is wrong and what to do next, then exit.

    status: 1 for a failed check, 2 for wrong use.  details: lines that
    belong to the message, such as a diff, printed below it.
    """
    print(f"{VERB}: {message}", file=sys.stderr)
    if details:
        print(details.rstrip("\n"), file=sys.stderr)
    sys.exit(status)


def say(message: str) -> None:
    """Progress, with the seconds since the start."""
    print(f"{time.monotonic() - BEGIN:4.0f}s  {VERB}: {message}", file=sys.stderr)


@dataclass
class Hunk:
    line: int  # where the old lines are expected, from 1
    old: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)


@dataclass
class Patch:
    path: Path
    subject: str
    files: dict[str, list[Hunk]]  # old path of each file -> its hunks

    @property
    def slug(self) -> str:
        return self.path.name[5 : -len(".patch")]


def read_patch(path: Path) -> Patch:
    """Parse a patch as `git format-patch` writes it.

    Exits with 1 if the diff is not what its own hunk headers and diffstat
    say, i.e. if the file was truncated or edited by hand.
    """
    text = path.read_text()
    shown = path.relative_to(TOP) if path.is_relative_to(TOP) else path
    again = "restore it from git, or make the change in the tree and run scripts/refresh"
    head, _, diff = text.partition("\ndiff --git ")
    subject = re.search(r"^Subject: (?:\[PATCH[^\]]*\] )?(.*(?:\n .*)*)", head, re.MULTILINE)
    stat = STAT.search(head)
    if not subject or not stat or not diff:
        fail(1, f"{shown} is no git patch with subject, diffstat and diff: {again}")
        raise AssertionError
    files: dict[str, list[Hunk]] = {}
    hunks: list[Hunk] = []
    old_left = new_left = added = removed = 0
    for number, line in enumerate(f"diff --git {diff}".rstrip("\n").split("\n")):
        if old_left > 0 or new_left > 0:
            kind, body = line[:1], line[1:]
            if kind == "\\":
                continue
            if kind in ("", " ", "-"):
                hunks[-1].old.append(body)
                old_left -= 1
            if kind in ("", " ", "+"):
                hunks[-1].new.append(body)
                new_left -= 1
            added += kind == "+"
            removed += kind == "-"
            if kind not in ("", " ", "-", "+"):
                break
        elif match := re.match(r"diff --git a/(\S+) b/\S+$", line):
            hunks = files.setdefault(match[1], [])
        elif match := HUNK.match(line):
            old_left = int(match[2] or 1)
            new_left = int(match[4] or 1)
            hunks.append(Hunk(int(match[1])))
        elif line[:1] in ("+", "-") and not line.startswith(("+++ ", "--- ")):
            old_left = -1
            break
    if old_left or new_left:
        where = list(files)[-1]
        fail(1, f"{shown} is corrupt in {where}, hunk {len(hunks)}: {again}")
    counted = (len(files), added, removed)
    stated = tuple(int(n or 0) for n in stat.groups())
    if counted != stated:
        fail(
            1,
            f"{shown} is truncated or edited: its diffstat says"
            f" {stated[0]} files +{stated[1]} -{stated[2]},"
            f" its diff has {counted[0]} files +{counted[1]} -{counted[2]}: {again}",
        )
    return Patch(path, subject[1].replace("\n", ""), files)


def substance(text: str) -> str:
    """A patch without what changes though the change does not."""
    text = re.sub(r"^@@ -\S+ \+\S+ @@.*$", "@@", text, flags=re.MULTILINE)
    return re.sub(r"^index \S+", "index", text, flags=re.MULTILINE)


def read_series(folder: Path) -> list[str]:
    """The names in a series file, in order, without comments.

    Exits with 1 where series, files and numbers do not agree, because
    `git am folder/*.patch` and `quilt push -a` must mean the same.
    """
    series = folder / "series"
    shown = series.relative_to(TOP) if series.is_relative_to(TOP) else series
    if not series.exists():
        fail(2, f"no base '{BASE}': there is no {shown}; set BASE= to a folder of patches/")
    lines = (line.split("#")[0].strip() for line in series.read_text().splitlines())
    names = [line for line in lines if line]
    for name in names:
        if not NAME.fullmatch(name):
            fail(1, f"{shown} has '{name}': names are NNNN-slug.patch, run scripts/refresh")
        if not (folder / name).is_file():
            fail(
                1,
                f"{shown} names {name}, but there is no such file:"
                " bring it back, or take the line out",
            )
    for path in sorted(folder.glob("*.patch")):
        if path.name not in names:
            fail(1, f"{path.name} is not in {shown}: add a line for it, or remove the file")
    if names != sorted(set(names)):
        fail(1, f"{shown} is not in the order of its numbers: run scripts/refresh")
    return names


def read_table(path: Path, form: str) -> list[tuple[list[str], str]]:
    """The entries of a data file: the words before `##`, and the note behind it.

    form: an entry's shape, such as `SLUG WHERE ## note`; exits with 1 at a line
    with fewer words, or without the note where the form has one.
    """
    wanted = len(form.partition("##")[0].split())
    entries = []
    lines = path.read_text().splitlines() if path.exists() else []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        words, _, note = line.partition("##")
        if len(words.split()) < wanted or ("## " in form and not note.strip()):
            fail(1, f"{path.relative_to(TOP)}:{number}: want '{form}'")
        entries.append((words.split(), note.strip()))
    return entries


def read_base(folder: Path) -> dict[str, list[str]]:
    """The fields of a base's file; patches/v6.12/base says what they mean."""
    fields: dict[str, list[str]] = {}
    for line in (folder / "base").read_text().splitlines():
        name, colon, value = line.partition(":")
        if colon and not line.startswith("#"):
            fields.setdefault(name, []).append(value.strip())
    return fields


def explained(fields: dict[str, list[str]], name: str) -> dict[str, str]:
    """Word -> why, of a base's field 'NAME: WORD...: why', e.g. the slugs of Left-out."""
    found = {}
    for text in fields.get(name, []):
        words, _, why = text.partition(": ")
        found |= dict.fromkeys(words.split(), why)
    return found


def git(
    repo: Path, *args: str, check: bool = True, stdin: str = "", **env: str
) -> subprocess.CompletedProcess[str]:
    """Run git in repo, deaf to the user's own settings, which must not change a result.

    stdin: what git reads.  env: more variables, e.g. GIT_AUTHOR_NAME, in place
    of the nobody that git otherwise runs as.
    """
    # A git that is cut short would leave the tree half switched.
    with held_back():
        result = subprocess.run(
            ["git", "-C", str(repo), *args],
            text=True,
            errors="surrogateescape",
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ
            | DEAF
            | {
                "GIT_AUTHOR_NAME": "nobody",
                "GIT_AUTHOR_EMAIL": "nobody@localhost",
                "GIT_COMMITTER_NAME": "nobody",
                "GIT_COMMITTER_EMAIL": "nobody@localhost",
            }
            | env,
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


def fetched(base: str = BASE) -> Path:
    """A base's git tree, fetched first if need be."""
    env = os.environ | {"BASE": base}
    result = subprocess.run([TOP / "scripts/fetch"], stdout=subprocess.PIPE, text=True, env=env)
    if result.returncode:
        sys.exit(result.returncode)
    return Path(result.stdout.strip())


@contextmanager
def locked(repo: Path) -> Iterator[None]:
    """Nobody else switches repo's tree meanwhile, or builds from it (ci/build has the same lock)."""
    with (repo / ".git" / "avic.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for who has the lock {lock.name}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def need_clean(repo: Path) -> None:
    """Exit with 1 if tracked files in repo have changes that no commit has."""
    if git(repo, "status", "--porcelain", "--untracked-files=no").stdout:
        fail(1, f"{repo} has uncommitted changes: commit them on branch stack, or git checkout .")
