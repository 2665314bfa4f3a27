# SPDX-License-Identifier: GPL-2.0
"""What the scripts share; whatever of it is imported first, the environment is known before."""

from avic.environment import make_known

make_known()
