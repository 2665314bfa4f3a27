# SPDX-License-Identifier: GPL-2.0
"""The one builder: with what make runs here, kernels of a level, and their selftests.

KVM's modules of any commit are modules.py's, what the gates compile is kbuild.py's; all of
them build with the same environment and fill the same ccache.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from avic.aside import replaced
from avic.base import Base
from avic.paths import CACHE, TOP
from avic.process import fail, held_back, say, scratch
from avic.tree import git, locked, rev

# Variables of ours that make and the kernel would take for theirs.
NOT_OURS = ("BASE", "TREE", "V")
# What no kernel object depends on.
APART = ("tools", "Documentation")
SHOWN = 15  # lines of a log that are shown after a failure


def gave_up(log: str, out: Path) -> list[str]:
    """The files of a folder that make could not make, by its log."""
    return re.findall(rf"^make.*\*\*\* \[(?:.*: )?{re.escape(str(out))}/(\S*)\] Error ", log, re.MULTILINE)


@contextmanager
def environment() -> Iterator[dict[str, str]]:
    """The environment of every make here: time and place of a build do not change its result."""
    ours = {name: value for name, value in os.environ.items() if name not in NOT_OURS}
    ours |= {
        "CCACHE_DIR": os.environ.get("CCACHE_DIR") or str(CACHE / "ccache"),
        "CCACHE_MAXSIZE": os.environ.get("CCACHE_MAXSIZE") or "5G",
        # Without a preprocessor run of its own; headers by content, not by time.
        "CCACHE_DEPEND": "1",
        "CCACHE_SLOPPINESS": "include_file_ctime,include_file_mtime",
        "KBUILD_BUILD_TIMESTAMP": "@0",
        "KBUILD_BUILD_USER": "avic",
        "KBUILD_BUILD_HOST": "avic",
        # What make says is read.
        "LC_ALL": "C",
    }
    # gcc leaves a temporary file behind if a signal comes as it makes one.
    with scratch("avic-make.") as temporary:
        yield ours | {"TMPDIR": str(temporary)}


def through_ccache(compiler: str = "gcc") -> str:
    """A compiler as make gets it."""
    return f"ccache {compiler}" if shutil.which("ccache") else compiler


def jobs() -> int:
    """How many compile jobs at a time: JOBS=, or as many as there are CPUs."""
    return int(os.environ.get("JOBS") or os.cpu_count() or 1)


@functools.cache
def offline() -> tuple[str, ...]:
    """What a make's command starts with, so that a Makefile or script of a tree finds no network.

    It is no wall: root can get into another network namespace, and sockets in the file system stay.
    Empty, and it is said, where the machine does not let us have a network namespace.
    """
    for words in (("unshare", "--net"), ("unshare", "--map-root-user", "--net")):
        if not subprocess.run([*words, "true"], stderr=subprocess.DEVNULL).returncode:
            return words
    say("no network namespace for builds on this machine (unshare --net): what they run can reach the network")
    return ()


def run_make(log: Path, *command: str | Path) -> bool:
    """Run a make with its output in a log, shown as well if V=1 asks for it; whether it succeeded."""
    log.parent.mkdir(parents=True, exist_ok=True)
    show = bool(os.environ.get("V"))
    with log.open("wb") as output, environment() as env:
        process = subprocess.Popen(
            [*offline(), *command], env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if show else output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            for line in process.stdout or ():
                output.write(line)
                sys.stderr.buffer.write(line)
                sys.stderr.flush()
            return process.wait() == 0
        finally:
            # To be killed would keep make from removing what is half made.
            if process.poll() is None:
                process.terminate()
                process.wait()


def show_end(log: Path) -> None:
    """The last lines of a log, on stderr."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    print("\n".join(lines[-SHOWN:]), file=sys.stderr)


