# SPDX-License-Identifier: GPL-2.0
"""The report for people: page.html and its parts, filled in; all text is escaped."""

from __future__ import annotations

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from avic import ktap

from avic.page.plot import bars
from avic.page.stored import Page, Shown
from avic.results import GOOD, Flips

HERE = Path(__file__).resolve().parent
# What became of a machine's results beside the emulator's, in words.
KINDS = {"same": "same", "differs": "different", "not-run": "not run", "not-emulated": "only there"}
# The plot's size, in units of its own; the page stretches it.
WIDTH, TOP, BOTTOM = 1000, 3, 21


def anchor(*parts: str) -> str:
    """An element's id."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(parts)).strip("-")


def log_of(found: Page, base: Shown, name: str) -> str:
    """Where the log of something red is, by the name that scripts/run gives it."""
    if name.startswith("evidence "):
        slug = name.partition(" ")[2]
        for change in found.changes:
            if change.slug == slug:
                return anchor(change.id, slug, base.id)
    if name == "flips":
        return "flips"
    if name.startswith("bench "):
        return anchor("bench", base.id, name.partition(" ")[2])
    rows = base.run.rows if base.run else []
    if name in [f"{row.lane} {row.name}" for row in rows]:
        return anchor("row", base.id, name)
    return anchor("worse", base.id)


def span(flips: dict[str, Flips]) -> int:
    """The microseconds that a base's plot shows: its longer level, and 5 % more."""
    return max(each.us for each in flips.values()) * 21 // 20 or 1


def curve(flips: Flips, us: int) -> Markup:
    """The path of a level's inhibit over `us`: up while it is set."""
    path, up = f"M0 {BOTTOM}", False
    for at in flips.windows:
        up = not up
        path += f"H{at * WIDTH / us:.2f}V{TOP if up else BOTTOM}"
    return Markup(f"{path}H{WIDTH}")


def page(found: Page) -> str:
    """The whole page."""
    env = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals.update(
        anchor=anchor, log_of=log_of, bars=bars, curve=curve, span=span,
        statuses=ktap.STATUSES, good=GOOD, kinds=KINDS,
    )  # fmt: skip
    style = Markup((HERE / "style.css").read_text())
    return env.get_template("page.html").render(page=found, style=style)
