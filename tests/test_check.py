# SPDX-License-Identifier: GPL-2.0
"""scripts/check on a toy kernel: each case of tests/check is refused, for the reason it states.

A case is a folder with a stack of patches and `want`: the gates to run, and a
regex for each red line that has to come, in order.  No other may come.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace

from project import slow
from toy import TOP, Toy, edit, git

from avic.findings import Finding, Places, enclosing, more, of_checkpatch, of_make
from avic.kbuild import CouldNot, includers, is_built, modpost

CASES = TOP / "tests/check"
# The tool that a gate rests on.
TOOLS = {
    "gcc": "gcc",
    "clang": "clang-19",
    "sparse": "sparse",
    "own-cocci": "spatch",
    "checkpatch": "perl",
    "selftests": "gcc",
}


class Kernel(Toy):
    """A toy kernel with C files in it, and all that scripts/check reads."""

    def setUp(self) -> None:
        super().setUp()
        for folder in ("ci", "configs"):
            shutil.copytree(TOP / folder, self.project / folder)
        self.tell_upstream("")
        self.env |= {"JOBS": "2"}
        self.empty_cache()

    def empty_cache(self) -> None:
        """Empty but for sparse: scripts/sparse would build it, here it is the one of PATH."""
        shutil.rmtree(self.cache, ignore_errors=True)
        sparse = self.cache / "sparse/sparse"
        sparse.parent.mkdir(parents=True)
        sparse.write_text('#!/bin/sh\nexec sparse "$@"\n')
        sparse.chmod(0o755)

    def tell_upstream(self, lines: str) -> None:
        """patches/upstream, with lines of a case's, and with one for all that it does not name."""
        ours = (TOP / "patches/upstream").read_text()
        (self.project / "patches/upstream").write_text(f"{lines}{ours}* unsent - ## toy\n")

    @staticmethod
    def make_tree(tree: Path) -> None:
        shutil.copytree(CASES / "tree", tree)
        git(tree, "init", "--quiet")
        git(tree, "add", "--all")
        git(tree, "commit", "--quiet", "--message=toy")

    def take(self, case: str) -> tuple[str, list[str]]:
        """The case's stack becomes the toy's; returns the gates and the red lines it wants."""
        for path in self.patches.glob("*.patch"):
            path.unlink()
        names = []
        for path in sorted((CASES / case).glob("*.patch")):
            shutil.copy(path, self.patches)
            names.append(path.name)
        (self.patches / "series").write_text("".join(f"{name}\n" for name in names))
        if (CASES / case / "series").exists():
            shutil.copy(CASES / case / "series", self.patches)
        shutil.rmtree(self.patches / "small", ignore_errors=True)
        if (CASES / case / "small").exists():
            shutil.copytree(CASES / case / "small", self.patches / "small")
        upstream = CASES / case / "upstream"
        self.tell_upstream(upstream.read_text() if upstream.exists() else "")
        lines = (CASES / case / "want").read_text().splitlines()
        words = [line.partition(" ")[::2] for line in lines if not line.startswith("#")]
        gates = next(rest for kind, rest in words if kind == "gates")
        return gates, [rest for kind, rest in words if kind == "red"]

    def red(self, gates: str, status: int, **env: str) -> list[str]:
        """The red lines of a run."""
        output = self.script(f"check {gates}", status, **env).stdout
        return re.findall(r"^red +(.*)", output, re.MULTILINE)


class Cases(Kernel):
    """Each case's fault is refused, as the case states it."""

    def refused_as_stated(self, case: str) -> None:
        gates, want = self.take(case)
        red = self.red(gates, 1 if want else 0)
        self.assertEqual(len(red), len(want), red)
        for line, regex in zip(sorted(red), sorted(want)):
            self.assertRegex(line, f"^{regex}")


class Upstream(Kernel):
    def test_no_line_for_a_patch(self) -> None:
        """It is red here, before an export misses it."""
        self.take("provenance-wrong")
        lines = (CASES / "provenance-wrong/upstream").read_text()
        (self.project / "patches/upstream").write_text(lines.replace("\none ", "\nthree "))
        (line,) = self.red("rules", 1)
        self.assertRegex(line, r"rules 0001-one: .*provenance\(\): patches/upstream has no entry for one")

    def test_line_that_keeps_nothing_together(self) -> None:
        """A slug that is written wrong would never be missed."""
        self.take("provenance-wrong")
        with (self.project / "patches/upstream").open("a") as upstream:
            upstream.write("together one,two - ## the first is wrong without the second\n")
        self.assertEqual(len(self.red("rules", 1)), 1)
        lines = (CASES / "provenance-wrong/upstream").read_text()
        (self.project / "patches/upstream").write_text(f"{lines}together one,tow - ## one is wrong without the other\n")
        self.refused("check rules", 1, "patches/upstream: 'together' names tow, which has no entry")