def fragments(config: str) -> list[Path]:
    """The files in configs/ that make up a configuration (scripts/configure reads them)."""
    path = TOP / "configs" / f"{config}.config"
    if not path.exists():
        fail(2, f"no config '{config}' in configs/")
    below = re.findall(r"^# On top of: *(\S+)", path.read_text(), re.MULTILINE)
    return [each for name in below for each in fragments(name)] + [path]


def digest(*parts: bytes | str) -> str:
    """A key of 16 hex digits for what a build depends on."""
    data = b"".join(part if isinstance(part, bytes) else part.encode() for part in parts)
    return hashlib.sha256(data).hexdigest()[:16]


class Tree:
    """A source tree for a base that is used here only."""

    def __init__(self, base: str, repo: Path, what: str = "check", left_out: Sequence[str] = ()) -> None:
        """what: of the cache's folders.  left_out: patterns of files that need not be there."""
        self.repo, self.left_out = repo, left_out
        self.folder = CACHE / what / base / repo.name
        self.path = self.folder / "tree"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Exit if another run has the tree."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                fail(1, f"another run has {self.folder}: wait for it, or set AVIC_CACHE")
            yield

    def checkout(self, commit: str) -> None:
        """The commit's files, without what an earlier patch left behind."""
        checkout = ("checkout", "--quiet", "--force", "--detach", commit)
        if self.path.exists():
            at = git(self.path, "rev-parse", "HEAD", check=False).stdout.strip()
            if at == commit and not git(self.path, "diff", "--name-only", "HEAD").stdout:
                return
            # A tree whose old objects the repository has dropped is made anew.
            if not git(self.path, *checkout, check=False).returncode:
                return
        say(f"a source tree in {self.path}")
        with replaced(self.path) as new:
            git(new, "init", "--quiet")
            # By hand: git clone --shared copies what is shallow instead.
            objects = git(self.repo, "rev-parse", "--path-format=absolute", "--git-path", "objects")
            (new / ".git/objects/info/alternates").write_text(objects.stdout)
            if self.left_out:
                patterns = ["/*", *(f"!{pattern}" for pattern in self.left_out)]
                git(new, "sparse-checkout", "set", "--no-cone", *patterns)
            git(new, *checkout)

    def source(self, commit: str, *folders: str) -> str:
        """A hash of what a build of the commit depends on: some folders, or all of the kernel."""
        if folders:
            listing = git(self.repo, "ls-tree", commit, *folders).stdout
        else:
            lines = git(self.repo, "ls-tree", commit).stdout.splitlines()
            listing = "\n".join(line for line in lines if not line.endswith(APART))
        return digest(listing)

    def text(self, commit: str, file: str) -> str:
        """A file as the commit has it, '' if it has none."""
        return git(self.repo, "show", f"{commit}:{file}", check=False).stdout


