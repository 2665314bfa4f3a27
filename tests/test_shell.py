# SPDX-License-Identifier: GPL-2.0
"""scripts/shell without a machine: what it refuses, what goes into the machine, and the shared folder."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pty
import shutil
import socket
import subprocess
import tarfile
import tempfile
import threading
import unittest
from pathlib import Path
from unittest import mock

from project import TOP
from avic.cmd import shell
from avic.plan import Lane, Plan, Test
from avic.share import BLOCK, Share

PLAN = Plan(["avic"], [Lane("avic=1", "stack", ["avic=1"], [Test("shell", 9, ["./shell"])])])
KTAP = "KTAP version 1\n1..1\n    KTAP version 1\n    1..1\n    # start shell\n    {}\n"


def unpacked(data: bytes) -> dict[str, tuple[int, bytes]]:
    """The files of an initramfs of several newc archives -> mode and content."""
    found, at = {}, 0
    while at < len(data):
        if data[at : at + 6] != b"070701":
            at += 4  # padding behind an archive
            continue
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        name = data[at + 110 : at + 110 + length - 1].decode()
        start = (at + 110 + length + 3) // 4 * 4
        if name != "TRAILER!!!":
            found[name] = (mode, data[start : start + size])
        at = (start + size + 3) // 4 * 4
    return found


class Folder(unittest.TestCase):
    def setUp(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="avic-shell."))
        self.addCleanup(shutil.rmtree, self.root)

    def file(self, name: str, text: str = "", mode: int = 0o644) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path


class Refused(Folder):
    def refused(self, *arguments: str, terminal: bool = False, **env: str) -> str:
        """The one line of a call that is wrong use, before anything is fetched or built."""
        ours = {"PATH": os.environ["PATH"], "HOME": str(self.root), "AVIC_CACHE": str(self.root / "cache")}
        # What is not refused comes no further.
        ours["TREE"] = str(self.root / "no tree")
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        with os.fdopen(slave) as keys:
            said = subprocess.run(
                [TOP / "scripts/shell", *arguments], env=ours | {"CMD": "true"} | env, capture_output=True, text=True,
                stdin=keys if terminal else subprocess.DEVNULL, timeout=60,
            )  # fmt: skip
        self.assertEqual((said.returncode, said.stdout), (2, ""), said.stderr)
        self.assertEqual(said.stderr.count("\n"), 1, said.stderr)
        self.assertFalse((self.root / "cache/base").exists())
        return said.stderr

    def test_words(self) -> None:
        self.assertIn("takes no argument 'now'", self.refused("now"))
        self.assertIn("no option '--now'", self.refused("--now"))

    def test_level(self) -> None:
        for level in ("middle", "0", "-1", "3x", "base stack"):
            self.assertIn("LEVEL= takes base, stack or a number", self.refused(LEVEL=level))

    def test_lane(self) -> None:
        self.assertIn("no lane 'avic=2'", self.refused(LANES="avic=2"))
        self.assertIn("name one", self.refused(LANES="avic=0 avic=1"))
        # By itself KVM switches AVIC on from v6.18 on only.
        self.assertIn("no lane 'auto'", self.refused(BASE="v6.12", LANES="auto"))

    def test_base_config_and_runner(self) -> None:
        self.assertIn("no base 'v0'", self.refused(BASE="v0"))
        self.assertIn("no config 'v0'", self.refused(CONFIG="v0"))
        self.assertIn("emulated machine only", self.refused(RUNNER="hardware"))

    def test_folder(self) -> None:
        self.assertIn("is no folder", self.refused(SHARE=str(self.root / "none")))
        big = self.file("big/file")
        with big.open("r+b") as file:
            file.truncate(shell.MOST + 1)
        self.assertIn("share less of it", self.refused(SHARE=str(big.parent)))

    def test_tools(self) -> None:
        self.assertIn("no program 'no-such-tool' here", self.refused(TOOLS="sh no-such-tool"))

    def test_a_shell_needs_a_terminal(self) -> None:
        self.assertIn("needs a terminal", self.refused(CMD=""))
        # With one it comes as far as the next refusal.
        self.assertIn("no level", self.refused(CMD="", LEVEL="none", terminal=True))


class Contents(Folder):
    """What the machine gets."""

    def filled(self, share: Share | None = None, **env: str) -> dict[str, tuple[int, bytes]]:
        image = self.root / "image"
        for name in ("bzImage", "kvm.ko", "kvm-amd.ko"):
            self.file(f"image/{name}", name)
        self.file("built/x86_64/one_test", "one", 0o755)
        self.file("built/two_test", "two", 0o755)
        self.file("built/two_test.o", "no program")
        if not (image / "selftests").exists():
            (image / "selftests").symlink_to(self.root / "built")
        place = Path(tempfile.mkdtemp(dir=self.root))
        with mock.patch.dict(os.environ, env):
            bundle = shell.fill(place, image, PLAN, [Path("/bin/ls")], share)
        return unpacked((bundle / "initramfs").read_bytes())

    def test_selftests_and_tools(self) -> None:
        found = self.filled()
        self.assertEqual(found["bundle/tests/x86_64/one_test"], (0o100755, b"one"))
        self.assertEqual(found["bundle/tests/two_test"], (0o100755, b"two"))
        self.assertNotIn("bundle/tests/two_test.o", found)
        self.assertEqual(found["bundle/path/one_test"][1], b'#!/bin/sh\nexec /bundle/tests/x86_64/one_test "$@"\n')
        self.assertEqual(found["bundle/path/one_test"][0], 0o100755)
        self.assertNotIn("bundle/path/two_test.o", found)
        self.assertEqual(found["bundle/tests/shell"][0], 0o100755)
        self.assertIn("bundle/run-plan", found)
        self.assertEqual(found["bin/ls"][1], Path("/bin/ls").read_bytes())
        self.assertTrue([name for name in found if "ld-linux" in name])
        self.assertNotIn("host", found)
        self.assertNotIn("bundle/cmd", found)

    def test_command_as_it_is(self) -> None:
        command = "echo \"$HOME\" '$?' `id` \\\n\t; exit 3 # ü"
        self.assertEqual(self.filled(CMD=command)["bundle/cmd"][1].decode(), f"{command}\n")

    def test_folder_as_it_is(self) -> None:
        self.file("mine/a b/tool", "x", 0o750)
        (self.root / "mine/link").symlink_to("a b/tool")
        os.utime(self.root / "mine/a b/tool", (10**9, 10**9))
        os.mkfifo(self.root / "mine/pipe")
        found = self.filled(Share(self.root / "mine"))
        self.assertEqual(found["host/a b/tool"], (0o100750, b"x"))
        self.assertEqual(found["host/link"][1], b"a b/tool")
        self.assertNotIn("host/pipe", found)
        self.assertEqual((self.root / "mine/a b/tool").stat().st_mtime, 10**9)

    def test_session(self) -> None:
        script = shell.session("stack", "avic=1", True) + 'echo "$PATH|$PS1|$FOLDER"'
        with mock.patch.dict(os.environ, {"TERM": "it's"}):
            self.assertIn("TERM='it'\"'\"'s'", shell.session("stack", "avic=1", False))
        said = subprocess.run(["busybox", "sh", "-c", script], capture_output=True, text=True).stdout
        self.assertRegex(said, r"^/bundle/path:/bundle:/bin:.*\|\S+ stack avic=1 \\w # \|/host$")


class Make(Folder):
    def test_dollars_are_the_commands_own(self) -> None:
        shutil.copy(TOP / "Makefile", self.root)
        self.file("scripts/setup", "#!/bin/sh\n", 0o755)
        self.file("scripts/shell", '#!/bin/sh\nprintf "%s" "$CMD"\n', 0o755)
        command = "echo $HOME $? $(id) $$ '\"\\' # x"
        env = {"PATH": os.environ["PATH"]}
        for arguments, more in (([f"CMD={command}"], {}), ([], {"CMD": command})):
            said = subprocess.run(
                ["make", "--silent", "shell", *arguments], cwd=self.root, env=env | more,
                stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            self.assertEqual(said.stdout, command)


class Outcome(Folder):
    def outcome(self, line: str) -> tuple[int | str | None, str]:
        (self.root / "ktap").write_text(KTAP.format(line))
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            try:
                return shell.outcome(self.root, PLAN), said.getvalue()
            except SystemExit as error:
                return error.code, said.getvalue()

    def test_status(self) -> None:
        for line, status in {
            "ok 1 shell # 3s": 0,
            "ok 1 shell # SKIP the test gave no reason": 4,
            "not ok 1 shell # exit status 3": 3,
            "not ok 1 shell # exit status 137": 137,
        }.items():
            self.assertEqual(self.outcome(line), (status, ""))

    def test_no_kvm(self) -> None:
        status, said = self.outcome("not ok 1 shell # ERROR cannot load kvm-amd.ko")
        self.assertEqual(status, 1)
        self.assertIn("cannot load kvm-amd.ko", said)

    def test_machine_that_failed(self) -> None:
        self.file("console", "first\nKernel panic - not syncing: x\n")
        status, said = self.outcome("\nBail out! panic: Kernel panic - not syncing: x (in shell)")
        self.assertEqual(status, 1)
        self.assertIn("the machine failed: panic: Kernel panic - not syncing: x (in shell)", said)
        self.assertTrue(said.endswith("first\nKernel panic - not syncing: x\n"), said)

    def whole(self, block: str) -> tuple[int | str | None, str]:
        """The outcome of a block that came undamaged."""
        total = hashlib.sha256(f"avic=1 shell\n{block}".encode()).hexdigest()[:16]
        return self.outcome(f"{block.strip(' ')}    # sum {total}")

    def test_splat(self) -> None:
        """The status is the command's; that the kernel complained is said."""
        status, said = self.whole("    #k WARNING: CPU: 0 PID: 1 at nowhere\n    ok 1 shell # 3s\n")
        self.assertEqual(status, 0)
        self.assertIn("the kernel complained: WARNING: CPU: 0 PID: 1 at nowhere", said)

    def test_what_the_strict_mode_has_detected(self) -> None:
        self.file("strict", "0 strict: CPU 1: what\n")
        status, said = self.whole("    ok 1 shell # 3s\n")
        self.assertEqual(status, 0)
        self.assertIn("strict: CPU 1: what", said)


