# SPDX-License-Identifier: GPL-2.0
"""refresh: branch `stack` back into patches/<base>, renumbered, byte for byte stable.

  BASE=v6.12   which base
  TREE=        the user's tree that scripts/apply was given

A commit keeps its slug over rebase and amend (a git note carries it); a new
commit gets one from its subject.  If only line numbers or blob hashes of a patch
changed, its file stays as it is.  Sections of the series file stay; a new patch
goes to that of the patch before it.  Prints what changed, and files that are in no commit.

Before it writes, it applies what it would write.  A commit whose tree, author, date
or message do not come back byte for byte is named, and nothing is written.
"""

import re
import shutil
from pathlib import Path
from typing import NoReturn

from avic import raw
from avic.aside import replaced
from avic.base import BASE
from avic.exact import Aside, tree_aside
from avic.paths import TOP
from avic.patch import SLUG, Patch, Wrong, parse, slug_in, substance
from avic.process import fail, in_progress
from avic.series import SeriesFile
from avic.tree import FORMAT, git, need_clean, need_on, rev, set_slug, settle, slug_note, untracked

# Commits that are there to be squashed.
UNFINISHED = re.compile(r"(?:fixup|squash|amend)! ")


def listed() -> dict[str, bytes]:
    """The series and the patches of the folder, as they are now."""
    paths = [BASE.folder / "series", *BASE.folder.glob("*.patch")]
    return {path.name: path.read_bytes() for path in paths if path.is_file()}


def old_patches(series: SeriesFile) -> dict[str, Patch]:
    """The patches that are there, by slug, without those that are missing or cannot be read: they are written anew."""
    found = {}
    for name in series.names:
        try:
            found[slug_in(name)] = parse(raw.read(BASE.folder / name), BASE.folder / name)
        except (OSError, Wrong):
            continue
    return found


def subject_of(repo: Path, commit: str) -> str:
    """The first line of a commit's message."""
    return git(repo, "show", "--no-patch", "--format=%s", commit).stdout.strip()


