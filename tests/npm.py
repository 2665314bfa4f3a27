# SPDX-License-Identifier: GPL-2.0
"""Programs for tests that npm has and Debian has not, kept in the cache."""

from __future__ import annotations

import subprocess
from pathlib import Path

from avic.aside import replaced
from avic.paths import CACHE


def modules(package: str) -> Path:
    """The node_modules of NAME@VERSION, installed first if need be; raises CalledProcessError if it can't be had."""
    home = CACHE / "npm" / package
    if not home.exists():
        with replaced(home) as new:
            subprocess.run(
                ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts",
                 f"--cache={home.parent}/cache", "--prefix", new, package], check=True,
            )  # fmt: skip
    return home / "node_modules"
