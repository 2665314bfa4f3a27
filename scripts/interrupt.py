# SPDX-License-Identifier: GPL-2.0
"""Ctrl-C and kill unwind like errors, so that `finally` cleans up."""

import contextlib
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def unwind_on_signals() -> None:
    """From here on, the first signal exits with 128 + its number, and later ones do nothing."""

    def leave(number: int, _frame: object) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        sys.exit(128 + number)

    for each in SIGNALS:
        signal.signal(each, leave)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Signals wait until the end of the block, and do not reach processes started in it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A temporary folder; a signal does not stop its removal half-way."""
    folder = None
    try:
        with held_back():
            folder = Path(tempfile.mkdtemp(prefix=prefix))
        yield folder
    finally:
        with held_back():
            if folder:
                shutil.rmtree(folder)


@contextlib.contextmanager
def replaced(folder: Path, also: Callable[[], object] = lambda: None) -> Iterator[Path]:
    """A new folder that takes the place of `folder` at the end of the block, if it gets there.

    also: what has to happen in the same step; if it fails, neither has.
    """
    first = not folder.parent.exists()
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    retired = Path(f"{new}.old")
    try:
        new.chmod(0o755)
        yield new
        with held_back():
            if folder.exists():
                folder.rename(retired)
            new.rename(folder)
            try:
                also()
            except BaseException:
                folder.rename(new)
                raise
    finally:
        if retired.exists() and not folder.exists():
            retired.rename(folder)
        with held_back():
            shutil.rmtree(new, ignore_errors=True)
            shutil.rmtree(retired, ignore_errors=True)
            if first and not folder.exists():
                folder.parent.rmdir()
