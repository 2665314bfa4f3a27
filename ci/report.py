# SPDX-License-Identifier: GPL-2.0
"""What people and machines read after a run: summary.txt, KTAP, JUnit, a verdict."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import asdict, dataclass, field
from pathlib import Path

import ktap
from boot import copy_logs
from interrupt import replaced
from ktap import Result


@dataclass
class Level:
    """One level's runs: their results and the folders with their logs."""

    name: str
    results: list[Result] = field(default_factory=list)
    folders: dict[str, Path] = field(default_factory=dict)  # by machine
    reused: str = ""  # when it ran, if an earlier run's results are taken


def table(levels: list[Level]) -> list[str]:
    """Totals by lane and level."""
    shown = ["pass", "skip", "fail", "timeout", "splat"]
    rest = [status for status in ktap.STATUSES if status not in shown]
    rows = [["lane", "level", *shown, "lost", ""]]
    lanes = dict.fromkeys(result.lane for level in levels for result in level.results)
    for lane in lanes:
        for level in levels:
            counts = ktap.count([r for r in level.results if r.lane == lane])
            numbers = [counts.get(s, 0) for s in shown] + [sum(counts.get(s, 0) for s in rest)]
            when = f"(ran {level.reused})" if level.reused else ""
            rows.append([lane, level.name, *map(str, numbers), when])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column in (0, 1, 8) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    ]


def costs(level: Level) -> list[str]:
    """How long each lane's tests took, in times of the first lane's, over those that pass in both."""
    seconds: dict[str, dict[str, int]] = {}
    for result in level.results:
        if result.status == "pass" and (took := re.fullmatch(r"(\d+)s", result.note)):
            seconds.setdefault(result.lane, {})[result.name] = int(took[1])
    lanes = list(seconds)
    lines = []
    for lane in lanes[1:]:
        both = seconds[lanes[0]].keys() & seconds[lane].keys()
        first, this = (sum(seconds[which][name] for name in both) for which in (lanes[0], lane))
        if first:
            what = f"{this / first:.2f} times the seconds of {lanes[0]}, over {len(both)} tests"
            lines.append(f"{lane}: {what} on the {level.name}")
    return lines


def lost(levels: list[Level]) -> list[str]:
    """Why a level has no results for some of its tests, if that is so."""
    lines = []
    for level in levels:
        for result in level.results:
            if result.status in ("hang", "panic", "boot", "not-run"):
                lines.append(f"{level.name}: {result.status} {result.name}: {result.note}")
                break
    return lines


def statuses_again(again: list[Level], result: Result) -> list[list[str]]:
    """What base and stack gave for a result's test when it was run again, if it was."""
    return [
        [
            r.status
            for r in level.results
            if r.lane == result.lane and r.name.partition("@")[0] == result.name
        ]
        for level in again
    ]


def unsteady(again: list[list[str]]) -> bool:
    """Whether a test failed again on the base too, or on the stack never again."""
    good = {"pass", "skip"}
    return bool(again and again[1]) and (set(again[1]) <= good or not set(again[0]) <= good)


def summary(
    what: dict[str, object],
    base: Level,
    stack: Level,
    again: list[Level],
    evidence: list[str],
    red: list[str],
) -> tuple[str, list[str]]:
    """The text for people, and the names of the results that got worse.

    again: base and stack once more, for tests that failed on the stack alone.
    evidence: what ci/evidence prints, a line for each case of each change.
    red: what else speaks against the stack, a line each.
    """
    pairs = ktap.worse(base.results, stack.results)
    before = {(r.lane, r.name): r.status for r in base.results}
    known = [
        r
        for r in stack.results
        if r.status not in ("pass", "skip") and before.get((r.lane, r.name)) == r.status
    ]
    lines = [f"{key:8} {value}" for key, value in what.items()] + [""]
    lines += table([base, stack]) + [""]
    lines += [f"cost     {line}" for level in (base, stack) for line in costs(level)]
    lines += [f"lost     {line}" for line in lost([base, stack])]
    lines += [f"known    {r.lane} {r.name}: {r.status} on the base too" for r in known]
    worse = []
    for old, new in pairs:
        was = old.status if old else "not there"
        line = f"{new.lane} {new.name}: {was} -> {new.status}: {new.note}"
        seen = statuses_again(again, new)
        if any(seen):
            line += f"; again: base {' '.join(seen[0])}, stack {' '.join(seen[1])}"
        if unsteady(seen):
            lines.append(f"unsteady {line}")
        else:
            worse.append(f"{new.lane} {new.name}")
            lines.append(f"worse    {line}")
    # Nothing can be worse than a base that has no results: that is no answer.
    worse += [f"{level.name} did not run to its end" for level in (base, stack) if lost([level])]
    lines += [f"evidence {line}" for line in evidence]
    worse += [f"evidence {line.split()[1]}" for line in evidence if "  RED: " in line]
    lines += [f"worse    {line}" for line in red]
    worse += [line.partition(":")[0] for line in red]
    passed = ktap.count(stack.results).get("pass", 0)
    if not passed:
        worse.append("no test passed")
        lines.append("worse    no test passed on the stack: nothing was shown")
    lines.append(f"verdict  {'WORSE: ' + ', '.join(worse) if worse else 'nothing got worse'}")
    return "\n".join(lines) + "\n", worse


