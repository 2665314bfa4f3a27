# SPDX-License-Identifier: GPL-2.0
"""avic-status in the emulated machine: what it says of states made on purpose is the truth.

On Debian's own kernel of v6.12, which has BTF, so nothing is built; on other bases by hand, e.g.
BASES='v6.1 v7.3' tests/run --file pipeline_status.  STACK=1 also builds the stack's kernel with BTF,
for the fields that only the stack has, and the base's where Debian has none.  COST=1 also measures what
it costs.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import shutil
import subprocess
import unittest
from pathlib import Path
from typing import Any

from machine import Machine, sh
from project import TOP

from avic.base import Base, numbers
from avic.bundle import pack_initramfs
from avic.ktap import Result

BASES = os.environ.get("BASES") or "v6.12"
ZEN4 = "avic,x2avic,zen4"
ZEN3 = "avic,zen3"
POSTED = 15  # interrupts of tests/guest/states.c
LOG_ENTRIES = 512  # of the driver's GA Log
STATE_TESTS = ("on", "window", "xen", "id-too-big")  # of which the stack's kernels say more, or otherwise

# The state, held until it was looked at; then one picture, packed: a log's lines are short.
ONCE = """
./states {state} >/tmp/state 2>&1 </dev/null & states=$!
tries=300
until grep -q '^ready' /tmp/state; do
	tries=$((tries - 1))
	[ -d /proc/$states ] && [ $tries -gt 0 ] || {{ cat /tmp/state; exit 1; }}
	usleep 100000
done
grep -v '^ready' /tmp/state
./avic-status --once --pid $states | sed 's/^/text: /'
./avic-status --json --pid $states >/tmp/json || exit 1
kill $states
gzip </tmp/json | base64 -w 200 | sed 's/^/json: /'
"""

# The state does something while it is watched, by at least two pictures more.
WATCH = """
rm -f /tmp/go /tmp/state /tmp/json; mkfifo /tmp/go
./states {state} </tmp/go >/tmp/state 2>&1 & states=$!
exec 3>/tmp/go
pictures() {{
	tries=600
	until [ "$(grep -c . /tmp/json)" -ge "$1" ]; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || {{ cat /tmp/state /tmp/error; exit 1; }}
		usleep 100000
	done
}}
said() {{
	tries=600
	until grep -q "^$1" /tmp/state; do
		tries=$((tries - 1))
		[ -d /proc/$states ] && [ $tries -gt 0 ] || {{ cat /tmp/state; exit 1; }}
		usleep 100000
	done
}}
said ready
./avic-status --json --count 1000 --interval 0.5 --pid $states >/tmp/json 2>/tmp/error & status=$!
./avic-status --count 1000 --interval 0.5 --pid $states >/tmp/text 2>&1 & text=$!
pictures 1
tries=600
until grep -q '^kernel' /tmp/text || [ $((tries -= 1)) -eq 0 ]; do usleep 100000; done
echo go >&3
said done
before=$(grep -c . /tmp/json)
pictures $((before + 2))
kill $status $text; wait $status && wait $text || {{ cat /tmp/error /tmp/text; exit 1; }}
kill $states
awk '/^kernel/ {{ text = "" }} {{ text = text "text: " $0 "\\n" }} END {{ printf "%s", text }}' /tmp/text
tail -n 1 /tmp/json | gzip | base64 -w 200 | sed 's/^/json: /'
"""

# As nobody with both capabilities, and /proc hides what others run.
HIDDEN = (
    "mount -o remount,hidepid=2 /proc\n"
    + WATCH.replace("./avic-status", "./as_user 38,39 /bundle/tests/avic-status")
    + "mount -o remount,hidepid=0 /proc\n"
)

# As nobody: with both capabilities, with one, with none; and what is said without them.
RIGHTS = """
for caps in 38,39 39 none; do
	./as_user $caps /bundle/tests/avic-status --once >/tmp/out 2>/tmp/error
	echo "$caps: $? $(grep -c '^kernel' /tmp/out) $(cat /tmp/error)"
