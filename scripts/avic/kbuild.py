# SPDX-License-Identifier: GPL-2.0
"""One source tree that goes from level to level, and build folders that follow it.

A level is a commit: the base, or the base with the first patches.  Going from
one to the next touches only the files that differ, so that make compiles only
the objects they are part of; its messages about the other objects are remembered.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from avic.build import environment, fragments, offline, through_ccache
from avic.paths import TOP
from avic.findings import Finding, Places, of_make
from avic.tree import git

INCLUDE = re.compile(r"""\s*#\s*include\s*([<"])([^>"]+)""")
# Where kbuild looks for headers, and where KVM does beside that.
SEARCHED = ("arch/x86/include", "include", "arch/x86/include/uapi", "include/uapi")
OWN = ("arch/x86/kvm", "virt/kvm")
MODULES = tuple(f"arch/x86/kvm/{name}.o" for name in ("kvm", "kvm-amd", "kvm-intel"))


class CouldNot(Exception):
    """A gate has no answer; the text says why, and where the log is."""


class Tools:
    """The tools that run, so that none outlives us."""

    running: set[subprocess.Popen[str]] = set()
    stopped = False

    @classmethod
    def run(cls, command: list[str], **how: Any) -> tuple[int, str, str]:
        """Run a tool; returns its exit status and, where piped, what it has said."""
        if cls.stopped:
            raise CouldNot("interrupted")
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, text=True, errors="replace", start_new_session=True, **how
        )  # fmt: skip
        cls.running.add(process)
        try:
            output, complaints = process.communicate()
        finally:
            cls.running.discard(process)
        if cls.stopped:
            raise CouldNot("interrupted")
        return process.returncode, output or "", complaints or ""

    @classmethod
    def stop(cls) -> None:
        """End what runs, in a way that lets make remove what is half made."""
        cls.stopped = True
        for process in list(cls.running):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)


def lacks(config: str, made: Path) -> str:
    """The option that a configuration is about, if the .config that was made of it does not have it."""
    wanted = re.findall(r"^# Where the base has: *(\S+)", fragments(config)[-1].read_text(), re.M)
    have = "\n" + made.read_text()
    return next((name for name in wanted if f"\n{name}=" not in have), "")