class Images:
    """Kernels, KVM's modules and KVM's selftests of a base's levels.

    Out of tree, in folders keyed by base, level and configuration; what has not changed
    is not built again.
    """

    def __init__(self, base: Base, repo: Path) -> None:
        """repo: the base's git tree, perhaps with the stack on it."""
        self.base, self.repo = base, repo
        self.folder = CACHE / "build" / base.name / repo.name
        self.compiler = subprocess.check_output(["gcc", "--version"])

    def image(self, level: str, config: str = "emulator", patch: str = "", tests: bool = True) -> Path:
        """A folder with bzImage, kvm.ko, kvm-amd.ko, config and, if asked for, selftests/.

        level: base, stack, or a number: the base with as many patches.  patch: one of
        ci/races or ci/adapt, on top of it.  Exits if it does not build.
        """
        with self.at(level, patch) as commit:
            name = "-".join(filter(None, [level, config, patch]))
            image = self.kernel(level, config, commit, self.folder / name)
            if tests:
                link = image / "selftests"
                link.unlink(missing_ok=True)
                link.symlink_to(self.tests(level, commit))
        return image

    def selftests(self, level: str, patch: str = "") -> Path:
        """The folder with the selftests of a level; see image()."""
        with self.at(level, patch) as commit:
            return self.tests(level, commit)

    @contextmanager
    def at(self, level: str, patch: str) -> Iterator[str]:
        """The commit of a level; nobody else switches the tree or builds from it meanwhile."""
        with locked(self.repo):
            before = self.head()
            try:
                yield self.commit(level, patch)
            finally:
                # Not on a branch, a commit that the user makes there would be lost.
                if self.head() != before:
                    git(self.repo, "checkout", "--quiet", before, check=False)

    def head(self) -> str:
        """The branch that the tree is on; on none, as in a rebase that has stopped, its commit."""
        branch = git(self.repo, "symbolic-ref", "--quiet", "--short", "HEAD", check=False).stdout.strip()
        return branch or rev(self.repo, "HEAD")

    def commit(self, level: str, patch: str) -> str:
        """The commit of a level, with a patch on top if one is named."""
        if level.isdigit():
            commits = git(self.repo, "rev-list", "--reverse", "base..stack").stdout.split()
            if not 0 < int(level) <= len(commits):
                fail(2, f"the stack of {self.base} has no level {level}")
            commit = commits[int(level) - 1]
        else:
            commit = rev(self.repo, f"{level}^{{commit}}")
            if not commit:
                fail(2, f"{self.repo} has no branch {level}: run scripts/apply first")
        return self.patched(commit, level, patch) if patch else commit

    def patched(self, commit: str, level: str, patch: str) -> str:
        """A commit on top of another with a patch; the tree stays as it is."""
        found = [path for place in ("races", "adapt") if (path := TOP / "ci" / place / f"{patch}.patch").is_file()]
        if not found:
            fail(2, f"no patch '{patch}' in ci/races/ or ci/adapt/")
        index = self.repo / ".git" / "index.patched"  # its holder has the lock
        env = {"GIT_INDEX_FILE": str(index), "GIT_COMMITTER_DATE": "@0 +0000", "GIT_AUTHOR_DATE": "@0 +0000"}
        try:
            git(self.repo, "read-tree", commit, env=env)
            applied = git(self.repo, "apply", "--cached", "--whitespace=nowarn", str(found[0]), env=env, check=False)
            if applied.returncode:
                fail(1, f"{found[0].relative_to(TOP)} does not apply to level {level} of {self.base}: rebase it")
            tree = git(self.repo, "write-tree", env=env).stdout.strip()
            return git(self.repo, "commit-tree", "-p", commit, "-m", patch, tree, env=env).stdout.strip()
        finally:
            index.unlink(missing_ok=True)

    def switch(self, level: str, commit: str) -> None:
        """The tree to a level; only the files that differ are touched, so that make rebuilds little."""
        if rev(self.repo, "HEAD") == commit:
            return
        if git(self.repo, "diff", "--quiet", "HEAD", check=False).returncode:
            fail(1, f"{self.repo} has uncommitted changes: commit them on branch stack, or git checkout .")
        target = level if level in ("base", "stack") and rev(self.repo, level) == commit else commit
        git(self.repo, "checkout", "--quiet", target)

    def key(self, *objects: str) -> str:
        """What a build of some objects of git depends on."""
        names = git(self.repo, "rev-parse", *objects).stdout
        code = (Path(__file__), TOP / "scripts" / "configure")
        return digest(names, self.compiler, *(path.read_bytes() for path in code))

    def kernel(self, level: str, config: str, commit: str, out: Path) -> Path:
        """Build a kernel and KVM's modules in the folder out; returns where they are."""
        options = digest(*(path.read_bytes() for path in fragments(config)))
        want = f"{self.key(f'{commit}^{{tree}}')}-{options}\n"
        image = out / "image"
        if (image / "key").exists() and (image / "key").read_text() == want:
            return image
        self.switch(level, commit)
        start = self.folder / f"base-{config}"
        if not out.exists() and start.exists():
            say("starting from the base's build")
            with replaced(out) as new:
                new.rmdir()
                shutil.copytree(start, new, symlinks=True, ignore=lambda folder, _: ["image"] if Path(folder) == start else [])
        out.mkdir(parents=True, exist_ok=True)
        gcc = through_ccache()
        make = [
            "make", f"--directory={self.repo}", f"--jobs={jobs()}", f"O={out}", f"CC={gcc}", f"HOSTCC={gcc}",
        ]  # fmt: skip
        configured = out / "configured"
        if not configured.exists() or configured.read_text() != options:
            log = out / "configure.log"
            script = TOP / "scripts" / "configure"
            if not run_make(log, script, config, self.repo, out, f"CC={gcc}", f"HOSTCC={gcc}"):
                show_end(log)
                fail(1, f"configuring {level} failed (log: {log})")
            configured.write_text(options)
        log = out / "build.log"
        say(f"building kernel and modules of {level} (log: {log})")
        if not run_make(log, *make, "bzImage", "modules"):
            show_end(log)
            fail(1, f"building {level} failed (log: {log})")
        with replaced(image) as new:
            for name in ("arch/x86/boot/bzImage", "arch/x86/kvm/kvm.ko", "arch/x86/kvm/kvm-amd.ko"):
                shutil.copy(out / name, new)
            shutil.copy(out / ".config", new / "config")
            subprocess.run(["strip", "--strip-debug", new / "kvm.ko", new / "kvm-amd.ko"], check=True)
            (new / "key").write_text(want)
        return image

    def tests(self, level: str, commit: str) -> Path:
        """The selftests of a commit.

        They depend on tools/ and on the user API, which the stack's fixes leave alone: as
        long as it adds no test, base and stack share one build.
        """
        want = self.key(f"{commit}:tools", f"{commit}:include/uapi", f"{commit}:arch/x86/include/uapi")
        done = self.folder / f"selftests-{want}"
        if done.exists():
            return done
        self.switch(level, commit)
        log = self.folder / "selftests.log"
        say(f"building the KVM selftests of {level} (log: {log})")
        headers = self.folder / f"headers-{want}"
        number, gcc = f"--jobs={jobs()}", through_ccache()
        try:
            install = ["make", f"--directory={self.repo}", number, f"O={headers}", "ARCH=x86_64", "headers"]
            if not run_make(self.folder / "headers.log", *install):
                show_end(self.folder / "headers.log")
                fail(1, f"installing the headers of {level} failed (log: {self.folder}/headers.log)")
            with replaced(done) as new:
                complete = run_make(
                    log, "make", f"--directory={self.repo}/tools/testing/selftests/kvm", number,
                    "--keep-going", "ARCH=x86_64", f"CC={gcc}", f"OUTPUT={new}", f"INSTALL_HDR_PATH={headers}/usr",
                    f"KHDR_INCLUDES=-isystem {headers}/usr/include", "USERLDFLAGS=-static",
                )  # fmt: skip
                if not complete and (names := self.not_built(log, new)):
                    show_end(log)
                    fail(1, f"building the selftests of {level} failed: {names} (log: {log})")
                for path in [path for path in new.rglob("*") if path.is_file()]:
                    if path.suffix in (".o", ".d"):
                        path.unlink()
                    elif os.access(path, os.X_OK):
                        subprocess.run(["strip", path], stderr=subprocess.DEVNULL)
        finally:
            with held_back():
                shutil.rmtree(headers, ignore_errors=True)
        return done

    def not_built(self, log: Path, out: Path) -> str:
        """What make gave up on in `out`, but for the selftests that the base itself has broken (No-build)."""
        failed = set(gave_up(log.read_text(errors="replace"), out)) or {"all"}
        return " ".join(sorted(failed - set(self.base.why("No-build"))))
