# SPDX-License-Identifier: GPL-2.0
"""Where things are: this project, and what it keeps for the next time."""

import os
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
CACHE = Path(
    os.environ.get("AVIC_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "avic"
)
