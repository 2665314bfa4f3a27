# SPDX-License-Identifier: GPL-2.0
"""release vN: record a revision of the stack, as a commit and a tag of this project.

  vN                       the next number
  --notes FILE             what is new, in your words, as lines that start with `- `
  --without-evidence BASE  record that the suite was not run on a base

releases/vN/ gets `changelog` (each patch that changed, by slug and subject, under its
base; scripts/export takes a series' revision and its version notes from it),
`range-diff` (how each patch changed) and `evidence` (the summary of the last
run of the suite on each base, which has to be one of the stack as it is).
The tag is yours, by your git identity.  Nothing is pushed.
"""

import argparse
import difflib
import json
import os
import re
import subprocess
from pathlib import Path

from avic import raw
from avic.aside import replaced
from avic.base import Base
from avic.paths import CACHE, TOP
from avic.environment import callers_git
from avic.exact import apply_all, commit_all
from avic.outgoing import RELEASES, identity, recorded
from avic.patch import Patch, slug_in, substance
from avic.process import fail, held_back, say, scratch
from avic.tree import git, unpack


def ours(*args: str) -> str:
    """git in this project, as the user has set it up."""
    # A git that is killed leaves its lock behind, in the user's repository.
    with held_back():
        done = subprocess.run(
            ["git", "-C", TOP, *args],
            env=callers_git(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
    if done.returncode:
        fail(1, f"git {args[0]} failed in {TOP}: {done.stderr.strip()}")
    return done.stdout


def names() -> list[str]:
    """The bases that have a series."""
    return [base.name for base in Base.every()]


def read_stack(folder: Path) -> dict[str, Patch]:
    """A series by slug; empty if the folder has none."""
    if not (folder / "series").exists():
        return {}
    return Base(folder).by_slug


def sections_of(folder: Path) -> dict[str, str]:
    """The section of each patch of a series, by slug; empty if the folder has none, or the series no sections."""
    sections = Base(folder).series.sections if (folder / "series").exists() else []
    return {slug_in(name): section.name for section in sections for name in section.names}


def changes(old: dict[str, Patch], new: dict[str, Patch], sections: dict[str, str]) -> dict[str, str]:
    """The patches that are new, changed, moved or gone, by slug: each by its subject, and what became of it.

    sections: of the old ones, by slug, where they had one.
    """
    had, has = ([slug for slug in each if slug in old and slug in new] for each in (old, new))
    blocks = difflib.SequenceMatcher(None, had, has, autojunk=False).get_matching_blocks()
    stayed = {slug for block in blocks for slug in had[block.a : block.a + block.size]}
    found = {}
    for slug in dict.fromkeys([*old, *new]):
        patch, was = new.get(slug) or old[slug], old.get(slug)
        what = []
        if was is None:
            what.append("new")
        elif slug not in new:
            what.append(f"gone from {sections[slug]}" if slug in sections else "gone")
        else:
            what += ["changed"] if substance(was.raw) != substance(patch.raw) else []
            what += [f'was "{was.subject}"'] if was.subject != patch.subject else []
            what += ["moved"] if slug not in stayed else []
        if what:
            found[slug] = f"{patch.subject}: {', '.join(what)}"
    return found


def commits_of(repo: Path, patches: dict[str, Patch]) -> dict[str, str]:
    """The commit of each patch, by slug; empty if the series does not apply to repo's base."""
    done = apply_all(repo, list(patches.values()))
    return {} if done.left else dict(zip(patches, (commit for commit, _ in done.commits)))


def range_diff(repo: Path, old: dict[str, Patch], new: dict[str, Patch], slugs: list[str]) -> str:
    """How patches changed, by slug: as git range-diff shows it, or as text if the old ones do not apply."""
    text = []
    before, after = commits_of(repo, old), commits_of(repo, new)
    for slug in slugs:
        text.append(f"{slug}\n")
        if before:
            ranges = [f"{commits[slug]}~1..{commits[slug]}" for commits in (before, after)]
            text.append(git(repo, "range-diff", "--no-color", "--creation-factor=100", *ranges).stdout)
        else:
            one, other = (stack[slug].raw.splitlines(True) for stack in (old, new))
            text.append("the old series does not apply to this base any more; as text:\n")
            text += difflib.unified_diff(one, other, "old", "new", n=1)
    return "".join(text)


def evidence(base: Base) -> tuple[str, str]:
    """The summary of the suite's last run on a base, and why it is no evidence of the stack as it is, '' if it is."""
    report = CACHE / "report" / base.name
    again = f"make run BASE={base}"
    try:
        verdict = json.loads((report / "verdict.json").read_text())
        summary = (report / "summary.txt").read_text()
    except (OSError, ValueError):
        return "", f"it was not run on {base}: {again}"
    stack = commit_all(base.tree("fetch"), base.patches)[-1]
    if not stack.startswith(verdict["stack"]):
        return "", f"it ran on {base} with {verdict['stack']}, the stack is {stack[:7]}: {again}"
    if verdict["worse"]:
        return "", f"it says that {len(verdict['worse'])} results got worse on {base}: see {report}/summary.txt"
    return summary, ""


def all_evidence(without: list[str]) -> str:
    """The evidence of each base; exits with 1, with all that is missing in one line.

    without: bases of which there need be none.
    """
    found, lacks = [], {}
    for base in Base.every():
        summary, why = ("not run\n", "") if base.name in without else evidence(base)
        found.append(f"{base}\n\n{summary}")
        if why:
            lacks[base.name] = why
    if lacks:
        instead = " ".join(f"--without-evidence {base}" for base in lacks)
        fail(1, f"the suite is no evidence: {'; '.join(lacks.values())}; or give {instead}")
    return "\n".join(found)


def record(new: Path, number: int, notes: str, without: list[str], old: Path) -> str:
    """Write the three files; returns the changelog."""
    (new / "evidence").write_text(all_evidence(without))
    log, diffs = [notes] if notes else [], []
    for base in names():
        say(f"v{number}: {base}")
        was, now = read_stack(old / "patches" / base), read_stack(TOP / "patches" / base)
        changed = changes(was, now, sections_of(old / "patches" / base))
        lines = [f"- {slug}: {what}" for slug, what in changed.items()]
        log.append("\n".join([f"{base}:", *(lines or ["- no change"])]) + "\n")
        slugs = [slug for slug in now if slug in was and substance(was[slug].raw) != substance(now[slug].raw)]
        if slugs:
            repo = Base.named(base).tree("fetch")
            diffs.append(f"{base}\n\n{range_diff(repo, was, now, slugs)}")
    text = "\n".join(log)
    (new / "changelog").write_text(text)
    (new / "range-diff").write_text("\n".join(diffs) or "no patch changed\n")
    return text


def main() -> None:
    os.environ.pop("TREE", None)  # a revision is of the bases themselves
    parser = argparse.ArgumentParser(
        prog="release", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("revision")
    parser.add_argument("--notes", type=Path)
    parser.add_argument("--without-evidence", action="append", default=[], metavar="BASE")
    args = parser.parse_args()
    number = recorded() + 1
    if args.revision != f"v{number}":
        fail(2, f"the next revision is v{number}, not {args.revision}")
    for base in args.without_evidence:
        if base not in names():
            fail(2, f"no base '{base}': patches/ has {' '.join(names())}")
    notes = raw.read(args.notes).rstrip() + "\n" if args.notes else ""
    if any(not re.match("- |  ", line) or not raw.plain(line) for line in notes.splitlines()):
        fail(2, f"{args.notes}: want lines in UTF-8 that start with '- ', or two blanks to go on")
    identity(TOP)
    if ours("status", "--porcelain"):
        fail(1, f"{TOP} has uncommitted changes: commit them first, a revision is what is committed")
    if ours("tag", "--list", args.revision).strip():
        fail(1, f"there is a tag {args.revision} that releases/ does not know: git tag --delete it")
    folder = RELEASES / args.revision
    head = ours("rev-parse", "HEAD").strip()
    with scratch("avic-release.") as old:
        if number > 1 and unpack(TOP, f"v{number - 1}", old, "patches"):
            fail(1, f"there is no tag v{number - 1}: fetch the tags of this project")

        def commit() -> None:
            try:
                ours("add", "--", str(folder))
                ours("commit", "--quiet", "--message", f"releases: {args.revision}", "--", str(folder))
                message = ["--annotate", "--file", str(folder / "changelog"), "--cleanup=verbatim"]
                ours("tag", *message, args.revision)
            except SystemExit:
                ours("reset", "--quiet", "--soft", head)
                ours("reset", "--quiet", "--", str(folder))
                raise

        with replaced(folder, commit) as new:
            print(record(new, number, notes, args.without_evidence, old), end="")
    print(f"recorded in {folder.relative_to(TOP)}, tag {args.revision}; git push is yours")
