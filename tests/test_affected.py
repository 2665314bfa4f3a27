# SPDX-License-Identifier: GPL-2.0
"""scripts/affected: the code decides, and what is not known does not mean 'not affected'."""

import json
import os
import re
import shutil
import subprocess
import unittest

from toy import TOP, Toy, git

from avic.cmd.affected import RULES, Rules

TOY = """\
- arch/x86/kvm/svm/avic.c:toy was old_toy
- arch/x86/kvm/svm/avic.c was arch/x86/kvm/svm.c
old-bug arch/x86/kvm/svm/avic.c:toy has unlock\\(.*wake\\( ## it wakes too late
old-bug arch/x86/kvm/svm/avic.c:toy lacks guard\\(
old-bug arch/x86/kvm/svm/avic.c:toy fixed wake\\(.*unlock
new-bug arch/x86/kvm/svm/avic.c:toy has count\\+\\+ ## it counts too much
new-bug arch/x86/kvm/svm/avic.c without counter
"""
CODE = "/* avic */\nint avic(void)\n{\n}\n\nint toy(void)\n{\n\t/* guard() would do */\n\tunlock();\n\twake();\n}\n"


class Affected(Toy):
    def setUp(self) -> None:
        super().setUp()
        (self.project / RULES).write_text(TOY)
        self.file = self.tree / "arch/x86/kvm/svm/avic.c"

    def affected(self, code: str, status: int) -> str:
        self.file.write_text(code)
        return self.script(f"affected {self.tree}", status).stdout.splitlines()[0]

    def test_affected(self) -> None:
        self.assertEqual(self.affected(CODE, 1), "old-bug                affected  it wakes too late")

    def test_fixed_in_either_way(self) -> None:
        order = CODE.replace("\tunlock();\n\twake();", "\twake();\n\tunlock();")
        for code in (order, CODE.replace("\tunlock", "\tguard();\n\tunlock")):
            self.assertEqual(self.affected(code, 0), "old-bug                not")

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
            ("int avic(void)\n{\n}\n", set()),
        ):
            (self.tree / "arch/x86/kvm/svm/avic.c").write_text(code)
            said = self.script(f"affected {self.tree}", 1).stdout
            names = set(re.findall(r"(?m)^(CVE-\S+|x2avic\S+) +affected", said))
            self.assertEqual(names, found, said)

    def test_cannot_tell(self) -> None:
        line = self.affected(CODE.replace("toy", "tool"), 1)
        self.assertIn("cannot tell: no arch/x86/kvm/svm/avic.c:toy", line)
        line = self.affected(CODE.replace("wake", "rouse"), 1)
        self.assertIn("cannot tell: arch/x86/kvm/svm/avic.c:toy is not as it is known", line)

    def test_what_has_the_bug_is_not_there(self) -> None:
        self.affected(CODE, 1)
        self.assertIn("new-bug                not\n", self.script(f"affected {self.tree}", 1).stdout)
        self.file.write_text(CODE + "int counter;\n")
        self.assertIn("new-bug                cannot tell: ", self.script(f"affected {self.tree}", 1).stdout)

    def test_older_names(self) -> None:
        """As of 5.6, where all of SVM was in one file."""
        self.assertIn("affected", self.affected(CODE.replace("toy", "old_toy"), 1))
        self.file.rename(self.tree / "arch/x86/kvm/svm.c")
        self.assertIn("old-bug                affected", self.script(f"affected {self.tree}", 1).stdout)

    def test_commit_of_a_git_tree(self) -> None:
        self.file.write_text(CODE)
        git(self.tree, "commit", "--quiet", "--all", "--message=bug")
        self.file.write_text(CODE.replace("\tunlock", "\tguard();\n\tunlock"))
        git(self.tree, "commit", "--quiet", "--all", "--message=fix")
        self.script(f"affected {self.tree} HEAD", 0)
        self.script(f"affected {self.tree} HEAD~1", 1)
        bare = self.root / "bare"
        git(self.tree, "clone", "--quiet", "--bare", str(self.tree), str(bare))
        self.script(f"affected {bare}", 0)
        self.script(f"affected {bare} HEAD~1", 1)
        self.refused(f"affected {self.tree} v9.9", 2, "has no commit 'v9.9'", "fetch it")

    def test_json(self) -> None:
        self.affected(CODE, 1)
        rows = json.loads(self.script(f"affected --json {self.tree}", 1).stdout)
        self.assertEqual([row["verdict"] for row in rows], ["affected", "not"])
        self.assertEqual(rows[0], {"slug": "old-bug", "verdict": "affected", "why": "", "symptom": "it wakes too late"})
        self.file.write_text(CODE.replace("toy", "tool"))
        rows = json.loads(self.script(f"affected {self.tree} --json", 1).stdout)
        self.assertEqual((rows[0]["verdict"], rows[0]["why"]), ("cannot tell", "no arch/x86/kvm/svm/avic.c:toy"))

    def test_installed_package(self) -> None:
        self.file.write_text(CODE)
        source = self.root / "usr/src"
        source.mkdir(parents=True)
        subprocess.run(
            ["tar", "--create", "--xz", f"--file={source}/linux-source-toy.tar.xz", f"--directory={self.root}",
             "--transform=s,^tree,linux-source-toy,", "tree"], check=True,
        )  # fmt: skip
        stub = self.root / "bin"
        stub.mkdir()
        (stub / "dpkg-query").write_text(f'#!/bin/sh\n[ "$2" = linux-source-toy ] && find {source}\n')
        (stub / "dpkg-query").chmod(0o755)
        path = {"PATH": f"{stub}:{os.environ['PATH']}"}
        self.assertIn("old-bug                affected", self.script("affected linux-source-toy", 1, **path).stdout)
        self.refused("affected linux-image-toy", 2, "install the linux-source package", **path)
        self.refused("affected nothing", 2, "no installed package", **path)

    def test_what_comes_next(self) -> None:
        """A folder without git is nothing for scripts/fit."""
        self.affected(CODE, 1)
        self.assertIn(f"TREE={self.tree} scripts/fit", self.script(f"affected {self.tree}", 1).stderr)
        shutil.rmtree(self.tree / ".git")
        self.assertIn("in a git tree of that kernel: TREE=. ", self.script(f"affected {self.tree}", 1).stderr)

    def test_no_kernel(self) -> None:
        self.refused("affected /usr", 2, "is no kernel source with AVIC")


class OurRules(unittest.TestCase):
    def test_each_knows_the_code_without_the_bug(self) -> None:
        """Else what is fixed in any way would be `cannot tell` for ever."""
        rules = Rules()
        self.assertGreater(len(rules.of), 20)
        for slug, lines in rules.of.items():
            with self.subTest(slug):
                kinds = {kind for _, kind, _ in lines}
                self.assertTrue(kinds & {"lacks", "fixed", "without"})
                self.assertTrue(rules.symptoms[slug])
