# SPDX-License-Identifier: GPL-2.0
"""The stick on toy machines, and scripts/take-report on reports that are good, cut off, or made to do harm."""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
import unittest
from pathlib import Path

from project import TOP

from avic import bundle, costs, ktap, stick, takenreport
from avic.base import Base
from avic.cmd import run
from avic.ktap import Result
from avic.plan import AGAIN, Plan
from avic.results import Column, Suite

BASE = Base(TOP / "patches/v6.12")
PLAN = "machine avic x2avic\nlane avic=1,x2avic base avic=1\ntest 60 one ./one\ntest 60 two ./two\n"
COUNTS = "    # counts: load=3 refresh=0 incomplete_ipi=0 unaccelerated=0 doorbell=0 exits=9\n"
ESCAPE = "\x1b]0;owned\x07"


def block(name: str, text: str, lane: str = "avic=1,x2avic") -> str:
    """A block as ci/guest/run-plan closes it."""
    lines = [line for line in text.split("\n") if line]
    return f"{text}    # sum {ktap.sum_of(lane, name, lines)}\n"


def log(tests: dict[str, str], end: bool = True) -> str:
    """The KTAP of a run of tests, with the result line of each."""
    text = f"KTAP version 1\n1..1\n    KTAP version 1\n    1..{len(tests)}\n" + block("(load)", "    # taint: 0\n")
    for number, (name, result) in enumerate(tests.items(), 1):
        line = f"    #o said by {name}{ESCAPE}\n{COUNTS}    {result.replace('N', str(number), 1)}\n"
        text += f"    # start {name}\n" + block(name, line)
    bad = "not " if any(result.startswith("not") for result in tests.values()) else ""
    return text + (block("(unload)", "    # taint: 0\n") + f"{bad}ok 1 avic=1,x2avic\n# plan done\n" if end else "")


GOOD = {"one": "ok N one # 1s", "two": "ok N two # SKIP no reason"}
FILES = {
    "what": "v6.12 (toy), stack abc, stick def\n",
    "machine": f"model name: AMD EPYC 9354{ESCAPE}\nmicrocode: 0xa10113e\n",
    "choice": "all\n",
}


def report_files(**levels: str) -> dict[str, bytes]:
    """The files of a report; a level's text is its KTAP."""
    text = dict(FILES)
    for level, found in levels.items():
        text |= {f"{level}.1.ktap": found, f"{level}.1.plan": PLAN.replace(" base ", f" {level} ")}
    return {name: content.encode(errors="surrogateescape") for name, content in text.items()}