class Build:
    """A build folder, and what make has said about each object in it."""

    def __init__(self, tree: Path, out: Path, variables: list[str], jobs: int) -> None:
        """variables: for make, such as CC=clang W=1; the compiler goes through ccache."""
        self.tree, self.out, self.jobs = tree, out, jobs
        self.state = out / "findings.json"
        self.variables = [
            f"CC={through_ccache(v[3:])}" if v.startswith("CC=")
            # One of ours, by its place here.
            else v.replace("=", f"={TOP}/", 1) if "=scripts/" in v
            else v
            for v in variables
        ] + [f"HOSTCC={through_ccache()}"]  # fmt: skip

    def run(self, log: Path, command: list[str]) -> int:
        """Run a command with its output in a log; returns its exit status."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as output, environment() as env:
            output.write(f"$ {' '.join(command)}\n")
            output.flush()
            status, _, _ = Tools.run([*offline(), *command], env=env, stdout=output, stderr=subprocess.STDOUT)
        return status

    def configure(self, config: str) -> None:
        """The .config, unless the folder has it."""
        files = fragments(config)
        want = hashlib.sha256()
        for part in [*files, TOP / "scripts/configure"]:
            want.update(part.read_bytes())
        want.update(git(self.tree, "ls-files", "--stage", "*Kconfig*").stdout.encode())
        want.update(" ".join(self.variables).encode())
        stamp = self.out / "configured"
        if stamp.exists() and stamp.read_text() == want.hexdigest():
            return
        stamp.unlink(missing_ok=True)
        log = self.out / "configure.log"
        command = [str(TOP / "scripts/configure"), config, str(self.tree), str(self.out), *self.variables]
        if self.run(log, command):
            last = log.read_text(errors="replace").strip().split("\n")[-1]
            raise CouldNot(f"configuring failed: {last} (log: {log})")
        stamp.write_text(want.hexdigest())

    def lacks(self, config: str) -> str:
        """The option that a configuration is about, if this base does not have it."""
        return lacks(config, self.out / ".config")

    def known(self) -> dict[str, list[dict[str, str]]]:
        """What has been said about each object that was built here, as JSON has it."""
        found: dict[str, list[dict[str, str]]] = {}
        if self.state.exists():
            found |= json.loads(self.state.read_text())
        return found

    def make(
        self, command: list[str], kept: Path, cwd: str = "", only: Collection[str] = ()
    ) -> list[Finding]:
        """Bring the targets up to date; all findings about what has been built here.

        kept: where the log goes.  cwd: the folder below the tree where the tools
        run, if that is not the build folder.  only: the objects that the targets
        are, if others need not be up to date: what was said of those does not
        count.  Raises CouldNot if make broke off for another reason than an error
        in the source.
        """
        unsure = self.out / "unsure"
        if unsure.exists():
            # The last make was interrupted: its messages were not saved.
            for path in [*self.out.rglob("*.o"), *self.out.rglob("*.lst")]:
                path.unlink()
            self.state.unlink(missing_ok=True)
        unsure.touch()
        status = self.run(kept, command)
        text = kept.read_text(errors="replace")
        units, broken = of_make(text, Places(self.tree, self.out, self.tree / cwd))
        known = self.known() | {unit: [finding.as_json() for finding in found] for unit, found in units.items()}
        told = [f for found in units.values() for f in found if "error:" in f.message]
        if broken or (status and not told):
            why = broken[0] if broken else f"make exited with {status}"
            raise CouldNot(f"{why} (log: {kept})")
        new = self.state.with_suffix(".new")
        new.write_text(json.dumps(known))
        new.rename(self.state)
        unsure.unlink()
        # The same place seen from two objects is one finding of each.
        # A checker's unit is the source, a compiler's the object.
        asked = {os.path.splitext(each)[0] for each in only}
        return [
            Finding(**each)
            for unit, found in known.items()
            if not only or unit in units or os.path.splitext(unit)[0] in asked
            for each in found
        ]


def includers(tree: Path, headers: set[str]) -> set[str]:
    """The files of x86 that include one of the headers, at any depth, as paths below tree."""
    # A header of KVM's own folders is for them alone.
    own = all(header.startswith(OWN) for header in headers)
    where = OWN if own else ("*.c", "*.h", "*.S", ":!tools", ":!Documentation", ":!samples", ":!scripts")
    shown = subprocess.run(
        ["git", "-C", tree, "grep", "-E", "^[ \t]*#[ \t]*include", "--", *where],
        capture_output=True, text=True, errors="replace",
    ).stdout  # fmt: skip
    users: dict[str, set[str]] = {}
    for line in shown.splitlines():
        file, _, text = line.partition(":")
        if file.startswith("arch/") and not file.startswith("arch/x86/"):
            continue
        if not (match := INCLUDE.match(text)):
            continue
        # As the compiler looks for it: beside the file, or below kbuild's -I.
        folders = [*SEARCHED, *(f for f in OWN if file.startswith(OWN))]
        if match[1] == '"':
            folders.insert(0, file.rpartition("/")[0])
        for folder in folders:
            name = os.path.normpath(f"{folder}/{match[2]}")
            if (tree / name).is_file():
                users.setdefault(name, set()).add(file)
                break
    found: set[str] = set()
    todo = list(headers)
    while todo:
        for file in users.get(todo.pop(), set()) - found:
            found.add(file)
            todo.append(file)
    return found


def is_built(tree: Path, config: str, file: str) -> bool:
    """Whether kbuild has an object of this C file, by the Makefile beside it.

    config: the text of .config.  What no line of the Makefile rules out, is.
    """
    folder, _, name = file.rpartition("/")
    path = next((p for n in ("Kbuild", "Makefile") if (p := tree / folder / n).is_file()), None)
    if not path:
        return False
    text = path.read_text().replace("\\\n", " ")
    seen: set[str] = set()
    todo = [name.removesuffix(".c")]
    while todo:
        part = todo.pop()
        if part in seen:
            continue
        seen.add(part)
        for line in re.findall(rf"^[^#\n]*[+:]?=[^#\n]*(?<![\w-]){re.escape(part)}\.o\b", text, re.M):
            target, _, _ = line.partition("=")
            switch = re.search(r"\$\((CONFIG_\w+)\)", target)
            if switch and f"\n{switch[1]}=" not in f"\n{config}":
                continue
            if target.strip().startswith("obj-"):
                return True
            todo.append(re.split(r"-(?:y|objs|\$)", target.strip())[0])
    return False


EXPORT = re.compile(r"\bEXPORT_(?:PER_CPU_)?(SYMBOL|TRACEPOINT_SYMBOL|STATIC_CALL)\w*\(\s*(\w+)")
EXPORTED_AS = {
    "SYMBOL": ("{}",),
    "TRACEPOINT_SYMBOL": ("__tracepoint_{}", "__traceiter_{}", "__SCK__tp_func_{}", "__SCT__tp_func_{}"),
    "STATIC_CALL": ("__SCK__{}", "__SCT__{}"),
}


def exports(tree: Path) -> set[str]:
    """The symbols that the tree's source exports to modules, on x86."""
    shown = subprocess.run(
        ["git", "-C", tree, "grep", "-E", "EXPORT_(PER_CPU_|TRACEPOINT_)?(SYMBOL|STATIC_CALL)", "--",
         "*.c", "*.h", "*.S", ":!tools", ":!Documentation", ":!scripts"],
        capture_output=True, text=True, errors="replace",
    ).stdout  # fmt: skip
    found = set()
    for line in shown.splitlines():
        file, _, text = line.partition(":")
        if not file.startswith("arch/") or file.startswith("arch/x86/"):
            for kind, name in EXPORT.findall(text):
                found |= {form.format(name) for form in EXPORTED_AS[kind]}
    if not found:
        raise CouldNot(f"no export found in {tree}")
    return found


