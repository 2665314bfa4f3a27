# SPDX-License-Identifier: GPL-2.0
"""Where things are: this project, and what it keeps for the next time."""

import os
import pwd
from pathlib import Path

from avic.process import fail

TOP = Path(__file__).resolve().parent.parent.parent


def cache_place() -> Path:
    """AVIC_CACHE, also for what is started from here, as scripts/lib.sh has it."""
    if not os.environ.get("HOME"):
        try:
            os.environ["HOME"] = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            os.environ["HOME"] = ""
    if not os.environ.get("AVIC_CACHE"):
        folder = os.environ.get("XDG_CACHE_HOME")
        if not folder:
            home = Path(os.environ["HOME"] or "/-")
            if not home.is_dir():
                fail(2, "no home folder: set HOME, or AVIC_CACHE")
            # sudo may keep the caller's HOME: root's files there would stop that user's next run.
            if os.getuid() == 0 and home.stat().st_uid != 0:
                fail(2, f"HOME={home} belongs to another user than root: run this as that user, or set AVIC_CACHE")
            folder = f"{home}/.cache"
        os.environ["AVIC_CACHE"] = f"{folder}/avic"
    os.environ["AVIC_CACHE"] = str(Path(os.environ["AVIC_CACHE"]).absolute())
    return Path(os.environ["AVIC_CACHE"])


CACHE = cache_place()
