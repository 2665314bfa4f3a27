# SPDX-License-Identifier: GPL-2.0
"""scripts/models: its table, what it makes of the checker's output, and its smallest models."""

import re
import subprocess
import unittest

from project import TOP
from avic.changes import read_changes
from avic.cmd import models
from avic.cmd.models import Run

CAPTURED = TOP / "tests/captured/models"
RUNS = models.read_runs((models.MODELS / "runs").read_text())
SCENARIO = "scenario s irte ## s\n"


def source(name: str) -> str:
    return (models.MODELS / f"{name}.pml").read_text()


class Table(unittest.TestCase):
    def test_defines(self) -> None:
        runs = models.read_runs("scenario s irte MOVES=1 ## s\nrun s torn -irte-lock +a-b ## t\nrun s holds !c ## h\n")
        self.assertEqual(runs[0], Run("s", "irte", ("MOVES=1",), ("-irte-lock", "+a-b"), "torn"))
        self.assertEqual(runs[0].defines(), ["-DMOVES=1", "-DNO_irte_lock", "-DFIX_a_b", "-DONLY=torn"])
        self.assertEqual(runs[1].defines(), ["-DMOVES=1", "-DBREAK_c"])

    def test_slips(self) -> None:
        for text in ("run s holds ## no s\n", SCENARIO + SCENARIO, f"{SCENARIO}run s holds irte-lock ## x\n",
                     f"{SCENARIO}run s holds\n", "scenario s irte MOVES ## x\n"):
            with self.subTest(text), self.assertRaisesRegex(ValueError, "want "):
                models.read_runs(text)

    def test_models_and_runs_agree(self) -> None:
        """What a model knows has a run, and what a run names is known."""
        slugs = {change.slug for change in read_changes()[0]}
        for name in {run.model for run in RUNS}:
            text = source(name)
            used = {word for run in RUNS if run.model == name for word in run.defines()}
            switches = {f"-D{word}" for word in re.findall(r"\b((?:NO|BREAK|FIX)_[a-z_]+)\b", text)}
            self.assertEqual({word for word in used if word.startswith(("-DNO_", "-DBREAK_", "-DFIX_"))}, switches)
            keys = set(re.findall(r"^#ifndef ([A-Z]+)", text, re.MULTILINE))
            kinds = set(re.findall(r"^mtype = \{ (.*) \};", text, re.MULTILINE)[0].split(", ")) - {"any"}
            for run in (run for run in RUNS if run.model == name):
                with self.subTest(run.name):
                    self.assertLessEqual({setting.partition("=")[0] for setting in run.settings}, keys | {"FLIPS"})
                    self.assertIn(run.verdict, kinds | {models.HOLDS})
                    self.assertLessEqual({switch[1:] for switch in run.switches if switch[0] == "-"}, slugs)
            self.assertEqual(kinds - set(re.findall(r"FAIL\((\w+)\)", text)), set())

    def test_all_models_are_run(self) -> None:
        self.assertEqual({path.stem for path in models.MODELS.glob("*.pml")}, {run.model for run in RUNS})


class Answers(unittest.TestCase):
    def read(self, name: str) -> tuple[str, int]:
        return models.read_pan((CAPTURED / name).read_text())

    def test_all_states_seen(self) -> None:
        self.assertEqual(self.read("holds"), ("holds", 554))

    def test_violation(self) -> None:
        self.assertEqual(self.read("violation"), ("freed_vector", 94))

    def test_no_answer(self) -> None:
        """A checker that could not see all states has found nothing, but does not say that there is nothing."""
        self.assertEqual(self.read("too-deep")[0], "no verdict: error: max search depth too small")
        self.assertEqual(self.read("no-memory")[0], "no verdict: pan: reached -DMEMLIM bound")
        self.assertEqual(models.read_pan(""), ("no verdict: no output", 0))


class Checker(unittest.TestCase):
    def verdict(self, run: Run, seconds: float = 60) -> models.Answer:
        return models.check(run, seconds, False)

    def test_small_models(self) -> None:
        result = subprocess.run([TOP / "scripts/models", "move"], capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertRegex(result.stdout, r"\n6 of 6 runs are right, \S+ states\n$")

    def test_wrong_verdicts(self) -> None:
        broken = Run("move", "irte", (), ("-irte-lock",), models.HOLDS)
        answer = self.verdict(broken)
        self.assertFalse(answer.right(broken))
        self.assertRegex(models.row(broken, answer, 4), "WRONG: [a-z_]+, and not holds")
        fine = Run("move", "irte", (), (), "wrong_vector")
        answer = self.verdict(fine)
        self.assertEqual((answer.verdict, answer.right(fine)), (models.HOLDS, False))

    def test_too_long(self) -> None:
        run = Run("pic", "irqwin", ("RAISES=2", "WITHDRAWALS=2", "CLIS=2", "TOGGLES=2"), (), "stuck")
        self.assertEqual(self.verdict(run, 0.1).verdict, "more than 0 s")

    def test_unknown_scenario(self) -> None:
        result = subprocess.run([TOP / "scripts/models", "nosuch"], capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stderr), (2, "models: no scenario 'nosuch' in ci/models/runs\n"))
