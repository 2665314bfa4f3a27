# SPDX-License-Identifier: GPL-2.0
"""refresh: branch `stack` back into patches/<base>, renumbered, byte for byte stable.

  BASE=v6.12   which base
  TREE=        the user's tree that scripts/apply was given

A commit keeps its slug over rebase and amend (a git note carries it); a new
commit gets one from its subject.  If only line numbers or blob hashes of a patch
changed, its file stays as it is.  Sections of the series file stay; a new patch
goes to that of the patch before it.  Prints what changed.
"""

import re
import shutil
from pathlib import Path

from avic.aside import replaced
from avic.base import BASE
from avic.paths import TOP
from avic.patch import substance
from avic.process import fail, unwind_on_signals
from avic.tree import FORMAT, git, need_clean, rev


def subject_of(repo: Path, commit: str) -> str:
    """The first line of a commit's message."""
    return git(repo, "show", "--no-patch", "--format=%s", commit).stdout.strip()


def slug_of(repo: Path, commit: str, subject: str, by_subject: dict[str, str]) -> str:
    """The slug that the commit's patch had, else one made from its subject."""
    note = git(repo, "notes", "--ref=slug", "show", commit, check=False).stdout.strip()
    if note or subject in by_subject:
        return note or by_subject[subject]
    words = re.sub(r"[^a-z0-9]+", "-", subject.rpartition(":")[2].lower()).strip("-")
    return words[:40].strip("-")


def main() -> None:
    unwind_on_signals()
    series = BASE.series
    old = BASE.by_slug
    repo = BASE.tree("fetch")
    need_clean(repo)
    if not rev(repo, "stack"):
        fail(2, f"{repo} has no branch stack: run scripts/apply first")
    if git(repo, "rev-list", "--merges", "base..stack").stdout or not git(
        repo, "merge-base", "--is-ancestor", "base", "stack", check=False
    ).returncode == 0:
        fail(1, f"branch stack in {repo} is not a line of commits on base: git rebase base stack")
    commits = git(repo, "rev-list", "--reverse", "base..stack").stdout.split()
    by_subject = {patch.subject: slug for slug, patch in old.items()}
    subjects = [subject_of(repo, commit) for commit in commits]
    slugs = [slug_of(repo, commit, subject, by_subject) for commit, subject in zip(commits, subjects)]
    for slug in slugs:
        if slugs.count(slug) > 1:
            fail(1, f"two commits want the slug '{slug}': git notes --ref=slug edit one of them")

    for slug, subject in zip(slugs, subjects):
        was = by_subject.get(subject, slug)
        if slug not in old and was not in slugs:
            series.rename(was, slug)
    series.need_order(slugs)
    names = [f"{number:04}-{slug}.patch" for number, slug in enumerate(slugs, 1)]

    with replaced(BASE.folder, lambda: git(repo, "update-ref", "refs/avic/applied", "stack")) as new:
        for name, slug, commit in zip(names, slugs, commits):
            only = ["format-patch", "-1", commit, "--stdout", "--no-numbered"]
            text = git(repo, *only, *FORMAT).stdout
            before = old.pop(slug).path if slug in old else None
            kept = before.read_text() if before else ""
            if not before:
                print(f"new      {name}")
            elif substance(kept) != substance(text):
                print(f"changed  {name}")
            elif before.name != name:
                print(f"renamed  {before.name} -> {name}")
            (new / name).write_text(kept if substance(kept) == substance(text) else text)
        for patch in old.values():
            print(f"gone     {patch.path.name}")
        (new / "series").write_text(series.text(names))
        for path in BASE.folder.iterdir():
            if path.suffix != ".patch" and path.name != "series":
                shutil.copy2(path, new / path.name, follow_symlinks=False)
    print(f"{len(commits)} patches in {BASE.folder.relative_to(TOP)}")
