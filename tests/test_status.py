# SPDX-License-Identifier: GPL-2.0
"""scripts/status and avic-status: it builds, says what is wrong, and prints a known state right.

What it reads from a kernel is tested in an emulated machine: pipeline_status.py.
"""

import json
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from project import TOP
from avic.cmd import status

SOURCE = TOP / "ci/avic-status"


class Tables(unittest.TestCase):
    def test_ours(self) -> None:
        advices = status.read_advices((SOURCE / "advice").read_text())
        self.assertGreater(len(advices), 20)
        keys = {key for key, _, _ in advices}
        for file in ("judge.c", "show.c"):
            for key in re.findall(r'"((?:host|vm)\.[a-z0-9-]+)"', (SOURCE / file).read_text()):
                self.assertIn(key, keys)
        self.assertIn('"apic-id-aliased", "lacks", "enum"', status.tables())
        self.assertRegex(status.tables(), r'known_kernels\[\] = "v6\.1 to v[0-9.]+";')

    def test_wrong_advice(self) -> None:
        for line in ("inhibit.X ## do this", "inhibit.X", "nothing.X ## a ## b", "vm.x ## a ## b\nvm.x ## a ## b"):
            with self.assertRaisesRegex(ValueError, "ci/avic-status/advice"):
                status.read_advices(line + "\n")

    def test_wrong_signs(self) -> None:
        self.assertEqual(status.read_signs("bug has type x\n", {"bug"}), [["bug", "has", "type", "x"]])
        for line in ("other has type x", "bug may type x", "bug has thing x", "bug has member x", "bug has enum x y"):
            with self.assertRaisesRegex(ValueError, "ci/avic-status/bugs"):
                status.read_signs(line + "\n", {"bug"})

    def test_c_strings(self) -> None:
        self.assertEqual(status.quoted('a "b" \\c'), '"a \\"b\\" \\\\c"')


