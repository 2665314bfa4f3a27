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

    def test_nothing_on_the_machine_under_test(self) -> None:
        """With HOST= it is another one, and apt-get is asked here; it knows no such package."""
        self.packages("no-such-package ## for nothing\n")
        error = self.script("setup", 2, RUNNER="hardware").stderr
        self.assertIn("RUNNER=hardware installs nothing on the machine that it tests", error)
        self.assertIn("with HOST=, or run: apt-get install", error)
        tools = self.root / "tools"
        tools.mkdir()
        (tools / "apt-get").write_text("#!/bin/sh\nexit 1\n")
        (tools / "apt-get").chmod(0o755)
        path = f"{tools}:{os.environ['PATH']}"
        if os.geteuid() == 0:
            error = self.script("setup", 1, RUNNER="hardware", HOST="root@epyc1", PATH=path).stderr
            self.assertIn("apt-get update failed", error)
