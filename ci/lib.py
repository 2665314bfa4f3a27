# SPDX-License-Identifier: GPL-2.0
"""What the Python scripts here share: where things are, and how they speak.

As scripts/lib.sh: results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
from quilt import BASE, BEGIN, CACHE, TOP, fail, say  # noqa: E402

__all__ = ["BASE", "BEGIN", "CACHE", "TOP", "entries", "fail", "output", "say", "script"]


def output(*command: str | Path) -> tuple[int, str]:
    """Run one of our scripts; returns its exit status and what it prints."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        text = process.communicate()[0]
    finally:
        # What ends us ends it, too, but by a signal that lets it clean up.
        process.terminate()
        process.wait()
    return process.returncode, text


def script(*command: str | Path) -> str:
    """Run one of our scripts and return what it prints; its failure is ours."""
    status, text = output(*command)
    if status:
        sys.exit(status)
    return text.strip()


def entries(name: str) -> list[list[str]]:
    """The words of each line of a data file in ci/, comments left out."""
    lines = (line.split("##")[0] for line in (TOP / "ci" / name).read_text().splitlines())
    return [line.split() for line in lines if line.strip() and not line.startswith("#")]
