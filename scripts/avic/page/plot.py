# SPDX-License-Identifier: GPL-2.0
"""The plot of what scripts/bench has counted of IRQ windows, as SVG: base against stack, for each number of vCPUs.

All lengths are in units of its own, which style.css stretches; the colours are there, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from avic.cmd.bench import Windows
from avic.results import Measured

WINDOWS = Windows()
# The plot's width, where bars begin, and how long the longest is; behind it there is place for its number.
WIDTH, LEFT, LONGEST = 340, 64, 196
LEGEND, BAR, GAP = 24, 11, 11
# From a bar's top to the foot of its text.
FOOT = 9


def text(x: float, y: float, said: str, key: str = "") -> Markup:
    """A word; key: of which bar it is the number."""
    mark = Markup(' data-said="{}"').format(key) if key else Markup()
    return Markup('<text x="{:.1f}" y="{:.1f}"{}>{}</text>').format(x, y, mark, said)


def bar(kind: str, x: float, y: float, width: float, key: str = "") -> Markup:
    """A bar; key: whose it is."""
    mark = Markup(' data-bar="{}"').format(key) if key else Markup()
    return Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.2f}" height="{}"{}/>').format(kind, x, y, width, BAR, mark)


def upright(kind: str, x: float, top: float, bottom: float) -> Markup:
    return Markup('<line class="{0}" x1="{1:.1f}" x2="{1:.1f}" y1="{2:.1f}" y2="{3:.1f}"/>').format(kind, x, top, bottom)


def spread(least: float, most: float, y: float, key: str) -> Markup:
    """From the least to the most of a bar's rounds, with an end on both sides."""
    path = f"M{least:.2f} {y:.1f}H{most:.2f}M{least:.2f} {y - 3:.1f}v6M{most:.2f} {y - 3:.1f}v6"
    return Markup('<path class="spread" d="{}" data-spread="{}"/>').format(path, key)


def legend() -> Iterator[Markup]:
    """What the signs mean."""
    for kind, x in (("base", LEFT), ("stack", LEFT + 62)):
        yield bar(kind, x, 1, 16)
        yield text(x + 21, 1 + FOOT, kind)
    yield upright("least", LEFT + 132, 0, BAR + 2)
    yield text(LEFT + 139, 1 + FOOT, "least possible")


def row(line: Measured, top: float, scale: float) -> Iterator[Markup]:
    """The bars of a line, one below the other, each with its number; scale: units for a flip."""
    vcpus, how = line.words[:2]
    least = LEFT + WINDOWS.per_1000(line.words, WINDOWS.least(line.words)) * scale
    yield text(0, top + FOOT, f"{vcpus} vCPU{'' if vcpus == '1' else 's'}")
    yield text(0, top + BAR + 1 + FOOT, how)
    for number, column in enumerate(WINDOWS.columns):
        y, key, end = top + number * (BAR + 1), f"{vcpus} {how} {column}", least
        if flips := WINDOWS.flips(line, column):
            end = max(least, LEFT + max(flips) * scale)
            yield bar(column, LEFT, y, min(flips) * scale, key)
            if min(flips) < max(flips):
                yield spread(LEFT + min(flips) * scale, LEFT + max(flips) * scale, y + BAR / 2, key)
        yield text(end + 5, y + FOOT, WINDOWS.cell(line, column), key)
    yield upright("least", least, top - 2, top + 2 * BAR + 3)


def lost(lines: Sequence[Measured], column: str) -> int:
    return sum(not WINDOWS.flips(line, column) for line in lines)


def summary(lines: Sequence[Measured]) -> str:
    """What one sees at a glance, in words."""
    least = sum(max(WINDOWS.flips(line, "stack"), default=0) == WINDOWS.per_1000(line.words, WINDOWS.least(line.words)) for line in lines)
    return (
        f"Bars for base and stack, for each number of vCPUs: the base loses an ExtINT in {lost(lines, 'base')} of {len(lines)} rows,"
        f" the stack in {lost(lines, 'stack')}. The stack is at the least that is possible in {least}. The table has the numbers."
    )


def bars(lines: Sequence[Measured], name: str, id: str) -> Markup:
    """The plot of the lines of bench/windows.

    name: of the base.  id: what the ids of its title and its description begin with.
    """
    counted = [flips for line in lines for column in WINDOWS.columns for flips in WINDOWS.flips(line, column)]
    counted += [WINDOWS.per_1000(line.words, WINDOWS.least(line.words)) for line in lines]
    scale = LONGEST / max([1, *counted])
    step = 2 * BAR + 1 + GAP
    height = LEGEND + len(lines) * step
    parts = [*legend(), upright("axis", LEFT, LEGEND - 4, height - GAP + 4)]
    for number, line in enumerate(lines):
        parts += row(line, LEGEND + number * step, scale)
    head = Markup(
        '<svg class="bars" viewBox="0 0 {0} {1}" role="img" aria-labelledby="{2}-title" aria-describedby="{2}-desc">'
        '<title id="{2}-title">{3}: flips of the inhibit per 1,000 ExtINTs</title><desc id="{2}-desc">{4}</desc>'
    ).format(WIDTH, height, id, name, summary(lines))
    return Markup("\n").join([head, *parts, Markup("</svg>")])
