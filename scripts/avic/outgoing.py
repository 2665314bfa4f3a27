# SPDX-License-Identifier: GPL-2.0
"""What an export needs beside the patches: a person, a cover letter, a revision."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from avic.base import BASE
from avic.environment import callers_git
from avic.paths import TOP
from avic.patch import Patch
from avic.process import fail
from avic.series import Section
from avic.tree import git, rev
from avic.upstream import Person, Upstream, read_ledger

RELEASES = TOP / "releases"
# Tags that say what a person did: only that person may give them.
GIVEN = re.compile(r"^((?:Signed-off|Reviewed|Tested|Acked|Co-developed)-by):\s*(.*)$", re.MULTILINE | re.I)


def identity(tree: Path | None) -> Person:
    """The git identity of the person who runs this, as configured in tree; exits with 2 if there is none."""
    said = subprocess.run(
        ["git", "-c", "user.useConfigOnly=true", "var", "GIT_AUTHOR_IDENT"],
        cwd=tree, env=callers_git(), encoding="utf-8", errors="surrogateescape", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    if "bad config" in said.stderr or "dubious ownership" in said.stderr:
        fail(2, f"git cannot read your settings: {said.stderr.splitlines()[0]}")
    match = re.match(r"(.+) <(.+@.+)> ", said.stdout)
    if said.returncode or not match:
        fail(2, "no git identity: run git config --global user.name NAME, and user.email")
        raise AssertionError
    return Person(match[1], match[2])


def author_of(repo: Path, commit: str) -> Person:
    """Who a commit is from."""
    name, email = git(repo, "show", "--no-patch", "--format=%an%n%ae", commit).stdout.split("\n")[:2]
    return Person(name, email)


def provenance(patches: list[Patch], form: str) -> dict[str, Upstream]:
    """Each patch's entry of patches/upstream, by slug; exits with 1 if one has none.

    form: the base, or BASE/small.
    """
    ledger = read_ledger(form)
    found = {}
    for patch in patches:
        entry = ledger.of(patch.slug)
        if entry is None:
            fail(1, f"patches/upstream has no entry for {patch.slug}: add one, its head says how")
        else:
            found[patch.slug] = entry
    return found


def need_no_tags(patches: list[Patch], me: Person | None) -> None:
    """Exit with 1 if a patch has a tag that somebody other than the exporting person gave."""
    for patch in patches:
        for tag, value in GIVEN.findall(patch.text):
            if me is None or f"<{me.email.lower()}>" not in value.lower():
                fail(
                    1,
                    f"{patch.path.relative_to(TOP)} has '{tag}: {value}', which only that person"
                    " gives: take it out (b4 trailers collects what the list has given)",
                )


@dataclass(frozen=True)
class Cover:
    subject: str
    body: str


def read_cover(section: Section | None = None) -> Cover:
    """patches/<base>/cover, or that of a section, cover.SECTION: the subject, an empty line, the text."""
    path = BASE.folder / (f"cover.{section.name}" if section else "cover")
    shown = path.relative_to(TOP)
    if not path.is_file():
        fail(2, f"no cover letter: write {shown}, its subject in the first line, then an empty one")
    text = path.read_text()
    subject, _, body = text.partition("\n\n")
    if not body.strip() or "\n" in subject or not text.isascii():
        fail(1, f"{shown} is no cover letter: want a subject line, an empty line and text, in ASCII")
    return Cover(subject.strip(), body.strip() + "\n")


def recorded() -> int:
    """The number of the newest revision that scripts/release has recorded, 0 if none."""
    return max((int(path.name[1:]) for path in RELEASES.glob("v[0-9]*")), default=0)


def version_notes(links: dict[int, str], others: set[str]) -> str:
    """`Changes in vN` for every revision but the first, newest first; only the changes of BASE.

    links: where revisions were posted, by number.  others: slugs whose changes are none here.
    """
    sections = []
    for number in range(recorded(), 1, -1):
        path = RELEASES / f"v{number}" / "changelog"
        if not path.is_file():
            fail(1, f"no {path.relative_to(TOP)}: restore it from git")
        lines = []
        heading = BASE.name  # what stands before the first heading is everybody's
        for line in path.read_text().splitlines():
            if match := re.fullmatch(r"(\S+):", line):
                heading = match[1]
            elif heading == BASE.name and line.strip():
                match = re.match(r"- ([a-z0-9-]+): ", line)
                if not match or match[1] not in others:
                    lines.append(line)
        lines = lines or ["- No change to this series."]
        if number - 1 in links:
            lines.append(f"- Link to v{number - 1}: {links[number - 1]}")
        sections.append("\n".join([f"Changes in v{number}:", *lines]) + "\n")
    return "\n".join(sections)


def restamp(
    repo: Path,
    commits: list[str],
    parent: str,
    edit: Callable[[int, str], tuple[str, Person | None]],
    committer: Person | None = None,
) -> list[str]:
    """Make the commits again on parent: the same trees, with other messages or another author.

    edit: gets a commit's number from 0 and its message, returns the new message and the
    new author, or None: then the commit keeps its own.  Dates are kept in any case.
    """
    done = []
    for number, commit in enumerate(commits):
        show = git(repo, "show", "--no-patch", "--format=%an%n%ae%n%aI%n%cI%n%B", commit).stdout
        name, email, written, committed, message = show.split("\n", 4)
        text, author = edit(number, message.strip() + "\n")
        who = author or Person(name, email)
        parent = git(
            repo, "commit-tree", rev(repo, f"{commit}^{{tree}}"), "-p", parent, "-F", "-",
            stdin=text,
            env={"GIT_AUTHOR_DATE": written, "GIT_COMMITTER_DATE": committed}
            | who.env("AUTHOR") | (committer or who).env("COMMITTER"),
        ).stdout.strip()  # fmt: skip
        done.append(parent)
    return done


def add_trailers(repo: Path, message: str, trailers: list[str]) -> str:
    """The message with trailers at its end, each once."""
    options = [f"--trailer={trailer}" for trailer in trailers]
    if not options:
        return message
    return git(
        repo, "interpret-trailers", "--if-exists=addIfDifferent", "--where=end", *options, stdin=message
    ).stdout


def user_tree() -> Path | None:
    """TREE=, the user's own kernel tree, if there is one."""
    return Path(os.environ["TREE"]).resolve() if os.environ.get("TREE") else None
