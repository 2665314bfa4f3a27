# SPDX-License-Identifier: GPL-2.0
"""shell: a shell in the machine that the tests run in, or one command there.

  BASE=v6.12   which base           TREE=     a user's own kernel tree
  LEVEL=stack  base, stack, or a number: the base with that many patches
  LANES=       one lane of ci/run/lanes (default: avic=1,x2avic); KVM is loaded as it says
  CMD=         this command (of sh) instead of a shell.  stdout gets all that it prints,
               and its exit status is this script's
  SHARE=       a folder of this machine, as /host there.  It begins as a copy.  `share` there
               brings what has changed over, both ways; so does the end of the shell
  TOOLS=       more programs of this machine to take along, with their libraries
               (default: trace-cmd, if it is here), e.g. TOOLS='strace trace-cmd'
  GDB=1        the machine waits for gdb; its command line is printed
  CONFIG=      which of configs/ the kernel is built with (default emulator; debug is slow,
               but gdb knows its source lines)
  QEMU=        another QEMU than the one that ci/emulator/build makes
  JOBS=, V=1   as in scripts/build

In its path are busybox, all KVM selftests of the level, `share`, and `reload`, which loads
kvm-amd anew.  tracefs is mounted; the lane's probes are in its instances/avic.
Ctrl-D ends shell and machine, Ctrl-] the machine at once.  What is not in /host is gone then.
Exit status: the command's, 0 after a shell; 1 if the machine fails, and a line says so.
"""

from __future__ import annotations

import ctypes
import os
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from avic import ktap
from avic.aside import aside
from avic.base import BASE
from avic.build import Images, fragments
from avic.bundle import make_bundle, pack_initramfs
from avic.cmd.run import chosen_lanes
from avic.inner import libraries
from avic.machine import RUNNER, need_qemu
from avic.paths import CACHE, TOP
from avic.plan import Lane, Plan, Test, listed
from avic.process import fail, say
from avic.raw import printable
from avic.share import Share

# What runs in the machine; not in ci/guest, by all of which the mutants' results go.
GUEST = TOP / "ci" / "shell"
LANE = "avic=1,x2avic"
# The runner wants a limit; nobody keeps a shell for longer.
SECONDS = 7 * 24 * 3600
# The most that SHARE= may have, in bytes: all of it is in the machine's memory twice.
MOST = 1 << 30
ESCAPE = b"\x1d"  # Ctrl-]
SHOWN = 40  # lines of the kernel's console after a machine that failed
PR_SET_PDEATHSIG = 1
# Two more serial ports: ours, and that of `share`.  Relative: the runner is started there.
PORTS = [
    "-chardev", "socket,id=shell,path=shell",
    "-chardev", "socket,id=share,path=share",
    "-device", "pci-serial-2x,chardev1=shell,chardev2=share",
]  # fmt: skip
GDB = ["-gdb", "unix:gdb,server=on,wait=off", "-S"]
WELCOME = """\
{base}, {level}, lane {lane}: kvm-amd has avic={avic}
The selftests are in the path{host}. Ctrl-D ends this machine.
"""


def chosen_level() -> str:
    """LEVEL=, exits with 2 if it is none."""
    level = os.environ.get("LEVEL") or "stack"
    if not re.fullmatch(r"base|stack|[1-9]\d*", level):
        fail(2, f"no level '{level}': LEVEL= takes base, stack or a number of patches")
    return level


def chosen_lane() -> tuple[list[str], Lane]:
    """The machine's features and the lane of LANES=; exits with 2 if it is not one of the base's."""
    os.environ["LANES"] = os.environ.get("LANES") or LANE
    lanes = {lane.name: (features, lane) for features, lane in listed(BASE)}
    chosen = chosen_lanes(list(lanes), [])
    if len(chosen) != 1:
        fail(2, f"LANES={' '.join(chosen)}: a shell is in one lane, so name one")
    features, lane = lanes[chosen[0]]
    return features.split(","), lane


