# SPDX-License-Identifier: GPL-2.0
"""A hardware machine: how to reach it, what to send it, and what its results have to show."""

from __future__ import annotations

import io
import itertools
import os
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from avic.base import Base
from avic.ktap import REFUSED, SplatRules
from avic.paths import TOP
from avic.plan import Plan, listed
from avic.raw import printable
from avic.runners.emulator import MODELS

# What a login prints of itself stands before it.
BEGINS = "avic: the answer begins here"
VERMAGIC = re.compile(rb"vermagic=([^\0]*)")
JOB = "/run/avic"
WORK = f"{JOB}/work"
CONNECT = (
    "-o", "BatchMode=yes",
    "-o", "ConnectTimeout=10",
    # A connection that says nothing for 15 s is lost.
    "-o", "ServerAliveInterval=5",
    "-o", "ServerAliveCountMax=3",
    # A job's connection is its own, and lends the machine nothing.
    "-o", "ControlPath=none",
    "-o", "ForwardAgent=no",
)  # fmt: skip


# The most that a login may say of itself.
LINE, LINES = 4096, 1000


class Host:
    """The machine that runs the lane; its shell as root, by ssh or right here."""

    def __init__(self) -> None:
        """HOST= is what ssh takes; without it, it is this machine."""
        self.name = os.environ.get("HOST") or ""
        config = os.environ.get("SSH_CONFIG")
        self.ssh = ["ssh", *(["-F", config] if config else []), *CONNECT, "--", self.name]

    def __str__(self) -> str:
        return self.name or "this machine"

    def command(self, text: str) -> list[str]:
        """A command line that has the machine's sh carry out text."""
        return [*self.ssh, f"sh -c {shlex.quote(text)}"] if self.name else ["sh", "-c", text]

    def question(self, text: str) -> list[str]:
        """As command(), with BEGINS before what text prints."""
        return self.command(f"echo '{BEGINS}'\n{text}")

    def run(
        self, text: str, data: bytes = b"", seconds: float = 600
    ) -> subprocess.CompletedProcess[str]:
        """Run text with data on its stdin.  Status 255 means that the connection was lost.

        A command that takes longer than `seconds` counts as lost, too.
        """
        try:
            result = subprocess.run(
                self.question(text), input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=seconds
            )
        except subprocess.TimeoutExpired as error:
            tell(error.stderr or b"")
            return subprocess.CompletedProcess([], 255, "")
        tell(result.stderr)
        greeting, begins, answer = result.stdout.partition(f"{BEGINS}\n".encode())
        if not begins:
            # Nothing was carried out: what the login says may be why.
            tell(greeting)
            return subprocess.CompletedProcess([], 255, "")
        return subprocess.CompletedProcess([], result.returncode, harmless(answer))

    def fetch(self, text: str, limit: int) -> bytes | None:
        """What text prints, if it succeeds and that is no more than `limit` bytes."""
        with (
            tempfile.TemporaryFile() as said,
            subprocess.Popen(self.question(text), stdout=subprocess.PIPE, stderr=said, stdin=subprocess.DEVNULL) as process,
        ):
            assert process.stdout
            greeting = iter(lambda: process.stdout.readline(LINE), b"")  # type: ignore[union-attr]
            if not any(line.rstrip().endswith(BEGINS.encode()) for line in itertools.islice(greeting, LINES)):
                process.kill()
            data = process.stdout.read(limit + 1)
            if len(data) > limit:
                process.kill()
            process.wait()
            said.seek(0)
            tell(said.read(LINE * LINES))
        return None if process.returncode or len(data) > limit else data


def harmless(said: bytes) -> str:
    """What a machine has printed, for a terminal."""
    return "\n".join(printable(line) for line in said.decode(errors="replace").strip().splitlines())


def tell(said: bytes) -> None:
    """Show what a machine has said on its stderr."""
    if text := harmless(said):
        print(text, file=sys.stderr)


def script(name: str, *arguments: str) -> str:
    """The command for one of ci/hardware's scripts, in the bundle's busybox."""
    words = [f"{WORK}/bin/sh", f"{WORK}/hardware/{name}", *arguments]
    return f"PATH={WORK}/bin exec {shlex.join(words)}"


def take(token: str) -> str:
    """The shell text that takes a machine for the job of this name."""
    parts = ((TOP / "ci/hardware" / name).read_text() for name in ("lib.sh", "take"))
    return "\n".join([f"token={token}", *parts])


def files_of(data: bytes) -> dict[str, bytes]:
    """The regular files of a tar archive that a machine made, by name; nothing else in it counts.

    Raises tarfile.TarError if it is none.
    """
    # Not packed, and without holes: it is no more than what came.
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        files = [each for each in tar if each.isreg() and not each.issparse()]
        return {each.name: opened.read() for each in files if (opened := tar.extractfile(each))}


