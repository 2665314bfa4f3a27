# SPDX-License-Identifier: GPL-2.0
"""Programs for tests that npm has and Debian has not, kept in the cache.

tests/npm/package-lock.json has their versions and checksums.  For a newer one: change
package.json, then npm install --package-lock-only --omit-lockfile-registry-resolved there.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from avic.aside import replaced
from avic.paths import CACHE

FILES = [Path(__file__).parent / "npm" / name for name in ("package.json", "package-lock.json")]


def modules() -> Path:
    """Their node_modules, installed first if need be; raises CalledProcessError if they can't be had."""
    key = hashlib.sha256(b"".join(path.read_bytes() for path in FILES)).hexdigest()[:16]
    home = CACHE / "npm" / key
    if not home.exists():
        with replaced(home) as new:
            for path in FILES:
                shutil.copy(path, new)
            subprocess.run(
                ["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts",
                 f"--cache={home.parent}/cache"], cwd=new, check=True,
            )  # fmt: skip
    return home / "node_modules"
