# SPDX-License-Identifier: GPL-2.0
"""scripts/affected: the code decides, and a missing function does not mean 'not affected'."""

import re
import shutil

from toy import TOP, Toy

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

    def test_ours(self) -> None:
        """The real rules, on what the fixes of mainline change."""
        shutil.copy(TOP / "patches/affected", self.project / "patches/affected")
        before = (
            "static void avic_activate_vmcb(void)\n{\n\tctl |= X2APIC_MODE_MASK;\n\tif (x2) {\n\t\ta();\n\t} else {\n"
            "\t\tkvm_make_request(KVM_REQ_TLB_FLUSH_CURRENT, vcpu);\n\t}\n}\n\n"
            "static void avic_deactivate_vmcb(void)\n{\n\tif (is_guest_mode(vcpu))\n\t\treturn;\n\n"
            "\tavic_set_x2apic_msr_interception(svm, true);\n}\n"
        )
        flush = before.replace("\tif (x2)", "\tkvm_make_request(KVM_REQ_TLB_FLUSH_CURRENT, vcpu);\n\tif (x2)")
        nested = before.replace("\tif (is_guest_mode(vcpu))\n\t\treturn;\n", "")
        for code, found in (
            (before, {"CVE-2026-74516", "x2avic-tlb-flush"}),
            (flush, {"CVE-2026-74516"}),
            (nested, {"x2avic-tlb-flush"}),
            ("int nothing;\n", set()),
        ):
            (self.tree / "arch/x86/kvm/svm/avic.c").write_text(code)
            said = self.script(f"affected {self.tree}", 1).stdout
            names = set(re.findall(r"(?m)^(CVE-\S+|x2avic\S+) +affected", said))
            self.assertEqual(names, found, said)

    def test_cannot_tell(self) -> None:
        line = self.affected(CODE.replace("toy", "tool"), 1)
        self.assertIn("cannot tell: no arch/x86/kvm/svm/avic.c:toy", line)

    def test_no_kernel(self) -> None:
        self.refused("affected /usr", 2, "is no kernel source with AVIC")
