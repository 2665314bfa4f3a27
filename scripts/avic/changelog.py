# SPDX-License-Identifier: GPL-2.0
"""Rules for the header and changelog of patches, from a data file (ci/check/rules)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from avic.base import BASE, Base
from avic.changes import IN_BASE
from avic.paths import TOP
from avic.findings import Finding
from avic.patch import Patch
from avic.process import fail
from avic.tables import read_table
from avic.tree import git
from avic.upstream import Ledger, read_ledger

PARTS = ("subject", "subject-kernel", "subject-tests", "text", "fixes")
TRAILER = re.compile(r"^Fixes: *(.*)$", re.MULTILINE | re.IGNORECASE)
CITED = re.compile(r"\bcommit ([0-9a-f]{7,40})\b")
# How a backport's changelog names the commit, and perhaps the first version that has it.
COUNTERPART = re.compile(r"upstream counterpart(?: of the hook)? is commit ([0-9a-f]{12,40})(?: \((v[\d.]+)\))?")
STABLE = "Cc: stable@vger.kernel.org"


@dataclass
class Rule:
    """One line of the rules: `kind` is must, never, or the name of a check that is code."""

    name: str
    part: str
    kind: str
    regex: re.Pattern[str]
    advice: str


def read_rules(path: Path) -> list[Rule]:
    """Parse a rules file; exits with 1 at a line that is not a rule."""
    rules = []
    for words, advice in read_table(path, "NAME PART WHAT ## what to do"):
        name, part, kind, *rest = words
        if part in PARTS and kind in ("must", "never") and rest:
            rules.append(Rule(name, part, kind, re.compile(" ".join(rest)), advice))
        elif (part, kind) in (("series", "tests-last"), ("series", "provenance")) or part == "commits":
            rules.append(Rule(name, part, kind, re.compile(""), advice))
        else:
            fail(1, f"{path.name}: no rule is made like '{' '.join(words)}': see its head")
    return rules


def tests_only(patch: Patch) -> bool:
    """Whether a patch leaves the kernel itself alone."""
    return all(file.startswith(("tools/", "Documentation/")) for file in patch.files)


def parts(patch: Patch) -> dict[str, list[str]]:
    """What the rules look at, by the name of the part."""
    text = patch.text
    subject = [patch.subject]
    return {
        "subject": subject,
        "subject-kernel": [] if tests_only(patch) else subject,
        "subject-tests": subject if tests_only(patch) else [],
        "text": text.split("\n"),
        "fixes": TRAILER.findall(text),
    }


def known(repo: Path, commit: str, subject: str, table: dict[str, str]) -> str:
    """What is wrong with a commit's name, '' if nothing."""
    for known_id, known_subject in table.items():
        if known_id.startswith(commit[:12]) or commit.startswith(known_id):
            if subject and subject != known_subject:
                return f"{commit} is '{known_subject}', not '{subject}'"
            return ""
    seen = git(repo, "log", "-1", "--format=%s", commit, "--", check=False)
    if seen.returncode:
        return f"no commit {commit} is known"
    if subject and seen.stdout.strip() != subject:
        return f"{commit} is '{seen.stdout.strip()}', not '{subject}'"
    return ""


def commits(path: Path, ledger: Ledger) -> dict[str, str]:
    """The table of known commits, and those that patches/upstream has."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    table = {commit: subject for commit, _, subject in (line.partition(" ") for line in lines)}
    return table | {commit: "" for commit in ledger.commits if commit[:12] not in table}


def provenance(patch: Patch, text: str, ledger: Ledger, base: Base, bases: list[Base]) -> str:
    """What is wrong with where a patch is said to be from, '' if nothing.

    bases: all of them; what one has already tells from when on mainline has it.
    """
    entry = ledger.of(patch.slug)
    if entry is None:
        return f"patches/upstream has no entry for {patch.slug}"
    if entry.nostable and STABLE in text:
        return f"is not for stable: {entry.nostable}"
    if entry.version and base.at_least(entry.version):
        return f"is in the stack of {base}, and mainline has it as of {entry.version}"
    if entry.commit and entry.commit[:12] not in text:
        return f"does not name commit {entry.commit[:12]}, which patches/upstream has"
    if entry.commit and not entry.differs:
        return f"patches/upstream does not say how it differs from commit {entry.commit[:12]}"
    told = COUNTERPART.search(text.replace("\n", " "))
    if told and not entry.commit:
        return f"names commit {told[1]}, and patches/upstream has none"
    if told and told[2] not in (None, entry.version):
        return f"says {told[2]}, and patches/upstream {entry.version}"
    for other in bases:
        why = other.why("Left-out").get(patch.slug, "")
        # By a point release, a base may have what is newer than its own version.
        named = re.search(rf"\b{re.escape(other.name.removeprefix('v'))}\.\d+", why)
        if entry.version and why.startswith(IN_BASE) and not (other.at_least(entry.version) or named):
            return f"{other} has it, and patches/upstream says that mainline has it as of {entry.version}"
    return ""


def check(rules: list[Rule], patches: list[Patch], repo: Path) -> list[Finding]:
    """What the rules have against a series."""
    found = []
    first_test = ""
    ledger, bases = read_ledger(BASE.name), Base.every()
    for patch in patches:
        name = patch.path.name
        looked_at = parts(patch)
        for rule in rules:
            message = ""
            if rule.part in PARTS:
                for text in looked_at[rule.part]:
                    if bool(rule.regex.search(text)) == (rule.kind == "never"):
                        found.append(Finding(name, rule.name, f"'{text}': {rule.advice}"))
            elif rule.kind == "provenance":
                if wrong := provenance(patch, patch.text, ledger, BASE, bases):
                    message = f"{wrong}: {rule.advice}"
            elif rule.part == "series":
                if first_test and not tests_only(patch):
                    message = f"comes after the test {first_test}: {rule.advice}"
            else:
                table = commits(TOP / rule.kind, ledger)
                text = patch.text
                named = {(commit, "") for commit in CITED.findall(text)}
                for line in looked_at["fixes"]:
                    if match := re.match(r'([0-9a-f]{7,40}) \("(.*)"\)', line):
                        named.add((match[1], match[2]))
                for commit, subject in sorted(named):
                    if wrong := known(repo, commit, subject, table):
                        found.append(Finding(name, rule.name, f"{wrong}: {rule.advice}"))
            if message:
                found.append(Finding(name, rule.name, message))
        if not first_test and tests_only(patch):
            first_test = name
    return found