def member(name: str, data: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def packed(files: dict[str, bytes], *more: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A report's archive, with other members behind its files."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for info, content in [*(member(f"./{name}", text) for name, text in files.items()), *more]:
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(data.getvalue())


class Archive(unittest.TestCase):
    def refused(self, data: bytes, why: str) -> None:
        with self.assertRaisesRegex(ValueError, why):
            takenreport.read_report(takenreport.files_of(data))

    def test_good(self) -> None:
        report = takenreport.read_report(takenreport.files_of(packed(report_files(base=log(GOOD), stack=log(GOOD)))))
        self.assertEqual([(r.name, r.status) for r in report.results("stack")], [("one", "pass"), ("two", "skip")])
        self.assertEqual(report.model, "AMD EPYC 9354?]0;owned?")

    def test_cut_off_anywhere(self) -> None:
        """At no length is a part of it taken for the whole."""
        whole = packed(report_files(base=log(GOOD)))
        for length in {0, 1, 10, 17, 18, 100, len(whole) // 2, len(whole) - 9, len(whole) - 8, len(whole) - 1}:
            with self.subTest(length):
                self.refused(whole[:length], "cut off|no .gz|its end is missing")
        # A whole .gz of half an archive.
        plain = gzip.decompress(whole)
        for length in range(512, len(plain) - 10240, 512):
            with self.subTest(tar=length):
                self.refused(gzip.compress(plain[:length]), "its end is missing|is cut off|no tar|base")

    def test_names_out_of_it(self) -> None:
        for name in ("../x", "/etc/passwd", "a/../../x", "base.1.ktap/x", "x\x1b[2J", "base.0.ktap", "base.1.ktap.sh"):
            with self.subTest(name):
                self.refused(packed(report_files(), member(name, b"x")), "is no file of a report")

    def test_what_is_no_plain_file(self) -> None:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
            with self.subTest(kind):
                self.refused(packed(report_files(), member("cpuid", type=kind, linkname="/etc/passwd")), "no plain file")

    def test_twice(self) -> None:
        self.refused(packed(report_files(), member("what", b"v7.3 x")), "'what' is in it twice")

    def test_bomb(self) -> None:
        """A MiB that unpacks to more than any report has is not unpacked to its end."""
        self.refused(gzip.compress(bytes(takenreport.MOST_BYTES + 10240), 9), "more than 64 MiB")
        self.refused(os.urandom(takenreport.MOST_PACKED + 1), "bigger than 16 MiB")

    def test_damaged_result_is_no_pass(self) -> None:
        report = takenreport.read_report(report_files(base=log(GOOD).replace("# 1s", "# 2s")))
        self.assertEqual(report.results("base")[0].status, "error")

    def test_pass_without_avic_is_none(self) -> None:
        """A pass counts as in the emulator: somebody has to have counted what AVIC did."""
        text = log({"one": "ok N one # 1s"}).replace(COUNTS, "")
        lines = ["    #o said by one" + ESCAPE, "    ok 1 one # 1s"]
        text = re.sub(r"    # sum \w+\n(?=    # taint: 0\n    # sum \w+\nok)", f"    # sum {ktap.sum_of('avic=1,x2avic', 'one', lines)}\n", text)
        report = takenreport.read_report(report_files(base=text))
        self.assertIn("nobody counted", next(r.note for r in report.results("base") if r.name == "one"))

    def test_plans_of_no_stick(self) -> None:
        for old, new, why in (
            ("lane avic=1,x2avic", "lane evil", "lane 'evil'"), ("test 60 one", "test 60 ../one", "test '../one'"),
            ("test 60 two", "test 60 one", "two tests named one"), ("machine", "mashine", "want 'machine'"),
            ("test 60 two ./two", "".join(f"test 1 t{n} x\n" for n in range(2001)), "too many tests"),
        ):  # fmt: skip
            with self.subTest(why):
                files = report_files(base=log(GOOD))
                files["base.1.plan"] = files["base.1.plan"].replace(old.encode(), new.encode())
                with self.assertRaisesRegex(ValueError, why):
                    takenreport.read_report(files)

    def test_base_that_there_is_not(self) -> None:
        with self.assertRaisesRegex(ValueError, "base '../../x'"):
            takenreport.read_report(report_files() | {"what": b"../../x y"})

    def test_huge_number(self) -> None:
        """Python refuses to read it; that is no crash."""
        with self.assertRaises(ValueError):
            takenreport.read_report(report_files(base="KTAP version 1\n    1.." + "9" * 5000 + "\n"))

    def test_second_try_without_the_test_that_stopped_the_first(self) -> None:
        first = log({"one": "ok N one # 1s"}, end=False) + "    # start two\n\nBail out! error: the machine restarted in two\n"
        files = report_files(base=first)
        files["base.2.plan"] = files["base.1.plan"].replace(b"test 60 two ./two\n", b"")
        files["base.2.ktap"] = log({"one": "not ok N one # exit status 1"}).encode()
        report = takenreport.read_report(files)
        found = {r.name: (r.status, r.note) for r in report.results("base")}
        self.assertEqual(found["one"], ("fail", "exit status 1"))
        self.assertEqual(found["two"], ("error", "the machine restarted in two"))


class Wants(unittest.TestCase):
    def test_each_run_of_a_test_has_its_own(self) -> None:
        """What a pass has to show goes by a device test's whole name, else by its program."""
        for name, want in (
            ("svm_ga_log_test,device,-k20", "on"), ("svm_ga_log_test,device,-o,-i20", "on,host_irqs=0,ga_log>=10000"),
            ("posted_irq,device,-i200,-r", "on,host_irqs=0"), ("posted_irq,device,-i200,-x", "on,host_irqs=0,ga_log>=150"),
            ("x86/xapic_ipi_test", "on"), ("kvm_binary_stats_test", "-"),
        ):  # fmt: skip
            self.assertEqual(takenreport.wants(name), want, name)


class Verb(unittest.TestCase):
    def take(self, data: bytes, status: int, emulated: Suite | None = None) -> tuple[str, Path]:
        """What the script says about a file, and its cache."""
        cache = Path(tempfile.mkdtemp(prefix="avic-take."))
        self.addCleanup(shutil.rmtree, cache)
        (cache / "x.tar.gz").write_bytes(data)
        done = subprocess.run(
            [TOP / "scripts/take-report", cache / "x.tar.gz"], capture_output=True, text=True,
            env=os.environ | {"AVIC_CACHE": str(cache)},
        )  # fmt: skip
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertEqual([c for c in done.stdout + done.stderr if not c.isprintable() and c not in "\n\t"], [])
        return done.stdout + done.stderr, cache

    def test_good(self) -> None:
        said, cache = self.take(packed(report_files(base=log(GOOD), stack=log(GOOD))), 0)
        self.assertIn("verdict  nothing got worse", said)
        folder = next((cache / "report").iterdir())
        self.assertTrue(folder.name.startswith("v6.12-stick-amd-epyc-9354"))
        self.assertEqual(Suite.read(folder).stack.results[0].status, "pass")

    def test_worse(self) -> None:
        bad = log({"one": "not ok N one # exit status 1", "two": GOOD["two"]})
        said, _ = self.take(packed(report_files(base=log(GOOD), stack=bad)), 1)
        self.assertIn("worse    avic=1,x2avic one: pass -> fail", said)

    def test_second_look(self) -> None:
        """A test that only failed by chance is told of, and does not count; one that fails again does."""
        bad = log({"one": "not ok N one # exit status 1", "two": "ok N two # 1s"})
        for word, status, verdict in (("", 0, "unsteady"), ("not ", 1, "worse   ")):
            files = report_files(base=log(GOOD), stack=bad)
            for level, how in (("base", ""), ("stack", word)):
                names = [f"one@{n}" for n in range(1, AGAIN + 1)]
                tests = {name: f"{how}ok N {name} # {'exit status 1' if how else '1s'}" for name in names}
                files[f"{level}.2.ktap"] = log(tests).encode(errors="surrogateescape")
                files[f"{level}.2.plan"] = (
                    f"machine avic x2avic\nlane avic=1,x2avic {level} avic=1\n" + "".join(f"test 60 {name} ./one\n" for name in names)
                ).encode()
            said, cache = self.take(packed(files), status)
            again = " ".join([("fail" if word else "pass")] * AGAIN)
            self.assertRegex(said, rf"{verdict} +avic=1,x2avic one: pass -> fail: .*; again: base pass pass pass, stack {again}")
            suite = Suite.read(next((cache / "report").iterdir()))
            self.assertEqual([r.name for r in suite.stack.results], ["one", "two"])
            # One that only one level had says nothing; nor does a later try undo a hang.
            if not word:
                self.assertIn("worse    avic=1,x2avic one: pass -> fail", self.take(packed(self.without(files, "base.2")), 1)[0])
                hung = files | {f"stack.3.{kind}": files[f"stack.2.{kind}"] for kind in ("ktap", "plan")}
                text = log({"one@1": "ok N one@1 # 1s"}, end=False) + "    # start one@2\n\nBail out! hang: nothing came\n"
                hung["stack.2.ktap"] = text.encode(errors="surrogateescape")
                self.assertIn("worse    avic=1,x2avic one: pass -> fail", self.take(packed(hung), 1)[0])

    def without(self, files: dict[str, bytes], name: str) -> dict[str, bytes]:
        return {each: data for each, data in files.items() if not each.startswith(f"{name}.")}

    def test_one_level_is_no_verdict(self) -> None:
        said, _ = self.take(packed(report_files(stack=log(GOOD))), 1)
        self.assertIn("lost     it has results of stack: base and stack can't be compared", said)
        said, _ = self.take(packed(report_files()), 1)
        self.assertIn("results of no level", said)

    def test_hostile(self) -> None:
        said, cache = self.take(packed(report_files(), member("../../x\x1b[2J", b"x")), 1)
        self.assertRegex(said, r"^take-report: .*x\.tar\.gz is not taken: .*is no file of a report\n$")
        self.assertEqual(sorted(path.name for path in cache.iterdir()), ["x.tar.gz"])

    def test_wrong_use(self) -> None:
        for arguments in ([], ["/nowhere"], ["--no-such"]):
            done = subprocess.run([TOP / "scripts/take-report", *arguments], capture_output=True)
            self.assertEqual(done.returncode, 2)


class BesideTheEmulator(unittest.TestCase):
    def test_each_kind_apart(self) -> None:
        policy = costs.Policy(TOP / "ci/run/costs")

        def results(**found: str) -> list[Result]:
            return [Result("avic=1", name, status, counts={"doorbell": 100}) for name, status in found.items()]

        machine = results(same="pass", other="fail", only_here="pass", stopped="not-run", cheap="pass")
        machine[-1].counts["doorbell"] = 100000
        there = results(same="pass", other="pass", only_there="pass", stopped="pass", cheap="pass")
        there += [Result("auto", "no_such_lane_here", "pass")]
        suite = Suite({}, Column("base", there), Column("stack"), [], [])
        found = takenreport.beside({"base": machine}, suite, policy)
        told = {kind: [str(each) for each in found.of(kind)] for kind in ("same", "differs", "not-run", "not-emulated")}
        self.assertEqual(
            told,
            {
                "same": ["base avic=1 same"],
                "differs": [
                    "base avic=1 other: pass in the emulator, fail on the machine",
                    "base avic=1 cheap: doorbell is 100 in the emulator, 100000 on the machine",
                ],
                "not-run": ["base avic=1 stopped", "base avic=1 only_there"],
                "not-emulated": ["base avic=1 only_here"],
            },
        )
        self.assertEqual([line.split(" ")[0] for line in found.lines()], ["same", "emulator", "emulator", "not", "not", "not"])

    def test_refused_on_hardware_is_not_run(self) -> None:
        """The real machine's skip of vcpu_create_fail_test, beside an emulator on which it passes."""
        machine = Suite.read(TOP / "tests/captured/machines/report/v6.12-hardware").stack.results
        name = "x86_64/vcpu_create_fail_test"
        there = [Result(r.lane, r.name, "pass") for r in machine if r.name == name]
        suite = Suite({}, Column("base"), Column("stack", there), [], [])
        found = takenreport.beside({"stack": machine}, suite, costs.Policy(TOP / "ci/run/costs"))
        self.assertEqual([each.test for each in found.of("not-run")], [name, name])
        self.assertIn("refused on hardware, L6", found.of("not-run")[0].what)
        self.assertEqual(found.of("differs"), [])

    def test_a_count_that_only_one_of_them_has(self) -> None:
        """What never came has no count: that is 0, if it was looked for."""
        policy = costs.Policy(TOP / "ci/run/costs")
        real = {(r.lane, r.name): r for r in Suite.read(TOP / "tests/captured/machines/report/v6.12").stack.results}
        there = real["avic=1,x2avic", "x86_64/xapic_state_test"]
        self.assertEqual(takenreport.count_differences(policy, there, there), [])

        def differ(**counts: int) -> list[str]:
            here = Result(there.lane, there.name, "pass", counts=there.counts | counts)
            return takenreport.count_differences(policy, there, here)

        self.assertEqual(differ(exit_vintr=99), ["exit_vintr is 0 in the emulator, 99 on the machine"])
        self.assertEqual(differ(inhibit_set_irqwin=7), ["inhibit_set_irqwin is 0 in the emulator, 7 on the machine"])
        # Without the base's source there are numbers for names.
        self.assertEqual(differ(inhibit_set_4=7), [])
        # Nobody looked.
        here = Result(there.lane, there.name, "pass", counts={"load": 1})
        self.assertEqual(takenreport.count_differences(policy, there, here), [])


class Make(unittest.TestCase):
    def test_wrong_runs(self) -> None:
        """Said before anything is fetched or built."""
        for runs in ("both", "base,base", "stack,10", ","):
            done = subprocess.run([TOP / "scripts/stick", "--runs", runs], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
            self.assertIn("it takes base, stack, or base,stack", done.stderr)


class Kinds(unittest.TestCase):
    def test_lanes_of_each_kind_of_machine(self) -> None:
        self.assertEqual(
            stick.kinds(BASE),
            {
                "avic": ["avic=1"], "avic+device": ["avic=1", "posted"], "avic,x2avic": ["avic=0", "avic=1,x2avic"],
                "avic,x2avic+device": ["avic=0", "avic=1,x2avic", "posted,x2avic"],
            },
        )  # fmt: skip


class Scripts(unittest.TestCase):
    """The scripts of ci/stick in busybox, on toys of /proc, /sys and /dev."""

    def setUp(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="avic-stick."))
        self.addCleanup(shutil.rmtree, self.root)
        self.stick = self.root / "stick"
        shutil.copytree(TOP / "ci/stick", self.stick)
        for path in self.stick.iterdir():
            path.write_text(path.read_text().replace("/tmp/", f"{self.root}/tmp/"))
        lib = (self.stick / "lib.sh").read_text()
        for old, new in (
            ("stick=/stick\n", f"stick={self.stick}\n"), ("run=/run/avic ", f"run={self.root}/run "),
            ("mnt=/mnt\n", f"mnt={self.root}/mnt\n"), ("consoles=$(find_consoles)", f"consoles={self.root}/console"),
        ):  # fmt: skip
            self.assertIn(old, lib)
            lib = lib.replace(old, new)
        (self.stick / "lib.sh").write_text(lib)
        for name in ("run", "mnt/running", "tmp", "proc", "sys", "dev"):
            (self.root / name).mkdir(parents=True)
        (self.stick / "flags").write_text("avic\nx2avic\n")
        (self.stick / "mib").write_text("2000\n")
        (self.stick / "what").write_text("v6.12 (toy)\n")
        for kind in ("avic", "avic,x2avic"):
            (self.stick / "plans/base").mkdir(parents=True, exist_ok=True)
            (self.stick / "plans/base" / kind).write_text(PLAN)
        (self.root / "tmp/partition").write_text(f"{self.root}/mnt\n")
        self.machine()

    def machine(self, vendor: str = "AuthenticAMD", flags: str = "svm avic x2avic", family: int = 25, vm_cr: int = 0, ecx: int = 4) -> None:
        """A processor: its flags as the kernel has them, its own ECX of leaf 0x80000001, and its VM_CR."""
        (self.root / "proc/cpuinfo").write_text(
            f"processor\t: 0\nvendor_id\t: {vendor}\ncpu family\t: {family}\nmodel name\t: A CPU\nflags\t\t: fpu {flags}\n\n"
        )
        (self.root / "proc/meminfo").write_text("MemTotal: 8000000 kB\nMemAvailable: 7000000 kB\n")
        # Sparse: what is read is at these offsets.
        for name, at, data in (("cpuid", 0x80000001, bytes(8) + ecx.to_bytes(4, "little") + bytes(4)), ("msr", 0xC0010114, bytes([vm_cr] + [0] * 7))):
            with (self.root / "dev" / name).open("wb") as file:
                file.seek(at)
                file.write(data)

    def sh(self, name: str, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        env = {"PROC": f"{self.root}/proc", "SYS": f"{self.root}/sys", "DEV": f"{self.root}/dev", "WATCHDOG": "/none"}
        # Busybox's own tools, whatever PATH has.
        (self.root / "bin").mkdir(exist_ok=True)
        if not (self.root / "bin/sh").exists():
            subprocess.run(["busybox", "--install", "-s", self.root / "bin"], check=True)
        return subprocess.run(
            [self.root / "bin/sh", self.stick / name, *arguments], input=text, capture_output=True, text=True,
            env={"PATH": f"{self.root}/bin", **env},
        )  # fmt: skip

    def preflight(self, status: int = 0) -> str:
        done = self.sh("preflight")
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout

    def test_preflight_good(self) -> None:
        said = self.preflight()
        self.assertIn("ok svm", said)
        self.assertIn("ok x2avic", said)
        self.assertIn("without iommu the IOMMU is off: switch on", said)
        self.assertIn("ok report", said)

    def test_preflight_wrong_vendor(self) -> None:
        self.machine(vendor="GenuineIntel", flags="vmx")
        self.assertIn("MISSING processor A CPU is no processor of AMD's (GenuineIntel)", self.preflight(1))

    def test_preflight_svm(self) -> None:
        """Off in the BIOS is told from not there, also where the kernel has taken the flag away."""
        for flags, vm_cr in (("svm avic", 0x10), ("", 0x10), ("", 0)):
            with self.subTest(flags, vm_cr=vm_cr):
                self.machine(flags=flags, vm_cr=vm_cr)
                self.assertIn("switched off in the BIOS setup", self.preflight(1))
        self.machine(flags="", ecx=0)
        self.assertIn("has no SVM", self.preflight(1))

    def test_preflight_older_processors(self) -> None:
        self.machine(flags="svm avic")
        self.assertIn("without x2avic no x2AVIC: that is normal before Zen 4", self.preflight())
        self.assertNotIn("erratum", self.preflight())
        self.machine(flags="svm avic", family=23)
        self.assertIn("without erratum-1235", self.preflight())
        self.machine(flags="svm")
        self.assertIn("MISSING avic", self.preflight(1))

    def test_preflight_iommu(self) -> None:
        """Both registers of features, in the order of either kernel; also the ssh lane's preflight."""
        folder = self.root / "sys/class/iommu/ivhd0/amd-iommu"
        folder.mkdir(parents=True)
        lane = (TOP / "ci/hardware/preflight").read_text()
        shown = lane[lane.index("iommu() {"):]
        shown = shown[:shown.index("\n}\n") + 3].replace("/sys/", f"{self.root}/sys/")
        shown = f"ok() {{ echo ok $*; }}; missing() {{ echo missing $*; }}; wants() {{ true; }}\n{shown}iommu\n"
        for text, good in (("246577efa2254afa:0", True), ("0:246577efa2254afa", True), ("246577efa2054afa:10", False), ("0:0", False)):
            with self.subTest(text):
                (folder / "features").write_text(f"{text}\n")
                self.assertIn("ok iommu" if good else "without iommu the IOMMU cannot", self.preflight())
                done = subprocess.run(["busybox", "sh", "-c", shown], capture_output=True, text=True)
                self.assertRegex(done.stdout, "^ok iommu guest virtual APIC mode" if good else "^missing iommu no guest virtual APIC mode")

    def test_preflight_no_stick(self) -> None:
        (self.root / "mnt/running").rmdir()
        self.assertIn("without report", self.preflight())

    def test_key_is_a_kind(self) -> None:
        for flags in ("svm avic", "svm avic x2avic"):
            self.machine(flags=flags)
            self.assertIn(self.sh("key").stdout.strip(), stick.kinds(BASE))

    def test_facts_name_nobody(self) -> None:
        """Of the BIOS only what is named; out of the kernel's log what tells one machine from another."""
        folder = self.root / "sys/class/dmi/id"
        folder.mkdir(parents=True)
        for name in ("sys_vendor", "product_serial", "product_uuid", "board_serial", "chassis_asset_tag"):
            (folder / name).write_text(f"secret-{name}\n")
        # `dmesg` of a toy.
        (self.root / "log").write_text(
            "usb 1-1: SerialNumber: 1234SECRET\nroot=PARTUUID=0fc63daf-8483-4772-8e79-3d69d8477de4\neth at 00:11:22:aa:bb:cc\nplain\n"
        )
        # Busybox's shell takes its own dmesg, whatever PATH has.
        text = (self.stick / "facts").read_text()
        self.assertIn("\ndmesg |", text)
        (self.stick / "facts").write_text(text.replace("\ndmesg |", f"\ncat {self.root}/log |"))
        self.sh("facts", "base.1")
        machine, dmesg = ((self.root / "run" / name).read_text() for name in ("machine", "base.1.dmesg"))
        self.assertIn("sys_vendor: secret-sys_vendor", machine)
        self.assertEqual(machine.count("secret"), 1)
        self.assertEqual(dmesg, "root=PARTUUID=(a UUID)\neth at (an address)\nplain\n")
        self.assertIn("model name: A CPU", machine)
        # After kexec the kernel finds less: what the first one wrote stays.
        (folder / "sys_vendor").unlink()
        self.sh("facts", "stack.1")
        self.assertEqual((self.root / "run/machine").read_text(), machine)

    def device(self, slot: int, kind: str, ids: str = "1b36:0010", group: str = "", below: str = "") -> str:
        """A toy of a PCI device, with something below it; returns its address."""
        address = f"0000:00:{slot:02x}.0"
        folder = self.root / "sys/bus/pci/devices" / address
        (folder / below).mkdir(parents=True)
        vendor, _, model = ids.partition(":")
        for name, text in (("class", kind), ("vendor", vendor), ("device", model)):
            (folder / name).write_text(f"0x{text}\n")
        for other in (group or address).split():
            if other != "none":
                (folder / "iommu_group/devices" / other).mkdir(parents=True)
        return address

    def test_devices(self) -> None:
        """What a run may have, and what only somebody who insists may give it, or nobody."""
        (self.root / "tmp/partition").write_text("/dev/sdb4\n")
        wanted = []
        for kind, ids, group, below, what in (
            ("0c0330", "1b36:000d", "", "", "free {} USB controller (1b36:000d)"),
            ("0c0330", "1022:149c", "", "usb1/1-1/1-1:1.0/host0/target0:0:0/0:0:0:0/block/sdb/sdb4", "never {} USB controller (1022:149c): this stick is on it"),
            ("0c0330", "1022:149c", "", "usb1/1-1/1-1:1.0/host0/target0:0:0/0:0:0:0/block/sda", "force {} USB controller (1022:149c): a disk is on it: sda"),
            ("0c0330", "1022:149c", "", "usb1/1-1/1-1:1.0/0003:1.1/input/input7", "force {} USB controller (1022:149c): a keyboard or a mouse is on it"),
            ("0c0330", "1022:149c", "0000:00:06.0 0000:00:07.0", "", "never {} USB controller (1022:149c): not alone in its IOMMU group: 0000:00:06.0 0000:00:07.0"),
            ("0c0330", "1022:149c", "none", "", "never {} USB controller (1022:149c): the IOMMU does not have it"),
            ("010802", "144d:a808", "", "", "force {} NVMe disk (144d:a808): what it holds can't be seen here"),
            ("020000", "8086:1533", "", "", "free {} network card I210 (8086:1533)"),
            # Nothing that the tests could drive.
            ("020000", "10ec:8168", "", "", ""), ("010601", "1022:7901", "", "", ""), ("030000", "1002:1638", "", "", ""),
        ):  # fmt: skip
            address = self.device(len(wanted) + 2, kind, ids, group, below)
            wanted.append(what.format(address))
        self.assertEqual(self.sh("devices").stdout.splitlines(), [line for line in wanted if line])
        for line in wanted:
            word, address, _, = line.split(" ", 2) if line else ("never", "0000:00:0a.0", "")
            for typed in (address, f"force:{address}"):
                with self.subTest(line or "nothing", typed=typed):
                    done = self.sh("devices", typed)
                    taken = word == "free" or word == "force" and typed != address
                    self.assertEqual(done.returncode, 0 if taken else 1, done.stdout)
                    self.assertRegex(done.stdout, f"^{address} .*\n$" if taken else "^Not that one: .*\n$")
        for typed in ("", "no", "force:", "0000:00:0", ".*", "free", "force", f"{wanted[0].split()[1]} x"):
            with self.subTest(typed=typed):
                self.assertEqual(self.sh("devices", typed).returncode, 1)

    def test_record(self) -> None:
        """The KTAP is in memory and on the stick, byte for byte; the screen has a line for each test."""
        (self.root / "run/base.1.plan").write_text(PLAN)
        text = log({"one": "ok N one # 1s", "two": "not ok N two # TIMEOUT after 60s"})
        self.sh("record", "base.1", text=text)
        for folder in ("run", "mnt/running"):
            self.assertEqual((self.root / folder / "base.1.ktap").read_text(), text)
        self.assertRegex((self.root / "console").read_text(), r"1 of 2  pass    one\n +2 of 2  NO END  two\n")

    def test_stick_that_was_pulled(self) -> None:
        """It is said once; results stay in memory, and the summary says where the report is."""
        (self.root / "run/base.1.plan").write_text(PLAN)
        for name in ("run/preflight", "run/machine"):
            (self.root / name).write_text("")
        (self.root / "mnt/running").rmdir()
        (self.root / "tmp/partition").write_text("/dev/gone\n")
        text = log({"one": "ok N one # 1s", "two": "ok N two # 1s"})
        self.sh("record", "base.1", text=text)
        self.assertEqual((self.root / "run/base.1.ktap").read_text(), text)
        self.assertEqual((self.root / "console").read_text().count("!! The stick is full, or it was pulled out"), 1)
        said = self.sh("report").stdout
        self.assertIn("Report: !! not on the stick: it is full, or gone.", said)
        self.assertTrue((self.root / "tmp/report/avic-report-001.tar.gz").exists())

    def test_record_is_ahead_of_the_test(self) -> None:
        """A test's name is on the stick before the test may begin."""
        (self.root / "run/base.1.plan").write_text(PLAN)
        self.sh("key")
        text = log({"one": "ok N one # 1s"}, end=False) + "    # start two\n"
        with subprocess.Popen(
            [self.root / "bin/sh", self.stick / "record", "base.1"], stdin=subprocess.PIPE, text=True,
            env={"PATH": f"{self.root}/bin"},
        ) as record:  # fmt: skip
            assert record.stdin
            record.stdin.write(text)
            record.stdin.flush()
            # That is what the test waits for, in ci/stick/begin.
            begun = self.root / "tmp/begun"
            for _ in range(600):
                if begun.exists() and begun.read_text() == "two\n":
                    break
                time.sleep(0.1)
            self.assertEqual((self.root / "mnt/running/base.1.ktap").read_text(), text)

    def test_report_is_taken(self) -> None:
        """What the stick packs, take-report reads: names, and the end of the archive."""
        for name, data in report_files(base=log(GOOD), stack=log(GOOD)).items():
            (self.root / "run" / name).write_bytes(data)
        (self.root / "run/preflight").write_text("ok svm yes\n")
        (self.root / "run/base.done").write_text("")
        stopped = log({"one": "ok N one # 1s"}, end=False) + "    # start two\n\nBail out! error: the machine restarted or lost power in two\n"
        (self.root / "run/stack.2.ktap").write_text(stopped)
        (self.root / "run/stack.2.plan").write_text(PLAN.replace(" base ", " stack "))
        said = self.sh("report").stdout
        self.assertRegex(said, r"base\.1 +1 +1 +0 +0\n")
        # Also which test it was.
        self.assertRegex(said, r"stack\.2 +1 +0 +0 +0\n    error: the machine restarted or lost power in two\n")
        self.assertIn("avic-report-001.tar.gz on the stick's partition", said)
        # It fits on a screen.
        self.assertLess(len(said.splitlines()), 24)
        self.assertLessEqual(max(map(len, said.splitlines())), 79)
        report = takenreport.read_report(takenreport.files_of((self.root / "mnt/avic-report-001.tar.gz").read_bytes()))
        self.assertEqual([r.status for r in report.results("base")], ["pass", "skip"])
        self.assertEqual([r.status for r in report.results("stack")], ["pass", "error"])
        self.assertIn(b"No file of the machine", report.files["CONTENTS"])
        self.assertFalse((self.root / "mnt/running").exists())

    def test_plan_of_the_stick_reads(self) -> None:
        self.assertEqual([test.name for test in Plan.read(PLAN).tests], ["one", "two"])

    def doubtful(self, **levels: str) -> list[str]:
        for level, text in levels.items():
            (self.root / "run" / f"{level}.ktap").write_text(text)
        done = self.sh("doubtful")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.splitlines()

    def test_doubtful(self) -> None:
        """What is not on both levels, what got better, and a lane that has no end, get no second look."""
        good, bad = log({"one": "ok N one # 1s"}), log({"one": "not ok N one # exit status 1", "new": "not ok N new # exit status 1"})
        self.assertEqual(self.doubtful(), [])
        self.assertEqual(self.doubtful(**{"stack.1": bad}), [])
        self.assertEqual(self.doubtful(**{"base.1": good}), ["avic=1,x2avic one"])
        self.assertEqual(self.doubtful(**{"stack.1": bad.replace("# exit status 1", "# TIMEOUT after 60s")}), ["avic=1,x2avic one"])
        self.assertEqual(self.doubtful(**{"base.1": bad, "stack.1": bad}), [])
        self.assertEqual(self.doubtful(**{"base.1": bad, "stack.1": good}), [])
        self.assertEqual(self.doubtful(**{"base.1": good, "stack.1": bad.partition("\nnot ok 1")[0]}), [])

    def plan(self, of: str) -> str:
        done = self.sh("plan", "base", of)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_plan_of_a_second_look(self) -> None:
        (self.root / "run/choice").write_text("all\n")
        (self.stick / "times").write_text("2\n")
        lane, kind = PLAN.splitlines()[1], "avic,x2avic"
        (self.stick / "plans/base" / kind).write_text(PLAN + "lane avic=0 base avic=0\ntest 60 one ./one\n")
        self.assertEqual(self.plan("first"), (self.stick / "plans/base" / kind).read_text())
        self.assertFalse((self.root / "run/again").exists())
        (self.root / "run/again").write_text("avic=1,x2avic one\n")
        second = f"machine avic x2avic\n{lane}\ntest 60 one@1 ./one\ntest 60 one@2 ./one\n"
        self.assertEqual(self.plan("again"), second)
        # A machine that fell over in it is not asked again.
        (self.root / "run/skip").write_text("base one@1\nstack two\n")
        self.assertEqual(self.plan("again"), "machine avic x2avic\n")
        self.assertNotIn("test 60 one ", self.plan("first"))
        self.assertIn("test 60 two ", self.plan("first"))


class PostedIrq(unittest.TestCase):
    def test_only_with_a_device(self) -> None:
        """An image gets the program; the suite does not run it, the lanes with a device do, and nothing else changes."""
        with tempfile.TemporaryDirectory() as folder:
            image = Path(folder) / "image"
            (image / "selftests/x86").mkdir(parents=True)
            (image / "bzImage").write_text("kernel")
            (image / "selftests/x86/one_test").touch(mode=0o755)
            made = bundle.with_posted_irq(image, Path(folder) / "made")
            self.assertEqual((made / "bzImage").read_text(), "kernel")
            self.assertEqual([test.name for test in run.selftests(made / "selftests")], ["x86/one_test"])
            self.assertEqual(
                [" ".join(test.command) for test in run.device_tests(made / "selftests")],
                [f"./posted_irq -d DEVICE -i200{more}" for more in ("", " -x", " -r", " -r -x")],
            )
            self.assertEqual([path.name for path in (image / "selftests").iterdir()], ["x86"])
            # Nothing that it could drive: a skip that says so, not a pass.
            done = subprocess.run([made / "selftests/posted_irq", "-d", "0000:00:00.0"], capture_output=True, text=True)
        self.assertIn((done.returncode, done.stdout[:16]), [(4, "- Skipping test:"), (1, "")])


class Refused(unittest.TestCase):
    def test_only_from_its_menu_line(self) -> None:
        """A test of ci/hardware/refused is a skip; itself it is only where line 3 takes it from."""
        with tempfile.TemporaryDirectory() as folder:
            tests, apart = Path(folder) / "tests", Path(folder) / "apart"
            (tests / "x86").mkdir(parents=True)
            for name in ("vcpu_create_fail_test", "other_test"):
                (tests / "x86" / name).write_text("dangerous")
            stick.set_refused_apart(tests, apart)
            self.assertEqual((tests / "x86/other_test").read_text(), "dangerous")
            self.assertEqual((apart / "x86/vcpu_create_fail_test").read_text(), "dangerous")
            done = subprocess.run([tests / "x86/vcpu_create_fail_test"], stdout=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 4)
        self.assertIn(ktap.REFUSED, done.stdout)
        self.assertIn("line 3 of the menu runs it", done.stdout)
