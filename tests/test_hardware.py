# SPDX-License-Identifier: GPL-2.0
"""scripts/avic/remote.py: what is sent to a hardware machine, and what its results have to show."""

import contextlib
import io
import os
import re
import subprocess
import tarfile
import tempfile
import unittest
from unittest import mock
from pathlib import Path

from project import TOP
from avic import remote
from avic.base import Base
from avic.ktap import Progress, SplatRules, read_ktap
from avic.plan import Lane, Plan, Test, listed
from avic.runners import hardware

CAPTURED = TOP / "tests/captured"
RULES = SplatRules.read(TOP / "ci/run/splats")
AVIC = (CAPTURED / "avic.ktap").read_text()


class Refused(unittest.TestCase):
    def test_only_a_name_asks_for_it(self) -> None:
        self.assertIn("vcpu_create_fail_test", remote.refused(""))
        self.assertIn("vcpu_create_fail_test", remote.refused("vcpu_* *"))
        self.assertNotIn("vcpu_create_fail_test", remote.refused("x vcpu_create_fail_test"))

    def test_a_skip_takes_its_place(self) -> None:
        """The file is replaced, and what it says is a skip with its reason for run-plan."""
        with tempfile.TemporaryDirectory() as folder:
            test = Path(folder) / "x86/vcpu_create_fail_test"
            other = Path(folder) / "x86/other_test"
            test.parent.mkdir()
            for path in (test, other):
                path.write_text("dangerous")
                path.chmod(0o755)
            names = remote.replace_refused(Path(folder), "vcpu_*")
            self.assertEqual(names, ["vcpu_create_fail_test"])
            self.assertEqual(other.read_text(), "dangerous")
            result = subprocess.run([test], stdout=subprocess.PIPE, text=True)
        self.assertEqual(result.returncode, 4)
        self.assertRegex(result.stdout, r"^- Skipping test: refused on hardware, L6: \w")

    def test_every_entry_has_a_test_of_the_stack(self) -> None:
        patches = "".join(path.read_text() for path in (TOP / "patches/v6.12").glob("*.patch"))
        for name in remote.refused(""):
            self.assertIn(f"{name}.c", patches)


class Policies(unittest.TestCase):
    def test_the_machine_finds_the_splats_that_we_find(self) -> None:
        """ci/run/splats means the same to Python and to the busybox grep on the machine, but for traces."""
        rules = SplatRules(RULES.splats, RULES.allowed)
        files = remote.patterns(RULES)
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                (Path(folder) / name).write_text(text)
            for name in ("splat.ktap", "panic.ktap", "fail.ktap", "suite.ktap"):
                log = (CAPTURED / name).read_text()
                command = "grep -E -f splats | grep -E -v -f allowed"
                found = subprocess.run(
                    ["busybox", "sh", "-c", command], cwd=folder, input=log,
                    stdout=subprocess.PIPE, text=True,
                ).stdout  # fmt: skip
                ours = [line for line in log.splitlines() if rules.find([line])]
                self.assertEqual(found.splitlines(), ours, name)

    def lanes(self, *flags: str, device: bool = False, base: str = "v6.12") -> list[str]:
        return remote.lanes_for(Base.named(base), ["svm", *flags], device)

    def test_lanes_are_for_one_kind_of_cpu(self) -> None:
        self.assertEqual(self.lanes("avic", "x2avic"), ["avic=0", "avic=1,x2avic"])
        self.assertEqual(self.lanes("avic"), ["avic=1"])
        self.assertEqual(self.lanes(), [])

    def test_lane_without_parameter_where_kvm_decides(self) -> None:
        """The lanes of each base, by its `Avic-auto`; AVIC is obligatory in `auto`."""
        auto = {base.name: [lane.avic for _, lane in listed(base) if lane.name == "auto"] for base in Base.every()}
        self.assertEqual(auto, {"v6.1": [], "v6.12": [], "v6.18": [True], "v7.2": [True], "v7.3": [True]})
        self.assertEqual(self.lanes("avic", "x2avic", base="v7.3"), ["avic=0", "avic=1,x2avic", "auto"])
        self.assertEqual(self.lanes("avic", base="v7.3"), ["avic=1"])

    def test_lanes_with_a_device_beside_the_others(self) -> None:
        both = ["avic=0", "avic=1,x2avic", "posted,x2avic"]
        self.assertEqual(self.lanes("avic", "x2avic", device=True), both)
        self.assertEqual(self.lanes("avic", device=True), ["avic=1", "posted"])
        self.assertEqual(self.lanes(device=True), [])


