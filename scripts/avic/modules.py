# SPDX-License-Identifier: GPL-2.0
"""KVM's modules of any commit, with or without a fault, without building a kernel."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import time
from contextlib import AbstractContextManager
from pathlib import Path

from avic.aside import replaced
from avic.base import BASE
from avic.build import APART, Tree, digest, jobs, run_make, through_ccache
from avic.process import fail, say, script
from avic.tree import git

MODULES = ("kvm.ko", "kvm-amd.ko")
# Of these the modules' build needs Kconfig files and Makefiles only.
UNUSED = ("drivers", "fs", "net", "sound", "samples", "Documentation")
KEPT = 14 * 24 * 3600  # seconds


def source_tree(repo: Path) -> Tree:
    """The tree that modules are built from."""
    return Tree(BASE.name, repo, "modules", [f"/{folder}/**/*.[ch]" for folder in UNUSED])


def alone(repo: Path) -> AbstractContextManager[None]:
    """There is one source tree and one build folder: exits if another run has them."""
    return source_tree(repo).alone()


@functools.cache
def rest(repo: Path, tree: str) -> str:
    """A hash of what the modules' build can see of one of the UNUSED folders."""
    entries = (entry.partition("\t") for entry in git(repo, "ls-tree", "-r", "-z", tree).stdout.split("\0"))
    return digest(*(f"{what} {name}\n" for what, _, name in entries if not name.endswith((".c", ".h"))))


def source(repo: Path, commit: str) -> str:
    """A hash of all that the modules' build of a commit can see: a patch of a driver alone changes no module."""
    entries = (entry.partition("\t") for entry in git(repo, "ls-tree", "-z", commit).stdout.split("\0"))
    return digest(*(
        f"{rest(repo, what.split()[-1]) if name in UNUSED else what} {name}\n"
        for what, _, name in entries if what and name not in APART
    ))  # fmt: skip


class Modules:
    """Builds KVM's modules, in a source tree and a build folder of their own.

    Not those of scripts/build: a fault must never get into what others build on.
    """

    def __init__(self, repo: Path, image: Path, name: str = "") -> None:
        """The configuration is that of an image of scripts/build, for whose kernel they are.

        name: of the configuration, if it has a build folder of its own.
        """
        self.repo = repo
        self.config = (image / "config").read_bytes()
        self.tree = source_tree(repo)
        self.folder = self.tree.folder
        self.out = self.folder / f"build{name and '-'}{name}"
        gcc = through_ccache()
        self.make = [
            "nice", "-n", "5",
            "make", f"--directory={self.tree.path}", f"O={self.out}", f"CC={gcc}", f"HOSTCC={gcc}",
            # No vmlinux here to find the symbols in: loading them will.
            "KBUILD_MODPOST_WARN=1",
        ]  # fmt: skip

    def run_make(self, log: Path, *targets: str) -> bool:
        """Run make with its output in a log."""
        return run_make(log, *self.make, f"--jobs={jobs()}", *targets)

    def build(self, name: str, commit: str, diff: str = "") -> tuple[Path, str]:
        """The folder with the modules, and what went wrong, '' if nothing."""
        compiler = subprocess.check_output(["gcc", "--version"])
        key = digest(self.config, compiler, source(self.repo, commit), *self.make, diff)
        done = self.folder / "modules" / key
        if done.exists():
            os.utime(done)
            return done, ""
        say(f"building {name}")
        log = self.folder / "build.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        self.tree.checkout(commit)
        if diff and git(self.tree.path, "apply", "--whitespace=nowarn", "-", stdin=diff, check=False).returncode:
            return done, f"does not apply to the stack: rebase ci/mutants/{name}.patch"
        self.out.mkdir(exist_ok=True)
        config = self.out / ".config"
        if not config.exists() or (self.out / "config").read_bytes() != self.config:
            config.write_bytes(self.config)
            (self.out / "config").write_bytes(b"")
            if not self.run_make(log, "olddefconfig"):
                fail(1, f"configuring failed (log: {log})")
            (self.out / "config").write_bytes(self.config)
        if not self.run_make(log, *(f"arch/x86/kvm/{module}" for module in MODULES)):
            kept = self.folder / f"{name}.log"
            log.replace(kept)
            return done, f"does not build (log: {kept})"
        with replaced(done) as new:
            for module in MODULES:
                made = self.out / "arch/x86/kvm" / module
                script("strip", "--strip-debug", "-o", new / module, made)
        return done, ""

    def prune(self) -> None:
        """Remove modules that were not used for two weeks."""
        for each in (self.folder / "modules").iterdir():
            if time.time() - each.stat().st_mtime > KEPT:
                shutil.rmtree(each)
