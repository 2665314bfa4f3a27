# SPDX-License-Identifier: GPL-2.0
"""Functions and structures of kernel C, as far as its coding style shows them."""

import re

COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
FUNCTION = re.compile(r"(\w+)\s*\(")
DATA = re.compile(r"^(?:static |const )*(?:struct|enum|union)\b[^;(=]*?(\w+)(?: __\w+)*(?: =)? \{$")


def units(text: str) -> dict[str, list[str]]:
    """Functions and structures of a C file, by name, without comments and blanks."""
    found: dict[str, list[str]] = {}
    lines = COMMENT.sub("", text).split("\n")
    start = 0  # of what may be a function's head
    name = ""
    for number, line in enumerate(lines):
        if name:
            if line.startswith("}"):
                body = (re.sub(r"\s+", " ", each).strip() for each in lines[start : number + 1])
                found.setdefault(name, []).extend(each for each in body if each)
                name, start = "", number + 1
        elif line == "{":
            head = FUNCTION.search(" ".join(lines[start:number]))
            name = head[1] if head else ""
        elif match := DATA.match(line):
            name, start = match[1], number
        elif not line.strip() or line.endswith((";", "}")) or line.startswith("#"):
            start = number + 1
    return found
