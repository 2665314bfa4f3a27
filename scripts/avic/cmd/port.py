# SPDX-License-Identifier: GPL-2.0
"""port: a new base, with the nearest stack as far as it applies; again, to go on behind a conflict.

  BASE=        the new base, e.g. v6.6: a folder of patches/ that has no series yet
  TREE=        a kernel tree of it (see scripts/fetch); not needed if patches/<base>/base names
               a source already
  FROM=        whose stack it gets, e.g. v6.12; else that of which most patches apply
  RESET=1      begin again: drop branch `stack`

Writes patches/<base>/base: From, Left-out like that stack's base, which you have to look at,
and TREE's version.
What applies exactly is put on branch `stack`, one commit a patch.  A patch whose change the
tree has is left out, and named in Left-out.  Where one does not apply, git am is left
standing at it, as by RESOLVE=1 scripts/apply, with what does not fit in files *.rej.  Once
git am --continue is done, the same command goes on.  To do without that patch: git am --skip,
and a line Left-out with the reason.

When all are there, it writes patches/<base>/series; scripts/refresh does the rest.  Prints
the folder.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from avic.aside import write
from avic.base import BASE, Base
from avic.changes import IN_BASE
from avic.exact import apply_all, stop_there
from avic.patch import slug_in
from avic.paths import TOP
from avic.process import fail, held_back, say
from avic.tree import at_rest, git, rev, set_slug, set_stack, settle, slug_note

FILE = BASE.folder / "base"
SHOWN = FILE.relative_to(TOP)
HEAD = """\
# SPDX-License-Identifier: GPL-2.0
#
# The base of this stack: patches/v6.12/base says what the fields mean.
"""
# How the reason begins of what the origin leaves out.
LIKE = "like {}, where it reads:"
NAME = re.compile(r"\w[\w.+-]*", re.ASCII)
VERSION = re.compile(r"VERSION = (\d+)\nPATCHLEVEL = (\d+)\n")


def need_new() -> None:
    """Exit with 2 if BASE is none that can be begun, or gone on with."""
    name, place = os.environ.get("BASE") or BASE.name, BASE.folder
    if not NAME.fullmatch(name) or place.exists() and not place.is_dir():
        fail(2, f"BASE='{name}' is no name for a base: take one as v6.6")
    if (BASE.folder / "series").exists():
        fail(2, f"patches/{BASE} has a series already: scripts/apply puts it on a tree; for a new base set BASE= to its name")
    if not FILE.exists() and not os.environ.get("TREE"):
        fail(2, f"no kernel for {BASE}: give TREE=, or write {SHOWN} with its Package or Source first, as patches/v6.12/base says")


def add_fields(*lines: str) -> None:
    """Add fields to the base's file, in one step."""
    write(FILE, "\n".join([FILE.read_text().rstrip("\n"), *lines, ""]))


def range_of(repo: Path) -> str:
    """The versions that count as this base, by the kernel's own; exits with 2 if the base's name says another one."""
    with contextlib.suppress(OSError):
        if found := VERSION.search((repo / "Makefile").read_text(errors="replace")):
            version = f"{found[1]}.{found[2]}"
            if re.match(r"v\d", BASE.name) and not re.match(rf"v{re.escape(version)}(?!\d)", BASE.name):
                fail(2, f"TREE is {version}, and the base is to be {BASE}: set BASE=v{version}, or TREE= to another tree")
            return f"{version}.*"
    fail(2, f"TREE's Makefile says no VERSION and PATCHLEVEL: write Range into {SHOWN} first, as patches/v6.12/base says")


def nearest(repo: Path) -> Base:
    """The base of whose stack most patches apply, or are in the tree already; of equal ones the newest."""
    reached: dict[tuple[bool, int], Base] = {}
    for base in Base.every():
        patches = base.patches
        left = len(apply_all(repo, patches, leave_out=True).left)
        say(f"{base}: {len(patches) - left} of {len(patches)} patches apply, or are there already")
        reached[left == 0, len(patches) - left] = base
    whole, number = max(reached, default=(False, 0))
    if not number:
        fail(1, "no stack's first patch applies: name one with FROM=; TREE= scripts/fit says where each stops")
    return reached[whole, number]


