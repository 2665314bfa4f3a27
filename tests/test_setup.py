# SPDX-License-Identifier: GPL-2.0
"""scripts/setup: says the one command that is missing, where it may not run it."""

import os
import unittest

from toy import Toy


class Setup(Toy):
    def packages(self, text: str) -> None:
        (self.project / "ci").mkdir()
        (self.project / "ci/packages").write_text(text)
        self.root.chmod(0o755)

    def test_nothing_missing(self) -> None:
        self.packages("bash ## always there\n")
        self.assertEqual(self.script("setup").stderr, "")

    @unittest.skipUnless(os.geteuid() == 0, "needs root to become somebody else")
    def test_without_root(self) -> None:
        self.packages("bash ## always there\nno-such-package ## for nothing\n")
        setup = self.project / "scripts/setup"
        setup.rename(setup.with_name("setup.real"))
        setup.write_text(f"#!/bin/sh\nexec setpriv --reuid=65534 {setup}.real\n")
        setup.chmod(0o755)
        error = self.script("setup", 2).stderr
        self.assertIn(
            "as root run: apt-get install --yes --no-install-recommends no-such-package\n", error
        )
