# SPDX-License-Identifier: GPL-2.0
"""What an export needs beside the patches: a person, a cover letter, a revision."""

from __future__ import annotations

import os
import re
import subprocess
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from avic import raw
from avic.base import BASE, Base
from avic.changelog import tests_only
from avic.changes import read_changes
from avic.environment import callers_git
from avic.paths import TOP
from avic.patch import Patch, is_open
from avic.process import fail
from avic.series import Section
from avic.tree import git, rev
from avic.upstream import Person, Upstream, read_ledger

# A numbered line of a cover letter, and those that go on from it.
ITEM = re.compile(r"^ ?(\d+)\. +(\S.*(?:\n {4}.*)*)", re.MULTILINE)
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
    if is_open(match[1]):
        fail(2, f"git am reads beyond the '(' or '\"' without its end in your user.name '{match[1]}': correct it")
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


def cover_name(section: Section | None) -> str:
    """The file of a stack's cover letter, or of a section's."""
    return f"cover.{section.name}" if section else "cover"


def read_cover(section: Section | None = None, base: Base = BASE) -> Cover:
    """patches/<base>/cover, or that of a section, cover.SECTION: the subject, an empty line, the text."""
    path = base.folder / cover_name(section)
    shown = path.relative_to(TOP)
    if not path.is_file():
        fail(2, f"no cover letter: write {shown}, its subject in the first line, then an empty one")
    text = raw.read(path)
    subject, _, body = text.partition("\n\n")
    if not body.strip() or "\n" in subject or not text.isascii():
        fail(1, f"{shown} is no cover letter: want a subject line, an empty line and text, in ASCII")
    return Cover(subject.strip(), body.strip() + "\n")


def need_fitting(cover: Cover, name: str, base: Base, patches: list[Patch]) -> None:
    """Exit with 1 where a letter numbers other fixes than there are, or in another order.

    name: its file.  patches: what it is the letter of, the base's stack or a section.
    The order is that of the base's field Cover, as nothing else can tell what a number is about.
    """
    numbers = [int(number) for number, _ in ITEM.findall(cover.body)]
    if not numbers:
        return
    shown = base.folder.relative_to(TOP)
    fixes = [patch.slug for patch in base.patches if not tests_only(patch)]
    named = " ".join(base.fields.get("Cover", [])).split()
    if named != fixes:
        at = next((n for n, pair in enumerate(zip(named, fixes)) if pair[0] != pair[1]), min(len(named), len(fixes)))
        has, wants = (each[at] if at < len(each) else "nothing" for each in (named, fixes))
        fail(1, f"{shown}/base, Cover: number {at + 1} is {wants} in the stack, and {has} there: correct {shown}/{name}, then Cover")
    there = sum(not tests_only(patch) for patch in patches)
    if numbers != list(range(1, there + 1)):
        fail(1, f"{shown}/{name} numbers {' '.join(map(str, numbers))}, and its fixes are 1 to {there}: correct it")


def letter_of_some(cover: Cover, patches: list[Patch], stack: list[Patch]) -> Cover:
    """The cover letter of some patches of a stack: each by its subject and number, with what is said of it.

    That is what the stack's letter says, if it numbers its fixes, or patches/changes.
    """
    fixes = [patch.slug for patch in stack if not tests_only(patch)]
    said = dict(zip(fixes, (text for _, text in ITEM.findall(cover.body))))
    head = f'{len(patches)} of the {len(stack)} patches of the series "{cover.subject}", by their numbers there:'
    lines = textwrap.wrap(head, width=72)
    for patch in patches:
        text = said.get(patch.slug) or in_a_line(patch.slug)
        lines += ["", f"{stack.index(patch) + 1:2}. {patch.subject}", "", f"    {text}"]
    return replace(cover, body="\n".join(lines) + "\n")


def in_a_line(slug: str) -> str:
    """What patches/changes says of a change, wrapped and indented but for its first line; exits with 1 if it has none."""
    for change in read_changes()[0]:
        if change.slug == slug:
            return textwrap.fill(change.what, width=72, initial_indent="    ", subsequent_indent="    ").strip()
    fail(1, f"patches/changes has no line for {slug}: add one")


def recorded() -> int:
    """The number of the newest revision that scripts/release has recorded, 0 if none."""
    return max((int(path.name[1:]) for path in RELEASES.glob("v[0-9]*")), default=0)


def revisions(patches: list[Patch], others: set[str], section: str = "") -> list[list[str]]:
    """What scripts/release recorded of a series: the lines of each release that changed it, its first one included.

    Its revision is their number, whatever was released of other bases and sections meanwhile.
    others: slugs that are none of it.  section: its name; '' for the whole stack.
    """
    found = []
    for release in range(1, recorded() + 1):
        path = RELEASES / f"v{release}" / "changelog"
        if not path.is_file():
            fail(1, f"no {path.relative_to(TOP)}: restore it from git")
        notes, changed = [], {}
        heading = ""  # what stands before the first heading is everybody's
        for line in filter(str.strip, raw.read(path).split("\n")):
            if match := re.fullmatch(r"(\S+):", line):
                heading = match[1]
            elif not heading:
                notes.append(line)
            elif heading == BASE.name and (match := re.fullmatch(r"- ([a-z0-9-]+): (.*)", line)):
                gone = re.search(r": gone from (\S+)$", line)
                if match[1] not in others and not (gone and section and gone[1] != section):
                    changed[match[1]] = re.sub(r"(: gone) from \S+$", r"\1", match[2])
        if changed:
            found.append((notes, changed))
    numbers = {patch.slug: f"{number}. " for number, patch in enumerate(patches, 1)}
    # In an older revision they may have been others.
    return [
        [*notes, *(f"- {numbers.get(slug, '') if left == 0 else ''}{text}" for slug, text in changed.items())]
        for left, (notes, changed) in zip(range(len(found) - 1, -1, -1), found)
    ]


def version_notes(series: list[list[str]], links: dict[int, str]) -> str:
    """`Changes in vN` for each of a series' revisions but the first, newest first.

    links: where revisions were posted, by number.
    """
    sections = []
    for number in range(len(series), 1, -1):
        link = [f"- Link to v{number - 1}: {links[number - 1]}"] if number - 1 in links else []
        sections.append("\n".join([f"Changes in v{number}:", *series[number - 1], *link]) + "\n")
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
        text, author = edit(number, message.strip(raw.WHITE) + "\n")
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
