# SPDX-License-Identifier: GPL-2.0
"""hardware BUNDLE OUT: run a bundle on a real AMD machine, and leave it as it was.

  BUNDLE    a folder that scripts/bundle made, with config, the kernel's configuration
  OUT       an existing folder; gets ktap and console, as from the emulator, and
            preflight, before, after, log, pstore: what the machine reported
  --machine  instead of both: print the machine's CPU flags, then what it is

  HOST=     the machine, as root, as ssh takes it (root@epyc1); without it, this one
  TESTS=    a test of ci/hardware/refused is run only if this names it
  VFIO=     a spare PCI device (0000:41:00.0), for the job to bind to vfio-pci
  KEXEC=    kernel parameters, among them console=TTY.  For a machine whose running
            kernel is not the modules' one: boots the bundle's own kernel and initramfs
            from RAM, reads the results from the serial line, and reboots back
  SERIAL=   with KEXEC, a command that prints what comes on that line
  LEASE_SECONDS=   how long the machine goes on without a word from here (60)
  BOOT_SECONDS=    how long it may take to boot (900)
  SSH_CONFIG=      another configuration for ssh

On the machine ci/hardware/supervise does the work.  It also ends the run and restores
the machine if the connection is lost: docs/HARDWARE.md.  A machine does one job at a
time; the others wait.  If a run ends early, the last line of ktap is "Bail out!
KIND: WHAT", with KIND one of splat, hang, panic, boot, error.
Exit status: 0 if the plan was done, 1 if not, 2 if the machine or its kernel lacks
something or AVIC was not on where the plan asks for it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from avic import ktap, remote
from avic.paths import TOP
from avic.bundle import pack_initramfs
from avic.ktap import Progress, SplatRules
from avic.plan import Plan
from avic.process import fail, held_back, say, scratch, unwind_on_signals
from avic.raw import printable
from avic.remote import JOB, WORK, Host

LEASE_SECONDS = int(os.environ.get("LEASE_SECONDS") or 60)
BOOT_SECONDS = int(os.environ.get("BOOT_SECONDS") or 900)
KEXEC = os.environ.get("KEXEC") or ""
# A lost connection may be a machine that reboots.
LOST_SECONDS = LEASE_SECONDS + BOOT_SECONDS
# Memory for the biggest selftest, beside the bundle.
TESTS_MIB = 1500


def unpack(bundle: Path, root: Path) -> None:
    """The bundle's initramfs as a folder, with a skip for each refused test."""
    subprocess.run(
        ["cpio", "--extract", "--make-directories", "--quiet", "--no-absolute-filenames",
         f"--file={(bundle / 'initramfs').resolve()}"],
        cwd=root, check=True,
    )  # fmt: skip
    for name in remote.replace_refused(root / "bundle/tests", os.environ.get("TESTS") or ""):
        say(f"{name} is refused on hardware: TESTS={name} runs it (ci/hardware/refused)")


def patience_of(plan: Plan) -> str:
    """A file for the machine: how long it may be silent in each test, and, as '-', between tests."""
    return "".join(f"{name or '-'} {plan.patience(name)}\n" for name in ["", *(t.name for t in plan.tests)])


def wants(bundle: Path, root: Path) -> dict[str, str]:
    """Files that tell the scripts on the machine what this job is."""
    if not (bundle / "config").exists():
        fail(2, f"{bundle} has no config: hardware needs the configuration of its kernel")
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    files = remote.patterns(SplatRules.read(TOP / "ci/run/splats")) | {
        "plan": (text := (bundle / "plan").read_text()),
        "patience": patience_of(Plan.read(text)),
        "config": (bundle / "config").read_text(),
        "release": remote.release(root / "bundle/modules"),
        "mib": str((size >> 20) + TESTS_MIB),
        "lease": str(LEASE_SECONDS),
        "who": f"{os.environ.get('USER') or os.getuid()}, {bundle.parent.name}",
    }
    if device := os.environ.get("VFIO"):
        if not re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", device):
            fail(2, f"VFIO={device} is no PCI address: want one like 0000:41:00.0")
        files["vfio"] = device
    if KEXEC:
        files["kexec"] = ""
    return files


def archive(*folders: tuple[Path, str]) -> bytes:
    """A tar archive of folders, given as (where it is, its name in the archive)."""
    with scratch("avic-hardware.") as aside:
        for folder, name in folders:
            (aside / name).symlink_to(folder.resolve())
        return subprocess.check_output(
            ["tar", "--create", "--dereference", "--owner=0", "--group=0", "--numeric-owner",
             f"--directory={aside}", *(name for _, name in folders)],
        )  # fmt: skip