def chosen_folder() -> Path | None:
    """SHARE=, None if it is not set; exits with 2 if it is no folder, or too big."""
    if not (name := os.environ.get("SHARE")):
        return None
    folder = Path(name).expanduser().resolve()
    if not folder.is_dir():
        fail(2, f"SHARE={name} is no folder")
    size = sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
    if size > MOST:
        fail(2, f"SHARE={name} has {size >> 20} MiB, more than {MOST >> 20}: share less of it")
    return folder


def chosen_tools() -> list[Path]:
    """The programs of TOOLS=, by their paths; exits with 2 if one is not here."""
    found = []
    wanted = os.environ.get("TOOLS")
    for name in (wanted or "trace-cmd").split():
        if path := shutil.which(name):
            found.append(Path(path).absolute())
        elif wanted:
            fail(2, f"TOOLS={wanted}: no program '{name}' here: install it, or leave it out")
    return found


def append_archive(initramfs: Path, folder: Path, names: list[str]) -> None:
    """Append files of a folder to an initramfs, as they are; the kernel unpacks one archive after the other."""
    packed = subprocess.run(
        ["cpio", "--quiet", "--null", "--create", "--format=newc", "--owner=0:0"],
        cwd=folder, input=b"".join(os.fsencode(name) + b"\0" for name in names), stdout=subprocess.PIPE,
    )  # fmt: skip
    if packed.returncode:
        fail(1, f"packing {names[0]} and more for the machine failed: see above")
    with initramfs.open("ab") as file:
        file.write(packed.stdout)


def below(link: Path) -> list[str]:
    """What is in a folder that a link is to, by names that begin with the link's; no devices and no pipes."""
    paths = sorted(link.resolve().rglob("*"))
    wanted = [path for path in paths if path.is_symlink() or path.is_dir() or path.is_file()]
    return [f"{link.name}/{path.relative_to(link.resolve())}" for path in wanted]


def session(level: str, lane: str, shared: bool) -> str:
    """What ci/shell/shell reads in: the environment in the machine."""
    # Not by LINES and COLUMNS, which may be another terminal's.
    size = os.get_terminal_size(sys.stdin.fileno()) if sys.stdin.isatty() else os.terminal_size((80, 24))
    folder = "/host" if shared else "/bundle/tests"
    found = {
        "PATH": "/bundle/path:/bundle:/bin:/sbin:/usr/bin:/usr/sbin",
        "HOME": "/root",
        "TERM": os.environ.get("TERM") or "dumb",
        "PS1": f"{BASE} {level} {lane} \\w # ",
        "FOLDER": folder,
        "ROWS": str(size.lines),
        "COLS": str(size.columns),
    }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in found.items())


