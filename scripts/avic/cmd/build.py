# SPDX-License-Identifier: GPL-2.0
"""build LEVEL [CONFIG [PATCH]]: kernel, KVM modules and KVM selftests of one level.

  LEVEL        base or stack: a branch that scripts/fetch or scripts/apply made;
               or a number: the base with that many patches
  CONFIG       emulator (default) or another of configs/; or selftests, for these alone
  PATCH        one of ci/races or ci/adapt, on top of the level
  BASE=v6.12   which base           TREE=     a user's own kernel tree
  JOBS=N       compile jobs         V=1       show the compiler's output

Builds out of tree, in folders keyed by base, level and config; what has not
changed is not built again.  Prints a folder with bzImage, kvm.ko,
kvm-amd.ko, config and selftests/; or that of the selftests.
"""

from __future__ import annotations

import re
import sys

from avic.base import BASE, Base
from avic.build import Images, fragments
from avic.process import fail


def main() -> int:
    arguments = sys.argv[1:]
    if not 1 <= len(arguments) <= 3 or not re.fullmatch(r"base|stack|[1-9]\d*", arguments[0]):
        fail(2, "usage: build base|stack|NUMBER [CONFIG [PATCH]]")
    level, config, patch = [*arguments, "", ""][:3]
    base = Base.named(BASE.name)
    if config and config != "selftests":
        fragments(config)
    images = Images(base, base.tree("fetch"))
    if config == "selftests":
        print(images.selftests(level, patch))
    else:
        print(images.image(level, config or "emulator", patch))
    return 0
