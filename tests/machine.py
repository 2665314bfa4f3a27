# SPDX-License-Identifier: GPL-2.0
"""The built kernels of v6.12 in an emulated machine, with programs of a test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from project import TOP
from avic import ktap
from avic.bundle import pack_initramfs
from avic.paths import CACHE
from avic.plan import Plan

PATCHES = TOP / "patches/v6.12"
# The user's settings must not change what is tested.
OURS = (
    "BASE", "TREE", "TESTS", "LANES", "FULL", "RERUN", "RUNNER", "QEMU", "CPU", "V",
    "CONFIG", "HOST", "VFIO", "KEXEC", "SERIAL", "POWER",
    "LEVEL", "CMD", "SHARE", "TOOLS", "GDB", "KUT", "RUNS",
)  # fmt: skip
ENV = {name: value for name, value in os.environ.items() if name not in OURS}
ENV |= {"BASE": "v6.12", "AVIC_CACHE": str(CACHE), "GIT_CONFIG_GLOBAL": "/dev/null"}

RULES = ktap.SplatRules.read(TOP / "ci/run/splats")


def sh(*command: str | Path, cwd: Path | None = None, **env: str) -> str:
    """Run a command, show its progress, return its stdout; raises if it fails."""
    result = subprocess.run(
        command, cwd=cwd, env=ENV | env, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
    )
    if result.returncode:
        raise AssertionError(f"{command} exited with {result.returncode}:\n{result.stdout}")
    return result.stdout.strip()


def image(level: str) -> Path:
    """The built kernel, modules and selftests of a level."""
    return Path(sh(TOP / "scripts/build", level))


def load_before(modules: Path, folder: Path) -> None:
    """Have the machine load modules, in the order of their names, before anything else.

    They are a second archive behind folder/bundle/initramfs.
    """
    root = folder / "before"
    shutil.copytree(modules, root / "before")
    shutil.copy(TOP / "ci/guest/init", root / "init.own")
    names = sorted(path.name for path in modules.iterdir())
    loads = "".join(f"/bin/busybox insmod /before/{name}\n" for name in names)
    (root / "init").write_text(f"#!/bin/busybox sh\n{loads}exec /init.own\n")
    (root / "init").chmod(0o755)
    pack_initramfs(root, folder / "second")
    with (folder / "bundle/initramfs").open("ab") as initramfs:
        initramfs.write((folder / "second").read_bytes())


class Machine(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.repo = Path(sh(TOP / "scripts/apply"))

    def scratch(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="avic-pipeline."))
        self.addCleanup(shutil.rmtree, folder)
        return folder

    def guest(
        self, level: str, plan: str, programs: dict[str, str | Path], built: Path | None = None, **env: str
    ) -> dict[str, ktap.Result]:
        """Boot a level with programs as the tests of a plan: shell text, a C file, or what is built already.

        built: another kernel than that of the level, with KVM's modules, and before/, what these need.
        """
        folder = self.scratch()
        built = built or image(level)
        tests = folder / "image/selftests"
        tests.mkdir(parents=True)
        for name in ("bzImage", "kvm.ko", "kvm-amd.ko"):
            (tests.parent / name).symlink_to(built / name)
        for name, program in programs.items():
            if isinstance(program, Path) and program.suffix != ".c":
                shutil.copy(program, tests / name)
            elif isinstance(program, Path):
                sh("gcc", "-static", "-O2", "-Wall", "-Werror", "-o", tests / name, program)
            else:
                (tests / name).write_text(f"#!/bin/sh\n{program}\n")
                (tests / name).chmod(0o755)
        (folder / "plan").write_text(plan)
        sh(TOP / "scripts/bundle", folder / "image", folder / "plan", folder / "bundle")
        if (built / "before").is_dir():
            load_before(built / "before", folder)
        subprocess.run([TOP / "scripts/runners/emulator", folder / "bundle", folder], env=ENV | env)
        text = (folder / "ktap").read_text(errors="replace")
        return {result.name: result for result in ktap.read_ktap(text, Plan.read(plan).names, RULES)}
