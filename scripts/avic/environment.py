# SPDX-License-Identifier: GPL-2.0
"""The environment of everything here, whatever the caller's is: scripts/environment says what it is."""

from __future__ import annotations

import os
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent
CALLERS = "CALLERS_"


def make_known() -> None:
    """Set this process's environment and umask as scripts/environment says; lib.sh does the same."""
    os.umask(0o022)
    values: dict[str, str] = {}
    kept: dict[str, str] = {}
    unset: list[str] = []
    for line in (SCRIPTS / "environment").read_text(encoding="utf-8").splitlines():
        match line.split():
            case [] | ["#", *_]:
                pass
            case [name, "=", value]:
                values[name] = value.replace("HERE/", f"{SCRIPTS}/")
            case [name, "->", other]:
                kept[name] = other
            case names:
                unset += names
    for name, other in kept.items():
        # Below another script of ours it is ours by now, and the caller's is kept already.
        if name in os.environ and os.environ[name] != values.get(name):
            os.environ[other] = os.environ[name]
    for pattern in unset:
        for name in list(os.environ):
            if name == pattern or pattern.endswith("*") and name.startswith(pattern[:-1]):
                del os.environ[name]
    os.environ.update(values)


def callers_git() -> dict[str, str]:
    """The environment with which git has the caller's settings and identity."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    kept = {name.removeprefix(CALLERS): value for name, value in ours.items() if name.startswith(CALLERS)}
    return ours | kept
