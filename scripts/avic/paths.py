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
        if not os.environ.get("XDG_CACHE_HOME") and not Path(os.environ["HOME"] or "/-").is_dir():
            fail(2, "no home folder: set HOME, or AVIC_CACHE")
        os.environ["AVIC_CACHE"] = f"{os.environ.get('XDG_CACHE_HOME') or os.environ['HOME'] + '/.cache'}/avic"
    os.environ["AVIC_CACHE"] = str(Path(os.environ["AVIC_CACHE"]).absolute())
    return Path(os.environ["AVIC_CACHE"])


CACHE = cache_place()