done
./as_user 38,39 /bundle/tests/avic-status --json --count 2 --interval 0.3 >/tmp/out 2>/tmp/error
echo "watch: $? $(grep -c '"ga_log_overflows": 0' /tmp/out) $(cat /tmp/error)"
"""

# What it says where it can't read; each folder in place of the types is a bind mount.
ERRORS = """
mkdir -p /tmp/none /tmp/some
cp /sys/kernel/btf/vmlinux /tmp/some
for types in none some; do
	mount --bind /tmp/$types /sys/kernel/btf
	./avic-status --once 2>&1; echo "$types: $?"
	umount /sys/kernel/btf
done
mkdir -p /tmp/less; cp /sys/kernel/btf/vmlinux /sys/kernel/btf/kvm_amd /tmp/less
chmod u+w /tmp/less/*; ./without /tmp/less apicv_inhibit_reasons || exit 1
mount --bind /tmp/less /sys/kernel/btf
./avic-status --once 2>&1; echo "less: $?"
umount /sys/kernel/btf
unshare -p -f ./avic-status --once 2>&1 >/tmp/out; echo "namespace: $?"
./avic-status --once >/dev/full 2>/tmp/error; echo "full: $? $(cat /tmp/error)"
"""

# A kernel whose types lack what a picture can do without.
LESS = """
mkdir -p /tmp/fewer; cp /sys/kernel/btf/vmlinux /sys/kernel/btf/kvm_amd /tmp/fewer
chmod u+w /tmp/fewer/*; ./without /tmp/fewer userspace_pid online_vcpus avic_vm_id halt_wakeup irq_window_exits ir_list || exit 1
mount --bind /tmp/fewer /sys/kernel/btf
""" + ONCE.format(state="on") + """
umount /sys/kernel/btf
"""

# As a user has it: on a terminal, until Ctrl-C.
TERMINAL = """
mkdir -p /dev/pts; mount -t devpts devpts /dev/pts
./on_terminal 14 60 2 /bundle/tests/avic-status --interval 0.2
"""

# VMs come and go while it reads.
COME_AND_GO = """
./states come-and-go >/tmp/state 2>&1 </dev/null & states=$!
tries=100
until grep -q '^ready' /tmp/state || [ $((tries -= 1)) -eq 0 ]; do usleep 100000; done
./avic-status --json --count 15 --interval 0.05 >/tmp/json; echo "status $?"
kill $states
echo "VMs $(grep -o '"pid"' /tmp/json | wc -l)"
for word in BEGIN END; do
	[ $word = BEGIN ] && head -n 1 /tmp/json >/tmp/one || tail -n 1 /tmp/json >/tmp/one
	gzip </tmp/one | base64 -w 200 | sed "s/^/$word /"
done
"""

# QEMU's edu device to VFIO; then as WATCH.
DEVICE = """
for dir in /sys/bus/pci/devices/*; do
	grep -q 0x1234 $dir/vendor && grep -q 0x11e8 $dir/device && export DEVICE=${{dir##*/}}