def add_cases() -> None:
    """A test for each folder."""
    for folder in sorted(CASES.iterdir()):
        if (folder / "want").exists():

            def test(self: Cases, case: str = folder.name) -> None:
                self.refused_as_stated(case)

            setattr(Cases, f"test_{folder.name.replace('-', '_')}", test)


add_cases()


class Touched(Kernel):
    """A gate that compiles only what the stack touches, except on base and whole stack."""

    def setUp(self) -> None:
        super().setUp()
        self.take("smm-off-elsewhere")

    def test_full_tells_which(self) -> None:
        self.assertRegex(self.red("lean", 1, FULL="1")[0], r"^lean 0001-one: .*kvm_gone.*\]$")

    def test_what_was_said_of_others_does_not_count(self) -> None:
        """The end of an earlier stack is still in the build folder."""
        self.assertRegex(self.red("lean", 1)[0], "^lean 0002-two: ")
        edit(self.patches / "0001-one.patch", "kvm_mode(vcpu) kvm_gone(vcpu)", "kvm_gone(vcpu) kvm_mode(vcpu)")
        self.assertEqual(self.red("lean", 0), [])

    def test_what_did_not_build_is_built_again(self) -> None:
        """After a level where an object did not compile, and so is missing."""
        self.take("smm-off-in-between")
        one, two = (self.patches / name for name in ("0001-one.patch", "0002-two.patch"))
        shutil.copy(CASES / "smm-off-only/0001-one.patch", self.patches / "0003-three.patch")
        shutil.copy(CASES / "smm-off-elsewhere/0002-two.patch", self.patches / "0004-four.patch")
        with (self.patches / "series").open("a") as series:
            series.write("0003-three.patch\n0004-four.patch\n")
        edit(one, "kvm_smm(vcpu)", "gone")
        edit(two, "kvm_smm(vcpu)", "gone")
        edit(two, "+\treturn vcpu->mode;", "+\treturn vcpu->mode + also_gone;")
        edit(self.patches / "0003-three.patch", "-\treturn vcpu->mode;", "-\treturn vcpu->mode + also_gone;")
        red = [line.split(":")[0] for line in self.red("lean", 1)]
        self.assertEqual(red, ["lean 0001-one", "lean 0002-two", "lean 0003-three"])


