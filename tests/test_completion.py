# SPDX-License-Identifier: GPL-2.0
"""scripts/completion.bash: options from a verb's --help, words from patches/."""

import subprocess
import unittest

from project import TOP


class Completion(unittest.TestCase):
    def completed(self, verb: str, word: str, before: str = "") -> list[str]:
        script = f". scripts/completion.bash; _avic scripts/{verb} '{word}' '{before}'; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        return subprocess.run(["bash", "-c", script], cwd=TOP, stdout=subprocess.PIPE, text=True).stdout.split()

    def test_options(self) -> None:
        self.assertEqual(self.completed("fetch", "--u"), ["--update"])
        self.assertEqual(self.completed("export", "--rep"), ["--replace"])
        self.assertIn("--base", self.completed("fit", "--") + self.completed("apply", "--"))

    def test_words(self) -> None:
        self.assertIn("v6.12", self.completed("fit", "v6"))
        self.assertEqual(self.completed("fit", "physical-id"), ["physical-id-claim"])
        self.assertEqual(self.completed("fit", "no-such"), [])

    def test_export(self) -> None:
        """Forms first, then sections and slugs."""
        forms = self.completed("export", "", "scripts/export")
        self.assertEqual(forms, "b4 mbox stable debian quilt suse rhel ubuntu proxmox".split())
        self.assertEqual(self.completed("export", "s", "scripts/export"), ["stable", "suse"])
        self.assertEqual(self.completed("export", "iom", "b4"), ["iommu"])
        self.assertEqual(self.completed("export", "physical-id", "debian"), ["physical-id-claim"])

    def test_benches(self) -> None:
        self.assertEqual(self.completed("bench", "win"), ["windows"])
        self.assertEqual(self.completed("bench", "no-such"), [])

    def test_levels_and_lanes(self) -> None:
        self.assertEqual(self.completed("shell", "--le"), ["--level"])
        self.assertEqual(self.completed("shell", "", "--level"), ["base", "stack"])
        self.assertEqual(self.completed("shell", "b", "--level"), ["base"])
        self.assertEqual(self.completed("run", "posted", "--lanes"), ["posted,x2avic", "posted"])
        self.assertEqual(self.completed("run", "no-such", "--lanes"), [])

    def test_each_verb_has_it(self) -> None:
        script = ". scripts/completion.bash; complete -p scripts/fit fit scripts/apply; type _avic_verbs"
        done = subprocess.run(["bash", "-c", script], cwd=TOP, capture_output=True, text=True)
        self.assertEqual(done.stdout.count("-F _avic "), 3)