class Job:
    """One job on a machine, from taking it to fetching what it returned."""

    def __init__(self, host: Host, out: Path) -> None:
        self.host, self.out = host, out
        self.boot = ""
        self.attend: subprocess.Popen[bytes] | None = None
        self.beat = threading.Event()

    def boot_id(self) -> str:
        """Which boot of the machine this is; '' if it can't be reached."""
        return self.host.run("cat /proc/sys/kernel/random/boot_id", seconds=30).stdout

    def take(self, data: bytes) -> None:
        """Get the machine, after the jobs before this one; exits if that is not possible."""
        waiting = False
        while True:
            result = self.host.run((TOP / "ci/hardware/take").read_text(), data)
            if result.returncode == 0:
                self.boot = result.stdout
                return
            if result.returncode == 255:
                fail(2, f"cannot reach {self.host}: see above; try ssh {self.host.name} true")
            if result.returncode != 75:
                fail(2, f"{self.host} does not take a job: {result.stdout or 'see above'}")
            if not waiting:
                say(f"{self.host} is {result.stdout}; waiting")
                waiting = True
            time.sleep(2)

    def live(self) -> None:
        """Follow the job's KTAP and renew its lease, until the job is done or the connection is lost."""
        with (self.out / "ktap").open("ab") as log:
            offset = log.tell()
            self.attend = subprocess.Popen(
                self.host.command(remote.script("attend", str(offset))),
                stdin=subprocess.PIPE,
                stdout=log,
            )
        threading.Thread(target=self.keep_lease, args=[self.attend], daemon=True).start()

    def keep_lease(self, attend: subprocess.Popen[bytes]) -> None:
        assert attend.stdin
        try:
            while attend.poll() is None:
                attend.stdin.write(b"\n")
                attend.stdin.flush()
                time.sleep(1)
        except OSError:
            pass  # it has ended; follow() notices that

    def preflight(self) -> None:
        """Show what the machine has; exits if something is missing."""
        result = self.host.run(remote.script("preflight"))
        (self.out / "preflight").write_text(result.stdout + "\n")
        for line in result.stdout.splitlines():
            say(f"{self.host}: {line}")
        lacks = re.findall(r"(?m)^MISSING (\S+) (.*)", result.stdout)
        if lacks:
            hint = ""
            if [name for name, _ in lacks] == ["kernel"]:
                hint = "; KEXEC= boots the modules' kernel from RAM (docs/HARDWARE.md)"
            fail(2, f"{self.host}: " + "; ".join(f"{name}: {what}" for name, what in lacks) + hint)
        if result.returncode:
            fail(2, f"{self.host}: the pre-flight broke off: see above")

    def send(self, data: bytes) -> None:
        """Send the bundle and the sign to begin."""
        text = f"mkdir {WORK}/root && {WORK}/bin/tar -x -f - -C {WORK}/root && : >{JOB}/go"
        if self.host.run(text, data).returncode:
            fail(1, f"{self.host}: the bundle did not get there: see above")

    def state(self) -> str:
        """'' if the machine can't be reached, else running, done or gone."""
        text = f"""cat /proc/sys/kernel/random/boot_id
            if [ -e {JOB}/done ]; then echo done; elif [ -e {JOB} ]; then echo running; else echo gone; fi"""
        boot, _, state = self.host.run(text, seconds=30).stdout.partition("\n")
        return state if boot == self.boot else "gone" if boot else ""

    def follow(self) -> str:
        """Wait for the end of the job; returns the machine's last state: done, gone or ''."""
        seen = shown = time.monotonic()
        while True:
            while self.attend and self.attend.poll() is None:
                time.sleep(0.2)
                if time.monotonic() - shown > 15:
                    shown = time.monotonic()
                    say(f"{self.host}: {Progress.of(ktap.read_text(self.out / 'ktap'))}")
                seen = time.monotonic()
            state = self.state()
            if state in ("done", "gone"):
                return state
            if state == "running":
                self.live()
            elif time.monotonic() - seen > LOST_SECONDS:
                return ""
            else:
                if time.monotonic() - shown > 15:
                    shown = time.monotonic()
                    say(f"no connection to {self.host}; trying again")
                time.sleep(2)

    def fetch(self) -> None:
        """Fetch all that the job returned, then remove it from the machine."""
        if not self.copy(JOB, "ktap console before after log done pstore"):
            fail(1, f"{self.host}: the results, in {JOB} there, can't be fetched: see above")
        self.host.run(f"rm -r {JOB}")

    def copy(self, folder: str, names: str) -> bool:
        """Fetch the files of these names that exist in a folder on the machine; False if none came."""
        text = f"""cd {folder} && there=$(ls -d {names} 2>/dev/null)
            [ -z "$there" ] || tar -c -f - $there"""
        data = subprocess.run(self.host.command(text), stdout=subprocess.PIPE)
        unpack = ["tar", "--extract", f"--directory={self.out}", "--no-same-owner", "--touch"]
        if data.returncode or not data.stdout:
            return False
        return not subprocess.run(unpack, input=data.stdout).returncode

    def stop(self, why: str) -> None:
        """End the job early: the machine restores itself, and the results so far are fetched."""
        say(f"{self.host}: ending the job, so that the machine is as it was")
        self.host.run(f"[ ! -d {JOB} ] || echo {why} >{JOB}/stop", seconds=30)
        for _ in range(120):
            state = self.state()
            if state in ("done", "gone"):
                break
            time.sleep(1)
        if state == "done":
            self.fetch()
            say(f"{self.host}: {(self.out / 'done').read_text().strip()}")
        elif state != "gone":
            print(f"hardware: {self.host} was not seen to be restored: look there", file=sys.stderr)

    def end_attend(self) -> None:
        if self.attend:
            # Not killed: on this machine it has children to end.
            self.attend.terminate()
            self.attend.wait()


