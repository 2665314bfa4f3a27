# SPDX-License-Identifier: GPL-2.0
"""Making things aside, and then in one step the ones: whole or not there, whoever else runs, and after a kill."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from avic import raw
from avic.process import held_back, remove, say

# lib.sh's new_aside makes such folders, too, and removes them by the same lock.
PREFIX = ".new."
# In such a folder: what is replaced, until the new one is in its place.
OLD = "old"


@contextlib.contextmanager
def aside(parent: Path) -> Iterator[Path]:
    """A folder in parent for the block alone, removed at its end.

    It is locked as long as this process lives: a PID means nothing in another container.
    Of those that nobody has locked the run was killed; they are removed first.
    """
    parent.mkdir(parents=True, exist_ok=True)
    sweep(parent)
    folder, lock = None, -1
    try:
        while lock < 0:
            with held_back():
                folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
                lock = take(folder)
        assert folder
        folder.chmod(0o755)
        yield folder
    finally:
        with held_back():
            if folder:
                remove(folder)
            if lock >= 0:
                os.close(lock)


def take(folder: Path) -> int:
    """Lock a folder; returns the descriptor that holds it, -1 if another has it, or has removed it."""
    try:
        lock = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return -1
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if folder.exists():
            return lock
    except BlockingIOError:
        pass
    os.close(lock)
    return -1


def sweep(parent: Path) -> None:
    """Remove what killed runs have left in parent; what one of them was to replace is put back first."""
    for left in sorted(parent.glob(f"{PREFIX}*")):
        with held_back():
            lock = take(left)
            if lock < 0:
                continue
            for old in (left / OLD).glob("*"):
                if not (parent / old.name).exists():
                    say(f"putting back {parent / old.name}, which a killed run was to replace")
                    old.rename(parent / old.name)
            # It is empty if its run is just about to lock it, and makes another then.
            if any(left.iterdir()):
                say(f"removing {left}, which a killed run has left")
            shutil.rmtree(left, ignore_errors=True)
            os.close(lock)


def exchange(new: Path, folder: Path, retired: Path) -> None:
    """Rename a new folder to its place; what is there, perhaps by another run just now, goes to `retired`."""
    while True:
        with contextlib.suppress(FileNotFoundError):
            folder.rename(tempfile.mkdtemp(dir=retired.parent.parent) if retired.exists() else retired)
        try:
            new.rename(folder)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


def put(new: Path, folder: Path) -> None:
    """Rename a new folder to its place, and remove what is there."""
    with held_back(), aside(folder.parent) as place:
        (place / OLD).mkdir()
        exchange(new, folder, place / OLD / folder.name)


@contextlib.contextmanager
def replaced(folder: Path, also: Callable[[], object] = lambda: None) -> Iterator[Path]:
    """A new folder that replaces `folder` when the block ends without an exception.

    also: is called in the same step; if it fails, the old folder comes back.
    """
    first = not folder.parent.exists()
    try:
        with aside(folder.parent) as place:
            new, retired = place / "new", place / OLD / folder.name
            new.mkdir()
            retired.parent.mkdir()
            yield new
            with held_back():
                try:
                    exchange(new, folder, retired)
                    try:
                        also()
                    except BaseException:
                        folder.rename(new)
                        raise
                except BaseException:
                    if retired.exists() and not folder.exists():
                        retired.rename(folder)
                    raise
    finally:
        with held_back():
            if first and folder.parent.exists() and not folder.exists():
                folder.parent.rmdir()


def write(path: Path, text: str) -> None:
    """Write a file in one step: who reads it meanwhile has the old one, or the new one."""
    with aside(path.parent) as place:
        new = place / path.name
        raw.write(new, text)
        new.replace(path)