class CouldNotCheck(Kernel):
    """A tool that is missing, or dies, makes its gate red; it is never green."""

    def setUp(self) -> None:
        super().setUp()
        self.take("warning-moved")
        self.bin = self.root / "bin"
        self.bin.mkdir()

    @slow
    def test_tool_killed_in_mid_run(self) -> None:
        """It has answered for some files, and dies at a later one."""
        for gate, tool in TOOLS.items():
            with self.subTest(gate):
                self.empty_cache()
                for each in self.bin.iterdir():
                    each.unlink()
                real = shutil.which(tool)
                (self.bin / tool).write_text(
                    f'#!/bin/sh\ncase "$*" in *avic.c*|*toy_test.c*|*checkpatch*|*inhibit*)'
                    f' kill -9 $$ ;; *) exec {real} "$@" ;; esac\n'
                )
                (self.bin / tool).chmod(0o755)
                path = f"{self.bin}:{os.environ['PATH']}"
                red = self.red(gate, 1, PATH=path, CCACHE_DISABLE="1")
                self.assertRegex("\n".join(red), f"{gate} .*: could not check: ")
                # And nothing of it is remembered.
                self.assertEqual(self.red(gate, 0), [])

    def test_tool_missing(self) -> None:
        """A PATH with everything but the tool."""
        for folder in os.environ["PATH"].split(":"):
            for each in Path(folder).glob("*"):
                if not (self.bin / each.name).is_symlink():
                    (self.bin / each.name).symlink_to(each)
        for gate, tool in TOOLS.items():
            with self.subTest(gate):
                aside = (self.bin / tool).rename(self.root / "aside")
                red = self.red(gate, 1, PATH=str(self.bin))
                self.assertRegex(red[0], f"{gate} .*: could not check: .*{tool}")
                aside.rename(self.bin / tool)

    def test_semantic_patch_that_breaks_off(self) -> None:
        """spatch goes on with the next file, and its exit status is 0."""
        (self.project / "ci/cocci/broken.cocci").write_text(
            "// SPDX-License-Identifier: GPL-2.0\nvirtual report\n@r@ position p; expression e; @@ return e@p;\n"
            "@script:python depends on report@\np << r.p;\n@@\nraise Exception\n"
        )
        self.assertRegex(self.red("own-cocci", 1)[0], "own-cocci base: could not check: spatch .*: EXN: ")

    def test_cut_short_after_compiling(self) -> None:
        """What was compiled when the run was killed is compiled again."""
        self.take("warning-swapped")
        before = self.red("gcc", 1)
        build = next((self.cache / "check/toy").glob("*/build/check-gcc-1"))
        (build / "unsure").touch()
        (build / "findings.json").unlink()
        self.assertEqual(self.red("gcc", 1, RERUN="1"), before)

    @slow
    def test_interrupt_at_any_time(self) -> None:
        """Nothing is left behind, and the next run still knows the base's findings."""
        gates = "gcc sparse own-cocci"
        # As a gcc does that is cut short at the wrong moment.
        edit(self.tree / "Makefile", "$(kvm)/:", "$(shell touch $(TMPDIR)/cc.s)\n$(kvm)/:")
        git(self.tree, "commit", "--quiet", "--all", "--message=temporary files")
        temporary = self.temporary()
        cut = 0
        for moment in self.moments(f"check {gates}")[1::2]:
            self.empty_cache()
            cut += self.interrupted(f"check {gates}", moment)
            self.assertEqual(list(temporary.iterdir()), [])
            self.assertEqual(self.red(gates, 0), [])
        self.assertGreater(cut, 2, "no run was cut short: the test showed nothing")

    def test_objects_are_not_there(self) -> None:
        """A make that builds nothing, and says that all is well."""
        edit(self.tree / "Makefile", "$(kvm)/: $(modules:%=$(O)/%) ", "$(kvm)/: ")
        git(self.tree, "commit", "--quiet", "--all", "--message=nothing to build")
        self.assertRegex(self.red("gcc", 1)[0], "could not check: make has built none")

    def test_checker_that_make_goes_without(self) -> None:
        """As the kernel's Makefile does from v7.2 on, where sparse is too old for it."""
        edit(self.tree / "Makefile", "$(kvm)/:", "ifdef C\n$(warning C=1 specified, but sparse is not available)\n"
             "override C :=\nendif\n$(kvm)/:")  # fmt: skip
        git(self.tree, "commit", "--quiet", "--all", "--message=old sparse")
        self.assertRegex(self.red("gcc sparse", 1)[0], "sparse base: could not check: .*not available")

    def test_base_that_does_not_configure(self) -> None:
        edit(self.project / "configs/check.config", "CONFIG_KVM_INTEL=m", "CONFIG_KVM_Intel=m")
        self.assertRegex(self.red("gcc", 1)[0], "could not check: configuring failed: .*CONFIG_KVM_Intel=m")

    def test_unknown_gate(self) -> None:
        self.refused("check gccc", 2, "no gate 'gccc'")


class Report(Kernel):
    """What machines read says what people read."""

    def test_json_and_junit(self) -> None:
        self.take("warning-swapped")
        self.red("gcc rules", 1)
        folder = self.cache / "report/gcc-rules-toy"
        verdicts = json.loads((folder / "verdicts.json").read_text())
        wrong = [each for each in verdicts if each["status"]]
        self.assertEqual([(each["gate"], each["level"]) for each in wrong], [("gcc", "0001-one")])
        self.assertEqual(wrong[0]["command"], "make check CC=gcc W=1")
        self.assertEqual(wrong[0]["findings"][0]["function"], "kvm_last")
        cases = ET.parse(folder / "junit.xml").getroot().iter("testcase")
        failed = [each for each in cases if each.find("failure") is not None]
        self.assertEqual([each.get("name") for each in failed], ["0001-one"])

    def test_second_run_remembers(self) -> None:
        """With two touched files, whose order in a set changes with the hash seed."""
        self.take("warning-kept")
        shutil.copy(CASES / "smm-off-only" / "0001-one.patch", self.patches / "0003-three.patch")
        with (self.patches / "series").open("a") as series:
            series.write("0003-three.patch\n")
        before = self.red("gcc sparse", 1, PYTHONHASHSEED="0")
        for seed in "1234":
            for log in self.cache.glob("check/toy/*/logs/*"):
                log.unlink()
            self.assertEqual(self.red("gcc sparse", 1, PYTHONHASHSEED=seed), before)
            logs = [log.name for log in self.cache.glob("check/toy/*/logs/*")]
            self.assertEqual(logs, [], "something was compiled again")


