# SPDX-License-Identifier: GPL-2.0
"""clean: what the cache holds, and away with what no base needs any more.

  AVIC_CACHE=  which cache
  ALL=1        also all that is built or fetched of the bases as they are; results stay

Not needed are: versions of a base that a newer one has replaced; clones of a TREE= that were
not used for two weeks; what was built of one of these; all of a base that patches/ does not
have; and what killed runs have left.  A tree with commits that patches/ lacks, with branches of
yours or with uncommitted changes stays, and so does one that is in use.  Prints sizes, in MiB.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from avic.aside import PREFIX, sweep
from avic.paths import CACHE, TOP
from avic.process import held_back, say
from avic.tree import git, rev

# What is kept of a base's tree, as <kind>/<base>/<tree>.
KINDS = ("base", "build", "check", "modules")
UNUSED = 14 * 24 * 3600  # seconds


def size(folder: Path) -> int:
    """MiB on disk."""
    said = subprocess.run(["du", "--summarize", "--block-size=1M", folder], capture_output=True)
    return int(said.stdout.split()[0]) if said.stdout else 0


def used(tree: Path) -> float:
    """When a tree was last switched or applied to."""
    return max((path.stat().st_mtime for path in (tree, tree / ".git/index", tree / ".git/avic.lock") if path.exists()))


def needed(tree: Path) -> bool:
    """Whether a base is made from this tree."""
    current = tree.parent / "current"
    if tree.name.startswith("tree-"):
        return time.time() - used(tree) < UNUSED
    return current.exists() and current.read_text().strip() == tree.name


def held(tree: Path) -> str:
    """Why a tree must not go, '' if it may."""
    if git(tree, "status", "--porcelain", "--untracked-files=no", check=False).stdout:
        return "has uncommitted changes"
    if rev(tree, "stack") != rev(tree, "refs/avic/applied"):
        return "has commits on branch stack that patches/ lacks"
    heads = git(tree, "for-each-ref", "--no-merged=base", "--format=%(refname:short)", "refs/heads", check=False)
    if others := sorted({*heads.stdout.split()} - {"stack"}):
        return f"has branches of yours: {' '.join(others)}"
    return ""


def unneeded(everything: bool) -> Iterator[tuple[Path, str]]:
    """The folders that may go, each with why it stays nevertheless, or ''."""
    bases = {path.parent.name for path in TOP.glob("patches/*/base")}
    for folder in sorted(CACHE.glob("base/*")):
        for tree in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(PREFIX)):
            if everything or folder.name not in bases or not needed(tree):
                yield tree, held(tree)
    for kind in KINDS[1:]:
        for made in sorted(CACHE.glob(f"{kind}/*/*")):
            if made.is_dir() and not made.name.startswith(PREFIX):
                tree = CACHE / "base" / made.parent.name / made.name
                if everything or not tree.exists():
                    yield made, ""


def remove(folder: Path) -> bool:
    """Remove a folder, unless another run has it."""
    places = [folder / ".git/avic.lock", folder / "lock", folder.parent / ".lock"]
    locks = [os.open(path, os.O_RDONLY) for path in places if path.exists()]
    try:
        for lock in locks:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        with held_back():
            # In two steps: half of a tree must not be taken for one.
            gone = folder.with_name(f"{PREFIX}{folder.name}")
            folder.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)
        return True
    finally:
        for lock in locks:
            os.close(lock)


def main() -> int:
    say(f"looking at {CACHE} (some seconds for each 10 GB)")
    for parent in {path.parent for kind in KINDS for path in CACHE.glob(f"{kind}/*/{PREFIX}*")} | {CACHE / "run", CACHE / "debian"}:
        sweep(parent)
    freed = 0
    for folder, why in unneeded(bool(os.environ.get("ALL"))):
        name, mib = folder.relative_to(CACHE), size(folder)
        if why:
            print(f"kept     {mib:7} {name}: it {why}")
        elif remove(folder):
            print(f"removed  {mib:7} {name}")
            freed += mib
        else:
            print(f"kept     {mib:7} {name}: it is in use")
    for folder in sorted(path for path in CACHE.glob("*") if path.is_dir()):
        print(f"in use   {size(folder):7} {folder.name}")
    print(f"freed    {freed:7}")
    return 0