class SpareDevice(unittest.TestCase):
    def test_what_is_not_spare(self) -> None:
        """What VFIO= names is refused by what is below it, or beside it; a controller with nothing on it is not."""
        text = (TOP / "ci/hardware/preflight").read_text()
        functions = text[text.index("# A network card is in use") : text.index("# What is needed to boot another kernel")]
        for below, group, why in (
            ("", "", ""), ("nvme/nvme0/nvme0n1", "", "has a disk"), ("usb1/1-1/1-1:1.0/host2/block/sda", "", "has a disk"),
            ("usb1/1-1/1-1:1.0/0003:1.1/input/input7", "", "has a keyboard or a mouse"), ("", "0000:00:05.0", "not alone in its IOMMU group"),
            ("used", "", "is in use by dpdk-testpmd .process 7."),
        ):  # fmt: skip
            with self.subTest(below or group), tempfile.TemporaryDirectory() as folder:
                device = Path(folder) / "0000:00:04.0"
                for path in (device / below, device / "iommu_group/devices/0000:00:04.0", device / "iommu_group/devices" / group):
                    path.mkdir(parents=True, exist_ok=True)
                stubs = "ok() { echo ok $*; }; missing() { echo MISSING $*; }; vfio() { echo 0000:00:04.0; }\n"
                stubs += f"users_of() {{ [ ! -d {device}/used ] || echo 'dpdk-testpmd (process 7)'; }}\n"
                done = subprocess.run(
                    ["busybox", "sh", "-c", f"pci={folder}\n{stubs}{functions}\nspare_device"], capture_output=True, text=True
                )  # fmt: skip
                self.assertRegex(done.stdout, f"^MISSING vfio 0000:00:04.0 .*{why}" if why else "^ok vfio 0000:00:04.0\n$", done.stderr)


    def functions(self) -> str:
        text = (TOP / "ci/hardware/preflight").read_text()
        return text[text.index("# A network card is in use") : text.index("spare_device() {")]

    def test_a_network_that_is_up(self) -> None:
        """With a cable or without; a virtio device has it one folder deeper."""
        for below, flags, up in (("net/eth0", "0x1003", True), ("virtio0/net/eth0", "0x1003", True), ("net/eth0", "0x1002", False)):
            with self.subTest(below, flags=flags), tempfile.TemporaryDirectory() as folder:
                card = Path(folder) / "0000:00:04.0" / below
                card.mkdir(parents=True)
                (card / "flags").write_text(f"{flags}\n")
                (card / "operstate").write_text("down\n")
                command = ["busybox", "sh", "-c", f"pci={folder}\n{self.functions()}\nnetwork_up 0000:00:04.0"]
                self.assertEqual(subprocess.run(command).returncode == 0, up)

    def test_who_drives_a_device_by_itself(self) -> None:
        """The files that VFIO and UIO have for it, and no others."""
        with tempfile.TemporaryDirectory() as folder:
            device = Path(folder) / "0000:00:04.0"
            device.mkdir()
            (device / "iommu_group").symlink_to("../../../../kernel/iommu_groups/12")
            stub = "users_of() { echo \"$1\"; }\n"
            command = ["busybox", "sh", "-c", f"pci={folder}\n{stub}{self.functions()}\ndevice_users 0000:00:04.0"]
            files = subprocess.check_output(command, text=True).strip()
        for name, theirs in (("vfio/12", 1), ("vfio/devices/vfio3", 1), ("uio0", 1), ("vfio/123", 0), ("vfio/vfio", 0), ("null", 0)):
            self.assertEqual(bool(re.match(files, f"/dev/{name}")), bool(theirs), name)


