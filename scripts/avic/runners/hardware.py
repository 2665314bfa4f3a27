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
            from RAM, reads the results from the serial line, and reboots back.  With HOST=
  SERIAL=   with KEXEC, a command that prints what comes on that line
  POWER=    a command that power-cycles the machine; run once if it does not come back
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
import tarfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from avic import ktap, remote
from avic.paths import TOP
from avic.bundle import pack_initramfs
from avic.ktap import Progress, SplatRules
from avic.plan import Plan
from avic.process import fail, held_back, say, scratch
from avic.raw import printable
from avic.remote import JOB, WORK, Host

LEASE_SECONDS = int(os.environ.get("LEASE_SECONDS") or 60)
BOOT_SECONDS = int(os.environ.get("BOOT_SECONDS") or 900)
KEXEC = os.environ.get("KEXEC") or ""
POWER = os.environ.get("POWER") or ""
# A kernel that stands still panics, and so reboots.
PANICS = ["panic=10", "softlockup_panic=1", "hung_task_panic=1", "nmi_watchdog=panic"]
# A lost connection may be a machine that reboots.
LOST_SECONDS = LEASE_SECONDS + BOOT_SECONDS
# To restore itself a machine needs no longer.
STOP_SECONDS = 360
# More than a machine's logs may have: `log_bytes` in ci/hardware/lib.sh, twice, and pstore.
RESULT_BYTES = 64 << 20
BOOT_ID = re.compile(r"(?m)^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
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
        self.boot = self.since = ""
        self.token = uuid.uuid4().hex
        self.attend: subprocess.Popen[bytes] | None = None
        # If it runs the bundle's kernel: seconds after which it reboots by itself.
        self.away = 0

    def boot_id(self) -> str:
        """Which boot of the machine this is; '' if it can't be reached."""
        said = self.host.run("cat /proc/sys/kernel/random/boot_id", seconds=30).stdout
        # A login may say more than that.
        found: list[str] = BOOT_ID.findall(said)
        return found[-1] if found else ""

    def ours(self, text: str) -> str:
        """Shell text that is carried out only while the machine has this job, and no later one."""
        return f'[ "$(cat {JOB}/token 2>/dev/null)" = {self.token} ] && {{ {text}; }}'

    def take(self, data: bytes) -> None:
        """Get the machine, after the jobs before this one; exits if that is not possible."""
        waiting = False
        while True:
            result = self.host.run(remote.take(self.token), data)
            if result.returncode == 0:
                *_, self.boot, self.since = result.stdout.splitlines()
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
                self.host.command(remote.script("attend", self.token, str(offset))),
                stdin=subprocess.PIPE,
                stdout=log,
                # A connection that is lost is said by follow().
                stderr=subprocess.DEVNULL,
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
        result = self.host.run(self.ours(remote.script("preflight")))
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
        if self.host.run(self.ours(text), data).returncode:
            fail(1, f"{self.host}: the bundle did not get there: see above")

    def state(self) -> str:
        """'' if the machine can't be reached, else running, done, gone (rebooted) or taken (by another job)."""
        here = self.ours(f"{{ [ ! -e {JOB}/done ] || echo done; }} && {{ [ -e {JOB}/done ] || echo running; }}")
        text = f"cat /proc/sys/kernel/random/boot_id; {here} || echo taken"
        said = self.host.run(text, seconds=30).stdout
        if not (boot := BOOT_ID.findall(said)):
            return ""
        return said.splitlines()[-1] if boot[-1] == self.boot else "gone"

    def follow(self, limit: int) -> str:
        """Wait for the end of the job, `limit` seconds at most.

        Returns the machine's last state, '' if it can't be reached, running if time is up.
        """
        begin = seen = shown = time.monotonic()
        while True:
            while time.monotonic() - begin < limit and self.attend and self.attend.poll() is None:
                time.sleep(0.2)
                if time.monotonic() - shown > 15:
                    shown = time.monotonic()
                    say(f"{self.host}: {Progress.of(ktap.read_text(self.out / 'ktap'))}")
                seen = time.monotonic()
            state = self.state()
            if state in ("done", "gone", "taken") or state and time.monotonic() - begin > limit:
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
        names = ["ktap", "console", "before", "after", "log", "done"]
        files = self.files(self.ours(f"cd {JOB} && tar -c -f - $(ls -d {' '.join(names)} pstore 2>/dev/null)"))
        if files is None or "done" not in files:
            fail(1, f"{self.host}: the results, in {JOB} there, can't be fetched: see above")
        for name in names:
            if name in files:
                (self.out / name).write_bytes(files[name])
        self.keep_pstore(files)
        self.host.run(self.ours(f"rm -r {JOB}"))

    def last_words(self) -> None:
        """Fetch what the kernel that crashed left behind since the job began; systemd may have moved it."""
        self.keep_pstore(self.files(
            f"since=$(mktemp) && touch -d @{self.since} $since && "
            "tar -c -f - $(find /sys/fs/pstore /var/lib/systemd/pstore -type f -newer $since 2>/dev/null);"
            " rm $since"
        ) or {})  # fmt: skip

    def files(self, text: str) -> dict[str, bytes] | None:
        """The regular files of the tar archive that text prints; None if it prints none, or too much."""
        data = self.host.fetch(text, RESULT_BYTES)
        try:
            return remote.files_of(data) if data else None
        except tarfile.TarError:
            return None

    def keep_pstore(self, files: dict[str, bytes]) -> None:
        """Keep the records among files, each under a name without folders."""
        for name, data in files.items():
            if "pstore/" in name:
                (self.out / "pstore").mkdir(exist_ok=True)
                (self.out / "pstore" / name.partition("pstore/")[2].replace("/", "-")).write_bytes(data)

    def stop(self, why: str) -> None:
        """End the job early: the machine restores itself, and the results so far are fetched."""
        if self.away:
            print(
                f"hardware: {self.host} runs the bundle's kernel; it reboots into its own in"
                f" {self.away} s at the latest", file=sys.stderr,
            )  # fmt: skip
            return
        say(f"{self.host}: ending the job, so that the machine is as it was")
        self.host.run(self.ours(f"echo {why} >{JOB}/stop"), seconds=30)
        end = time.monotonic() + STOP_SECONDS
        while (state := self.state()) in ("", "running") and time.monotonic() < end:
            time.sleep(1)
        if state == "done":
            self.fetch()
            say(f"{self.host}: {(self.out / 'done').read_text().strip()}")
        elif state not in ("gone", "taken"):
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
    limit = seconds_for(Plan.read((root / "bundle/plan").read_text()))
    state = job.follow(limit)
    if state == "done":
        job.fetch()
        ending = (out / "done").read_text().strip()
        say(f"{job.host}: {ending}")
        if ending != "restored" and not Progress.of(ktap.read_text(out / "ktap")).bail:
            bail(out, f"error: {job.host} is not as it was before, reboot it: see {out}/log")
    elif state == "gone":
        job.last_words()
        bail(out, f"panic: {job.host} rebooted (its last words, if any: {out}/pstore)")
    elif state == "taken":
        bail(out, f"error: {job.host} has the job no more: its results were not fetched in time")
    else:
        what = f"the job did not end in {limit} s" if state else f"no connection for {LOST_SECONDS} s"
        bail(out, f"hang: {job.host}: {what}")
        power_cycle(job)


def seconds_for(plan: Plan) -> int:
    """What a plan may take, with all that is around its tests."""
    return plan.seconds * 3 // 2 + 600


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
    limit = seconds_for(plan)
    pack_for_kexec(root, guard=limit)
    with scratch("avic-hardware.") as boot, (out / "console").open("wb") as console:
        (boot / "bzImage").symlink_to((bundle / "bzImage").resolve())
        (boot / "initramfs").symlink_to(root.parent / "initramfs")
        say(f"{job.host}: sending kernel and initramfs")
        text = f"mkdir {WORK}/root && {WORK}/bin/tar -x -f - -C {WORK}/root --strip-components=1"
        if job.host.run(job.ours(text), archive((boot, "boot"))).returncode:
            fail(1, f"{job.host}: kernel and initramfs did not get there: see above")
        serial = subprocess.Popen(
            os.environ["SERIAL"], shell=True, stdin=subprocess.DEVNULL, stdout=console,
            start_new_session=True,
        )
        try:
            words = [*KEXEC.split(), "loglevel=1", *PANICS]
            if device := os.environ.get("VFIO"):
                words.append(f"VFIO_SELFTESTS_BDF={device}")  # init's environment
            say(f"{job.host}: booting the bundle's kernel: {' '.join(words)}")
            if job.host.run(job.ours(remote.script("boot", *words))).returncode not in (0, 255):
                fail(1, f"{job.host} does not boot another kernel: see above")
            job.away = limit + BOOT_SECONDS
            what = read_serial(job, out, plan)
            if what:
                bail(out, what)
            say(f"{job.host}: rebooting into its own system")
            if not came_back(job) and not power_cycle(job):
                bail(out, f"boot: {job.host} did not come back in {BOOT_SECONDS} s")
        finally:
            os.killpg(serial.pid, signal.SIGTERM)
            serial.wait()


def came_back(job: Job) -> bool:
    """Wait until the machine is in its own system again, in another boot than the job's."""
    begin = time.monotonic()
    while job.boot_id() in ("", job.boot):
        if time.monotonic() - begin > BOOT_SECONDS:
            return False
        time.sleep(2)
    return True


def power_cycle(job: Job) -> bool:
    """POWER=, if it is set; whether the machine is back then."""
    if not POWER:
        say(f"{job.host}: power-cycle it (POWER= would)")
        return False
    say(f"{job.host}: {POWER}")
    power = subprocess.run(POWER, shell=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    return not power.returncode and came_back(job)


def check_settings() -> None:
    """Exits if the variables do not go together."""
    if KEXEC and not os.environ.get("HOST"):
        fail(2, "KEXEC without HOST would reboot this very machine: set HOST to the one to test")
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