def bail(out: Path, what: str) -> None:
    with (out / "ktap").open("a") as log:
        log.write(f"\nBail out! {what}\n")


@contextmanager
def taken(host: Host, out: Path, data: bytes) -> Iterator[Job]:
    """A job on the machine.  However the block ends, the job is ended and the machine restored."""
    job = Job(host, out)
    job.take(data)
    try:
        job.live()
        yield job
    except BaseException:
        with held_back():
            job.end_attend()
            job.stop("stopped by the driver")
        raise
    finally:
        job.end_attend()


def on_running_kernel(job: Job, out: Path, root: Path) -> None:
    """The plan on the machine's own kernel."""
    say(f"{job.host}: sending the bundle")
    job.send(archive((root / "bundle", "bundle")))
    state = job.follow()
    if state == "done":
        job.fetch()
        ending = (out / "done").read_text().strip()
        say(f"{job.host}: {ending}")
        if ending != "restored" and not Progress.of(ktap.read_text(out / "ktap")).bail:
            bail(out, f"error: {job.host} is not as it was before, reboot it: see {out}/log")
    elif state == "gone":
        # The last lines of the kernel that crashed; systemd may have moved them.
        job.copy("/sys/fs", "pstore")
        job.copy("/var/lib/systemd", "pstore")
        bail(out, f"panic: {job.host} rebooted (its last words, if any: {out}/pstore)")
    else:
        bail(out, f"error: no connection to {job.host} for {LOST_SECONDS} s")


def pack_for_kexec(root: Path, guard: int) -> None:
    """The emulator's initramfs, with an init that uses KEXEC's serial line and reboots at the end.

    guard: seconds after which it reboots in any case.
    """
    tty = re.findall(r"console=(\w+)", KEXEC)[0]
    init = remote.serial_init((root / "init").read_text(), tty)
    first, rest = init.split("\n", 1)
    (root / "init").write_text(f"{first}\n(sleep {guard}; /bin/busybox reboot -f) &\n{rest}")
    pack_initramfs(root, root.parent / "initramfs")


def read_serial(job: Job, out: Path, plan: Plan) -> str:
    """Follow the run on the serial line; returns what ended it early, or ''."""
    begin = moved = shown = time.monotonic()
    text = ""
    while True:
        time.sleep(0.5)
        serial = ktap.read_text(out / "console")
        now, new = time.monotonic(), remote.ktap_of(serial)
        if new != text:
            text, moved = new, now
            (out / "ktap").write_text(text, errors="surrogateescape")
        progress = Progress.of(text)
        if now - shown > 15:
            shown = now
            say(f"{job.host}: {progress}")
        if progress.ended:
            return ""
        if panic := re.search(r"Kernel panic - .*", serial):
            return f"panic: {printable(panic[0].strip())}"
        if not text and now - begin > BOOT_SECONDS:
            return f"boot: nothing on the serial line after {BOOT_SECONDS} s"
        if text and now - moved > plan.patience(progress.test):
            return "hang: the serial line fell silent"


