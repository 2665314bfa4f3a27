# SPDX-License-Identifier: GPL-2.0
"""patches/upstream: what its lines mean, and whether patches and bases say the same."""

import contextlib
import io
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

from project import TOP

from avic.base import Base
from avic.changelog import provenance
from avic.patch import Patch
from avic.upstream import Ledger, Upstream, read_ledger

ONE, TWO = "1" * 40, "2" * 40


def read(text: str, base: str = "v6.12") -> Ledger:
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(text)
        file.flush()
        return read_ledger(base, Path(file.name))


class Lines(unittest.TestCase):
    def test_states(self) -> None:
        ledger = read(
            f"a {ONE} v7.1 ## x\nb otherwise v7.3 {ONE},{TWO} ## y\nc sent https://lore/1 ## z\nd-* unsent - ## w\n"
        )
        self.assertEqual(ledger.of("a"), Upstream(ONE, "v7.1", note="x"))
        other = ledger.of("b")
        assert other
        self.assertEqual(other.otherwise, f"as of v7.3 y (commits {ONE[:12]}, {TWO[:12]})")
        self.assertEqual(ledger.of("c"), Upstream(link="https://lore/1", note="z"))
        self.assertEqual(ledger.of("d-one"), Upstream(note="w"))
        self.assertIsNone(ledger.of("e"))
        self.assertEqual(ledger.commits, [ONE, ONE, TWO])

    def test_differs_is_of_the_base(self) -> None:
        text = f"a {ONE} v7.1 ## x\nnostable a - ## no\ndiffers a * ## any\ndiffers a v6.12,v6.18 ## these\n"
        for base, says in (("v6.12", "these"), ("v6.1", "any")):
            entry = read(text, base).of("a")
            assert entry
            self.assertEqual((entry.differs, entry.nostable), (says, "no"))

    def test_together(self) -> None:
        """All that must not be missing, also by way of another line; a line counts where the stack has all of it."""
        ledger = read("* unsent - ## x\ntogether a,b,c - ## one\ntogether c,d - ## two\ntogether e,f - ## three\n")
        self.assertEqual(ledger.missing(["b"], set("abcdef")), [(["a", "c"], "one"), (["d"], "two")])
        self.assertEqual(ledger.missing(["b"], set("bcdef")), [])
        self.assertEqual(ledger.missing(["c", "e", "f"], set("bcdef")), [(["d"], "two")])
        self.assertEqual(ledger.missing([], set("abcdef")), [])

    def test_lines_that_are_none(self) -> None:
        for text in (
            "a v7.1 - ## x\n",
            f"a {ONE[:12]} v7.1 ## x\n",
            f"a otherwise v7.3 {ONE[:12]} ## x\n",
            f"a {ONE} v7.1 {TWO} ## x\n",
            "a unsent - ## x\ndiffers b * ## y\n",
            "nostable b - ## y\n",
            "a unsent - ## x\ntogether a,b - ## y\n",
        ):
            error = io.StringIO()
            with self.subTest(text), contextlib.redirect_stderr(error), self.assertRaises(SystemExit) as left:
                read(text)
            self.assertEqual(left.exception.code, 1)
            self.assertIn("patches/upstream: ", error.getvalue())


class Provenance(unittest.TestCase):
    """The rule, on the real patches and with one thing wrong."""

    def setUp(self) -> None:
        self.bases = Base.every()
        self.assertRegex((TOP / "ci/check/rules").read_text(), r"(?m)^provenance +series +provenance")

    def wrong(self, base: str, slug: str, text: str | None = None, **entry: str) -> str:
        """What it says of a patch if its entry, or its changelog, is another."""
        one = Base.named(base)
        patch: Patch = one.by_slug[slug]
        ledger = read_ledger(base)
        was = ledger.of(slug)
        assert was
        ledger = replace(ledger, entries={slug: replace(was, **entry)})
        return provenance(patch, text if text is not None else patch.text, ledger, one, self.bases)

    def test_ours(self) -> None:
        for base in self.bases:
            ledger = read_ledger(base.name)
            for patch in base.patches + base.small:
                said = provenance(patch, patch.text, ledger, base, self.bases)
                self.assertEqual(said, "", (base, patch.slug))

    def test_a_base_has_it_before_mainline(self) -> None:
        """As patches/upstream once said of adc6ae972971, which is in 6.18."""
        said = self.wrong("v6.12", "ga-log-unregister", version="v6.19")
        self.assertIn("v6.18 has it, and patches/upstream says that mainline has it as of v6.19", said)

    def test_mainline_has_it_before_the_base(self) -> None:
        said = self.wrong("v6.12", "irqwin-count", version="v6.11")
        self.assertIn("is in the stack of v6.12, and mainline has it as of v6.11", said)

    def test_another_version_or_commit(self) -> None:
        self.assertIn("says v7.1, and patches/upstream v7.2", self.wrong("v6.12", "irqwin-count", version="v7.2"))
        self.assertIn(f"does not name commit {ONE[:12]}", self.wrong("v6.12", "irqwin-count", commit=ONE))
        self.assertIn("patches/upstream has none", self.wrong("v6.12", "irqwin-count", commit="", version=""))
        self.assertIn("does not name commit", self.wrong("v6.12", "irqwin-count", text="Why.\n"))

    def test_nobody_says_what_differs(self) -> None:
        self.assertIn("does not say how it differs", self.wrong("v6.12", "irqwin-count", differs=""))

    def test_stable(self) -> None:
        text = Base.named("v6.12").by_slug["ga-log-unregister"].text + "\nCc: stable@vger.kernel.org\n"
        self.assertIn("is not for stable: its series", self.wrong("v6.12", "ga-log-unregister", text))

    def test_no_entry(self) -> None:
        patch = Base.named("v6.12").patches[0]
        said = provenance(patch, "", Ledger({}, []), Base.named("v6.12"), self.bases)
        self.assertEqual(said, f"patches/upstream has no entry for {patch.slug}")


