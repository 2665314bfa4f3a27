# SPDX-License-Identifier: GPL-2.0
"""Rules for the header and changelog of patches, from a data file (ci/check/rules)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from avic.paths import TOP
from avic.findings import Finding
from avic.patch import Patch
from avic.process import fail
from avic.tables import read_table
from avic.tree import git

PARTS = ("subject", "subject-kernel", "subject-tests", "text", "fixes")
TRAILER = re.compile(r"^Fixes: *(.*)$", re.MULTILINE | re.IGNORECASE)
CITED = re.compile(r"\bcommit ([0-9a-f]{7,40})\b")


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
        elif (part, kind) == ("series", "tests-last") or part == "commits":
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


def commits(path: Path) -> dict[str, str]:
    """The table of known commits, and those that patches/upstream has."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    table = {commit: subject for commit, _, subject in (line.partition(" ") for line in lines)}
    for words, _ in read_table(TOP / "patches/upstream", "SLUG STATE WHERE"):
        if re.fullmatch(r"[0-9a-f]{40}", words[1]) and words[1][:12] not in table:
            table[words[1]] = ""
    return table


def check(rules: list[Rule], patches: list[Patch], repo: Path) -> list[Finding]:
    """What the rules have against a series."""
    found = []
    first_test = ""
    for patch in patches:
        name = patch.path.name
        looked_at = parts(patch)
        for rule in rules:
            message = ""
            if rule.part in PARTS:
                for text in looked_at[rule.part]:
                    if bool(rule.regex.search(text)) == (rule.kind == "never"):
                        found.append(Finding(name, rule.name, f"'{text}': {rule.advice}"))
            elif rule.part == "series":
                if first_test and not tests_only(patch):
                    message = f"comes after the test {first_test}: {rule.advice}"
            else:
                table = commits(TOP / rule.kind)
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
