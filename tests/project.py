# SPDX-License-Identifier: GPL-2.0
"""Puts scripts/, where the package avic is, on the path of a test that is run alone.

It also makes the environment known: the tests may be run by a git hook.
"""

import os
import shutil
import sys
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "scripts"))

from avic.environment import CALLERS, make_known

make_known()
# And nobody's identity and settings are kept: a hook of git commit has those of who commits.
for name in [name for name in os.environ if name.startswith(CALLERS)]:
    del os.environ[name]

# What tests/run tells the process of a file.
QUICK = "--quick"

MEMORY = Path("/dev/shm")
ROOM = 4 << 30  # bytes; the files of all quick tests that run side by side take 200 MiB


def at_hand() -> None:
    """For thousands of small programs and files: temporary files in memory, and python3 without a wrapper.

    ext4 looks long for an inode where files were just removed, and pyenv's python3 is a script
    that starts Python.  Nothing of it where the caller has a TMPDIR, where programs may not run
    from memory, or where it is small, as in some containers.
    """
    if not os.environ.get("TMPDIR") and os.access(MEMORY, os.W_OK):
        room = os.statvfs(MEMORY)
        if not room.f_flag & os.ST_NOEXEC and room.f_bavail * room.f_frsize >= ROOM:
            os.environ["TMPDIR"] = str(MEMORY)
    if not os.path.samefile(shutil.which("python3") or sys.executable, sys.executable):
        os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


Test = TypeVar("Test", bound=Callable[..., object])


def slow(test: Test) -> Test:
    """Mark a test, or a class of them, that takes over seven seconds: make test-quick leaves it out, and says so."""
    return unittest.skipIf(QUICK in sys.argv, "it takes long: make test runs it")(test)