class SmallRun(unittest.TestCase):
    def test_no_room_for_the_logs(self) -> None:
        """/run may be small: what the logs may need has to be free there before a job begins."""
        text = (TOP / "ci/hardware/preflight").read_text()
        functions = text[text.index("ok() {") : text.index("flag() {")] + text[text.index("memory() {") : text.index("# What a crash leaves")]
        for free, line in (("39", "MISSING run 39 MiB free in /run, 40 are needed for the logs"), ("40", "ok run 40 MiB free in /run")):
            with self.subTest(free), tempfile.TemporaryDirectory() as want:
                (Path(want) / "mib").write_text("1\n")
                stub = f"df() {{ printf 'Filesystem\\ntmpfs 99 9 {free} 9%% /run\\n'; }}\n"
                done = subprocess.run(
                    ["busybox", "sh", "-c", f"want={want} job=/run/avic\n{stub}{functions}\nmemory"], capture_output=True, text=True
                )  # fmt: skip
                self.assertEqual(done.stdout.splitlines()[1], line, done.stderr)


class Probes(unittest.TestCase):
    def test_of_others_stay(self) -> None:
        """The plan adds its own probes and takes those away, by name; a file that is emptied has none of anybody's."""
        text = (TOP / "ci/guest/run-plan").read_text()
        with tempfile.TemporaryDirectory() as folder:
            counters = Path(folder) / "instances/avic/events/avic"
            counters.mkdir(parents=True)
            probes = Path(folder) / "kprobe_events"
            probes.write_text("p:mine/own vfs_read\n")
            functions = [text[text.index(f"\n{name}() {{") :].partition("\n}\n")[0] + "\n}\n" for name in ("watch_avic", "watch_device", "unwatch")]
            subprocess.run(
                ["busybox", "sh", "-c", f"tracing={folder} counters={folder}/instances/avic device=\n{''.join(functions)}watch_avic; unwatch"],
                check=True,
            )  # fmt: skip
            lines = probes.read_text().splitlines()
        self.assertEqual(lines[0], "p:mine/own vfs_read")
        added, removed = ({line[len(sign):].split()[0] for line in lines if line.startswith(sign)} for sign in ("p:avic/", "-:avic/"))
        self.assertEqual(added, removed)
        self.assertEqual(len(lines), 1 + 2 * len(added))
        self.assertGreater(len(added), 3)


