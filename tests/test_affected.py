# SPDX-License-Identifier: GPL-2.0
"""scripts/affected: the code decides, and a missing function does not mean 'not affected'."""

from toy import Toy

RULES = """\
old-bug arch/x86/kvm/svm/avic.c:toy has unlock\\(.*wake\\( ## it wakes too late
old-bug arch/x86/kvm/svm/avic.c:toy lacks guard\\(
"""
CODE = "int toy(void)\n{\n\t/* guard() would do */\n\tunlock();\n\twake();\n}\n"


class Affected(Toy):
    def affected(self, code: str, status: int) -> str:
        (self.project / "patches/affected").write_text(RULES)
        (self.tree / "arch/x86/kvm/svm/avic.c").write_text(code)
        return self.script(f"affected {self.tree}", status).stdout.splitlines()[0]

    def test_affected(self) -> None:
        self.assertEqual(self.affected(CODE, 1), "old-bug              affected  it wakes too late")

    def test_fixed_in_either_way(self) -> None:
        order = CODE.replace("unlock", "lock")
        for code in (order, CODE.replace("\tunlock", "\tguard();\n\tunlock")):
            self.assertEqual(self.affected(code, 0), "old-bug              not")

    def test_cannot_tell(self) -> None:
        line = self.affected(CODE.replace("toy", "tool"), 1)
        self.assertIn("cannot tell: no arch/x86/kvm/svm/avic.c:toy", line)

    def test_no_kernel(self) -> None:
        self.refused("affected /usr", 2, "is no kernel source with AVIC")