class Terminal(unittest.TestCase):
    def relayed(self, typed: bytes, printed: bytes) -> tuple[bool, bytes, bytes]:
        """Whether the machine ended it, what it got, and what stdout got."""
        here, machine = socket.socketpair()
        read, write = os.pipe()
        os.write(write, typed)
        out = io.BytesIO()
        with here, machine, mock.patch("sys.stdout", io.TextIOWrapper(out, write_through=True)):
            machine.sendall(printed)
            # The end comes from the machine, at once or if nothing else ends it.
            end = threading.Timer(5 if typed else 0, machine.shutdown, [socket.SHUT_WR])
            end.start()
            ended = shell.relay(here, read)
            end.cancel()
            here.shutdown(socket.SHUT_WR)
            got = machine.recv(100)
            os.close(read)
            os.close(write)
            return ended, got, out.getvalue()

    def test_bytes_both_ways(self) -> None:
        self.assertEqual(self.relayed(b"", b"\x00\xff\r\n"), (True, b"", b"\x00\xff\r\n"))

    def test_escape(self) -> None:
        ended, got, _ = self.relayed(b"ls\x1d", b"")
        self.assertEqual((ended, got), (False, b""))

    def test_terminal_is_as_it_was(self) -> None:
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        before = shell.termios.tcgetattr(slave)
        with contextlib.suppress(ZeroDivisionError), shell.raw_terminal(slave):
            self.assertNotEqual(shell.termios.tcgetattr(slave), before)
            1 / 0
        self.assertEqual(shell.termios.tcgetattr(slave), before)


