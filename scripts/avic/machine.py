# SPDX-License-Identifier: GPL-2.0
"""One boot of a machine with a plan; its results are cached, keyed by all that went in."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from avic import ktap
from avic.aside import put
from avic.base import BASE
from avic.build import digest
from avic.bundle import make_bundle
from avic.paths import CACHE, TOP
from avic.plan import Plan
from avic.process import say, script
from avic.tree import git

RUNNER = os.environ.get("RUNNER") or "emulator"


def kept(kind: str) -> Path:
    """Where the results of a kind, such as "report", of this base and runner are kept."""
    return CACHE / kind / (BASE.name if RUNNER == "emulator" else f"{BASE}-{RUNNER}")


def need_qemu() -> None:
    """Set QEMU, unless the user has, to the one with AVIC; build it first if it is not there."""
    if not os.environ.get("QEMU"):
        os.environ["QEMU"] = script(TOP / "ci" / "emulator" / "build")


def of_ours(qemu: str) -> bool:
    """Whether ci/emulator/build made it: then its path has the key of its source and patches."""
    return Path(qemu).is_relative_to(CACHE / "emulator")


def foreign_key(qemu: str) -> bytes:
    """What another QEMU is, by its program: built anew it has the same path and version.

    qemu: a path, or a name in PATH.  Empty for one of ours.
    """
    program = shutil.which(qemu)
    return b"" if of_ours(qemu) or not program else digest(Path(program).read_bytes()).encode()


def stack_of(repo: Path) -> str:
    """The short commit of the stack in a tree: results with different ones do not belong together."""
    return git(repo, "rev-parse", "--short", "stack").stdout.strip()


def made_with() -> dict[str, str]:
    """The exact versions of what a result was made with, beside base and stack."""
    commit = git(TOP, "describe", "--always", "--dirty", check=False).stdout.strip()
    found = {"commit": commit or "not in git"}
    if qemu := os.environ.get("QEMU"):
        found["qemu"] = script(qemu, "--version").split("\n")[0]
        if of_ours(qemu):
            found["qemu"] += f", ci/emulator {Path(qemu).parents[1].name}"
    return found


def copy_logs(folder: Path, into: Path, name: str) -> None:
    """A run's plan, KTAP and console into another folder, as name.plan and so on."""
    for log in ("plan", "ktap", "console"):
        shutil.copy(folder / log, into / f"{name}.{log}")


class Run:
    """One boot: what goes in, and the folder in which an equal run is found again."""

    def __init__(self, image: Path, plan: Plan, aside: Path, qemu: str = "", allowed: Sequence[str] = ()) -> None:
        """Bundle the plan in a folder aside.

        qemu: in place of QEMU=.  allowed: regexes for what is no splat here, beside those of ci/run/splats.
        """
        self.aside, self.plan, self.allowed = aside, plan, allowed
        self.aside.mkdir(parents=True)
        text = plan.text()
        (self.aside / "plan").write_text(text)
        self.bundle = self.aside / "bundle"
        make_bundle(image, plan, self.bundle)
        if (image / "config").exists():
            shutil.copy(image / "config", self.bundle)
        self.runner = TOP / "scripts" / "runners" / RUNNER
        key = (self.bundle / "key").read_bytes()
        # The runner's code is in a module; its file in scripts/runners only calls that.
        code = TOP / "scripts" / "avic" / "runners" / f"{RUNNER}.py"
        key += self.runner.read_bytes() + (code.read_bytes() if code.exists() else b"")
        self.environment = {**os.environ, "QEMU": qemu} if qemu else dict(os.environ)
        if RUNNER == "emulator":
            qemu = self.environment["QEMU"]
            key += f"{text}{qemu}{os.environ.get('CPU')}".encode()
            key += script(qemu, "--version").encode()
            key += foreign_key(qemu)
        else:
            # Which tests get onto a machine depends on whether TESTS names them.
            key += f"{text}{script(self.runner, '--machine')}{os.environ.get('TESTS')}".encode()
        self.done = CACHE / "run" / hashlib.sha256(key).hexdigest()[:16]
        self.reused = ""
        self.process: subprocess.Popen[bytes] | None = None

    def good(self) -> bool:
        """Whether an equal run has come to its end, and nothing of it was lost."""
        progress = ktap.Progress.of(ktap.read_text(self.done / "ktap"))
        return progress.ended and not progress.bail and not any(r.status == "error" for r in self.results())

    def results(self) -> list[ktap.Result]:
        """What the run gave, once it is finished."""
        rules = ktap.SplatRules.read(TOP / "ci" / "run" / "splats")
        rules.allowed += map(re.compile, self.allowed)
        return ktap.read_run(self.done, self.plan.names, rules)

    def start(self) -> None:
        """Start the runner, unless an equal run is there and good."""
        if self.good() and not os.environ.get("RERUN"):
            self.reused = (self.done / "when").read_text().strip()
            return
        say(f"running {len(self.plan.tests)} tests on {self.aside.name} (logs: {self.aside})")
        self.process = subprocess.Popen([self.runner, self.bundle, self.aside], env=self.environment)

    def finish(self) -> Path:
        """Wait for the runner, and return the folder with what it returned."""
        if self.process:
            status = self.process.wait()
            self.process = None
            if status not in (0, 1):
                sys.exit(status)
            (self.aside / "when").write_text(time.strftime("%Y-%m-%d %H:%M:%S\n"))
            shutil.rmtree(self.bundle)
            put(self.aside, self.done)
        return self.done

    def over(self) -> bool:
        """Whether finish() would not wait."""
        return not self.process or self.process.poll() is not None

    def stop(self) -> None:
        """End the runner if it still runs."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()


def first_over(runs: Collection[Run]) -> Run:
    """Wait until one of these is over, and return it."""
    while not (over := next((run for run in runs if run.over()), None)):
        time.sleep(0.2)
    return over


@contextmanager
def stopped_at_the_end() -> Iterator[dict[str, Run]]:
    """Runs by name, of which none is left running when the block ends."""
    runs: dict[str, Run] = {}
    try:
        yield runs
    finally:
        for run in runs.values():
            run.stop()