def boot_there(job: Job, out: Path, bundle: Path, root: Path) -> None:
    """The plan on the bundle's own kernel, booted instead of the machine's."""
    plan = Plan.read((bundle / "plan").read_text())
    pack_for_kexec(root, guard=plan.seconds * 3 // 2 + 600)
    with scratch("avic-hardware.") as boot, (out / "console").open("wb") as console:
        (boot / "bzImage").symlink_to((bundle / "bzImage").resolve())
        (boot / "initramfs").symlink_to(root.parent / "initramfs")
        say(f"{job.host}: sending kernel and initramfs")
        text = f"mkdir {WORK}/root && {WORK}/bin/tar -x -f - -C {WORK}/root --strip-components=1"
        if job.host.run(text, archive((boot, "boot"))).returncode:
            fail(1, f"{job.host}: kernel and initramfs did not get there: see above")
        serial = subprocess.Popen(
            os.environ["SERIAL"], shell=True, stdout=console, start_new_session=True
        )
        try:
            words = [*KEXEC.split(), "loglevel=1", "panic=10"]
            if device := os.environ.get("VFIO"):
                words.append(f"VFIO_SELFTESTS_BDF={device}")  # init's environment
            say(f"{job.host}: booting the bundle's kernel: {' '.join(words)}")
            if job.host.run(remote.script("boot", *words)).returncode not in (0, 255):
                fail(1, f"{job.host} does not boot another kernel: see above")
            what = read_serial(job, out, plan)
            if what:
                bail(out, what)
            back(job, out)
        finally:
            os.killpg(serial.pid, signal.SIGTERM)
            serial.wait()


def back(job: Job, out: Path) -> None:
    """Wait until the machine is in its own system again."""
    say(f"{job.host}: rebooting into its own system")
    begin = time.monotonic()
    while job.boot_id() in ("", job.boot):
        if time.monotonic() - begin > BOOT_SECONDS:
            bail(out, f"boot: {job.host} did not come back in {BOOT_SECONDS} s: power-cycle it")
            return
        time.sleep(2)


def check_settings() -> None:
    """Exits if the variables do not go together."""
    if KEXEC and not re.search(r"console=\w+", KEXEC):
        fail(2, f"KEXEC={KEXEC} has no console=TTY: results come by the serial line")
    if KEXEC and not os.environ.get("SERIAL"):
        fail(2, "KEXEC without SERIAL: set it to the command that reads the serial line")


def describe(host: Host) -> int:
    """Print the CPU's flags, and the rest of what results depend on."""
    result = host.run(
        "sed -n 's/^flags[^:]*: //p' /proc/cpuinfo | head -n 1;"
        "sed -n 's/^model name[^:]*: //p; s/^microcode[^:]*: /microcode /p' /proc/cpuinfo | head -n 2;"
        "uname -rv",
        seconds=30,
    )
    if result.returncode:
        fail(2, f"cannot reach {host}: see above; try ssh {host.name} true")
    flags, *rest = result.stdout.splitlines()
    settings = [f"{name}={os.environ[name]}" for name in ("KEXEC", "VFIO") if os.environ.get(name)]
    print(flags)
    print(", ".join([str(host), *rest, *settings]))
    return 0


def main() -> int:
    arguments = sys.argv[1:]
    host = Host()
    unwind_on_signals()
    if arguments == ["--machine"]:
        return describe(host)
    if len(arguments) != 2:
        fail(2, "usage: hardware BUNDLE OUT, or hardware --machine")
    check_settings()
    bundle, out = (Path(argument).resolve() for argument in arguments)
    if options := Plan.read((bundle / "plan").read_text()).qemu:
        fail(2, f"{bundle}/plan is for the emulator, with {' '.join(options)}: use RUNNER=emulator")
    with scratch("avic-hardware.") as aside:
        root, want, tools = (aside / name for name in ("root", "want", "bin"))
        for folder in (root, want, tools):
            folder.mkdir()
        unpack(bundle, root)
        for name, text in wants(bundle, root).items():
            (want / name).write_text(text)
        shutil.copy(root / "bin/busybox", tools)
        data = archive((TOP / "ci/hardware", "hardware"), (want, "want"), (tools, "bin"))
        with taken(host, out, data) as job:
            job.preflight()
            if KEXEC:
                boot_there(job, out, bundle, root)
            else:
                on_running_kernel(job, out, root)
    text = ktap.read_text(out / "ktap")
    if what := Progress.of(text).bail:
        fail(1, f"{what} (logs: {out})")
    if lacks := remote.unknown_symbols(text):
        what = f"{'; '.join(lacks)}: not in the running kernel"
        bail(out, f"error: {what}")
        fail(2, f"{host}: {what}; boot the stack's kernel or set KEXEC= (docs/HARDWARE.md)")
    if problems := remote.without_avic(text, Plan.read((bundle / "plan").read_text())):
        bail(out, f"error: {'; '.join(problems)}")
        # These passes show nothing, on either level: no report of them.
        fail(2, f"{host}: {'; '.join(problems)}")
    return 0