def packed(files: dict[str, str]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text.encode()), 0o755
            tar.addfile(member, io.BytesIO(text.encode()))
    return data.getvalue()


class Shared(Folder):
    def setUp(self) -> None:
        super().setUp()
        self.file("mine/one", "1")
        self.share = Share(self.root / "mine")

    def sent(self, data: bytes, digest: str = "") -> tuple[str, dict[str, bytes]]:
        """What the host says to a tar of the machine, and the files that it sends back."""
        said, back = self.share.answer(data, digest or hashlib.sha256(data).hexdigest())
        if not back:
            return said, {}
        with tarfile.open(fileobj=io.BytesIO(back)) as tar:
            return said, {member.name: tar.extractfile(member).read() for member in tar}

    def test_from_the_machine(self) -> None:
        said, back = self.sent(packed({"./new/two": "2", "./one": "11"}))
        self.assertEqual((said.split()[0], len(said.split()), back), ("0", 2, {}))
        self.assertEqual((self.root / "mine/new/two").read_text(), "2")
        self.assertEqual((self.root / "mine/one").read_text(), "11")
        self.assertTrue(os.access(self.root / "mine/new/two", os.X_OK))

    def test_from_the_host(self) -> None:
        self.file("mine/one", "changed")
        self.file("mine/new/three", "3")
        self.assertEqual(self.sent(b"")[1], {"one": b"changed", "new/three": b"3"})
        self.assertEqual(self.sent(b"")[1], {})

    def test_changed_on_both_sides(self) -> None:
        self.file("mine/one", "of the host")
        said, back = self.sent(packed({"one": "of the machine"}))
        self.assertIn("changed on both sides, the machine's is one.machine", said)
        self.assertEqual((self.root / "mine/one").read_text(), "of the host")
        self.assertEqual((self.root / "mine/one.machine").read_text(), "of the machine")
        self.assertEqual(back["one"], b"of the host")

    def test_nothing_outside_of_the_folder(self) -> None:
        (self.root / "mine/out").symlink_to(self.root)
        (self.root / "mine/away").symlink_to(self.root / "away")
        for name in ("../away", "/away", "a/../../away", "out/away", "away", "."):
            said, _ = self.sent(packed({name: "x"}))
            self.assertRegex(said, r"^error .* (is outside of the folder|is a link or a folder on the host)$", name)
        self.assertFalse((self.root / "away").exists())

    def test_damaged(self) -> None:
        self.assertIn("error it was damaged", self.sent(packed({"one": "x"}), "0" * 64)[0])
        self.assertTrue(self.sent(b"no tar" * 999)[0].startswith("error "))
        self.assertEqual((self.root / "mine/one").read_text(), "1")

    def test_in_blocks(self) -> None:
        """No more than a block before the machine asks for it."""
        self.file("mine/big", os.urandom(2 * BLOCK).hex())
        here, machine = socket.socketpair()
        thread = threading.Thread(target=self.share.serve, args=[here])
        thread.start()
        with machine, machine.makefile("rwb") as port:
            port.write(f"0 {hashlib.sha256().hexdigest()}\n".encode())
            port.flush()
            size, digest = port.readline().decode().split()
            data = b""
            while len(data) < int(size):
                machine.settimeout(0.2)
                with self.assertRaises(TimeoutError):
                    machine.recv(1)
                machine.settimeout(20)
                machine.sendall(b"\n")
                end = min(len(data) + BLOCK, int(size))
                while len(data) < end:
                    data += machine.recv(end - len(data))
        thread.join(20)
        self.assertEqual(hashlib.sha256(data).hexdigest(), digest)


if __name__ == "__main__":
    unittest.main()
