# SPDX-License-Identifier: GPL-2.0
"""scripts/avic/machine.py: results of an equal boot are used again, those of another are not."""

import tempfile
import unittest
from pathlib import Path

from project import TOP
from avic import machine
from avic.paths import CACHE


class Emulator(unittest.TestCase):
    def test_another_build_at_the_same_path(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            qemu = Path(folder) / "qemu"
            keys = []
            for build in ("one", "two"):
                qemu.write_text(f"#!/bin/sh\necho 'QEMU emulator version 10.0' # {build}\n")
                qemu.chmod(0o755)
                keys.append(machine.foreign_key(str(qemu)))
        self.assertNotEqual(*keys)
        self.assertTrue(all(keys))

    def test_one_that_is_not_there(self) -> None:
        self.assertEqual(machine.foreign_key(str(TOP / "no-qemu")), b"")

    def test_ours_has_its_key_in_its_path(self) -> None:
        self.assertTrue(machine.of_ours(str(CACHE / "emulator/0123456789abcdef/bin/qemu")))
        self.assertEqual(machine.foreign_key(str(CACHE / "emulator/0123456789abcdef/bin/qemu")), b"")
