# SPDX-License-Identifier: GPL-2.0
"""The report of a run, for people and machines: summary.txt, JUnit, a verdict."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path

from avic import ktap, results
from avic.aside import replaced
from avic.machine import copy_logs
from avic.raw import printable_lines
from avic.results import Judgement, Column, Suite


def table(levels: list[Column]) -> list[str]:
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


def costs(level: Column) -> list[str]:
    """Each lane's time relative to the first lane's, over the tests that pass in both."""
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


def windows(levels: list[Column]) -> list[str]:
    """How often KVM asked for AVIC to be off for an IRQ window in guests that nobody here wrote, by guest and lane.

    The base of v6.x asks while it is off as well.
    """
    seen: dict[str, list[str]] = {}
    for level in levels:
        for result in level.results:
            if result.name.startswith("foreign/") and "@" not in result.name:
                times = result.counts.get("inhibit_set_irqwin", 0)
                seen.setdefault(f"{result.lane} {result.name}", []).append(f"{times} on the {level.name}")
    return [f"{name}: AVIC to be off for an IRQ window {', '.join(times)}" for name, times in seen.items()]


def verdict(suite: Suite) -> str:
    """The last line for people."""
    red = results.red(suite.judgements)
    return f"verdict  {'WORSE: ' + ', '.join(red) if red else 'nothing got worse'}"


def summary(suite: Suite, evidence: list[str]) -> str:
    """The text for people.  evidence: what scripts/evidence prints, a line for each case."""
    lines = [f"{key:8} {value}" for key, value in suite.what.items()] + [""]
    lines += table(suite.levels) + [""]
    lines += [f"cost     {line}" for level in suite.levels for line in costs(level)]
    lines += [f"windows  {line}" for line in windows(suite.levels)]
    lines += [f"{each.kind:8} {each.text}" for each in suite.judgements if each.kind != "evidence"]
    lines += [f"evidence {line}" for line in evidence]
    return "\n".join([*lines, verdict(suite)]) + "\n"


def junit(levels: list[Column], judgements: Iterable[Judgement] | None = None) -> bytes:
    """All results as JUnit, a failure that the base has too as skipped; and the verdict, if there is one."""
    root = ET.Element("testsuites")
    add_suites(root, levels)
    if judgements is not None:
        add_suites(root, [Column("judge", results.as_results(judgements))])
    return xml(root)


def xml(root: ET.Element) -> bytes:
    """A JUnit document as bytes, with its totals."""
    for total in ("tests", "failures", "skipped", "errors"):
        root.set(total, str(sum(int(suite.get(total, "0")) for suite in root)))
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def add_suites(root: ET.Element, levels: list[Column], prefix: str = "") -> None:
    """A suite for each lane of each level; a failure that the first level has too counts as known."""
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
                    ET.SubElement(case, "skipped", message=printable_lines(note))
                elif result.status != "pass":
                    failures += 1
                    note = printable_lines(result.note)
                    ET.SubElement(case, "failure", type=result.status, message=note)
                log = "\n".join(result.log + result.kernel)
                if log:
                    ET.SubElement(case, "system-out").text = printable_lines(log)
            suite.set("tests", str(len(results)))
            suite.set("failures", str(failures))
            suite.set("skipped", str(skipped))
            suite.set("errors", "0")


def write(folder: Path, suite: Suite, logs: dict[str, Path], evidence: list[str]) -> None:
    """Write the report into folder, in place of an older one.

    logs: LEVEL.MACHINE -> the folder of its run.
    """
    with replaced(folder) as new:
        for name, run in logs.items():
            copy_logs(run, new, name)
        (new / "summary.txt").write_text(f"{summary(suite, evidence)}report   {folder}\n")
        (new / "junit.xml").write_bytes(junit(suite.levels, suite.judgements))
        kept: dict[str, object] = {**suite.what, "worse": results.red(suite.judgements)}
        (new / "verdict.json").write_text(json.dumps(kept, indent=1) + "\n")
        # What scripts/report reads: the results as they were judged.
        results.save(new / "results.json", suite)