done
echo vfio-pci >/sys/bus/pci/devices/$DEVICE/driver_override
echo $DEVICE >/sys/bus/pci/drivers_probe
GROUP=$(readlink /sys/bus/pci/devices/$DEVICE/iommu_group) || exit 1
export GROUP=${{GROUP##*/}}
"""

# What it costs, itself and its programs, for ten pictures: without a VM, and with two VMs.  The
# machine's clock counts instructions, so that a nanosecond is one: of both CPUs, so that it is
# more than the truth if the other one is busy.
COST = """
echo 1 >/proc/sys/kernel/bpf_stats_enabled
pictures() {
	tries=3000
	until [ "$(grep -c . /tmp/json)" -ge "$1" ]; do
		[ $((tries -= 1)) -gt 0 ] || exit 1
		usleep 100000
	done
}
spent() {
	read -r own _ </proc/$status/schedstat
	echo "$1 itself $own"
	for fd in /proc/$status/fdinfo/*; do
		! grep -q '^prog_type' $fd || echo "$1 ${fd##*/}" $(grep -E '^(prog_type|run_cnt|run_time_ns)' $fd | tr -d '\t')
	done
}
for vms in 0 2; do
	if [ $vms = 2 ]; then
		./states on >/dev/null </dev/null & one=$!
		./states on >/dev/null </dev/null & other=$!
		sleep 5
	fi
	: >/tmp/json
	./avic-status --json --count 1000 --interval 1 >>/tmp/json & status=$!
	pictures 3; spent "VMs=$vms before"
	pictures 13; spent "VMs=$vms after"
	kill $status; wait $status
done
kill $one $other
for each in 1 2 3; do
	./avic-status --once >/dev/null & status=$!
	# It is not there any more when that is known, so by its parent.
	before=$(cut -d ' ' -f 16,17 /proc/$$/stat); wait $status; echo "once: $before $(cut -d ' ' -f 16,17 /proc/$$/stat)"
done
"""

# What each state comes to: VM, its inhibits, and the vCPUs' modes; on or off says the VM.
STATES: dict[str, tuple[str, list[str], list[str]]] = {
    "on": ("on", [], ["xAVIC", "xAVIC"]),
    "on-x2apic": ("on", [], ["x2AVIC", "x2AVIC"]),
    "pit": ("off", ["PIT_REINJ"], ["-"]),
    "pit-discard": ("on", [], ["xAVIC"]),
    "blockirq": ("off", ["BLOCKIRQ"], ["-", "-", "-"]),
    "window": ("off", ["IRQWIN"], ["-", "-"]),
    "id-modified": ("off", ["APIC_ID_MODIFIED"], ["-", "-"]),
    "id-shared": ("off", ["PHYSICAL_ID_ALIASED", "LOGICAL_ID_ALIASED"], ["-", "-"]),
    "base-moved": ("off", ["APIC_BASE_MODIFIED"], ["-", "-"]),
    "ldr-shared": ("off", ["LOGICAL_ID_ALIASED"], ["-", "-"]),
    "auto-eoi": ("off", ["HYPERV"], ["-"]),
    "xen": ("off", ["XEN"], ["-", "-"]),
    "id-too-big": ("off", ["PHYSICAL_ID_TOO_BIG"], ["-", "-", "-"]),
    "no-irqchip": ("off", ["ABSENT"], ["-"]),
    "nested": ("partly", [], ["xAVIC", "xAVIC", "-"]),
    "decoys": ("on", [], ["xAVIC", "xAVIC"]),
    "apic-off": ("partly", [], ["-", "xAVIC"]),
}
TOOLS = ("states", "as_user", "on_terminal", "without", "avic-status")
WATCHED = ("inhibited-while-watched", "inhibited-again", "modified-again", "two-vms", "counts")


def picture(result: Result, mark: str = "json:") -> Any:
    """What avic-status --json printed in a test."""
    packed = "".join(line.removeprefix(f"{mark} ") for line in result.log if line.startswith(f"{mark} "))
    if not packed:
        raise AssertionError(f"{result.name}: {result.status} {result.note}: no picture: {result.log}")
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def show(result: Result) -> None:
    """The text of a picture, for who reads the test's output."""
    print(f"     {result.name}")
    for line in result.log:
        if line.startswith("text: "):
            print(f"       {line.removeprefix('text: ')}")


def programs(built: Path, scripts: dict[str, str]) -> dict[str, str | Path]:
    """What a machine gets: the scripts, and the tools that they call."""
    found: dict[str, str | Path] = dict(scripts)
    found |= {tool: TOP / f"tests/guest/{tool}.c" for tool in TOOLS if tool != "avic-status"}
    return found | {"avic-status": built}


class Status(Machine):
    """The tests; a class of its own for each base is made below."""

    base: str

    @classmethod
    def setUpClass(cls) -> None:
        cls.repo = Path(sh(TOP / "scripts/fetch", BASE=cls.base))
        cls.program = Path(sh(TOP / "scripts/status", "--static", "--out", str(TOP / "build/avic-status.static")))
        if Base.named(cls.base).fields.get("Suites"):
            cls.kernel = Path(sh(TOP / "tests/debian", "kernel", cls.base))
        elif os.environ.get("STACK"):
            cls.kernel = Path(sh(TOP / "scripts/build", "base", "btf", BASE=cls.base))
        else:
            raise unittest.SkipTest(f"Debian has no kernel of {cls.base}, and STACK=1 builds one")

    def boot(
        self, features: str, lanes: dict[str, list[str]], scripts: dict[str, str], kernel: Path | None = None, **env: str
    ) -> dict[str, Result]:
        """Run scripts as tests in lanes: parameters -> names; returns the results.  kernel: another than the base's."""
        plan = [f"machine {features.replace(',', ' ')}"]
        for number, (parameters, names) in enumerate(lanes.items()):
            plan.append(f"lane {parameters.replace(' ', ',')} base {parameters}")
            plan += [f"test 150 {name} ./{name}" for name in names]
            # That they are in the machine.
            plan += [f"test 9 {tool}{number or ''} ./{tool}" for tool in TOOLS]
        wanted = {name: scripts[name] for names in lanes.values() for name in names}
        return self.guest(
            "base", "\n".join(plan) + "\n", programs(self.program, wanted), kernel or self.kernel,
            BOOT_SECONDS="600", **env,
        )  # fmt: skip

    def expected(self, stack: bool = False) -> dict[str, tuple[str, list[str], list[str]]]:
        """STATES, as this kernel has them."""
        found = dict(STATES)
        if stack:
            return found
        here = ["xAVIC", "xAVIC"]
        # The bases have none of the stack's fixes.
        found["xen"] = ("on", [], here)
        if numbers(self.base) < numbers("v6.18"):
            found["id-too-big"] = ("on", [], here)  # the third one is refused
        if numbers(self.base) < numbers("v6.12"):
            found["ldr-shared"] = ("on", [], here)
            del found["id-shared"]  # no such inhibit
            del found["xen"]  # Debian builds it without KVM_XEN
        return found

    def check_state(self, result: Result, expected: tuple[str, list[str], list[str]]) -> None:
        """A picture's one VM is in the state that was made."""
        show(result)
        found = picture(result)
        self.assertEqual(result.status, "pass", result.log)
        [vm] = found["vms"]
        self.assertEqual(
            (vm["avic"], [each["name"] for each in vm["inhibits"]], [v["mode"] for v in vm["vcpus"]]), expected
        )
        self.assertEqual({(each["seconds"], each["times"]) for each in vm["inhibits"]} - {(None, None)}, set())

    def test_1_states(self) -> None:
        expected = self.expected()
        others = {"rights": RIGHTS, "errors": ERRORS, "less": LESS, "terminal": TERMINAL, "come-and-go": COME_AND_GO}
        scripts = {state: ONCE.format(state=state) for state in expected}
        scripts |= {state: WATCH.format(state=state) for state in WATCHED}
        scripts |= {"off": ONCE.format(state="on"), "hidden": HIDDEN.format(state="inhibited-again"), **others}
        lanes = {"avic=1": [*expected, *WATCHED, "hidden", *others], "avic=0": ["off"]}
        results = self.boot(ZEN4, lanes, scripts)
        for state, wanted in expected.items():
            with self.subTest(state):
                self.check_state(results[state], wanted)
        with self.subTest("the vCPU's own reasons"):
            whys = [[vcpu["why"] for vcpu in picture(results[each])["vms"][0]["vcpus"]] for each in ("nested", "apic-off")]
            self.assertEqual(whys, [["", "", "NESTED"], ["the guest has its APIC off", ""]])
        with self.subTest("windows"):
            self.check_windows(results, numbers(self.base) >= numbers("v7.2"))
        with self.subTest("AVIC off in kvm_amd"):
            found = picture(results["off"])
            show(results["off"])
            self.assertRegex(found["vms"][0]["inhibits"][0]["name"], "^DISABLED?$")
            self.assertIn("avic", found["host"]["missing"])
        with self.subTest("since when"):
            self.check_since(results)
        with self.subTest("two VMs"):
            self.check_two_vms(picture(results["two-vms"])["vms"])
        with self.subTest("counts"):
            show(results["counts"])
            self.check_counts(picture(results["counts"]))
        with self.subTest("rights"):
            both, one, none, watch = (line.strip() for line in results["rights"].log)
            self.assertEqual((both, watch), ("38,39: 0 1", "watch: 0 2"))
            for line in (one, none):
                self.assertRegex(line, r": 1 0 avic-status: no permission: .*CAP_BPF and CAP_PERFMON")
        with self.subTest("errors"):
            self.check_errors(results["errors"].log)
        with self.subTest("less"):
            found = picture(results["less"])
            first = found["vms"][0]["vcpus"][0]
            self.assertEqual((first["mode"], first["wakeups"], first["irq_window_exits"]), ("xAVIC", None, None))
            self.assertEqual((found["vms"][0]["vcpus_made"], first["irtes"]), (None, None))
            self.assertGreater(first["exits"], 0)
        with self.subTest("terminal"):
            said = dict(line.split() for line in results["terminal"].log)
            self.assertLessEqual(int(said.pop("rows")), 14)
            self.assertLessEqual(int(said.pop("columns")), 60)
            self.assertEqual(said, {"status": "0", "modes": "same", "escapes": "0"})
        with self.subTest("VMs that come and go"):
            log = results["come-and-go"].log
            self.assertEqual((results["come-and-go"].status, log[0]), ("pass", "status 0"), log)
            self.assertGreater(int(log[1].removeprefix("VMs ")), 5, log)
            for mark in ("BEGIN", "END"):
                self.assertEqual(picture(results["come-and-go"], mark)["version"], 1)
        with self.subTest("bugs"):
            self.check_bugs(picture(results["on"])["bugs"], "base")

    def check_windows(self, results: dict[str, Result], counted: bool) -> None:
        """How many vCPUs hold a window, where the kernel counts them; and which, in any kernel."""
        vms = [picture(results[state])["vms"][0] for state in ("window", "on")]
        self.assertEqual([vm["irq_windows"] for vm in vms], [1, 0] if counted else [None, None])
        self.assertEqual([[vcpu["irq_window"] for vcpu in vm["vcpus"]] for vm in vms], [[1, 0], [0, 0]])

    def check_two_vms(self, vms: list[dict[str, Any]]) -> None:
        """Of two VMs in a process it is not known which one an inhibit was switched of."""
        found = {vm["inhibits"][0]["name"]: (vm["inhibits"][0]["seconds"], vm["inhibits"][0]["times"]) for vm in vms}
        self.assertEqual(found, {"BLOCKIRQ": (None, None), "PIT_REINJ": (None, None)})

    def check_errors(self, log: list[str]) -> None:
        """One line each, that says what to do, and exit status 1."""
        for line, wanted in zip(log, (
            r"avic-status: the kernel does not tell its types: .*CONFIG_DEBUG_INFO_BTF=y", "none: 1",
            r"avic-status: kvm_amd does not tell its types: .*CONFIG_DEBUG_INFO_BTF_MODULES=y", "some: 1",
            r"avic-status: this kernel's KVM has no kvm_arch\.apicv_inhibit_reasons: this avic-status knows .* take a newer avic-status", "less: 1",
            r"avic-status: this is a PID namespace of its own: .*--pid=host", "namespace: 1",
            r"full: 1 avic-status: what was seen can't be written: No space left on device",
        ), strict=True):  # fmt: skip
            self.assertRegex(line, f"^{wanted}$")

    def check_since(self, results: dict[str, Result]) -> None:
        """An inhibit that came while it was watched, and one that was there before and came again."""
        for state, times in (("inhibited-while-watched", 1), ("inhibited-again", 2), ("hidden", 2)):
            found = picture(results[state])
            [inhibit] = found["vms"][0]["inhibits"]
            self.assertEqual((inhibit["name"], inhibit["times"]), ("BLOCKIRQ", times), state)
            self.assertFalse(inhibit["at_least"], state)
            self.assertLess(inhibit["seconds"], found["watched_seconds"])
        [inhibit] = picture(results["modified-again"])["vms"][0]["inhibits"]
        self.assertEqual((inhibit["name"], inhibit["at_least"], inhibit["times"]), ("APIC_ID_MODIFIED", True, 0))

    def check_counts(self, found: dict[str, Any]) -> None:
        """tests/guest/states.c has the numbers."""
        first = found["vms"][0]["vcpus"][0]
        self.assertEqual(first["spared_when_on"].get("EOI"), 50, first)
        self.assertEqual(first["spared_when_on"].get("ICR"), 50, first)
        self.assertEqual(first["ipis_left_to_kvm"].get("INVALID_INT_TYPE"), 20, first)
        self.assertEqual(first["unaccelerated"].get("SVR"), 30, first)
        # More if a vCPU lost its CPU meanwhile.
        self.assertGreaterEqual(first["ipis_left_to_kvm"].get("TARGET_NOT_RUNNING", 0), 20, first)

    def check_bugs(self, found: dict[str, str], level: str) -> None:
        """What the types show is what the source shows."""
        # It exits with 1, for there are bugs.
        said = sh("sh", "-c", f"'{TOP}/scripts/affected' --json '{self.repo}' {level} || [ $? = 1 ]")
        source = {each["slug"]: each["verdict"] for each in json.loads(said)}
        self.assertEqual(set(found), set(source))
        told = {slug: verdict for slug, verdict in found.items() if verdict != "cannot_tell"}
        print(f"     bugs told from types: {len(told)} of {len(found)}: {told}")
        self.assertGreaterEqual(len(told), 9 if level == "base" else 5)
        for slug, verdict in told.items():
            self.assertEqual(source[slug], {"likely": "affected", "not": "not"}[verdict], slug)

    def test_2_x2apic_without_x2avic(self) -> None:
        scripts = {state: ONCE.format(state=state) for state in ("on-x2apic", "on")}
        results = self.boot(ZEN3, {"avic=1": list(scripts)}, scripts)
        found = picture(results["on-x2apic"])
        show(results["on-x2apic"])
        self.assertEqual([vcpu["mode"] for vcpu in found["vms"][0]["vcpus"]], ["hybrid", "hybrid"])
        self.assertIn("vm.hybrid", [each["about"] for each in found["advice"]])
        self.assertEqual(found["host"]["missing"][0], "x2avic")
        modes = [vcpu["mode"] for vcpu in picture(results["on"])["vms"][0]["vcpus"]]
        self.assertEqual(modes, ["xAVIC", "xAVIC"])


    def test_3_posted(self) -> None:
        """What a device's interrupts come to: an IRTE in guest mode, entries of the GA Log, wake-ups."""
        scripts = {state: (DEVICE + WATCH).format(state=state) for state in ("posted", "ga-log-overflow")}
        results = self.boot(f"{ZEN4},iommu", {"avic=1": list(scripts)}, scripts)
        show(results["posted"])
        found = picture(results["posted"])
        self.assertEqual(results["posted"].status, "pass", results["posted"].log)
        self.assertEqual((found["host"]["iommus"], found["host"]["iommu_posts"]), (1, True))
        first, second = found["vms"][0]["vcpus"]
        self.assertEqual([(vcpu["irtes"], vcpu["irtes_posted"]) for vcpu in (first, second)], [(0, 0), (1, 1)])
        self.assertEqual((first["ga_log_entries"], second["ga_log_entries"]), (0, POSTED))
        self.assertEqual((found["totals"]["ga_log_entries"], found["totals"]["ga_log_overflows"]), (POSTED, 0))
        self.assertGreaterEqual(second["wakeups"], POSTED)
        self.assertEqual(found["host"]["missing"], [])
        # The log is full once for each CPU on which its thread may be kept from reading it.
        show(results["ga-log-overflow"])
        found = picture(results["ga-log-overflow"])
        self.assertEqual(results["ga-log-overflow"].status, "pass", results["ga-log-overflow"].log)
        self.assertIn(found["totals"]["ga_log_overflows"], (1, 2))
        self.assertGreaterEqual(found["totals"]["ga_log_entries"], LOG_ENTRIES - 1)

    @unittest.skipUnless(os.environ.get("STACK"), "builds a kernel: STACK=1 does")
    def test_4_stack(self) -> None:
        """What only the stack's kernels have."""
        scripts = {state: ONCE.format(state=state) for state in STATE_TESTS}
        sh(TOP / "scripts/apply", BASE=self.base)
        kernel = Path(sh(TOP / "scripts/build", "stack", "btf", BASE=self.base))
        results = self.boot(ZEN4, {"avic=1": list(STATE_TESTS)}, scripts, kernel)
        expected = self.expected(stack=True)
        for state in STATE_TESTS:
            with self.subTest(state):
                self.check_state(results[state], expected[state])
        self.check_windows(results, True)
        self.assertEqual([picture(results[state])["vms"][0]["ever_posted"] for state in ("on", "window")], [0, 0])
        self.check_bugs(picture(results["on"])["bugs"], "stack")

    def test_5_without_amd(self) -> None:
        """Another vendor's CPU: it says so, and ends with 1."""
        folder = self.scratch()
        (folder / "root").mkdir()
        shutil.copy(self.program, folder / "root/avic-status")
        shutil.copy("/bin/busybox", folder / "root/busybox")
        (folder / "root/init").write_text(
            "#!/busybox sh\n/busybox mkdir /proc /sys /dev\n/busybox mount -t proc proc /proc\n"
            "/busybox mount -t sysfs sysfs /sys\n/busybox mount -t devtmpfs devtmpfs /dev\nexec >/dev/ttyS1 2>&1\n"
            "/avic-status; echo status $?\n/avic-status --json 2>/dev/null; echo status $?\n"
            "/busybox sleep 1\n/busybox poweroff -f\n"
        )
        (folder / "root/init").chmod(0o755)
        pack_initramfs(folder / "root", folder / "initramfs")
        qemu = sh(TOP / "ci/emulator/build")
        subprocess.run(
            [qemu, "-accel", "tcg", "-machine", "q35", "-cpu", "Skylake-Server", "-m", "1G", "-nodefaults", "-display", "none",
             "-no-reboot", "-serial", f"file:{folder}/console", "-serial", f"file:{folder}/said",
             "-kernel", self.kernel / "bzImage", "-initrd", folder / "initramfs", "-append", "console=ttyS0 panic=-1"],
            stdin=subprocess.DEVNULL, timeout=600, check=True,
        )  # fmt: skip
        said = (folder / "said").read_text().replace("\r", "")
        print("     " + said.replace("\n", "\n     "))
        self.assertRegex(said, r"(?m)^missing  amd$")
        self.assertRegex(said, r"(?m)^avic-status: no AVIC here: this CPU is not AMD's.*\nstatus 1$")
        *_, text, status = said.splitlines()
        self.assertEqual((json.loads(text)["host"]["missing"], status), (["amd"], "status 1"))


    @unittest.skipUnless(os.environ.get("COST"), "takes minutes: COST=1 does it")
    def test_6_cost(self) -> None:
        """Counted, not judged."""
        qemu = self.scratch() / "qemu"
        built = sh(TOP / "ci/emulator/build")
        qemu.write_text(
            f'#!/usr/bin/env -S bash -p\nexec {built} "${{@/thread=multi/thread=single}}" -icount shift=0\n'
        )
        qemu.chmod(0o755)
        results = self.boot(ZEN4, {"avic=1": ["cost"]}, {"cost": COST}, QEMU=str(qemu))
        print("     cost:", *results["cost"].log, sep="\n       ")
        self.assertEqual(results["cost"].status, "pass", results["cost"].log)


def load_tests(loader: unittest.TestLoader, tests: unittest.TestSuite, pattern: object) -> unittest.TestSuite:
    """Status, once for each of BASES."""
    suite = unittest.TestSuite()
    for base in BASES.split():
        name = f"Status_{base.replace('.', '_')}"
        suite.addTests(loader.loadTestsFromTestCase(type(name, (Status,), {"base": base})))
    return suite
