# SPDX-License-Identifier: GPL-2.0
"""Messages, running other scripts, and ending on signals.

Results go to stdout (a path, a table), everything else to stderr.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, TextIO, TypeVar

from avic.raw import printable, printable_lines

VERB = Path(sys.argv[0]).name
BEGIN = time.monotonic()
Item = TypeVar("Item")
BAD = re.compile(r"^(?:worse|costlier|lost|red) |\bRED: |\bWORSE: ")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def fail(status: int, message: str, details: str = "") -> NoReturn:
    """Say in one line what is wrong and what to do next, then exit.

    status: 1 for a failed check, 2 for wrong use.  details: lines that
    belong to the message, such as a diff, printed below it.
    """
    print(in_red(printable(f"{VERB}: {message}"), sys.stderr), file=sys.stderr)
    if details:
        print(printable_lines(details.rstrip("\n")), file=sys.stderr)
    sys.exit(status)


def in_red(text: str, stream: TextIO) -> str:
    """A text for a stream: in red if that is a terminal, and its user has not set NO_COLOR."""
    return f"\x1b[31m{text}\x1b[m" if stream.isatty() and not os.environ.get("NO_COLOR") else text


def show(text: str) -> None:
    """Print the lines of a result, those that are bad in red."""
    print("\n".join(in_red(line, sys.stdout) if BAD.search(line) else line for line in text.split("\n")), flush=True)


def say(message: str) -> None:
    """Progress, with the seconds since the start."""
    print(printable(f"{time.monotonic() - BEGIN:4.0f}s  {VERB}: {message}"), file=sys.stderr)


def in_progress(items: Sequence[Item], what: str) -> Iterator[Item]:
    """The items, one after the other; every ten seconds it is said how far that is."""
    last = time.monotonic()
    for number, item in enumerate(items):
        if time.monotonic() - last > 10:
            say(f"{what}: {number} of {len(items)}")
            last = time.monotonic()
        yield item


def output(*command: str | Path, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run one of our scripts; returns its exit status and what it prints."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", errors="surrogateescape", env=env)
    try:
        text = process.communicate()[0]
    finally:
        # If this script ends early, so does the other, by a signal that lets it clean up.
        process.terminate()
        process.wait()
    return process.returncode, text


def script(*command: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Run one of our scripts and return what it prints; if it fails, exit with its status."""
    status, text = output(*command, env=env)
    if status:
        sys.exit(status)
    return text.strip()


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
    """Signals are blocked until the end of the block, for processes started in it as well."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def remove(folder: Path) -> None:
    """Remove a folder; what a child has started may outlive it, and write there for a moment more: up to 5 s."""
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)
    shutil.rmtree(folder)


@contextlib.contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A temporary folder; a signal does not interrupt its removal."""
    folder = None
    try:
        with held_back():
            folder = Path(tempfile.mkdtemp(prefix=prefix))
        yield folder
    finally:
        with held_back():
            if folder:
                remove(folder)
