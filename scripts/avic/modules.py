# SPDX-License-Identifier: GPL-2.0
"""KVM's modules of any commit, with or without a fault, without building a kernel."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from avic.base import BASE, CACHE
from avic.process import fail, say, script

MODULES = ("kvm.ko", "kvm-amd.ko")
# Of these the modules' build needs Kconfig files and Makefiles only.
UNUSED = ("drivers", "fs", "net", "sound", "samples", "Documentation")
# And of these nothing: what changes there changes no module.
APART = ("tools", "Documentation")
KEPT = 14 * 24 * 3600  # seconds


@contextmanager
def alone() -> Iterator[None]:
    """There is one source tree and one build folder: exit if another run has them."""
    (CACHE / "modules").mkdir(parents=True, exist_ok=True)
    with (CACHE / "modules" / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fail(1, f"another one builds modules in {CACHE}: wait for it, or set AVIC_CACHE")
        yield


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
        self.folder = CACHE / "modules" / BASE / repo.name
        self.tree, self.out = self.folder / "tree", self.folder / f"build{name and '-'}{name}"
        self.environment = os.environ | {
            "KBUILD_BUILD_TIMESTAMP": "@0",
            "KBUILD_BUILD_USER": "avic",
            "KBUILD_BUILD_HOST": "avic",
        }
        compiler = "gcc"
        if shutil.which("ccache"):
            compiler = "ccache gcc"
            # As in scripts/build, which fills the same cache.
            self.environment = {
                "CCACHE_DIR": str(CACHE / "ccache"),
                "CCACHE_MAXSIZE": "2G",
                "CCACHE_DEPEND": "1",
                "CCACHE_SLOPPINESS": "include_file_ctime,include_file_mtime",
            } | self.environment
        self.make = [
            "nice", "-n", "5",
            "make", f"--directory={self.tree}", f"O={self.out}",
            f"CC={compiler}", f"HOSTCC={compiler}",
            # No vmlinux here to find the symbols in: loading them will.
            "KBUILD_MODPOST_WARN=1",
        ]  # fmt: skip

    def git(self, *arguments: str | Path, text: str | None = None) -> str:
        """Run git in the tree; returns what it complains about, '' if nothing."""
        result = subprocess.run(
            ["git", "-c", "core.hooksPath=/dev/null", "-C", self.tree, *arguments],
            input=text, capture_output=True, text=True,
        )  # fmt: skip
        return result.stderr.strip() or "git failed" if result.returncode else ""

    def clone(self) -> None:
        """A tree that shares its objects with the repository, without what is not built."""
        new = self.folder / f".tree.{os.getpid()}"
        patterns = ["/*", *(f"!/{name}/**/*.[ch]" for name in UNUSED)]
        try:
            script("git", "clone", "--quiet", "--shared", "--no-checkout", self.repo, new)
            script("git", "-C", new, "sparse-checkout", "set", "--no-cone", *patterns)
            shutil.rmtree(self.tree, ignore_errors=True)
            new.rename(self.tree)
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def checkout(self, commit: str) -> None:
        """The commit as it is, without what an earlier fault left behind."""
        checkout = ("checkout", "--quiet", "--force", "--detach", commit)
        if self.tree.exists():
            # It sees the repository's new objects at once; a new clone mends one
            # whose old objects the repository has dropped.
            if not self.git(*checkout):
                return
        self.clone()
        if trouble := self.git(*checkout):
            fail(1, f"no checkout in {self.tree}: {trouble}: remove it and run again")

    def run_make(self, log: Path, *targets: str) -> bool:
        """Run make with its output in a log, shown as well if V=1 asks for it."""
        jobs = f"--jobs={os.environ.get('JOBS') or os.cpu_count()}"
        with log.open("w") as output:
            process = subprocess.Popen(
                [*self.make, jobs, *targets],
                env=self.environment, stdin=subprocess.DEVNULL,
                stdout=sys.stderr if os.environ.get("V") else output, stderr=subprocess.STDOUT,
            )  # fmt: skip
            try:
                return process.wait() == 0
            finally:
                # To be killed would keep make from removing what is half made.
                if process.poll() is None:
                    process.terminate()
                    process.wait()

    def source(self, commit: str) -> str:
        """What of the commit can change a module."""
        listing = script("git", "-C", self.repo, "ls-tree", commit)
        return "\n".join(line for line in listing.split("\n") if not line.endswith(APART))

    def build(self, name: str, commit: str, diff: str = "") -> tuple[Path, str]:
        """The folder with the modules, and what went wrong, '' if nothing."""
        compiler = subprocess.check_output(["gcc", "--version"])
        parts = [self.source(commit), *self.make, diff]
        key = hashlib.sha256(self.config + compiler + "\n".join(parts).encode()).hexdigest()[:16]
        done = self.folder / "modules" / key
        if done.exists():
            os.utime(done)
            return done, ""
        say(f"building {name}")
        log = self.folder / "build.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        self.checkout(commit)
        if diff and self.git("apply", "--whitespace=nowarn", "-", text=diff):
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
        new = done.with_name(f".{key}.{os.getpid()}")
        try:
            new.mkdir(parents=True)
            for module in MODULES:
                made = self.out / "arch/x86/kvm" / module
                script("strip", "--strip-debug", "-o", new / module, made)
            new.rename(done)
        finally:
            shutil.rmtree(new, ignore_errors=True)
        return done, ""

    def prune(self) -> None:
        """Drop what nobody has asked for in two weeks."""
        for each in (self.folder / "modules").iterdir():
            if time.time() - each.stat().st_mtime > KEPT:
                shutil.rmtree(each)
