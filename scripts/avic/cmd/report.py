# SPDX-License-Identifier: GPL-2.0
"""report [FOLDER]: the report of all bases, from what the cache has.

  FOLDER        where it goes, by default build/report
  AVIC_CACHE=   where scripts/run, scripts/evidence, scripts/flips and scripts/bench keep their results

Writes index.html, one page that needs nothing else; results.ktap and
junit.xml, the same results for machines; and logs/, as the machines gave them.
Runs nothing: a base without results is named as such.  Prints the verdict.  The exit
status is 0 for a red verdict as well: the runs themselves have ended with 1.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from avic.aside import replaced
from avic.paths import CACHE, TOP
from avic.page import formats, render, stored
from avic.process import fail


def main() -> int:
    if len(sys.argv) > 2:
        fail(2, "usage: report [FOLDER]")
    folder = Path(sys.argv[1]) if sys.argv[1:] else TOP / "build" / "report"
    if folder.exists() and not (folder / "index.html").exists():
        fail(2, f"{folder} exists and is no report: name another folder, or remove it")
    page = stored.read(TOP, CACHE)
    with replaced(folder) as new:
        for base in page.bases:
            for kind, logs in base.folders.items():
                if logs.exists():
                    shutil.copytree(logs, new / "logs" / base.id / kind)
        (new / "results.ktap").write_text(formats.ktap_text(page))
        (new / "junit.xml").write_bytes(formats.junit(page))
        (new / "index.html").write_text(render.page(page))
    print(f"{folder}/index.html: {page.verdict}")
    return 0
