# SPDX-License-Identifier: GPL-2.0
"""Puts scripts/, where the package avic is, on the path of a test that is run alone."""

import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "scripts"))
