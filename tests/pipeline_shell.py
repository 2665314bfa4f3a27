# SPDX-License-Identifier: GPL-2.0
"""scripts/shell with v6.12's machines: one command, a terminal, the shared folder, gdb, and each way to end."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pty
import re
import select
import shlex
import shutil
import signal
import struct
import subprocess
import termios
import time
import unittest
from pathlib import Path

from machine import ENV, TOP, Machine, image

SHELL = TOP / "scripts/shell"
# The most that a test waits for what has to come; none asserts how long it took.
PATIENCE = 120


def left(session: int) -> str:
    """What still runs of a session, a line each."""
    command = ["pgrep", "--list-full", "--session", str(session)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout


class Command(Machine):
    def shell(self, command: str, status: int = 0, **env: str) -> tuple[str, str]:
        """What a command in the machine prints, and what the script says."""
        done = subprocess.run(
            [SHELL], env=ENV | {"CMD": command} | env, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        self.assertEqual(done.returncode, status, f"{command}:\n{done.stdout}{done.stderr}")
        return done.stdout, done.stderr

    def test_status_and_output(self) -> None:
        """All bytes, and the status; none of the terminal's changes."""
        out, _ = self.shell("echo out; echo err >&2; printf 'a\\tb'; exit 3", 3)
        self.assertEqual(out, "out\nerr\na\tb")
        # run-plan has another meaning for this one.
        self.shell("exit 4", 4)

    def test_level_and_lane(self) -> None:
        """Modules of the level, loaded as the lane says, on its machine; selftests, tools and traces at hand."""
        command = (
            "cat /sys/module/kvm_amd/parameters/avic; grep -c -w x2avic /proc/cpuinfo;"
            " cat /bundle/modules/*/kvm.ko | sha256sum;"
            " set_boot_cpu_id >/dev/null 2>&1; echo $?; which svm_int_ctl_test;"
            " bash -c 'echo bash $((6 * 7))';"
            " ls -d /sys/kernel/tracing/events/kvm/kvm_exit; reload && cat /sys/module/kvm_amd/parameters/avic"
        )
        for level, lane, avic, x2avic in (
            ("base", "avic=0", "N", "2"), ("stack", "avic=1", "Y", "0"), ("stack", "avic=1,x2avic", "Y", "2")
        ):  # fmt: skip
            with self.subTest(level, lane=lane):
                out, _ = self.shell(command, LEVEL=level, LANES=lane, TOOLS="bash")
                module = hashlib.sha256((image(level) / "kvm.ko").read_bytes()).hexdigest()
                want = [
                    avic, x2avic, f"{module}  -", "0", "/bundle/path/svm_int_ctl_test", "bash 42",
                    "/sys/kernel/tracing/events/kvm/kvm_exit", avic,
                ]  # fmt: skip
                self.assertEqual(out.splitlines(), want)

    def test_shared_folder(self) -> None:
        """Readable, writable, also meanwhile, and large files are whole."""
        folder = self.scratch()
        (folder / "sub").mkdir()
        (folder / "sub/run").write_text("#!/bin/sh\necho it runs\n")
        (folder / "sub/run").chmod(0o755)
        (folder / "mine").write_text("as before\n")
        command = (
            "sub/run; head -c 200000 /dev/urandom >'of the machine'; sha256sum <'of the machine';"
            " mkdir new; echo 1 >new/one; touch ready;"
            " n=0; until [ -e big ] || [ $n -gt 99 ]; do share; sleep 1; n=$((n + 1)); done;"
            " sha256sum <big; echo late >late; rm mine"
        )
        process = subprocess.Popen(
            [SHELL], env=ENV | {"CMD": command, "SHARE": str(folder)}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        for _ in range(PATIENCE):
            if (folder / "ready").exists() or process.poll() is not None:
                break
            time.sleep(1)
        content = os.urandom(200_000)
        (folder / "big.new").write_bytes(content)
        (folder / "big.new").rename(folder / "big")
        out, said = process.communicate()
        self.assertEqual(process.returncode, 0, out + said)
        runs, one, two = out.splitlines()
        self.assertEqual(runs, "it runs")
        self.assertEqual(one.split()[0], hashlib.sha256((folder / "of the machine").read_bytes()).hexdigest())
        self.assertEqual((folder / "of the machine").stat().st_size, 200_000)
        self.assertEqual(two.split()[0], hashlib.sha256(content).hexdigest())
        self.assertEqual((folder / "new/one").read_text(), "1\n")
        self.assertEqual((folder / "late").read_text(), "late\n")
        # What was removed stays, and nothing else came.
        self.assertEqual((folder / "mine").read_text(), "as before\n")
        names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        self.assertEqual(names, sorted(["sub/run", "mine", "of the machine", "new/one", "ready", "big", "late"]))

    def test_machine_that_panics(self) -> None:
        _, said = self.shell("echo c >/proc/sysrq-trigger; sleep 100", 1)
        self.assertIn("the machine failed: panic: Kernel panic", said)
        self.assertIn("sysrq triggered crash", said)

    def test_splat_is_said(self) -> None:
        _, said = self.shell("echo 'WARNING: CPU: 0 PID: 1 at nowhere' >/dev/kmsg; exit 5", 5)
        self.assertIn("the kernel complained: WARNING: CPU: 0 PID: 1 at nowhere", said)

    @unittest.skipUnless(shutil.which("gdb"), "gdb is not installed")
    def test_gdb(self) -> None:
        """The machine waits for gdb, and its command line gets there with the kernel's symbols."""
        process = subprocess.Popen(
            [SHELL], env=ENV | {"CMD": "exit 7", "GDB": "1"}, text=True,
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        command: list[str] = []
        for line in process.stderr or ():
            if line.startswith("gdb "):
                command = shlex.split(line)
            if "add-symbol-file" in line:
                break
        self.addCleanup(process.communicate)
        while not Path(command[3].split()[-1]).exists():
            self.assertIsNone(process.poll())
            time.sleep(0.2)
        done = subprocess.run(
            ["gdb", "-batch", "-nx", *command[1:-2], "-ex", "hbreak start_kernel", "-ex", "continue",
             "-ex", "backtrace 1", "-ex", "delete", "-ex", "detach"],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE,
        )  # fmt: skip
        self.assertRegex(done.stdout, r"#0 .* in start_kernel \(\)", done.stderr)
        self.assertEqual(process.wait(PATIENCE), 7)


class Ended(Machine):
    def test_signals_leave_nothing(self) -> None:
        """Ctrl-C, kill, and kill -9: neither QEMU nor the runner is left."""
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)):
            with self.subTest(number):
                process = subprocess.Popen(
                    [SHELL], env=ENV | {"CMD": "echo here; sleep 1000"}, start_new_session=True,
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                )  # fmt: skip
                assert process.stdout
                self.assertEqual(process.stdout.readline(), "here\n")
                self.assertIn("qemu-system", left(process.pid))
                process.send_signal(number)
                self.assertEqual(process.wait(60), status)
                process.stdout.close()
                # After kill -9 the runner is told by the kernel, and needs a moment.
                for _ in range(60):
                    if not left(process.pid):
                        break
                    time.sleep(1 if status < 0 else 0.1)
                self.assertEqual(left(process.pid), "")


