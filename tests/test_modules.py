# SPDX-License-Identifier: GPL-2.0
"""avic.modules: which commits have the same modules of KVM."""

import tempfile
import unittest
from pathlib import Path

from toy import git

from avic.modules import source


class Source(unittest.TestCase):
    def setUp(self) -> None:
        self.repo = Path(self.enterContext(tempfile.TemporaryDirectory()))
        git(self.repo, "init", "--quiet")
        self.first = self.commit("arch/x86/kvm/x86.c", "drivers/iommu/amd/iommu.c", "drivers/iommu/Kconfig", "tools/a.c")

    def commit(self, *names: str) -> str:
        """A commit that changes these files."""
        for name in names:
            path = self.repo / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text((path.read_text() if path.exists() else "") + "more\n")
        git(self.repo, "add", "--all")
        git(self.repo, "-c", "user.name=-", "-c", "user.email=-", "commit", "--quiet", "--message=-")
        return git(self.repo, "rev-parse", "HEAD")

    def test_what_the_build_does_not_see(self) -> None:
        """The sparse tree that modules are built from has no C file of a driver, and tools are none of the kernel's."""
        before = source(self.repo, self.first)
        for name in ("drivers/iommu/amd/iommu.c", "drivers/iommu/amd/new.h", "tools/a.c", "Documentation/a.rst"):
            with self.subTest(name):
                self.assertEqual(source(self.repo, self.commit(name)), before)

    def test_what_it_sees(self) -> None:
        seen = {source(self.repo, self.first)}
        names = ("arch/x86/kvm/x86.c", "include/linux/new.h", "drivers/iommu/Kconfig", "drivers/iommu/amd/Makefile", "Makefile")
        seen |= {source(self.repo, self.commit(name)) for name in names}
        self.assertEqual(len(seen), 1 + len(names))


if __name__ == "__main__":
    unittest.main()
