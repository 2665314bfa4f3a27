# SPDX-License-Identifier: GPL-2.0
"""The command line of each verb: --help, options beside variables, and what it refuses."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

from project import TOP
from avic import cli
from avic.process import in_progress

# sparse takes sparse's own arguments.
VERBS = sorted(
    path for path in (TOP / "scripts").iterdir()
    if path.is_file() and os.access(path, os.X_OK) and path.name != "sparse"
)  # fmt: skip
# Those that take arguments, with one that none of them takes.
TAKES = {"affected", "bench", "build", "bundle", "check", "compare", "configure", "evidence", "export", "fit", "fit-all", "inject", "models", "mutate", "release", "report", "signature", "take-report", "threads"}


def call(verb: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
    return subprocess.run(
        [verb, *arguments], env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60
    )


class Verbs(unittest.TestCase):
    def test_all_are_here(self) -> None:
        self.assertGreater(len(VERBS), 18)

    def test_help(self) -> None:
        for verb in VERBS:
            with self.subTest(verb.name):
                said = call(verb, "--help")
                self.assertEqual((said.returncode, said.stderr), (0, ""))
                self.assertRegex(said.stdout, rf"\b{verb.name}\b")

    def test_an_unknown_option_is_refused(self) -> None:
        """One line, and nothing is done: refresh --help once rewrote patches/."""
        for verb in VERBS:
            with self.subTest(verb.name):
                said = call(verb, "--no-such-option")
                self.assertEqual((said.returncode, said.stdout), (2, ""))
                self.assertIn("--no-such-option", said.stderr)

    def test_tools_beside_the_verbs(self) -> None:
        """What has a head of its own to print does not start to build at --help."""
        for name in (
            "ci/emulator/build", "ci/emulator/tests/run", "ci/l2/build", "scripts/runners/emulator",
            "scripts/runners/hardware", "tests/debian", "tests/run", "tests/splats/capture", "tests/standin/root",
        ):  # fmt: skip
            with self.subTest(name):
                said = call(TOP / name, "--help")
                self.assertEqual((said.returncode, said.stderr), (0, ""))
                self.assertIn(Path(name).name, said.stdout)
                said = call(TOP / name, "--no-such-option")
                self.assertEqual((said.returncode, said.stdout), (2, ""))

    def test_make_help(self) -> None:
        """It names what is no target as well, and what can be set."""
        said = subprocess.check_output(["make", "--no-print-directory", "help"], cwd=TOP, text=True)
        for verb in VERBS:
            self.assertRegex(said, rf"\b{verb.name}\b")
        for name in ("BASE=", "TREE=", "AVIC_CACHE="):
            self.assertIn(name, said)

    def test_a_link_to_a_verb(self) -> None:
        """In a folder of the PATH; one without lib.sh once went on, and wrote into the cache's root."""
        with tempfile.TemporaryDirectory() as folder:
            for name in ("fetch", "moved", "setup", "configure", "fit"):
                link = Path(folder, name)
                link.symlink_to(TOP / "scripts" / name)
                said = call(link, "--help")
                self.assertEqual((said.returncode, said.stderr), (0, ""))
                self.assertIn(name, said.stdout)
            copy = Path(folder, "copy")
            copy.write_bytes((TOP / "scripts/fetch").read_bytes())
            copy.chmod(0o755)
            said = call(copy)
            self.assertEqual((said.returncode, said.stdout), (2, ""))
            self.assertIn("lib.sh", said.stderr)

    def test_an_argument_that_it_does_not_take_is_refused(self) -> None:
        for verb in VERBS:
            if verb.name not in TAKES:
                with self.subTest(verb.name):
                    said = call(verb, "no-such-argument")
                    self.assertEqual((said.returncode, said.stdout), (2, ""))
                    self.assertRegex(said.stderr, r"^\w+: takes no argument 'no-such-argument': see \w+ --help\n$")


class Options(unittest.TestCase):
    DOC = "verb [NAME]: does it.\n\n  BASE=v6.12   which base   TREE=  a tree\n  FULL=1   all\n"

    def setUp(self) -> None:
        for name in ("BASE", "TREE", "FULL"):
            old = os.environ.pop(name, None)
            self.addCleanup(lambda n=name, o=old: os.environ.update({n: o}) if o else os.environ.pop(n, None))

    def test_they_set_the_variables(self) -> None:
        left = cli.options("verb", self.DOC, ["--base", "v6.1", "a", "--tree=/x y", "--full", "--other", "b"])
        self.assertEqual(left, ["a", "--other", "b"])
        self.assertEqual([os.environ[name] for name in ("BASE", "TREE", "FULL")], ["v6.1", "/x y", "1"])

    def test_the_shell_reads_them_alike(self) -> None:
        for arguments in (["--base", "nosuch"], ["--base=nosuch"]):
            for verb in ("fetch", "apply"):
                said = call(TOP / "scripts" / verb, *arguments)
                self.assertEqual(said.returncode, 2)
                self.assertIn("no base 'nosuch'", said.stderr)


class Replaced(unittest.TestCase):
    def test_interrupt_when_the_new_folder_is_made(self) -> None:
        """Nothing is left beside the old one."""
        code = (
            "import os, signal, sys, tempfile; from pathlib import Path\n"
            "from avic.aside import replaced\n"
            "from avic.process import unwind_on_signals\n"
            "made = tempfile.mkdtemp\n"
            "def interrupted(**where):\n"
            "    folder = made(**where)\n"
            "    os.kill(os.getpid(), signal.SIGINT)\n"
            "    return folder\n"
            "tempfile.mkdtemp = interrupted\n"
            "unwind_on_signals()\n"
            "with replaced(Path(sys.argv[1])):\n"
            "    print('entered')\n"
        )
        with tempfile.TemporaryDirectory() as top:
            folder = Path(top, "kept")
            folder.mkdir()
            done = subprocess.run(
                [sys.executable, "-c", code, folder],
                env=os.environ | {"PYTHONPATH": str(TOP / "scripts")},
                capture_output=True,
                text=True,
            )
            self.assertEqual((done.returncode, done.stdout), (130, ""), done.stderr)
            self.assertEqual([path.name for path in Path(top).iterdir()], ["kept"])


