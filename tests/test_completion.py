# SPDX-License-Identifier: GPL-2.0
"""scripts/completion.bash: options from a verb's --help, words from patches/."""

import subprocess
import unittest

from project import TOP


class Completion(unittest.TestCase):
    def completed(self, verb: str, word: str) -> list[str]:
        script = f". scripts/completion.bash; _avic scripts/{verb} '{word}' ''; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        return subprocess.run(["bash", "-c", script], cwd=TOP, stdout=subprocess.PIPE, text=True).stdout.split()

    def test_options(self) -> None:
        self.assertEqual(self.completed("fetch", "--u"), ["--update"])
        self.assertEqual(self.completed("export", "--rep"), ["--replace"])
        self.assertIn("--base", self.completed("fit", "--") + self.completed("apply", "--"))

    def test_words(self) -> None:
        self.assertIn("v6.12", self.completed("fit", "v6"))
        self.assertEqual(self.completed("fit", "physical-id"), ["physical-id-claim"])
        self.assertEqual(self.completed("fit", "no-such"), [])

    def test_each_verb_has_it(self) -> None:
        script = ". scripts/completion.bash; complete -p scripts/fit fit scripts/apply; type _avic_verbs"
        done = subprocess.run(["bash", "-c", script], cwd=TOP, capture_output=True, text=True)
        self.assertEqual(done.stdout.count("-F _avic "), 3)