class Connection(unittest.TestCase):
    def test_a_login_that_talks(self) -> None:
        """What a .bashrc prints is no part of the boot's name."""
        boot = "0fc63daf-8483-4772-8e79-3d69d8477de4"
        with mock.patch.object(remote.Host, "run", return_value=subprocess.CompletedProcess([], 0, f"Welcome!\n{boot}")):
            self.assertEqual(hardware.Job(remote.Host(), Path("/nowhere")).boot_id(), boot)

    def noisy(self) -> remote.Host:
        """A machine whose login has something to say."""
        host = self.here()

        def command(text: str) -> list[str]:
            return ["sh", "-c", f"echo 'Welcome!'; printf 'no end'; printf '\\033[2Jto you' >&2; {text}"]

        self.enterContext(mock.patch.object(host, "command", command))
        return host

    def test_a_greeting_is_no_answer(self) -> None:
        """Nor part of an archive; and what it says on stderr does not reach the terminal as it is."""
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            host = self.noisy()
            self.assertEqual(host.run("echo one; echo two").stdout, "one\ntwo")
            self.assertEqual(host.fetch("echo abc", 4), b"abc\n")
            self.assertIsNone(host.fetch("echo abc", 3))
            shown = io.StringIO()
            with contextlib.redirect_stdout(shown):
                hardware.describe(host)
        flags = re.search(r"(?m)^flags[^:]*: (.*)", Path("/proc/cpuinfo").read_text())
        self.assertEqual(shown.getvalue().splitlines()[0], flags[1] if flags else "")
        self.assertEqual(said.getvalue(), "?[2Jto you\n" * 4)

    def test_a_login_that_refuses(self) -> None:
        """What it says is shown, and nothing was carried out, whatever its exit status."""
        host, said = self.here(), io.StringIO()
        with mock.patch.object(host, "command", lambda text: ["sh", "-c", "echo 'Please login as admin'"]):
            with contextlib.redirect_stderr(said):
                done = host.run("true")
        self.assertEqual((done.returncode, done.stdout, said.getvalue()), (255, "", "Please login as admin\n"))

    def test_it_lends_the_machine_nothing(self) -> None:
        """No agent, no shared connection, and a name that is no option."""
        with mock.patch.dict(os.environ, {"HOST": "-oProxyCommand=x"}):
            command = remote.Host().command("true")
        self.assertEqual(command[-3:], ["--", "-oProxyCommand=x", "sh -c true"])
        self.assertTrue({"ForwardAgent=no", "ControlPath=none"} < set(command))

    def here(self) -> remote.Host:
        with mock.patch.dict(os.environ, {"HOST": ""}):
            return remote.Host()

    def test_what_it_says_does_not_reach_the_terminal_as_it_is(self) -> None:
        said = self.here().run(r"printf 'ok x \033[2J\nok y'").stdout
        self.assertEqual(said, "ok x ?[2J\nok y")

    def test_no_more_than_asked_for(self) -> None:
        self.assertEqual(self.here().fetch("echo abc", 4), b"abc\n")
        self.assertIsNone(self.here().fetch("echo abc; exec sleep 100", 3))
        self.assertIsNone(self.here().fetch("echo abc; false", 100))

    def test_only_regular_files_come_back(self) -> None:
        """A machine's archive can name any file: a link and a device are not taken."""
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as tar:
            for name, kind in (("ktap", tarfile.SYMTYPE), ("log", tarfile.LNKTYPE), ("after", tarfile.CHRTYPE)):
                link = tarfile.TarInfo(name)
                link.type, link.linkname = kind, "/etc/passwd"
                tar.addfile(link)
            file = tarfile.TarInfo("done")
            file.size = 3
            tar.addfile(file, io.BytesIO(b"end"))
        self.assertEqual(remote.files_of(data.getvalue()), {"done": b"end"})
        with self.assertRaises(tarfile.TarError):
            remote.files_of(b"Welcome to this machine\n" * 100)

    def test_what_comes_out_is_no_more_than_what_came(self) -> None:
        """A small archive may hold much, if it is packed, or if a file in it has holes."""
        with tempfile.TemporaryDirectory() as folder:
            with open(f"{folder}/ktap", "wb") as file:
                file.truncate(8 << 20)
            packed, sparse = (
                subprocess.check_output(["tar", "--create", "--file=-", f"--directory={folder}", option, "ktap"]) for option in ("-z", "--sparse")
            )  # fmt: skip
        self.assertLess(len(packed) + len(sparse), 100000)
        with self.assertRaises(tarfile.TarError):
            remote.files_of(packed)
        self.assertEqual(remote.files_of(sparse), {})


