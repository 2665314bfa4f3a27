# SPDX-License-Identifier: GPL-2.0
"""tables: the tables of README.md and docs/BACKPORTING.md, out of patches/changes.

Writes them anew between the lines that mark them, from patches/changes, each base's
series and the Left-out lines of its file.  `make test` says when they are stale.
"""

from __future__ import annotations

from avic.aside import write
from avic.base import Base
from avic.changes import pages, read_changes, with_table
from avic.paths import TOP
from avic.process import fail


def main() -> int:
    for path, (name, table) in pages(*read_changes(), Base.every()).items():
        text = path.read_text()
        try:
            new = with_table(text, name, table)
        except ValueError as error:
            fail(1, f"{path.relative_to(TOP)}: {error}: put them around its table")
        if new != text:
            write(path, new)
            print(f"changed  {path.relative_to(TOP)}")
    return 0