def fill(place: Path, image: Path, plan: Plan, tools: list[Path], share: Share | None) -> Path:
    """The bundle with the plan, in a folder: what run-plan needs, and behind it what is only for a shell."""
    own = place / "image"
    (own / "selftests").mkdir(parents=True)
    for name in ("bzImage", "kvm.ko", "kvm-amd.ko"):
        (own / name).symlink_to(image / name)
    shutil.copy(GUEST / "shell", own / "selftests")
    bundle = place / "bundle"
    make_bundle(own, plan, bundle)
    lane = plan.lanes[0]
    selftests = (image / "selftests").resolve()
    tests = sorted(path for path in selftests.rglob("*") if path.is_file() and os.access(path, os.X_OK))
    names = [str(path.relative_to(selftests)) for path in tests]
    root = place / "root"
    (root / "bin").mkdir(parents=True)
    (root / "bundle/path").mkdir(parents=True)
    # A selftest looks for its own file by the name that it is called with, so it has to be a path.
    for name in names:
        call = root / "bundle/path" / Path(name).name
        call.write_text(f'#!/bin/sh\nexec {shlex.quote(f"/bundle/tests/{name}")} "$@"\n')
        call.chmod(0o755)
    shutil.copy(GUEST / "share", root / "bin")
    command = ["gcc", "-O2", "-Wall", "-static", "-o", str(root / "bin/terminal"), str(GUEST / "terminal.c")]
    if subprocess.run(command).returncode:
        fail(1, "ci/shell/terminal.c does not compile: see above")
    (root / "bundle/session").write_text(session(lane.level, lane.name, bool(share)))
    if typed := os.environ.get("CMD"):
        (root / "bundle/cmd").write_text(f"{typed}\n")
    avic = next((word for word in lane.parameters if word.startswith("avic=")), "avic as by itself").partition("=")
    host = ", the host's folder is /host" if share else ""
    text = WELCOME.format(base=BASE, level=lane.level, lane=lane.name, avic=avic[2] or avic[0], host=host)
    (root / "bundle/welcome").write_text(text)
    if share:
        (root / "host").mkdir()
    for file in sorted({file for tool in tools for file in (tool, *libraries(tool))}):
        target = root / file.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    more = place / "more"
    pack_initramfs(root, more)
    with (bundle / "initramfs").open("ab") as initramfs:
        initramfs.write(more.read_bytes())
    links = place / "links"
    (links / "bundle").mkdir(parents=True)
    (links / "bundle/tests").symlink_to(selftests)
    folders = sorted({str(Path(name).parent) for name in names} - {"."})
    append_archive(bundle / "initramfs", links, [f"bundle/tests/{name}" for name in [*folders, *names]])
    if share:
        (links / "host").symlink_to(share.folder)
        append_archive(bundle / "initramfs", links, below(links / "host"))
    return bundle