class Terminal(Machine):
    def setUp(self) -> None:
        """A terminal of 33 lines with the shell in it, as a user has it."""
        self.master, slave = pty.openpty()
        self.addCleanup(os.close, self.master)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.addCleanup(os.close, slave)
        self.shared = self.scratch()
        self.process = subprocess.Popen(
            [SHELL], env=ENV | {"TERM": "vt100", "LINES": "7", "SHARE": str(self.shared)}, stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        self.addCleanup(self.end)
        self.seen = ""
        self.until(r"v6\.12 stack avic=1,x2avic /host # $")

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()

    def until(self, regex: str) -> str:
        """What comes up to a pattern, which has to be in it; escape sequences left out."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if found := re.search(regex, self.seen, re.MULTILINE):
                before, self.seen = self.seen[: found.end()], self.seen[found.end() :]
                return before
            if select.select([self.master], [], [], 1)[0]:
                with contextlib.suppress(OSError):
                    self.seen += os.read(self.master, 4096).decode(errors="replace")
                    # One may come in two parts.
                    self.seen = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", self.seen)
            elif self.process.poll() is not None:
                break
        raise AssertionError(f"'{regex}' did not come: {self.seen!r}")

    def type(self, text: str) -> None:
        os.write(self.master, text.replace("\n", "\r").encode())

    def ended(self, status: int) -> None:
        """It ends with this status, the terminal is as it was, and nothing runs any more."""
        self.assertEqual(self.process.wait(PATIENCE), status)
        self.assertEqual(termios.tcgetattr(self.slave), self.before)
        self.assertEqual(left(self.process.pid), "")

    def test_a_session(self) -> None:
        """Typed commands, the terminal's size, Ctrl-C for the command there, and Ctrl-D for the machine."""
        self.type("echo $((6 * 7)) $TERM; stty size; tty\n")
        self.until(r"^42 vt100\n33 101\n/dev/ttyS2\n")
        self.type("sleep 1000\n")
        self.until(r"sleep 1000\n")
        time.sleep(1)
        self.type("\x03")
        self.type("echo status $?; echo made >file; false\n")
        self.until(r"^status 130\n")
        self.until(r"# $")
        self.type("\x04")
        self.ended(0)
        self.assertEqual((self.shared / "file").read_text(), "made\n")

    def test_escape(self) -> None:
        self.type("\x1d")
        self.until("ended by Ctrl-]")
        self.ended(0)

    def test_terminal_is_closed(self) -> None:
        os.kill(self.process.pid, signal.SIGHUP)
        self.ended(129)


if __name__ == "__main__":
    unittest.main()