class Built(unittest.TestCase):
    """The program, on this machine."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory(prefix="avic-status.")
        cls.addClassCleanup(cls.folder.cleanup)
        out = Path(cls.folder.name, "out")
        env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        command = ["make", "--silent", f"--directory={TOP}", "deb", f"OUT={out}"]
        built = subprocess.run(command, env=env, capture_output=True, text=True)
        if built.returncode:
            raise AssertionError(built.stdout + built.stderr)
        cls.program, cls.deb = (Path(line) for line in built.stdout.splitlines())
        cls.picture = Path(cls.folder.name, "picture")
        subprocess.run(
            ["gcc", "-Wall", "-Werror", "-D_GNU_SOURCE", f"-I{SOURCE}", "-o", cls.picture,
             TOP / "tests/status/picture.c", *(SOURCE / f"{name}.c" for name in ("show", "judge", "host")), out / "tables.c"],
            check=True,
        )  # fmt: skip

    def run_it(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.program, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)

    def shown(self, *arguments: str) -> str:
        return subprocess.run([self.picture, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout

    def test_help_and_version(self) -> None:
        said = self.run_it("--help")
        self.assertEqual((said.returncode, said.stderr), (0, ""))
        self.assertRegex(self.run_it("--version").stdout, r"^avic-status 0~\d{14}\.\w+\n$")
        manual = (SOURCE / "avic-status.8").read_text()
        for option in re.findall(r"--[a-z]+", said.stdout):
            self.assertIn(option.replace("-", "\\-"), manual)

    def test_wrong_use(self) -> None:
        for wrong in ("--no-such", "word", "--interval 0", "--count x", "--count 0.5", "--pid -1", "--pid 1.5",
                      "--watch 1", "--watch nan", "--once --interval 3", "--pid"):
            with self.subTest(wrong):
                said = self.run_it(*wrong.split())
                self.assertEqual((said.returncode, said.stdout), (2, ""))
                self.assertIn("see avic-status --help", said.stderr)

    @unittest.skipIf(Path("/sys/module/kvm_amd").exists(), "this machine has kvm_amd loaded")
    def test_without_kvm_amd(self) -> None:
        for arguments in ([], ["--once"], ["--json"]):
            said = self.run_it(*arguments)
            self.assertEqual(said.returncode, 1)
            self.assertRegex(said.stderr, r"^avic-status: no AVIC here: .+\n$")
            if arguments == ["--json"]:
                self.assertEqual(json.loads(said.stdout)["vms"], [])
            else:
                self.assertRegex(said.stdout, r"(?m)^missing  (amd|svm|cpu-avic|kvm-amd)$")

    def test_package(self) -> None:
        listed = subprocess.check_output(["dpkg-deb", "--contents", self.deb], text=True)
        for name in ("usr/sbin/avic-status", "usr/share/man/man8/avic-status.8", "completions/avic-status",
                     "usr/share/doc/avic-status/copyright"):
            self.assertRegex(listed, rf"root/root .*{name}\n")
        needs = subprocess.check_output(["dpkg-deb", "--field", self.deb, "Depends"], text=True)
        self.assertRegex(needs, r"^libbpf1 \(>= \S+\), libc6 \(>= \S+\)\n$")

    def test_package_installs(self) -> None:
        """Its dependencies can be had here; into a root of its own, where it runs, and leaves nothing when it goes."""
        simulated = subprocess.run(["apt-get", "install", "--simulate", "--reinstall", self.deb], capture_output=True, text=True)
        self.assertEqual(simulated.returncode, 0, simulated.stderr)
        self.assertIn("Inst avic-status", simulated.stdout)
        root = Path(self.folder.name, "root")
        (root / "var/lib/dpkg").mkdir(parents=True)
        (root / "var/lib/dpkg/status").touch()
        dpkg = ["dpkg", f"--root={root}", "--force-not-root", "--force-depends", f"--log={root}/log"]
        path = {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
        subprocess.run([*dpkg, "--install", self.deb], check=True, capture_output=True, env=path)
        said = subprocess.check_output([root / "usr/sbin/avic-status", "--version"], text=True)
        self.assertEqual(said, self.run_it("--version").stdout)
        subprocess.run([*dpkg, "--purge", "avic-status"], check=True, capture_output=True, env=path)
        self.assertEqual(list((root / "usr").rglob("*avic*")), [])

    def test_completion(self) -> None:
        script = f". {SOURCE}/avic-status.bash; _avic_status {self.program} --ve ''; echo ${{COMPREPLY[@]}}"
        said = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, text=True).stdout
        self.assertEqual(said.split(), ["--verbose", "--version"])

    def test_not_amd(self) -> None:
        self.assertRegex(self.shown("intel"), r"(?m)^missing  amd$")

    def test_iommu(self) -> None:
        """Both orders of the two registers: that of v6.1 and that of newer kernels; and IOMMUs of both kinds."""
        posts, other = "246577efa2254afa", "10"
        for number, (files, said) in enumerate((
            ([f"{posts}:{other}"], "1: interrupts to guests yes, x2APIC no"),
            ([f"{other}:{posts}"], "1: interrupts to guests yes, x2APIC no"),
            ([f"{posts}:0", "4afe:0"], "2: interrupts to guests no, x2APIC no"),
            ([f"{int(posts, 16) | 4:x}:0"], "1: interrupts to guests yes, x2APIC yes"),
            (["junk"], "1: interrupts to guests no, x2APIC no"),
            ([], "none"),
        )):  # fmt: skip
            root = Path(self.folder.name, f"root{number}")
            root.mkdir()
            for iommu, text in enumerate(files):
                (root / f"sys/class/iommu/ivhd{iommu}/amd-iommu").mkdir(parents=True)
                (root / f"sys/class/iommu/ivhd{iommu}/amd-iommu/features").write_text(text + "\n")
            with self.subTest(files):
                self.assertIn(f"\nIOMMU    {said}\n", self.shown("host", str(root)))

    def test_posted_interrupts_switched_off(self) -> None:
        """By the command line, or in kvm_amd: the IOMMU could do it."""
        for number, (words, value, says) in enumerate((
            ("quiet intremap=nopost", "Y", "no"),
            ("quiet amd_iommu_intr=legacy", "Y", "no"),
            ("quiet", "N", "no"),
            ("quiet", "Y", "yes"),
        )):  # fmt: skip
            root = Path(self.folder.name, f"posts{number}")
            for name, text in (
                ("sys/class/iommu/ivhd0/amd-iommu/features", "246577efa2254afa:10"), ("proc/cmdline", words),
                ("sys/module/kvm_amd/parameters/avic", "Y"), ("sys/module/kvm_amd/parameters/enable_device_posted_irqs", value),
            ):  # fmt: skip
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text + "\n")
            with self.subTest(words, parameter=value):
                shown = self.shown("host", str(root))
                self.assertIn(f"\nIOMMU    1: interrupts to guests {says}, ", shown)
                self.assertIn(f" enable_device_posted_irqs={value}\n", shown)

    def test_json(self) -> None:
        found = json.loads(self.shown("json", "watched"))
        self.assertEqual(found["host"]["cpu"], 'EPYC "Genoa"')
        self.assertEqual(found["host"]["parameters"], {"avic": "Y", "npt": "Y"})
        self.assertEqual(found["host"]["missing"], ["x2avic", "iommu"])
        totals = {"doorbells": 1, "irte_changes": None, "ga_log_entries": 3, "ga_log_overflows": 4, "not_counted": 5}
        self.assertEqual(found["totals"], totals)
        one, two, three = found["vms"]
        self.assertEqual((one["command"], one["avic"], one["irq_windows"]), ("q\033[2Jemu", "on", None))
        self.assertEqual(one["name"], 'guest\\1 "ä" \x9b\ufffd\u202e\U0001f600')
        self.assertEqual(one["vcpus_made"], 3)
        self.assertEqual([vcpu["mode"] for vcpu in one["vcpus"]], ["xAVIC", "hybrid"])
        self.assertEqual([vcpu["apic"] for vcpu in one["vcpus"]], ["xAPIC", "x2APIC"])
        self.assertEqual(one["vcpus"][0]["unaccelerated"], {"SVR": 30})
        self.assertEqual([vcpu["spared_when_on"] for vcpu in one["vcpus"]], [{}, {"EOI": 8}])
        self.assertEqual((one["vcpus"][0]["irtes"], one["vcpus"][0]["irtes_posted"]), (3, 2))
        self.assertEqual((one["vcpus"][0]["ga_log_entries"], one["vcpus"][0]["exits_per_second"]), (7, 1234.4))
        self.assertEqual((two["avic"], two["irq_windows"]), ("partly", 0))
        states = [(vcpu["on"], vcpu["mode"], vcpu["why"]) for vcpu in two["vcpus"]]
        self.assertEqual(states, [(True, "x2AVIC", ""), (False, "-", "NESTED")])
        self.assertEqual(two["vcpus"][0]["irq_window"], 1)
        self.assertEqual((three["avic"], three["irq_windows"]), ("off", 2))
        self.assertEqual((three["vcpus"][0]["on"], three["vcpus"][0]["mode"]), (False, "-"))
        self.assertEqual(three["inhibits"], [
            {"name": "PIT_REINJ", "seconds": 4.0, "at_least": True, "times": 0},
            {"name": "NEW_ONE", "seconds": 1.5, "at_least": False, "times": 2},
            {"name": "HYPERV", "seconds": None, "at_least": False, "times": None},
        ])  # fmt: skip
        # EOIs; ICR without the IPIs that AVIC left to KVM's APIC; no write of the timer or ID, which always exits.
        self.assertEqual(three["vcpus"][0]["spared_when_on"], {"EOI": 50, "ICR": 50, "TMICT": 4, "ID": 3})
        self.assertEqual(three["vcpus"][0]["ipis_left_to_kvm"], {"INVALID_INT_TYPE": 20, "INVALID_TARGET": 5, "TARGET_NOT_RUNNING": 6})
        # Registers of one name are one.
        self.assertEqual(three["vcpus"][0]["unaccelerated"], {"ISR": 3, "others": 7})
        # Of a vCPU without any count, what could not be counted may be all.
        self.assertEqual([vcpu["unaccelerated"] for vcpu in two["vcpus"]], [None, None])
        about = [each["about"] for each in found["advice"]]
        self.assertEqual(about, ["host.x2avic", "host.iommu", "vm.hybrid", "inhibit.NESTED", "inhibit.PIT_REINJ",
                                 "inhibit.HYPERV"])  # fmt: skip
        self.assertTrue(all(each["source"] for each in found["advice"]))
        self.assertEqual(set(found["bugs"].values()), {"cannot_tell", "likely", "not"})

    def test_what_is_not_known(self) -> None:
        found = json.loads(self.shown("json", "once"))
        self.assertIsNone(found["watched_seconds"])
        self.assertEqual(set(found["totals"].values()), {None})
        vcpu = found["vms"][0]["vcpus"][0]
        for name in ("exits_per_second", "wakeups_per_second", "irq_window_exits_per_second", "ga_log_entries",
                     "spared_when_on", "unaccelerated", "ipis_left_to_kvm"):
            self.assertIsNone(vcpu[name], name)

    def test_text(self) -> None:
        text = self.shown("text", "watched")
        name = r'guest\1 "ä" \xc2\x9b\xff\xe2\x80\xae\xf0\x9f\x98\x80'
        self.assertIn(rf"VM of 10 q\x1b[2Jemu {name}: AVIC on; 2 of 3 vCPUs are seen", text)
        self.assertNotRegex(text, r"[^\n -~ä]")
        reasons = "PIT_REINJ (for more than 4 s), NEW_ONE (for 1.5 s) (2 times), HYPERV"
        self.assertIn(f": AVIC off: {reasons}; IRQ windows 2\n", text)
        self.assertIn("watched  5 s: 1 doorbells, changes of IRTEs can't be seen, 3 GA Log entries, 4 overflows of it; "
                      "5 events are not counted\n", text)  # fmt: skip
        self.assertRegex(text, r"(?m)^ +0 xAVIC   xAPIC +1234 +- +- +3 +2 +7$")
        self.assertRegex(text, r"(?m)^ +1 off     xAPIC .* NESTED$")
        self.assertRegex(text, r"(?m)^  vCPU 0, exits that AVIC spares when it is on: EOI 50 ICR 50 TMICT 4 ID 3$")
        self.assertRegex(text, r"(?m)^PIT_REINJ: .*lost_tick_policy=discard \[arch/x86/kvm/i8254.c")
        self.assertNotIn("\nlikely ", text)
        once = self.shown("text", "once")
        self.assertRegex(once, r"(?m)^likely   \S+ +\S")
        self.assertIn("seen only by watching", once)


if __name__ == "__main__":
    unittest.main()