def slug_of(repo: Path, commit: str, subject: str, by_subject: dict[str, str]) -> str:
    """The slug that the commit's patch had, else one made from its subject."""
    note = slug_note(repo, commit)
    if note and not SLUG.fullmatch(note):
        fail(1, f"'{note}' is no slug, want a-z, 0-9 and -: git notes --ref=slug edit {commit[:12]}")
    if note or subject in by_subject:
        return note or by_subject[subject]
    after_prefix = subject.rpartition(":")[2]
    words = (re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") for text in (after_prefix, subject))
    return next(filter(None, words), "patch")[:40].strip("-")


def slugs_of(repo: Path, commits: list[str], subjects: list[str], by_subject: dict[str, str]) -> list[str]:
    """The slug of each commit; exits with 1 if two have the same."""
    slugs = [slug_of(repo, commit, subject, by_subject) for commit, subject in zip(commits, subjects)]
    for slug in slugs:
        if slugs.count(slug) > 1:
            same = [commit[:12] for commit, other in zip(commits, slugs) if other == slug]
            fail(1, f"commits {' and '.join(same)} want the slug '{slug}': git notes --ref=slug edit one of them")
    return slugs


def commit_parts(repo: Path, commit: str) -> tuple[str, str, str, list[str]]:
    """Tree, author with date, encoding and message of a commit, as git keeps them."""
    head, _, message = git(repo, "cat-file", "commit", commit).stdout.partition("\n\n")
    fields = dict(line.split(" ", 1) for line in head.split("\n") if not line.startswith(" "))
    return fields["tree"], fields["author"], fields.get("encoding", "UTF-8"), message.split("\n")


def difference(repo: Path, commit: str, made: str) -> str:
    """What of a commit does not come back in the one that was made of its patch; '' if all does."""
    tree, author, encoding, lines = commit_parts(repo, commit)
    made_tree, made_author, made_encoding, made_lines = commit_parts(repo, made)
    if tree != made_tree:
        names = git(repo, "diff-tree", "-r", "-z", "--name-only", tree, made_tree).stdout.split("\0")
        return f"{names[0]} does not come back as it is"
    if author != made_author:
        return f"its author {author!r} comes back as {made_author!r}"
    if encoding != made_encoding:
        return f"its message is in {encoding} and comes back in {made_encoding}: amend it with git -c i18n.commitEncoding=UTF-8"
    for number in range(max(len(lines), len(made_lines))):
        line, made_line = ("".join(each[number : number + 1]) for each in (lines, made_lines))
        if line != made_line or number >= min(len(lines), len(made_lines)):
            return f"line {number + 1} of its message, {line!r}, comes back as {made_line!r}"
    return ""


def proven(aside: Aside, repo: Path, commit: str, name: str, kept: Patch | None) -> Patch:
    """A commit as a patch that comes back as that commit; the file that is kept, if its change is the same one."""

    def refuse(why: str | Wrong) -> NoReturn:
        wrong = why if isinstance(why, Wrong) else Wrong(why)
        fail(1, f"{wrong.of(name)}: change commit {commit[:12]} with git rebase --interactive base in {repo}")

    path = BASE.folder / name
    subject = subject_of(repo, commit)
    if match := UNFINISHED.match(subject):
        refuse(f"'{match[0].strip()}' is still to be squashed, add --autosquash")
    text = git(repo, "format-patch", "-1", commit, "--stdout", "--no-numbered", *FORMAT).stdout
    if rev(repo, f"{commit}^{{tree}}") == rev(repo, f"{commit}~1^{{tree}}"):
        refuse("it changes no file, and git am takes no empty patch; drop it")
    try:
        tries = [parse(text, path)]
    except Wrong as error:
        refuse(error)
    if kept and substance(kept.raw) == substance(text):
        tries.insert(0, kept)
    for patch in tries:
        head = aside.head
        where, context = aside.add(patch)
        why = where or difference(repo, commit, aside.head)
        if not why:
            return patch
        aside.take_back(patch, head)
    refuse(why)


def main() -> None:
    before = listed()
    series = SeriesFile.of(BASE.folder)
    series.need_listed(BASE.folder)
    old = old_patches(series)
    repo = BASE.tree("fetch")
    if not rev(repo, "stack"):
        fail(2, f"{repo} has no branch stack: run scripts/apply first")
    settle(repo)
    need_on(repo, "stack")
    need_clean(repo)
    # Who works on meanwhile has more than this in the branch.
    tip = rev(repo, "stack")
    if git(repo, "rev-list", "--merges", f"base..{tip}").stdout or not git(
        repo, "merge-base", "--is-ancestor", "base", tip, check=False
    ).returncode == 0:
        fail(1, f"branch stack in {repo} is not a line of commits on base: git rebase base stack")
    commits = git(repo, "rev-list", "--reverse", f"base..{tip}").stdout.split()
    subjects = [subject_of(repo, commit) for commit in commits]
    by_subject = {patch.subject: slug for slug, patch in old.items()}
    slugs = slugs_of(repo, commits, subjects, by_subject)

    for slug, subject in zip(slugs, subjects):
        was = by_subject.get(subject, slug)
        if slug not in series.lines and was not in slugs:
            series.rename(was, slug)
    series.need_order(slugs)
    names = [f"{number:04}-{slug}.patch" for number, slug in enumerate(slugs, 1)]
    were = {slug_in(name): name for name in series.names}

    said = []
    with tree_aside(repo) as aside:
        patches = [
            proven(aside, repo, commit, name, old.get(slug))
            for name, slug, commit in in_progress(list(zip(names, slugs, commits)), "commits proven")
        ]
    for name, slug, patch in zip(names, slugs, patches):
        if slug not in were:
            said.append(f"new      {name}")
        elif slug not in old or substance(patch.raw) != substance(old[slug].raw):
            said.append(f"changed  {name}")
        elif were[slug] != name:
            said.append(f"renamed  {were[slug]} -> {name}")
    said += [f"gone     {name}" for slug, name in were.items() if slug not in slugs]
    for slug, commit in zip(slugs, commits):
        set_slug(repo, commit, slug)
    with replaced(BASE.folder, lambda: git(repo, "update-ref", "refs/avic/applied", tip)) as new:
        for name, patch in zip(names, patches):
            raw.write(new / name, patch.raw)
        raw.write(new / "series", series.text(names))
        for path in BASE.folder.iterdir():
            if path.suffix != ".patch" and path.name != "series":
                if path.is_dir():
                    shutil.copytree(path, new / path.name, symlinks=True)
                else:
                    shutil.copy2(path, new / path.name, follow_symlinks=False)
        if listed() != before:
            fail(1, f"{BASE.folder.relative_to(TOP)} has changed meanwhile: run again")
    others = untracked(repo)
    said += [f"untracked, in no patch: {raw.printable(name)}" for name in others[:20]]
    said += [f"untracked: {len(others) - 20} more"] if others[20:] else []
    print("\n".join([*said, f"{len(commits)} patches in {BASE.folder.relative_to(TOP)}"]))
