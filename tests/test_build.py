# SPDX-License-Identifier: GPL-2.0
"""avic.build: what make could not make of the selftests.

captured/selftests.log is the end of a log of v6.1, 6.1.192-3, less what compiled.
"""

import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

from project import TOP
from avic.base import Base
from avic.build import Images, gave_up

LOG = TOP / "tests/captured/selftests.log"
OUT = Path("/root/.cache/avic/build/v6.1/6.1.192-3/.new.en88nr81/new")


class Selftests(unittest.TestCase):
    def not_built(self, text: str) -> str:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder, "log")
            log.write_text(text)
            return Images.not_built(SimpleNamespace(base=Base.named("v6.1")), log, OUT)

    def test_gave_up(self) -> None:
        self.assertEqual(gave_up(LOG.read_text(), OUT), ["dirty_log_test", "steal_time"])

    def test_what_the_base_has_broken(self) -> None:
        self.assertEqual(self.not_built(LOG.read_text()), "")

    def test_what_it_has_not(self) -> None:
        text = LOG.read_text()
        self.assertEqual(self.not_built(text.replace("new/steal_time]", "new/x86_64/svm_vmcall_test]")), "x86_64/svm_vmcall_test")

    def test_make_does_not_say_what(self) -> None:
        self.assertEqual(self.not_built("make: *** No rule to make target 'all'.  Stop.\n"), "all")
