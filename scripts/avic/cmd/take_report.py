# SPDX-License-Identifier: GPL-2.0
"""take-report FILE: a report that a stick made (`make stick`), beside the emulator's results.

  FILE   avic-report-001.tar.gz, from the stick's partition AVIC-REPORT

The file is read as what a stranger sent: only the files of a report, of their names and sizes.
It is kept as report/<base>-stick-<machine> in the cache, in the form of scripts/run.  Printed are
the results, the verdict on the stack, and, apart from that, in what the machine and the
emulator differ: that tells about the emulator.
Exit status 1 if the file is damaged, if a result got worse on the stack, or if it does not have both levels.
"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

from avic import costs, results, summary
from avic.aside import aside, write
from avic.build import digest
from avic.paths import CACHE, TOP
from avic.plan import listed
from avic.process import fail, show
from avic.results import Judgement, Suite
from avic.takenreport import LEVELS, MOST_PACKED, Report, beside, column, files_of, read_report


def reasons_of(report: Report) -> dict[int, str]:
    """Names of KVM's inhibits, if the base's source is in the cache; it is not fetched for that."""
    current = CACHE / "base" / report.base.name / "current"
    tree = current.parent / current.read_text().strip() if current.exists() else None
    return costs.inhibits(tree, "base") if tree and tree.is_dir() else {}


def folder_of(report: Report) -> Path:
    """Where it is kept: another report of the same machine takes its place."""
    model = re.sub(r"[^a-z0-9]+", "-", report.model.lower()).strip("-")[:40]
    return CACHE / "report" / f"{report.base}-stick-{model}-{digest(report.files.get('machine', b''))[:6]}"


def keep(report: Report, suite: Suite, text: str) -> Path:
    """Write the results, and the logs that they are of."""
    folder = folder_of(report)
    with aside(CACHE / "run") as place:
        logs = {}
        for level, tries in report.tries.items():
            for each in tries:
                logs[f"{level}.stick{each.number}"] = log = place / f"{level}.{each.number}"
                log.mkdir()
                for name, theirs in (("plan", "plan"), ("ktap", "ktap"), ("console", "dmesg")):
                    (log / name).write_bytes(report.files.get(f"{level}.{each.number}.{theirs}", b""))
        summary.write(folder, suite, logs, [])
    write(folder / "beside.txt", text)
    return folder


def main() -> int:
    if len(sys.argv) != 2:
        fail(2, "usage: take-report FILE")
    path = Path(sys.argv[1])
    if not path.is_file():
        fail(2, f"no file {path}: give it avic-report-001.tar.gz of the stick")
    try:
        if path.stat().st_size > MOST_PACKED:
            raise ValueError(f"it is bigger than {MOST_PACKED >> 20} MiB: no stick made it")
        report = read_report(files_of(path.read_bytes()))
    except ValueError as error:
        fail(1, f"{path} is not taken: {error}")
    reasons = reasons_of(report)
    base, stack = (column(level, report, report.results(level), reasons) for level in LEVELS)
    what = {
        "base": report.what,
        "runner": f"stick: {report.model}, microcode {report.machine.get('microcode', 'unknown')}",
        "taken": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    again = [column(level, report, results, reasons) for level, results in report.second_look().items()]
    suite = Suite(what, base, stack, again if any(level.results for level in again) else [], [])
    policy = costs.Policy(TOP / "ci" / "run" / "costs")
    if base.results and stack.results:
        avic = [lane.name for _, lane in listed(report.base) if lane.avic]
        suite.judgements = results.judge_suite(suite, report.base.name, avic, policy)
    else:
        there = ", ".join(level.name for level in suite.levels if level.results) or "no level"
        text = f"it has results of {there}: base and stack can't be compared"
        suite.judgements = [*results.lost(suite.levels), Judgement("lost", "not both levels", text)]
    emulated = Suite.read(CACHE / "report" / report.base.name)
    if not emulated:
        what["emulator"] = f"no results here to hold it against: make run BASE={report.base}"
    found = beside({level.name: level.results for level in suite.levels if level.results}, emulated, policy)
    lines = "\n".join(found.lines()) + "\n" if emulated else ""
    folder = keep(report, suite, lines)
    show(f"{summary.summary(suite, [])}\n{lines}report   {folder}")
    return 1 if results.red(suite.judgements) else 0