def refused(asked: str) -> dict[str, str]:
    """Tests that must not run on a machine, and why.  asked: TESTS=; a test that it names may run."""
    lines = (TOP / "ci/hardware/refused").read_text().splitlines()
    tests = {}
    for number, line in enumerate(lines, 1):
        name, _, why = (part.strip() for part in line.partition("##"))
        if not line.strip() or line.startswith("#"):
            continue
        if not why or " " in name:
            raise ValueError(f"ci/hardware/refused:{number}: want 'NAME ## why'")
        tests[name] = why
    return {name: why for name, why in tests.items() if name not in asked.split()}


def instead(name: str, why: str) -> str:
    """A program to put in a refused test's place: run-plan takes it for a skip, with its reason."""
    text = f"- Skipping test: {REFUSED}{why} (TESTS={name} runs it)"
    return f"#!/bin/sh\necho {shlex.quote(text)}\nexit 4\n"


def replace_refused(tests: Path, asked: str) -> list[str]:
    """Put a skip in the place of each refused test below a folder; returns their names."""
    why = refused(asked)
    found = [path for path in sorted(tests.rglob("*")) if path.is_file() and path.name in why]
    for path in found:
        path.write_text(instead(path.name, why[path.name]))
    return [path.name for path in found]


def release(modules: Path) -> str:
    """The kernel release that modules were built for, the first word of their vermagic.

    Raises ValueError if they are not all for one kernel.
    """
    files = sorted(modules.rglob("*.ko"))
    magic: set[str] = {text.decode() for path in files for text in VERMAGIC.findall(path.read_bytes())}
    if len(magic) != 1:
        raise ValueError(f"{modules} has modules for {len(magic)} kernels: {sorted(magic)}")
    return magic.pop().split()[0]


def patterns(rules: SplatRules) -> dict[str, str]:
    """ci/run/splats as files for the scripts on the machine: for `grep -E -f`, and `BIT WHAT` lines."""
    files = {"splats": rules.splats, "allowed": rules.allowed}
    texts = {name: "".join(f"{r.pattern}\n" for r in found) for name, found in files.items()}
    return texts | {"taints": "".join(f"{bit} {what}\n" for bit, what in rules.taints.items())}


def lanes_for(base: Base, flags: list[str], device: bool = False) -> list[str]:
    """A base's lanes of ci/run/lanes for a CPU with these flags.

    Of the flags that any lane names, the CPU has to have exactly the lane's; its model
    does not matter.
    device: whether there is a device to assign; then lanes with an IOMMU are included.
    """
    lanes = {lane.name: set(features.split(",")) - set(MODELS) for features, lane in listed(base)}
    cpu = set().union(*lanes.values()) & set(flags)
    return [
        name for name, words in lanes.items() if words == cpu or device and words == cpu | {"iommu"}
    ]


def sections(ktap: str, lanes: list[str]) -> dict[str, str]:
    """Each lane's part of a KTAP text, which may end early."""
    ends = "|".join(re.escape(lane) for lane in lanes)
    parts = re.split(rf"(?m)^(?:not )?ok \d+ (?:{ends})\b.*$", ktap)
    return dict(zip(lanes, parts))


def without_avic(ktap: str, plan: Plan) -> list[str]:
    """Lanes in which AVIC had to be on and was not, by the kernel's log or by the probe.

    A lane in which no test has finished is not looked at.
    """
    parts = sections(ktap, list(plan.names))
    found = []
    for lane in plan.lanes:
        part = parts.get(lane.name, "")
        if not lane.avic or not re.search(r"(?m)^    (?:not )?ok \d+ \S+ # (?!SKIP)", part):
            continue
        if not re.search(r"(?m)^    #k .*kvm_amd: AVIC enabled", part):
            found.append(f"{lane.name}: no 'AVIC enabled' in the kernel's log")
        elif not any(int(n) for n in re.findall(r"(?m)^    # counts:.* load=(\d+)", part)):
            found.append(f"{lane.name}: AVIC was never active, as the probe counts it")
    return found


def unknown_symbols(ktap: str) -> list[str]:
    """What a plan's modules asked the machine's kernel for in vain: they were not loaded."""
    found = re.findall(r"(?m)^    #k .*?\b(\w+): Unknown symbol (\w+) ", ktap)
    return [f"{module} needs {name}" for module, name in dict.fromkeys(found)]


def serial_init(init: str, tty: str) -> str:
    """ci/guest/init for a machine with one serial port, which has to reboot instead of powering off.

    If the machine has a watchdog, it also reboots when the kernel stands still.
    Raises ValueError if ci/guest/init does not have the words that are replaced.
    """
    watchdog = "[ ! -c /dev/watchdog ] || watchdog -T 60 /dev/watchdog; stty -F"
    wants = {"stty -F": watchdog, "/dev/ttyS1": f"/dev/{tty}", "poweroff -f": "reboot -f"}
    for old, new in wants.items():
        if old not in init:
            raise ValueError(f"ci/guest/init has no '{old}' any more")
        init = init.replace(old, new)
    return init


def ktap_of(serial: str) -> str:
    """The KTAP in a serial line's output, without what came before it."""
    text = serial.replace("\r", "")
    begin = text.find("KTAP version 1")
    return text[begin:] if begin >= 0 else ""
