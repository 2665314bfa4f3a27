# SPDX-License-Identifier: GPL-2.0
"""The command line of each verb; its docstring says which arguments there are."""

from __future__ import annotations

import ast
import errno
import importlib
import os
import re
import sys
from pathlib import Path

from avic.process import fail, unwind_on_signals

# What to do where the machine does not let us.
ADVICE = {
    errno.EACCES: "get the right to it, or take a clone and a cache of your own",
    errno.EPERM: "get the right to it, or take a clone and a cache of your own",
    errno.EROFS: "make it writable, or take a clone and a cache of your own",
    errno.ENOSPC: "make room and run again",
    errno.EDQUOT: "make room and run again",
    errno.ENOENT: "bring it back; a tool that is missing, scripts/setup installs",
}
# `BASE=v6.12` in a docstring is a variable, and the option --base VALUE; one with =1 is a flag.
VARIABLE = re.compile(r"(?<![\w-])([A-Z][A-Z_]*)=(1\b)?")


def documented(module: str) -> str:
    """A verb's docstring.  The module is not imported yet: options set variables that it reads then."""
    path = Path(__file__).resolve().parent / f"{module.replace('.', '/')}.py"
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def variables(doc: str) -> dict[str, bool]:
    """Environment variables that a docstring names -> whether each is a flag."""
    found: dict[str, bool] = {}
    for name, one in VARIABLE.findall(doc):
        found.setdefault(name, bool(one))
    return found


def refuse(verb: str, what: str) -> None:
    """Exit with 2, for wrong use."""
    print(f"{verb}: {what}: see {verb} --help", file=sys.stderr)
    sys.exit(2)


def options(verb: str, doc: str, arguments: list[str]) -> list[str]:
    """Set the variables that options name; returns the other arguments."""
    flags = variables(doc)
    left: list[str] = []
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        name, equals, value = word.partition("=")
        variable = name.removeprefix("--").upper().replace("-", "_")
        if word == "--":
            return left + waiting
        if not word.startswith("--") or variable not in flags:
            left.append(word)
        elif flags[variable]:
            os.environ[variable] = value if equals else "1"
        elif equals or waiting:
            os.environ[variable] = value if equals else waiting.pop(0)
        else:
            refuse(verb, f"{word} wants a value")
    return left


def main(module: str) -> None:
    """Carry out a verb of avic/, e.g. "cmd.check", and exit.

    What the machine refuses, as a disk that is full, and a text in another encoding are told in one
    line; with V=1 where in the code, too.
    """
    unwind_on_signals()
    try:
        status = run(module)
        sys.stdout.flush()
    except RuntimeError as error:
        # Python 3.11 wraps what a signal raises while a class is made.
        raise error.__cause__ if isinstance(error.__cause__, SystemExit) else error
    except (OSError, UnicodeError) as error:
        if isinstance(error, BrokenPipeError) and not reader_is_there():
            sys.exit(1)
        if os.environ.get("V"):
            raise
        what, number = (f"{error.strerror}: '{error.filename}'", error.errno) if isinstance(error, OSError) else (error, 0)
        fail(1, f"{what}: {ADVICE.get(number or 0, 'V=1 shows where that was')}")
    sys.exit(status)


def reader_is_there() -> bool:
    """Whether somebody reads what is printed; else, as head does when it has seen enough, nothing is printed any more."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def run(module: str) -> int | None:
    """Carry out a verb; returns its exit status.

    --help prints its docstring.  A verb that takes arguments names them in its first
    line.  An option that its docstring does not name is wrong use: exit status 2.
    """
    verb = module.rpartition(".")[2]
    doc = documented(module)
    usage, *_ = doc.split(":", 1)
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(doc)
        return 0
    left = options(verb, doc, sys.argv[1:])
    for word in left:
        if word.startswith("-") and f"{word.partition('=')[0]}" not in doc:
            refuse(verb, f"no option '{word}'")
        if not word.startswith("-") and " " not in usage.strip():
            refuse(verb, f"takes no argument '{word}'")
    sys.argv[1:] = left
    status: int | None = importlib.import_module(f"avic.{module}").main()
    return status
