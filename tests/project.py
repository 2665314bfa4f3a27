# SPDX-License-Identifier: GPL-2.0
"""Puts scripts/, where the package avic is, on the path of a test that is run alone.

It also makes the environment known: the tests may be run by a git hook.
"""

import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "scripts"))

from avic.environment import make_known

make_known()
