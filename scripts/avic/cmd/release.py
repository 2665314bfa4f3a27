# SPDX-License-Identifier: GPL-2.0
"""release vN: record a revision of the stack, as a commit and a tag of this project.

  vN                       the next number
  --notes FILE             what is new, in your words, as lines that start with `- `
  --without-evidence BASE  record that the suite was not run on a base

releases/vN/ gets `changelog` (each patch that changed, by slug, under its
base; scripts/export takes the cover letter's version notes from it),
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

from avic.aside import replaced
from avic.base import Base
from avic.paths import CACHE, TOP
from avic.environment import callers_git
from avic.exact import apply_all, commit_all
from avic.outgoing import RELEASES, identity, recorded
from avic.patch import Patch, substance
from avic.process import fail, held_back, say, scratch, unwind_on_signals
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


def changes(old: dict[str, Patch], new: dict[str, Patch]) -> dict[str, str]:
    """The patches that are new, changed or gone, by slug."""
    found = {}
    for slug in dict.fromkeys([*old, *new]):
        if slug not in old:
            found[slug] = "new"
        elif slug not in new:
            found[slug] = "gone"
        elif substance(old[slug].raw) != substance(new[slug].raw):
            found[slug] = "changed"
    return found


def commits_of(repo: Path, patches: dict[str, Patch]) -> dict[str, str]:
    """The commit of each patch, by slug; empty if the series does not apply to repo's base."""
    commits, where, _ = apply_all(repo, list(patches.values()))
    return {} if where else dict(zip(patches, commits))


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


def evidence(base: str, repo: Path, patches: dict[str, Patch]) -> str:
    """The summary of the suite's last run on a base; exits with 1 if it is of another stack, or bad."""
    report = CACHE / "report" / base
    again = f"run make run BASE={base}, or give --without-evidence {base}"
    try:
        verdict = json.loads((report / "verdict.json").read_text())
        summary = (report / "summary.txt").read_text()
    except (OSError, ValueError):
        fail(1, f"the suite was not run on {base}: {again}")
        raise
    stack = commit_all(repo, list(patches.values()))[-1]
    if not stack.startswith(verdict["stack"]):
        fail(1, f"the suite ran on {base} with {verdict['stack']}, the stack is {stack[:7]}: {again}")
    if verdict["worse"]:
        fail(1, f"the suite says that {len(verdict['worse'])} results got worse on {base}: see {report}/summary.txt")
    return summary


def record(new: Path, number: int, notes: str, without: list[str], old: Path) -> str:
    """Write the three files; returns the changelog."""
    log, diffs, proofs = [notes] if notes else [], [], []
    for base in names():
        say(f"v{number}: {base}")
        was, now = read_stack(old / "patches" / base), read_stack(TOP / "patches" / base)
        changed = changes(was, now)
        lines = [f"- {slug}: {what}" for slug, what in changed.items()]
        log.append("\n".join([f"{base}:", *(lines or ["- no change"])]) + "\n")
        slugs = [slug for slug, what in changed.items() if what == "changed"]
        if slugs:
            repo = Base.named(base).tree("fetch")
            diffs.append(f"{base}\n\n{range_diff(repo, was, now, slugs)}")
        proof = "not run\n" if base in without else evidence(base, Base.named(base).tree("fetch"), now)
        proofs.append(f"{base}\n\n{proof}")
    text = "\n".join(log)
    (new / "changelog").write_text(text)
    (new / "range-diff").write_text("\n".join(diffs) or "no patch changed\n")
    (new / "evidence").write_text("\n".join(proofs))
    return text


def main() -> None:
    unwind_on_signals()
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
    notes = args.notes.read_text().rstrip() + "\n" if args.notes else ""
    if any(not re.match("- |  ", line) for line in notes.splitlines()):
        fail(2, f"{args.notes}: want lines that start with '- ', or two blanks to go on")
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