@contextmanager
def started(bundle: Path, out: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The runner with a bundle; at the end of the block, or of this process, it has ended, and so has QEMU."""
    parent, libc = os.getpid(), ctypes.CDLL(None)

    def end_with_parent() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    # In a process group of its own: Ctrl-C is for this script, which ends the runner.
    with (out / "runner").open("wb") as log:
        process = subprocess.Popen(
            [TOP / "scripts" / "runners" / "emulator", bundle, out], cwd=out,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0, preexec_fn=end_with_parent,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()


def listening(path: Path) -> socket.socket:
    """A socket that QEMU connects a serial port to."""
    found = socket.socket(socket.AF_UNIX)
    # By way of /proc: a path of a socket must be short.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        found.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)
    found.listen(1)
    return found


def accepted(listener: socket.socket, runner: subprocess.Popen[bytes]) -> socket.socket | None:
    """QEMU's end of a serial port, None if the runner ends without it."""
    while not select.select([listener], [], [], 0.2)[0]:
        if runner.poll() is not None:
            return None
    return listener.accept()[0]


@contextmanager
def raw_terminal(keys: int | None) -> Iterator[None]:
    """The terminal, if there is one, gives each key as it comes; at the end of the block it is as it was."""
    if keys is None:
        yield
        return
    before = termios.tcgetattr(keys)
    try:
        tty.setraw(keys)
        yield
    finally:
        termios.tcsetattr(keys, termios.TCSADRAIN, before)


def relay(port: socket.socket, keys: int | None) -> bool:
    """Between the machine's port and stdout, and a terminal if there is one; whether the machine ended it."""
    while True:
        ready = select.select([port] if keys is None else [port, keys], [], [])[0]
        if port in ready:
            try:
                data = port.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return True
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        if keys in ready:
            typed = os.read(keys, 4096) if keys is not None else b""
            if not typed or ESCAPE in typed:
                return False
            port.sendall(typed)


def outcome(out: Path, plan: Plan) -> int:
    """The exit status of what ran in the machine; says what the kernel complained of, and exits if there is none."""
    text = ktap.read_text(out / "ktap")
    results = ktap.read_run(out, plan.names, ktap.SplatRules.read(TOP / "ci" / "run" / "splats"))
    for result in results:
        if result.status == "splat":
            say(f"the kernel complained: {result.note}")
            print(*map(printable, result.kernel), sep="\n", file=sys.stderr)
    ended = re.findall(r"^    (not )?ok 1 shell # (.*)$", text, re.MULTILINE)
    if not ended:
        bail = ktap.Progress.of(text).bail or "the runner ended early"
        lines = ktap.read_text(out / "console").splitlines() or ktap.read_text(out / "qemu").splitlines()
        lines = lines or ktap.read_text(out / "runner").splitlines()
        fail(1, f"the machine failed: {bail}; the last it said:", "\n".join(lines[-SHOWN:]))
    note = ended[0][1]
    if note.startswith("ERROR"):
        fail(1, f"the machine has no KVM: {note.removeprefix('ERROR ')} (LEVEL=, LANES=)")
    if note.startswith("SKIP"):
        return 4
    if note.startswith("TIMEOUT"):
        fail(1, f"the machine ended: {note.removeprefix('TIMEOUT ')}")
    return int(note.removeprefix("exit status ")) if ended[0][0] else 0


def print_gdb(out: Path, image: Path) -> None:
    """How gdb gets to the machine that waits."""
    kernel = image.parent
    say("the machine waits for gdb; in another terminal:")
    command = ["gdb", str(kernel / "vmlinux"), "-ex", f"target remote {out / 'gdb'}", "-ex", "continue"]
    print(shlex.join(command), file=sys.stderr)
    module = kernel / "arch/x86/kvm/kvm-amd.ko"
    say(f"for KVM: add-symbol-file {module} ADDRESS, from /sys/module/kvm_amd/sections/.text there")


def converse(place: Path, image: Path, plan: Plan, tools: list[Path], folder: Path | None) -> int:
    """Boot, and be the machine's terminal until it has ended; returns the exit status of what ran there."""
    share = Share(folder) if folder else None
    bundle = fill(place, image, plan, tools, share)
    out = place / "out"
    out.mkdir()
    keys = None if os.environ.get("CMD") else sys.stdin.fileno()
    with listening(out / "shell") as shell, listening(out / "share") as shared, started(bundle, out) as runner:
        if os.environ.get("GDB"):
            print_gdb(out, image)
        port, other = accepted(shell, runner), accepted(shared, runner)
        if port and other:
            if share:
                threading.Thread(target=share.serve, args=[other], daemon=True).start()
            with raw_terminal(keys):
                whole = relay(port, keys)
            if not whole:
                print(file=sys.stderr)
                say("ended by Ctrl-]: what changed in /host since the last `share` is lost")
                return 0
        runner.wait()
    return outcome(out, plan)


def main() -> int:
    if RUNNER != "emulator":
        fail(2, f"RUNNER={RUNNER}: a shell is in the emulated machine only; on a real one you have one")
    if not os.environ.get("CMD") and not sys.stdin.isatty():
        fail(2, "a shell needs a terminal: give CMD='...', or run it in one")
    base = BASE.named(BASE.name)
    level, (features, lane) = chosen_level(), chosen_lane()
    folder, tools = chosen_folder(), chosen_tools()
    config = os.environ.get("CONFIG") or "emulator"
    fragments(config)
    repo = base.tree("apply")
    need_qemu()
    qemu = shutil.which(os.environ["QEMU"])
    if not qemu:
        fail(2, f"no program QEMU={os.environ['QEMU']}")
    # The runner is started in another folder.
    os.environ["QEMU"] = str(Path(qemu).absolute())
    image = Images(base, repo).image(level, config)
    gdb = GDB if os.environ.get("GDB") else []
    if gdb:
        os.environ["BOOT_SECONDS"] = str(SECONDS)
    test = Test("shell", SECONDS, ["./shell"])
    plan = Plan(features, [Lane(lane.name, level, lane.parameters, [test])], [*PORTS, *gdb])
    say(f"booting {base}, {level}, lane {lane.name}")
    with aside(CACHE / "run") as place:
        return converse(place, image, plan, tools, folder)
