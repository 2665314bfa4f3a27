# SPDX-License-Identifier: GPL-2.0
"""tests/run itself, on tests of its own."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from project import TOP

WAITS = """
import subprocess, unittest

class Waits(unittest.TestCase):
    def test_it(self):
        sleeper = subprocess.Popen(["sh", "-c", "sleep 1000 & echo $! >{pid}.new; mv {pid}.new {pid}; wait"])
        sleeper.wait()
"""


PASSES = """
import unittest

class {name}(unittest.TestCase):
    def test_it(self):
        pass
"""


def tests_of_its_own(top: Path) -> Path:
    """A folder with tests/run and no tests; its cache is below TOP, too."""
    folder = top / "tests"
    folder.mkdir()
    (top / "scripts").symlink_to(TOP / "scripts")
    for file in ("run", "project.py"):
        shutil.copy(TOP / "tests" / file, folder / file)
    return folder


def environment(top: Path) -> dict[str, str]:
    """The environment to start it with: the log is not that of who runs this."""
    return os.environ | {"AVIC_CACHE": str(top / "cache")}


def alive(pid: int) -> bool:
    """Whether a process is there, other than as a zombie that its new parent has not waited for."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


class Ended(unittest.TestCase):
    def test_nothing_is_left_running(self) -> None:
        """A signal to tests/run alone: what its tests have started ends, and no more tests begin."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number), tempfile.TemporaryDirectory() as name:
                top = Path(name)
                folder = tests_of_its_own(top)
                at_once = (os.cpu_count() or 1) + 1
                pids = [folder / f"pid{n:02}" for n in range(at_once + 2)]
                for n, pid in enumerate(pids):
                    # The longest file first: the order is known.
                    (folder / f"test_{n:02}.py").write_text(WAITS.format(pid=pid) + "#" * (99 - n))
                run = subprocess.Popen(
                    [folder / "run"], env=environment(top), stdout=subprocess.DEVNULL, start_new_session=True
                )
                self.addCleanup(run.wait)
                while not all(pid.exists() for pid in pids[:at_once]):
                    self.assertIsNone(run.poll())
                    time.sleep(0.05)
                sleepers = [int(pid.read_text()) for pid in pids[:at_once]]
                run.send_signal(number)
                self.assertEqual(run.wait(60), 128 + number)
                left = [pid for pid in sleepers if alive(pid)]
                for pid in left:
                    os.kill(pid, signal.SIGKILL)
                self.assertEqual(left, [])
                self.assertEqual([pid for pid in pids[at_once:] if pid.exists()], [])


class Log(unittest.TestCase):
    def test_of_all_tests(self) -> None:
        """What a run of all tests prints can be looked up afterwards, with times; a run of some leaves it alone."""
        with tempfile.TemporaryDirectory() as name:
            top = Path(name)
            folder = tests_of_its_own(top)
            (folder / "test_quick.py").write_text(PASSES.format(name="Quick"))
            (folder / "pipeline_whole.py").write_text(PASSES.format(name="Whole"))
            log = top / "cache/test.log"
            for arguments in (["--quick"], ["quick"], []):
                self.assertFalse(log.exists())
                said = subprocess.check_output([folder / "run", *arguments], env=environment(top), text=True)
            lines = log.read_text().splitlines()
            self.assertEqual([line[6:] for line in lines], said.splitlines())
            self.assertEqual(said.splitlines()[-1], "2 passed, 0 failed, 0 skipped")
            seconds = [int(line[:5]) for line in lines]
            self.assertEqual(seconds, sorted(seconds))


if __name__ == "__main__":
    unittest.main()