class Clock:
    """In place of module time; a driver that waits for hours never ends."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now > 100000:
            raise AssertionError("it has no limit")


class Driver(unittest.TestCase):
    """What the driver does with a job that does not end, and with one that is another's."""

    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.clock = Clock()
        self.enterContext(mock.patch.object(hardware, "time", self.clock))
        self.enterContext(mock.patch.object(hardware, "say"))
        self.enterContext(mock.patch.dict(os.environ, {"HOST": ""}))
        self.job = hardware.Job(remote.Host(), self.folder)

    def follow(self, state: str, connected: bool) -> str:
        """What comes of it, within 100 seconds, if the machine's state stays so."""
        self.job.attend = mock.Mock(poll=lambda: None if connected else 0)


        def asked() -> str:
            self.clock.sleep(1)
            return state

        with mock.patch.object(self.job, "state", asked), mock.patch.object(self.job, "live"):
            return self.job.follow(100)

    def test_a_job_that_does_not_end(self) -> None:
        for connected in (True, False):
            self.assertEqual(self.follow("running", connected), "running")
        self.assertLess(self.clock.now, 300)

    def test_a_machine_that_is_not_there(self) -> None:
        self.assertEqual(self.follow("", False), "")
        self.assertLess(self.clock.now, hardware.LOST_SECONDS + 60)

    def test_it_is_power_cycled(self) -> None:
        """One that does not end, and one that is not there; not one that rebooted by itself."""
        (self.folder / "bundle").mkdir()
        (self.folder / "bundle/plan").write_text(Plan([], []).text())
        for state, times in (("running", 1), ("", 1), ("gone", 0), ("taken", 0)):
            with (
                self.subTest(state), mock.patch.object(hardware, "power_cycle") as power, mock.patch.object(self.job, "send"),
                mock.patch.object(self.job, "follow", return_value=state), mock.patch.object(self.job, "last_words"),
            ):  # fmt: skip
                hardware.on_running_kernel(self.job, self.folder, self.folder)
                self.assertEqual(power.call_count, times)

    def test_a_job_that_is_to_end_and_does_not(self) -> None:
        """Whoever pressed Ctrl-C waits as long as a machine may take to restore itself, and no longer."""

        def asked() -> str:
            self.clock.sleep(1)
            return "running"

        with mock.patch.object(self.job, "state", asked), mock.patch("builtins.print") as said:
            self.job.stop("stopped by the driver")
        self.assertLess(self.clock.now, 370)
        self.assertIn("was not seen to be restored", said.call_args[0][0])

    def test_the_command_of_the_serial_line_reads_nothing_of_ours(self) -> None:
        (self.folder / "plan").write_text(Plan([], []).text())
        with (
            mock.patch.dict(os.environ, {"SERIAL": "cat"}), mock.patch.object(hardware, "pack_for_kexec"),
            mock.patch.object(hardware, "archive"), mock.patch.object(self.job, "host"),
            mock.patch.object(hardware, "fail", side_effect=RuntimeError), mock.patch.object(hardware, "read_serial", return_value=""),
            mock.patch.object(hardware, "came_back"), mock.patch.object(hardware.os, "killpg"),
            mock.patch.object(hardware.subprocess, "Popen") as serial,
        ):  # fmt: skip
            self.job.host.run.return_value.returncode = 0
            hardware.boot_there(self.job, self.folder, self.folder, self.folder)
        self.assertEqual(serial.call_args[1]["stdin"], subprocess.DEVNULL)

    def test_a_driver_that_comes_late_does_nothing(self) -> None:
        """All that changes the machine asks whose job is there: the bundle, the pre-flight, another kernel."""
        (self.folder / "plan").write_text(Plan([], []).text())
        asked: list[str] = []

        def run(text: str, *_: object, **__: object) -> subprocess.CompletedProcess[str]:
            asked.append(text)
            return subprocess.CompletedProcess([], 0, "")

        with (
            mock.patch.object(self.job.host, "run", run), mock.patch.dict(os.environ, {"SERIAL": "true"}), mock.patch.object(hardware, "pack_for_kexec"),
            mock.patch.object(hardware, "archive"), mock.patch.object(hardware, "read_serial", return_value=""),
            mock.patch.object(hardware, "came_back"), mock.patch.object(hardware.os, "killpg"),
        ):  # fmt: skip
            self.job.send(b"")
            self.job.preflight()
            hardware.boot_there(self.job, self.folder, self.folder, self.folder)
        self.assertEqual(len(asked), 4)
        # A kernel that stands still there has to reboot by itself, and Ctrl-C waits for nothing meanwhile.
        self.assertIn("panic=10 softlockup_panic=1 hung_task_panic=1 nmi_watchdog=panic", asked[-1])
        self.assertGreater(self.job.away, 0)
        for text in asked:
            self.assertIn(f'= {self.job.token} ] && {{', text)

    def test_ctrl_c_while_the_machine_is_away(self) -> None:
        """It runs another kernel, and nobody there would hear of it: nothing is waited for."""
        self.job.away = 300
        with mock.patch.object(self.job.host, "run") as run, mock.patch("builtins.print") as said:
            self.job.stop("stopped by the driver")
        self.assertEqual((run.call_count, self.clock.now), (0, 0))
        self.assertIn("reboots into its own in 300 s", said.call_args[0][0])

    def test_power(self) -> None:
        """POWER= is carried out, and the machine waited for; without it a person is told."""
        for power, back, want in ((f"touch {self.folder}/cycled", True, True), ("false", True, False), ("", True, False)):
            with self.subTest(power), mock.patch.object(hardware, "POWER", power), mock.patch.object(hardware, "came_back", return_value=back):
                self.assertEqual(hardware.power_cycle(self.job), want)
        self.assertTrue((self.folder / "cycled").exists())

    def test_what_it_asks_for_is_its_own_jobs(self) -> None:
        (self.folder / "token").write_text(f"{self.job.token}\n")
        asked = self.job.ours("echo this one").replace(str(remote.JOB), str(self.folder))
        run = ["sh", "-c", asked]
        self.assertEqual(subprocess.run(run, capture_output=True, text=True).stdout, "this one\n")
        (self.folder / "token").write_text("of another job\n")
        done = subprocess.run(run, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (1, ""))


