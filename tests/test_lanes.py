# SPDX-License-Identifier: GPL-2.0
"""Which lanes a run has: those of ci/run/lanes, and those of ci/run/sanitizers if they are asked for."""

import contextlib
import io
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from project import TOP
from avic.base import Base
from avic.build import fragments
from avic.cmd import run
from avic.kbuild import lacks
from avic.plan import listed, sanitized
from avic.tables import entries, read_table


class Lanes(unittest.TestCase):
    LANES, SANITIZERS = ["avic=0", "avic=1"], ["kasan", "rt"]

    def chosen(self, lanes: str) -> list[str]:
        with mock.patch.dict(os.environ, LANES=lanes):
            return run.chosen_lanes(self.LANES, self.SANITIZERS)

    def test_sanitizers_only_if_asked_for(self) -> None:
        for lanes, wanted in (
            ("", self.LANES),
            ("avic=1", ["avic=1"]),
            ("rt", ["rt"]),
            ("sanitizers", self.SANITIZERS),
            ("sanitizers avic=0 rt", ["avic=0", "kasan", "rt"]),
        ):
            with self.subTest(lanes):
                self.assertEqual(self.chosen(lanes), wanted)

    def test_unknown(self) -> None:
        said = io.StringIO()
        with self.assertRaises(SystemExit) as ended, contextlib.redirect_stderr(said):
            self.chosen("avic=0 avic=2")
        self.assertEqual(ended.exception.code, 2)
        self.assertIn("no lane 'avic=2' for this machine: LANES= takes avic=0 avic=1 kasan rt\n", said.getvalue())

    def test_machines(self) -> None:
        """Each lane is on one machine; a sanitizer's has its model's features and parameters."""
        every = [lane for lanes in run.machines().values() for lane in lanes]
        self.assertEqual(len(set(every)), len(every))
        self.assertEqual(
            run.machines()["kasan", "avic,x2avic,zen4"]["kasan"], run.machines()["", "avic,x2avic,zen4"]["avic=1,x2avic"]
        )


class Sanitizers(unittest.TestCase):
    def test_table(self) -> None:
        """A lane that is there, AVIC on, and a configuration that is the emulator's with more."""
        table = read_table(TOP / "ci/run/sanitizers", "NAME CONFIG LANE ## what it finds")
        lanes = {name for name, *_ in entries("run/lanes")}
        self.assertEqual([words for words, _ in table if len(words) != 3 or words[2] not in lanes], [])
        for (_, config, _), _ in table:
            self.assertEqual([path.stem for path in fragments(config)], ["emulator", config])
        for base in Base.every():
            self.assertEqual(len(list(sanitized(base))), len(table))
            self.assertEqual([lane.name for _, _, lane in sanitized(base) if not lane.avic], [])
            self.assertFalse({lane.name for _, _, lane in sanitized(base)} & {lane.name for _, lane in listed(base)})

    def test_what_a_base_lacks(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "config").write_text("CONFIG_PREEMPT=y\n# CONFIG_PREEMPT_RT is not set\n")
            self.assertEqual(lacks("rt", Path(folder) / "config"), "CONFIG_PREEMPT_RT")
            self.assertEqual(lacks("kasan", Path(folder) / "config"), "")
            (Path(folder) / "config").write_text("CONFIG_PREEMPT_RT=y\n")
            self.assertEqual(lacks("rt", Path(folder) / "config"), "")


if __name__ == "__main__":
    unittest.main()