class Findings(unittest.TestCase):
    """The identity of a finding, and how output is read."""

    def test_number_counts(self) -> None:
        one = Finding("a.c", "f", "warning: unused", "3")
        again = Finding("a.c", "f", "warning: unused", "9")
        self.assertEqual(more([again], [one]), [])
        self.assertEqual(more([one, again], [one]), [again])
        self.assertEqual(len(more([Finding("a.c", "g", "warning: unused")], [one])), 1)

    def test_places_in_a_message_do_not_count(self) -> None:
        one = Finding("a.c", "f", "ERROR: lock on line 12 but not on line 17")
        two = Finding("a.c", "f", "ERROR: lock on line 13 but not on line 19")
        self.assertEqual(more([two], [one]), [])

    def test_numbers_in_a_message_count(self) -> None:
        one = Finding("a.c", "f", "warning: array of 8 bytes")
        two = Finding("a.c", "f", "warning: array of 4 bytes")
        self.assertEqual(more([two], [one]), [two])

    def test_enclosing(self) -> None:
        text = "int a;\n\nint f(int n,\n      int m)\n{\nout:\n\treturn g(n);\n}\n\nint b = g(1);\n"
        lines = text.split("\n")
        self.assertEqual([enclosing(lines, n) for n in (4, 7, 8, 10)], ["f", "f", "f", ""])

    def read(self, log: str) -> tuple[dict[str, list[Finding]], list[str]]:
        return of_make(log, Places(Path("/tree"), Path("/out")))

    def test_make(self) -> None:
        units, broken = self.read(
            "  CC [M]  arch/x86/kvm/x86.o\n"
            "In file included from /tree/arch/x86/kvm/x86.c:4:\n"
            "/tree/arch/x86/kvm/svm/../x86.h:7:3: error: 'x' undeclared [-Werror=x]\n"
            "make[3]: *** [/tree/scripts/Makefile.build:249: arch/x86/kvm/x86.o] Error 1\n"
            "make[2]: *** [/tree/scripts/Makefile.build:505: arch/x86/kvm] Error 2\n"
        )
        found = units["arch/x86/kvm/x86.o"]
        self.assertEqual([(f.file, f.at) for f in found], [("arch/x86/kvm/x86.h", "7")])
        self.assertEqual(broken, [])

    def test_object_without_a_reason(self) -> None:
        """Given up on, and no error says why: the compiler died."""
        for why in ("Error 1", "Error 2", "Error 137", "Killed", "Segmentation fault"):
            _, broken = self.read(f"  CC  a/b.o\nmake[3]: *** [Makefile:9: a/b.o] {why}\n")
            self.assertEqual(len(broken), 1, why)

    def test_crash_is_no_finding(self) -> None:
        for line in (
            "/tree/a.c:3:1: internal compiler error: Segmentation fault",
            "gcc: fatal error: Killed signal terminated program cc1",
            "/bin/sh: 1: sparse: not found",
            "/bin/sh: line 1: sparse: command not found",
        ):
            units, broken = self.read(f"  CC  a.o\n{line}\nmake: *** [Makefile:9: a.o] Error 1\n")
            self.assertEqual(units["a.o"], [])
            self.assertTrue(broken, line)

    def test_linker(self) -> None:
        """A selftest of v6.1 that calls what is not there."""
        units, broken = self.read(
            "ccache gcc -Wall -c -o /o/dirty_log_test\n"
            "/usr/bin/ld: /tmp/cctreekF.o: in function `run_test':\n"
            "dirty_log_test.c:775: undefined reference to `TEST_ASSERT_EQ'\n"
            "/usr/bin/ld: dirty_log_test.c:777: undefined reference to `TEST_ASSERT_EQ'\n"
            "collect2: error: ld returned 1 exit status\n"
            "make: *** [../lib.mk:155: /o/dirty_log_test] Error 1\n"
        )
        self.assertEqual(broken, [])
        (found,) = units.values()
        self.assertEqual({each.message for each in found}, {"error: undefined reference to `TEST_ASSERT_EQ'"})

    def test_checkpatch_that_broke_off(self) -> None:
        line = "p:7: ERROR:X: y\n"
        self.assertIsNone(of_checkpatch(line, "p", lambda _: "f.c"))
        whole = of_checkpatch(f"{line}total: 1 errors, 0 warnings, 9 lines checked\n", "p", lambda _: "f.c")
        self.assertEqual([str(each) for each in whole or []], ["p:7: f.c(): ERROR:X: y"])


