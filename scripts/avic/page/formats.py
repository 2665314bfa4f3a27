# SPDX-License-Identifier: GPL-2.0
"""The report for machines: all results as KTAP and as JUnit."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator

from avic import summary
from avic.ktap import Result
from avic.page.stored import Page
from avic.results import Case, Column, as_results

# Statuses for which KTAP has a directive.
DIRECTIVES = {"skip": "SKIP", "timeout": "TIMEOUT", "error": "ERROR"}


def of_case(case: Case) -> Result:
    """A case of the evidence as one result: it passes if it showed what it has to."""
    status = "fail" if case.problems else "pass"
    return Result(case.slug, f"{case.test}:{case.case}", status, "; ".join(case.problems))


def groups(page: Page) -> Iterator[tuple[str, list[Result]]]:
    """Each lane of each level of each base, and each change's cases, by name."""
    for base in page.bases:
        for level in base.run.levels if base.run else []:
            for lane in dict.fromkeys(r.lane for r in level.results):
                name = f"{base.id}.{level.name}.{lane}"
                yield name, [r for r in level.results if r.lane == lane]
        if base.run or base.evidence or base.red:
            yield f"{base.id}.judge.verdict", as_results(base.judgements)
        cases = base.evidence.cases if base.evidence else []
        for slug in dict.fromkeys(case.slug for case in cases):
            yield f"{base.id}.evidence.{slug}", [of_case(c) for c in cases if c.slug == slug]


def ktap_text(page: Page) -> str:
    """All results, as Documentation/dev-tools/ktap.rst says, a subtest for each group."""
    found = list(groups(page))
    lines = ["KTAP version 1", f"1..{len(found)}"]
    for number, (name, results) in enumerate(found, 1):
        lines += ["    KTAP version 1", f"    1..{len(results)}"]
        for count, result in enumerate(results, 1):
            word = "ok" if result.status in ("pass", "skip") else "not ok"
            known = DIRECTIVES.get(result.status)
            # What is no plain failure says so: splat, hang, panic, boot, not-run.
            plain = result.status in ("pass", "fail")
            kind = known or ("" if plain else f"ERROR {result.status}:")
            note = " ".join([kind, result.note.replace("#", "")]).strip()
            lines.append(f"    {word} {count} {result.name}" + (f" # {note}" if note else ""))
        bad = any(result.status not in ("pass", "skip") for result in results)
        lines.append(f"{'not ok' if bad else 'ok'} {number} {name}")
    return "\n".join(lines) + "\n"


def junit(page: Page) -> bytes:
    """All results as JUnit; as in scripts/avic/summary.py, what fails on the base too counts as skipped."""
    root = ET.Element("testsuites")
    for base in page.bases:
        if base.run:
            summary.add_suites(root, base.run.levels, f"{base.id}.")
        if base.run or base.evidence or base.red:
            summary.add_suites(root, [Column("judge", as_results(base.judgements))], f"{base.id}.")
        if base.evidence:
            results = [of_case(case) for case in base.evidence.cases]
            summary.add_suites(root, [Column("evidence", results)], f"{base.id}.")
    return summary.xml(root)
