# SPDX-License-Identifier: GPL-2.0
"""bundle IMAGE PLAN OUT: what a runner runs, as one folder.

  IMAGE   a folder that scripts/build printed, or one like it that has modules/LEVEL/
  PLAN    a plan for ci/guest/run-plan; its tests are taken from IMAGE
  OUT     the folder to make: bzImage, initramfs, plan, key
"""

from __future__ import annotations

import sys
from pathlib import Path

from avic.bundle import make_bundle
from avic.plan import Plan
from avic.process import fail


def main() -> int:
    if len(sys.argv) != 4:
        fail(2, "usage: bundle IMAGE PLAN OUT")
    image, plan, out = (Path(argument).absolute() for argument in sys.argv[1:])
    try:
        make_bundle(image, Plan.read(plan.read_text()), out)
    except (OSError, ValueError) as error:
        fail(1, f"no bundle of {image} and {plan}: {error}")
    return 0
