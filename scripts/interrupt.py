# SPDX-License-Identifier: GPL-2.0
"""Ctrl-C and kill unwind like errors, so that `finally` cleans up."""

import contextlib
import signal
import sys
from collections.abc import Iterator

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