class Preflight(unittest.TestCase):
    def test_each_check_is_made(self) -> None:
        text = (TOP / "ci/hardware/preflight").read_text()
        checks = ["cpu", "iommu", "vms", "memory", "crash", "spare_device", "kernel", "modules", "state"]
        stubs = "".join(f"{name}() {{ echo {name}; }}\n" for name in [*checks, "kexec"])
        body = text[text.index("\ncpu\n") :]
        for there, want in ((False, checks), (True, [*checks[:6], "kexec"])):
            with tempfile.TemporaryDirectory() as folder:
                if there:
                    (Path(folder) / "kexec").touch()
                command = ["busybox", "sh", "-c", f"want={folder} missing=0\n{stubs}{body}"]
                self.assertEqual(subprocess.run(command, capture_output=True, text=True).stdout.split(), want)

    def test_what_a_crash_leaves(self) -> None:
        """No reboot and no last words: told before, as somebody would have to press a button."""
        text = (TOP / "ci/hardware/preflight").read_text()
        functions = text[text.index("ok() {") : text.index("flag() {")] + text[text.index("crash() {") : text.index("# A network card is in use")]
        for panic, backend, want in (("0", "(null)", ["without panic", "without pstore"]), ("10", "efi", ["ok panic", "ok pstore"])):
            stub = f"cat() {{ case $1 in */panic) echo {panic} ;; */backend) echo '{backend}' ;; esac; }}\n"
            done = subprocess.run(["busybox", "sh", "-c", f"{functions}\n{stub}crash"], capture_output=True, text=True)
            self.assertEqual([" ".join(line.split()[:2]) for line in done.stdout.splitlines()], want)


class Settings(unittest.TestCase):
    def test_kexec_needs_the_name_of_a_machine(self) -> None:
        """Or it would reboot the one on which it is started."""
        with tempfile.TemporaryDirectory() as folder:
            env = {**os.environ, "HOST": "", "KEXEC": "console=ttyS0", "SERIAL": "true"}
            command = [TOP / "scripts/runners/hardware", folder, folder]
            result = subprocess.run(command, env=env, capture_output=True, text=True)
        self.assertEqual(result.returncode, 2)
        self.assertIn("KEXEC without HOST would reboot this very machine", result.stderr)


