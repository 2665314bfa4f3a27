# SPDX-License-Identifier: GPL-2.0
"""Text that others wrote: any byte of a file comes back as it was, none reaches a terminal as a command."""

from __future__ import annotations

from pathlib import Path


# What git takes for white space, in messages and mails.  Python's strip() takes more, e.g. a form feed.
WHITE = " \t\n\r"


def decode(content: bytes) -> str:
    """Bytes as text: UTF-8, and what is none stays what it is."""
    return content.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """The bytes that decode() made the text of."""
    return text.encode("utf-8", "surrogateescape")


def read(path: Path) -> str:
    """A file's text with its line ends as they are."""
    return decode(path.read_bytes())


def write(path: Path, text: str) -> None:
    """Make a file of a text that decode() or read() made."""
    path.write_bytes(encode(text))


def plain(text: str) -> bool:
    """Whether all of a text that decode() made was UTF-8."""
    return not any(0xDC80 <= ord(c) <= 0xDCFF for c in text)


def printable(line: str) -> str:
    """A line without control characters, which terminals, XML and pages do not accept."""
    return "".join(c if c.isprintable() or c == "\t" else "?" for c in line)


def printable_lines(text: str) -> str:
    """Lines, each printable."""
    return "\n".join(map(printable, text.split("\n")))
