# SPDX-License-Identifier: GPL-2.0
"""The report's KTAP, as the kernel's own reader reads it: tools/testing/kunit of the base."""

from __future__ import annotations

import json
import sys

from machine import CACHE, TOP, Machine, sh

# Its last line: passed, failed and skipped tests, and what the parser stumbled over.
PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
import kunit_parser
counts = kunit_parser.parse_run_tests(open(sys.argv[2])).counts
print(json.dumps([counts.passed, counts.failed, counts.skipped, counts.crashed + counts.errors]))
"""


class Report(Machine):
    def test_6_ktap_as_the_kernel_reads_it(self) -> None:
        folder = self.scratch() / "report"
        cache = TOP / "tests/captured/cache"
        sh(TOP / "scripts/report", folder, AVIC_CACHE=str(cache))
        ktap = folder / "results.ktap"
        parser = self.repo / "tools/testing/kunit"
        read = json.loads(sh(sys.executable, "-B", "-c", PROGRAM, parser, ktap).split("\n")[-1])
        lines = [line for line in ktap.read_text().splitlines() if line.startswith(("    ok", "    not ok"))]
        bad = sum("not ok" in line for line in lines)
        skipped = sum(" # SKIP" in line for line in lines)
        self.assertGreater(len(lines), 80)
        self.assertEqual(read, [len(lines) - bad - skipped, bad, skipped, 0])

    def test_6_report_of_what_is_there(self) -> None:
        """make report, of this machine's cache, with the flips that another test has counted."""
        folder = self.scratch() / "report"
        sh(TOP / "scripts/flips")
        said = sh(TOP / "scripts/report", folder)
        self.assertIn("index.html: ", said)
        flips = json.loads((CACHE / "flips/v6.12/flips.json").read_text())["levels"]["base"]["flips"]
        self.assertIn(f'data-flips="v6.12 base">{flips}<', (folder / "index.html").read_text())