def begin(repo: Path) -> None:
    """Write down where the stack comes from, and what else can be known."""
    stack = rev(repo, "stack")
    if stack != rev(repo, "refs/avic/applied") and not os.environ.get("RESET"):
        fail(1, f"branch stack in {repo} has commits of another start: RESET=1 scripts/port drops them; git branch -m stack OTHER keeps them")
    known = [] if "Range" in BASE.fields else [f"Range: {range_of(repo)}"]
    origin = Base.named(os.environ["FROM"]) if os.environ.get("FROM") else nearest(repo)
    # Its reasons are of its kernel.  Whether they hold for this one nobody has looked.
    like = LIKE.format(origin)
    left_out = (text.replace(": ", f": {like} ", 1) for text in origin.fields.get("Left-out", []))
    add_fields(*known, f"From: {origin}", *(f"Left-out: {text}" for text in left_out))


def started() -> tuple[Path, bool]:
    """The base's tree, and whether its stack begins just now; what comes to nothing leaves nothing."""
    new = not FILE.exists()
    try:
        if new:
            write(FILE, HEAD)
        repo = BASE.tree("fetch")
        if "From" in BASE.fields:
            return repo, bool(os.environ.get("RESET"))
        begin(repo)
        return repo, True
    except BaseException:
        with held_back(), contextlib.suppress(OSError):
            if new:
                FILE.unlink(missing_ok=True)
                BASE.folder.rmdir()
        raise


def slugs_on(repo: Path, origin: Base) -> list[str]:
    """The slugs of the commits on branch stack; one that git am --continue has made gets its patch's."""
    by_subject = {patch.subject: patch.slug for patch in origin.patches}
    slugs = []
    for commit in git(repo, "rev-list", "--reverse", "base..stack").stdout.split():
        subject = git(repo, "show", "--no-patch", "--format=%s", commit).stdout.strip()
        slug = slug_note(repo, commit) or by_subject.get(subject)
        if not slug:
            fail(1, f"commit {commit[:12]} in {repo} is of no patch of {origin}: git notes --ref=slug add -m SLUG {commit[:12]}")
        set_slug(repo, commit, slug)
        slugs.append(slug)
    return slugs


def main() -> None:
    need_new()
    repo, anew = started()
    base = Base(BASE.folder)
    origin = Base.named(base.fields["From"][0])
    if (os.environ.get("FROM") or origin.name) != origin.name:
        fail(2, f"{SHOWN} is From {origin}: leave FROM= out, or remove patches/{BASE} and begin again")
    settle(repo)
    stack = at_rest(repo)
    at = "base" if anew or not stack else stack
    have = [] if at == "base" else slugs_on(repo, origin)
    done = apply_all(repo, [patch for patch in origin.patches if patch.slug not in {*have, *base.why("Left-out")}], at, leave_out=True)
    present = [patch.slug for patch in done.present]
    if present:
        say(f"in this base already: {' '.join(present)}")
        add_fields(f"Left-out: {' '.join(present)}: {IN_BASE}")
    set_stack(repo, {commit: patch.slug for commit, patch in done.commits}, at, stack)
    have += [patch.slug for _, patch in done.commits]
    say(f"{len(have)} of {len(origin.names)} patches of {origin} are on branch stack, {len(done.left)} are left")
    if done.left:
        stop_there(
            repo, done, done.left[:1],
            f", then scripts/port goes on; or git am --skip, and 'Left-out: {done.left[0].slug}: WHY' in {SHOWN}",
        )  # fmt: skip
    series = origin.series.text([name for name in origin.names if slug_in(name) in have])
    write(BASE.folder / "series", re.sub(rf"(?m)^(#.*){re.escape(origin.name)}\b", rf"\g<1>{BASE}", series))
    say(f"patches/{BASE}/series is written: scripts/refresh writes the patches")
    like = LIKE.format(origin)
    if unseen := [slug for slug, why in base.why("Left-out").items() if why.startswith(like)]:
        say(f"left out like on {origin}, for reasons that {SHOWN} has: see whether they hold here (scripts/affected): {' '.join(unseen)}")
    print(repo)