class Interrupted(unittest.TestCase):
    def test_every_verb(self) -> None:
        """Ctrl-C ends each verb without a traceback, also while nothing of its own expects it, or a class is made."""
        moments = {
            "anywhere": "cli.run = lambda module: os.kill(os.getpid(), signal.SIGINT)",
            "class": "class Field:\n  def __set_name__(self, *of): os.kill(os.getpid(), signal.SIGINT)\n"
            "cli.run = lambda module: type('Made', (), {'field': Field()})",
        }
        for moment, code in moments.items():
            with self.subTest(moment):
                done = subprocess.run(
                    [sys.executable, "-c", f"import os, signal; from avic import cli\n{code}\ncli.main('cmd.any')\n"],
                    env=os.environ | {"PYTHONPATH": str(TOP / "scripts")}, capture_output=True, text=True,
                )  # fmt: skip
                self.assertEqual((done.returncode, done.stdout, done.stderr), (130, "", ""))

    def test_another_signal_at_once(self) -> None:
        """Ctrl-C reaches all; a script of ours that ends by it sends SIGTERM to those that it has started."""
        # Ignoring signals takes long here: the other one comes before that.
        slow = 'trap() { sleep 0.3; builtin trap "$@"; }'
        with tempfile.TemporaryDirectory() as top:
            Path(top, "verb").write_text(
                f". {TOP}/scripts/lib.sh; {slow}; mkdir made; aside+=(made); touch began; sleep 9\n"
            )
            process = subprocess.Popen(
                ["bash", Path(top, "verb")], cwd=top, env=os.environ | {"AVIC_CACHE": top}, start_new_session=True,
            )  # fmt: skip
            while not Path(top, "began").exists():
                time.sleep(0.005)
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.1)
            process.terminate()
            self.assertEqual(process.wait(timeout=60), 143)
            self.assertEqual(sorted(path.name for path in Path(top).iterdir()), ["began", "verb"])

    def test_between_two_substitutions(self) -> None:
        """bash 5.2 parses the trap as a part of the second one."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with tempfile.TemporaryDirectory() as top:
                code = f'. {TOP}/scripts/lib.sh; mkdir made; aside+=(made); : "$(touch began; sleep 0.5)" "$(touch not)"'
                Path(top, "verb").write_text(code + "\n")
                process = subprocess.Popen(
                    ["bash", Path(top, "verb")], cwd=top, env=os.environ | {"AVIC_CACHE": top},
                    start_new_session=True, stderr=subprocess.PIPE, text=True,
                )  # fmt: skip
                while not Path(top, "began").exists():
                    time.sleep(0.01)
                os.kill(process.pid, number)
                _, error = process.communicate(timeout=60)
                self.assertEqual((process.returncode, error), (128 + number, ""))
                self.assertEqual(sorted(path.name for path in Path(top).iterdir()), ["began", "verb"])


class Colours(unittest.TestCase):
    """What is bad is red on a terminal, and nowhere else."""

    def said(self, terminal: bool, code: str, **env: str) -> str:
        """What a program prints, to a terminal or to a pipe."""
        ours, its = os.openpty() if terminal else os.pipe()
        with os.fdopen(ours, "rb") as reader:
            subprocess.run(
                ["bash", "-c", code], stdout=its, stderr=its, cwd=TOP,
                env={"PATH": os.environ["PATH"], "HOME": "/", "PYTHONPATH": "scripts", "AVIC_CACHE": "/nonexistent"} | env,
            )  # fmt: skip
            os.close(its)
            return os.read(reader.fileno(), 999).decode().replace("\r", "")

    def test_red(self) -> None:
        show = "python3 -c 'from avic.process import show; show(\"worse   x\\nknown   y\\nverdict  WORSE: x\")'"
        for code, plain, red in (
            (show, "worse   x\nknown   y\nverdict  WORSE: x\n", "\x1b[31mworse   x\x1b[m\nknown   y\n\x1b[31mverdict  WORSE: x\x1b[m\n"),
            ("scripts/fit --x", "fit: no option '--x': see fit --help\n", ""),
            ("scripts/apply --base=x", "apply: no base 'x'", "\x1b[31mapply: no base 'x'"),
            ("scripts/fetch --base=x", "fetch: no base 'x'", "\x1b[31mfetch: no base 'x'"),
        ):
            with self.subTest(code):
                self.assertIn(red, self.said(True, code))
                for terminal, env in ((False, {}), (True, {"NO_COLOR": "1"})):
                    said = self.said(terminal, code, **env)
                    self.assertTrue(said.startswith(plain), said)
                    self.assertNotIn("\x1b", said)


class Progress(unittest.TestCase):
    def test_each_ten_seconds(self) -> None:
        clock = iter([0, 9, 11, 12, 12, 23, 26, 26])
        with (
            mock.patch("avic.process.time.monotonic", lambda: next(clock)), mock.patch("avic.process.BEGIN", 0),
            contextlib.redirect_stderr(io.StringIO()) as said,
        ):  # fmt: skip
            self.assertEqual(list(in_progress("abc", "letters")), ["a", "b", "c"])
        self.assertEqual(said.getvalue(), "  12s  run: letters: 1 of 3\n  26s  run: letters: 2 of 3\n")


if __name__ == "__main__":
    unittest.main()