class Modpost(unittest.TestCase):
    """What modpost prints, in the form of each base."""

    def asked(self, told: str, status: int, recipe: str = "") -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            (out / "scripts/mod").mkdir(parents=True)
            tool = out / "scripts/mod/modpost"
            (out / "scripts/Makefile.modpost").write_text(recipe)
            says = f"echo '{told}' >&2\necho \"$@\" >asked\n: >made.symvers"
            tool.write_text(f"#!/bin/sh\n{says}\nexit {status}\n")
            tool.chmod(0o755)
            module = "arch/x86/kvm/kvm.o"
            (out / module).parent.mkdir(parents=True)
            source = b"int kvm_here;\n"
            subprocess.run(["gcc", "-c", "-xc", "-o", out / module, "-"], input=source, check=True)
            build = SimpleNamespace(out=out, tree=out)
            found = modpost(build, {module: {"gone"}}, {"kvm_here", "printk"}, out / "log")
            self.given = (out / "given.symvers").read_text()
            self.arguments = (out / "asked").read_text().split()
            return [str(each) for each in found]

    def test_both_forms(self) -> None:
        want = ["arch/x86/kvm/kvm.ko: modpost: gone is undefined"]
        older = 'ERROR: modpost: "gone" [arch/x86/kvm/kvm.ko] undefined!'
        newer = "ERROR: modpost: arch/x86/kvm/kvm.ko: symbol '\\''gone'\\'' undefined!"
        self.assertEqual(self.asked(older, 1), want)
        self.assertEqual(self.asked(newer, 1), want)
        self.assertEqual(self.asked("", 0), [])

    def test_no_symbol_from_two(self) -> None:
        """v6.1's modpost takes a symbol that a module exports for a duplicate of vmlinux's."""
        self.asked("", 0)
        self.assertIn("\tprintk\t", self.given)
        self.assertNotIn("kvm_here", self.given)

    def test_what_modules_export_counts(self) -> None:
        """From v6.12 on only with -M, which v6.1's does not know."""
        self.asked("", 0)
        self.assertNotIn("-M", self.arguments)
        self.asked("", 0, recipe="\t$(if $(CONFIG_MODULES),-M)\t\\\n\t$(if $(CONFIG_MODVERSIONS),-m)\n")
        self.assertIn("-M", self.arguments)

    def test_broken_off(self) -> None:
        gone = 'ERROR: modpost: "gone" [arch/x86/kvm/kvm.ko] undefined!\n'
        many = "WARNING: modpost: suppressed 440 unresolved symbol warnings because there were too many)"
        for told in ("FATAL: modpost: no such file", "", gone + many):
            with self.assertRaises(CouldNot):
                self.asked(told, 1)


class Includers(Kernel):
    """What a changed header reaches is found, not listed."""

    def test_through_another_header(self) -> None:
        kvm = self.tree / "arch/x86/kvm"
        (kvm / "inner.h").write_text("int inner;\n")
        (kvm / "svm/x86.h").write_text("int other;\n")
        (self.tree / "arch/arm64").mkdir()
        (self.tree / "arch/arm64/a.c").write_text('#include "x86.h"\n')
        edit(kvm / "x86.h", "#define GFP", '#include "inner.h"\n#define GFP')
        git(self.tree, "add", "--all")
        found = includers(self.tree, {"arch/x86/kvm/inner.h"})
        # svm/avic.c finds the header of that name in its own folder first.
        self.assertEqual(found, {f"arch/x86/kvm/{name}" for name in ("x86.h", "x86.c", "vmx/vmx.c")})

    def test_config_decides(self) -> None:
        folder = self.tree / "drivers/a"
        folder.mkdir(parents=True)
        (folder / "Makefile").write_text(
            "obj-$(CONFIG_ON) += on.o whole.o\nobj-$(CONFIG_OFF) += off.o part.o\nwhole-y := in.o\n"
            "part-objs := \\\n\tout.o\n"
        )
        built = [n for n in ("on", "off", "in", "out", "none") if is_built(self.tree, "\nCONFIG_ON=y\n", f"drivers/a/{n}.c")]
        self.assertEqual(built, ["on", "in"])
