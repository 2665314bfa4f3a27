# SPDX-License-Identifier: GPL-2.0
"""test_export.py's b4, with the newest that Debian has."""

from __future__ import annotations

import subprocess

import test_export
from project import TOP, slow


def newest_b4() -> str:
    """Its command; of Debian sid, unpacked in the cache."""
    return subprocess.check_output([TOP / "tests/debian", "tool", "sid", "b4"], text=True).strip()


@slow
class NewestB4(test_export.B4):
    @classmethod
    def setUpClass(cls) -> None:
        cls.b4 = newest_b4()
        print("     b4", subprocess.check_output([cls.b4, "--version"], text=True).strip())