def junit(levels: list[Level]) -> bytes:
    """All results as JUnit; a failure that the base has too counts as skipped."""
    root = ET.Element("testsuites")
    add_suites(root, levels)
    return xml(root)


def xml(root: ET.Element) -> bytes:
    """A JUnit document as a file has it, with its totals."""
    for total in ("tests", "failures", "skipped", "errors"):
        root.set(total, str(sum(int(suite.get(total, "0")) for suite in root)))
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True)


def printable(text: str) -> str:
    """A test may say anything; XML takes no control characters."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def add_suites(root: ET.Element, levels: list[Level], prefix: str = "") -> None:
    """A suite for each lane of each level; a level's failures that the first one has are known."""
    before = {(r.lane, r.name): r.status for r in levels[0].results} if levels[1:] else {}
    for level in levels:
        for lane in dict.fromkeys(r.lane for r in level.results):
            results = [r for r in level.results if r.lane == lane]
            name = f"{prefix}{level.name}.{lane}"
            suite = ET.SubElement(root, "testsuite", name=name)
            failures = skipped = 0
            for result in results:
                case = ET.SubElement(suite, "testcase", classname=name, name=result.name)
                known = before.get((lane, result.name)) == result.status
                if result.status == "skip" or (result.status != "pass" and known):
                    skipped += 1
                    note = result.note if result.status == "skip" else f"known: {result.status}"
                    ET.SubElement(case, "skipped", message=printable(note))
                elif result.status != "pass":
                    failures += 1
                    note = printable(result.note)
                    ET.SubElement(case, "failure", type=result.status, message=note)
                log = "\n".join(result.log + result.kernel)
                if log:
                    ET.SubElement(case, "system-out").text = printable(log)
            suite.set("tests", str(len(results)))
            suite.set("failures", str(failures))
            suite.set("skipped", str(skipped))
            suite.set("errors", "0")


def write(
    folder: Path,
    what: dict[str, object],
    base: Level,
    stack: Level,
    again: list[Level],
    evidence: list[str],
    red: list[str],
) -> Path:
    """Write the report into folder, in place of an older one, and return it."""
    with replaced(folder) as new:
        for level in (base, stack, *again):
            for machine, logs in level.folders.items():
                copy_logs(logs, new, f"{level.name}.{machine}")
        text, worse = summary(what, base, stack, again, evidence, red)
        (new / "summary.txt").write_text(f"{text}report   {folder}\n")
        (new / "junit.xml").write_bytes(junit([base, stack]))
        (new / "verdict.json").write_text(json.dumps({**what, "worse": worse}, indent=1) + "\n")
        # What ci/page reads: the results as they were judged.
        results = {
            "what": what, "worse": worse, "levels": [stored(base), stored(stack)],
            "again": [stored(level) for level in again],
        }  # fmt: skip
        (new / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    return folder


def stored(level: Level) -> dict[str, object]:
    """A level for results.json, with the time of its last run."""
    when = [(folder / "when").read_text().strip() for folder in level.folders.values()]
    return {
        "name": level.name, "when": max(when, default=""), "machines": list(level.folders),
        "results": [asdict(result) for result in level.results],
    }  # fmt: skip