class Emulated(unittest.TestCase):
    def test_a_plan_with_options_for_qemu_is_refused(self) -> None:
        """A real machine does what it does: its results would not be what the plan asks for."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "plan").write_text(Plan([], [], ["-global", "a.b=on"]).text())
            result = subprocess.run(
                [TOP / "scripts/runners/hardware", folder, folder], capture_output=True, text=True
            )
        self.assertEqual(result.returncode, 2)
        self.assertIn("is for the emulator, with -global a.b=on", result.stderr)


class Results(unittest.TestCase):
    def plan(self, lane: str, parameter: str = "avic=1") -> Plan:
        return Plan(["avic"], [Lane(lane, "base", [parameter], [Test("t", 60, ["./t"])])])

    def lane(self) -> str:
        return re.findall(r"(?m)^(?:not )?ok \d+ (\S+)", AVIC)[0]

    def test_avic_was_on(self) -> None:
        self.assertEqual(remote.without_avic(AVIC, self.plan(self.lane())), [])

    def test_modules_for_another_kernel(self) -> None:
        """The stack's kvm-amd on the base's kernel, in two lanes: one problem, by name."""
        text = (CAPTURED / "unknown_symbol.ktap").read_text()
        symbol = "amd_iommu_register_ga_log_overflow_notifier"
        self.assertEqual(remote.unknown_symbols(text), [f"kvm_amd needs {symbol}"])
        self.assertEqual(remote.unknown_symbols(AVIC), [])

    def test_avic_was_not_enabled(self) -> None:
        lane = self.lane()
        text = AVIC.replace(" AVIC enabled", " AVIC not so")
        problems = remote.without_avic(text, self.plan(lane))
        self.assertEqual(problems, [f"{lane}: no 'AVIC enabled' in the kernel's log"])

    def test_avic_was_never_active(self) -> None:
        lane = self.lane()
        text = re.sub(r" load=\d+", " load=0", AVIC)
        problems = remote.without_avic(text, self.plan(lane))
        self.assertEqual(problems, [f"{lane}: AVIC was never active, as the probe counts it"])

    def test_a_lane_that_skips_all_has_nothing_to_say(self) -> None:
        lane = self.lane()
        text = re.sub(r"(?m)^    ok (\d+ \S+) # \d+s", r"    ok \1 # SKIP why", AVIC)
        self.assertEqual(remote.without_avic(re.sub(r" load=\d+", " load=0", text), self.plan(lane)), [])

    def test_a_lane_without_avic_need_not(self) -> None:
        plan = self.plan(self.lane(), "avic=0")
        self.assertEqual(remote.without_avic("", plan), [])

    def test_verdict(self) -> None:
        self.assertEqual(Progress.of(AVIC).bail, "")
        self.assertEqual(Progress.of(AVIC + "\nBail out! splat: BUG: x\n").bail, "splat: BUG: x")

    def test_how_a_connection_is_lost(self) -> None:
        """A test whose run supervise has ended has a result that says why."""
        text = (CAPTURED / "hardware-lost.ktap").read_text()
        results = read_ktap(text, {"l": ["good", "long", "never"]}, RULES)
        self.assertEqual([r.status for r in results], ["pass", "error", "not-run"])
        self.assertIn("no sign of life from the driver", results[1].note)
        progress = Progress.of(text)
        self.assertEqual((str(progress), progress.test), ("1 tests done, in long", "long"))
        plan = Plan.read("lane l base\ntest 60 good ./good\ntest 40 long ./long\n")
        self.assertEqual((plan.patience("long"), plan.patience("")), (120, 60))


class Kexec(unittest.TestCase):
    def test_init_for_a_serial_line(self) -> None:
        init = (TOP / "ci/guest/init").read_text()
        ours = remote.serial_init(init, "ttyS7")
        self.assertIn("./run-plan >/dev/ttyS7 2>&1", ours)
        self.assertNotIn("poweroff", ours)
        self.assertIn("watchdog -T 60 /dev/watchdog", ours)
        self.assertEqual(len(ours.splitlines()), len(init.splitlines()))
        with self.assertRaises(ValueError):
            remote.serial_init("poweroff -f", "ttyS7")

    def test_a_kernel_that_stands_still_reboots(self) -> None:
        """It has the detectors whose panics are asked for, and the chipset's timer for the watchdog that init feeds."""
        config = (TOP / "configs/hardware.config").read_text() + (TOP / "configs/emulator.config").read_text()
        needs = {
            "softlockup_panic=1": "SOFTLOCKUP_DETECTOR|HARDLOCKUP_DETECTOR", "hung_task_panic=1": "DETECT_HUNG_TASK",
            "nmi_watchdog=panic": "HARDLOCKUP_DETECTOR",
        }  # fmt: skip
        for word in hardware.PANICS[1:]:
            self.assertRegex(config, rf"(?m)^CONFIG_(?:{needs[word]})=y$")
        self.assertRegex(config, r"(?m)^CONFIG_SP5100_TCO=y$")

    def test_what_systemd_refuses_is_not_left_to_the_next_kexec(self) -> None:
        text = (TOP / "ci/hardware/boot").read_text()
        with tempfile.TemporaryDirectory() as folder:
            for old, new in (('. "$here/lib.sh"\n', 'own() { echo "$*"; [ "$1" != systemctl ]; }\n'), ("/run/systemd/system", folder)):
                self.assertIn(old, text)
                text = text.replace(old, new)
            done = subprocess.run(["busybox", "sh", "-c", text, "boot", "quiet"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertEqual([line.split(" --")[1].split()[0] for line in done.stdout.splitlines() if line.startswith("kexec")], ["load", "unload"])

    def test_ktap_among_other_lines(self) -> None:
        serial = "\x1b[2JBIOS\r\n[    0.1] Linux\r\nKTAP version 1\r\n1..1\r\n"
        self.assertEqual(remote.ktap_of(serial), "KTAP version 1\n1..1\n")
        self.assertEqual(remote.ktap_of("BIOS\n"), "")


if __name__ == "__main__":
    unittest.main()
