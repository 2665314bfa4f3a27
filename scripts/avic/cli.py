# SPDX-License-Identifier: GPL-2.0
"""The command line of each verb; its docstring says which arguments there are."""

from __future__ import annotations

import ast
import importlib
import os
import re
import signal
import sys
from pathlib import Path

from avic.environment import speak_utf8

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

    --help prints its docstring.  A verb that takes arguments names them in its first
    line.  An option that its docstring does not name is wrong use: exit status 2.
    """
    speak_utf8()
    verb = module.rpartition(".")[2]
    doc = documented(module)
    usage, *_ = doc.split(":", 1)
    if {"-h", "--help"} & set(sys.argv[1:]):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        print(doc)
        sys.exit(0)
    left = options(verb, doc, sys.argv[1:])
    for word in left:
        if word.startswith("-") and f"{word.partition('=')[0]}" not in doc:
            refuse(verb, f"no option '{word}'")
        if not word.startswith("-") and " " not in usage.strip():
            refuse(verb, f"takes no argument '{word}'")
    sys.argv[1:] = left
    sys.exit(importlib.import_module(f"avic.{module}").main())