def symbols_of(path: Path, which: str) -> set[str]:
    """The symbols that an object asks others for (--undefined-only), or has (--defined-only)."""
    result = subprocess.run(["nm", which, path], capture_output=True, text=True)
    if result.returncode:
        raise CouldNot(f"nm: {result.stderr.strip()}")
    return {line.split()[-1] for line in result.stdout.splitlines() if line.strip()}


def modpost(build: Build, asked: dict[str, set[str]], given: set[str], log: Path) -> list[Finding]:
    """Undefined symbols: of modules by modpost, of other objects by name alone.

    asked: the symbols that each object wants.  given: what the rest of the kernel has.
    """
    modules = [name for name in asked if name in MODULES]
    symbols, order = build.out / "given.symvers", build.out / "asked.order"
    # What a module has is its own to export: modpost takes no symbol from two.
    others = given.difference(*(symbols_of(build.out / name, "--defined-only") for name in modules))
    symbols.write_text("".join(f"0x00000000\t{n}\tvmlinux\tEXPORT_SYMBOL\t\n" for n in sorted(others)))
    order.write_text("".join(f"{name}\n" for name in modules))
    command = ["scripts/mod/modpost", "-i", symbols.name, "-T", order.name, "-o", "made.symvers"]
    # Without it newer ones don't look at what a module exports.
    recipe = build.tree / "scripts/Makefile.modpost"
    if recipe.exists() and re.search(r"CONFIG_MODULES\),-M\b", recipe.read_text()):
        command.append("-M")
    result = subprocess.run(command, cwd=build.out, capture_output=True, text=True)
    with log.open("a") as kept:
        kept.write(f"$ {' '.join(command)}\n{result.stdout}{result.stderr}")
    # The older and the newer form.
    missing = re.findall(r'modpost: "([^"]+)" \[(\S+?)(?:\.ko)?\] undefined', result.stderr)
    later = re.findall(r"modpost: (\S+?)(?:\.ko)?: symbol '([^']+)' undefined", result.stderr)
    missing += [(name, module) for module, name in later]
    if "suppressed" in result.stderr:
        raise CouldNot(f"modpost does not name all that is undefined (log: {log})")
    made = build.out / "made.symvers"
    if result.returncode and not missing or not result.returncode and not made.exists():
        last = (result.stderr.strip() or f"exit status {result.returncode}").split("\n")[-1]
        raise CouldNot(f"modpost: {last} (log: {log})")
    made.unlink(missing_ok=True)
    found = [Finding(f"{where}.ko", "", f"modpost: {name} is undefined") for name, where in missing]
    for path in (name for name in asked if name not in modules):
        for name in sorted(asked[path] - given):
            # Not exported, but the kernel may have it for itself.
            if not defined(build.tree, name):
                found.append(Finding(path, "", f"modpost: {name} is undefined"))
    return found


def defined(tree: Path, name: str) -> bool:
    """Whether the source has a function or variable of that name which is not static."""
    return not subprocess.run(
        ["git", "-C", tree, "grep", "-q", "-E",
         rf"^([A-Za-z_][^=;(]*[ *])?{name}(\(|\[| =|;)|^SYM_\w+\({name}\)", "--", "*.c", "*.S"],
    ).returncode  # fmt: skip
