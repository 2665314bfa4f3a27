# SPDX-License-Identifier: GPL-2.0
"""The programs of tests/guest that people start by hand: they compile without a warning, and say how they are used."""

import subprocess
import tempfile
import unittest
from pathlib import Path

from project import TOP

# Wrong arguments of each.
WRONG = {
    "fuzz": ["", "1 2", "0 2 9", "3 2 9", "1 2 1001"],
    "inject": ["", "split 1", "split 1 0", "split 1 2 3"],
}


class Usage(unittest.TestCase):
    def test_wrong_arguments(self) -> None:
        with tempfile.TemporaryDirectory(prefix="avic-guest.") as folder:
            for name, lines in WRONG.items():
                program = Path(folder, name)
                subprocess.run(["gcc", "-Wall", "-Werror", "-o", program, TOP / f"tests/guest/{name}.c"], check=True)
                for line in lines:
                    with self.subTest(program=name, arguments=line):
                        done = subprocess.run([program, *line.split()], capture_output=True, text=True)
                        self.assertEqual((done.returncode, done.stderr.partition(":")[0]), (2, name))


if __name__ == "__main__":
    unittest.main()
