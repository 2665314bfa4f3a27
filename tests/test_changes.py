# SPDX-License-Identifier: GPL-2.0
"""patches/changes against all that names a change, and the tables that are made of it."""

import re
import tempfile
import unittest
from pathlib import Path

from project import TOP
from avic.base import Base
from avic.changes import Bug, Change, pages, read_changes, state, table_of_bugs, with_table
from avic.outgoing import cover_name, in_a_line, need_fitting, read_cover
from avic.proof import read_proofs
from avic.tables import read_table
from avic.upstream import read_ledger


class Ours(unittest.TestCase):
    def setUp(self) -> None:
        self.changes, self.bugs = read_changes()
        self.slugs = [change.slug for change in self.changes]

    def test_the_tables_are_up_to_date(self) -> None:
        for path, (name, table) in pages(self.changes, self.bugs, Base.every()).items():
            text = path.read_text()
            self.assertEqual(with_table(text, name, table), text, f"{path.name}: run scripts/tables")

    def test_each_base_says_what_it_does_about_each_change(self) -> None:
        for base in Base.every():
            self.assertLessEqual(set(base.slugs), set(self.slugs), base)
            for slug in self.slugs:
                self.assertIn(state(base, slug), "✓ up –".split(), (base, slug))
            self.assertEqual(set(base.slugs) & set(base.why("Left-out")), set(), base)

    def test_cover_letters_are_of_their_stacks(self) -> None:
        """And each patch has a line for the letter of some."""
        for base in Base.every():
            need_fitting(read_cover(None, base), "cover", base, base.patches)
            for section in base.series.sections:
                need_fitting(read_cover(section, base), cover_name(section), base, base.read(section.names))
            for patch in base.patches:
                self.assertTrue(in_a_line(patch.slug))

    def test_other_lists_name_no_other_change(self) -> None:
        known = set(self.slugs)
        for proof in read_proofs((TOP / "ci/proofs").read_text()):
            self.assertLessEqual({*proof.slugs, *filter(None, [proof.needs])}, known)
        # A fix of mainline's that no stack brings is in both lists.
        where = read_ledger("v6.12").entries
        others = {words[0] for words, _ in read_table(TOP / "patches/affected", "SLUG FILE HAS REGEX")} - known - {"-"}
        for name in others:
            self.assertTrue(name in where and where[name].commit, name)
        for words, _ in read_table(TOP / "patches/upstream", "SLUG STATE WHERE"):
            names = words[1].split(",") if words[0] in ("together", "nostable", "differs") else [words[0]]
            for name in set(names) - others:
                pattern = re.compile(re.escape(name).replace(r"\*", ".*"))
                self.assertTrue(any(pattern.fullmatch(slug) for slug in known), name)


class Lists(unittest.TestCase):
    def read(self, text: str) -> tuple[list[Change], list[Bug]]:
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            return read_changes(Path(file.name))

    def test_a_letter_of_its_own(self) -> None:
        """An ID with a new letter once ended make report."""
        changes, bugs = self.read("A1 one ## x\nL1 two ## y\nbug one,two v6.1:until_noon ## z\n")
        self.assertEqual([change.id for change in changes], ["A1", "L1"])
        self.assertEqual(bugs, [Bug(("one", "two"), "z", {"v6.1": "until noon"})])

    def test_lines_that_are_none(self) -> None:
        for text in ("A1 one\n", "A1 one two ## x\n", "A1 one ## x\nA2 one ## y\n", "bug one ## x\n"):
            with self.assertRaises(SystemExit):
                self.read(text)

    def test_a_base_that_says_nothing_of_a_change(self) -> None:
        with self.assertRaises(SystemExit):
            state(Base.named("v6.1"), "no-such-change")

    def test_bases_are_in_the_order_of_their_versions(self) -> None:
        """v6.6 is older than v6.12."""
        with tempfile.TemporaryDirectory() as top:
            for name in ("v6.12", "v6.6", "v7.2"):
                (Path(top) / "patches" / name).mkdir(parents=True)
                (Path(top) / "patches" / name / "series").write_text("")
            self.assertEqual([base.name for base in Base.every(Path(top))], ["v6.6", "v6.12", "v7.2"])

    def test_a_page_without_marks(self) -> None:
        with self.assertRaisesRegex(ValueError, "scripts/tables writes this"):
            with_table("text\n", "bugs", table_of_bugs([], []))


if __name__ == "__main__":
    unittest.main()
