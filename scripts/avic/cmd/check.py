# SPDX-License-Identifier: GPL-2.0
"""check [GATE...]: the gates that a KVM maintainer asks for, at each patch level.

  GATE     a name from ci/check/gates, or one of its sets (default: check)
  BASE=    the stack               TREE=   your own kernel tree instead of the base's
  JOBS=N   as many at a time       FULL=1  each gate looks at all it can, on each level;
  RERUN=1  forget what is known            for allmodconfig that is the whole tree

A section that others are below, which it does not need, has one more level, without
these; a small form has one, too.  A finding is what the stack has and the base lacks; findings are told apart by file,
function and message.  A tool that is missing, or crashes, is red too: could not
check.  Prints a table; its report folder has it as JSON and as JUnit.
Exit status 1 if anything is red.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from avic import changelog, kbuild
from avic.aside import replaced, write
from avic.base import BASE
from avic.paths import CACHE, TOP
from avic.exact import tree_aside
from avic.findings import BROKE, Finding, Places, more, of_checkpatch, of_spatch
from avic.build import Tree, fragments, offline
from avic.kbuild import Build, CouldNot, Tools
from avic.ktap import Result
from avic.patch import Patch
from avic.process import fail, say, scratch, show
from avic.results import Column
from avic.series import read_series
from avic.summary import junit
from avic.tables import read_table
from avic.tree import locked, rev, unpack

JOBS = int(os.environ.get("JOBS") or os.cpu_count() or 1)
FULL = bool(os.environ.get("FULL"))
KVM = "arch/x86/kvm/"
SELFTESTS = "tools/testing/selftests/kvm"
GREEN, RED, COULD_NOT = 0, 1, 3


@dataclass(frozen=True)
class Gate:
    """A line of ci/check/gates."""

    group: str
    name: str
    levels: str
    kind: str
    arguments: tuple[str, ...]

    @property
    def config(self) -> str:
        """The configuration that it builds with."""
        return self.arguments[0]

    @property
    def variables(self) -> list[str]:
        """What it gives to make."""
        return [each for each in self.arguments if "=" in each]


@dataclass
class Level:
    """The base with some patches on it; number 0 is the base itself.

    Without a patch of its own it is a section on what it needs, or the small form.
    """

    number: int
    name: str
    commit: str
    patch: Patch | None = None
    trouble: str = ""  # why there is no such commit
    context: str = ""


@dataclass
class Verdict:
    """What a gate says of a level: an exit status and a line."""

    gate: str
    level: str
    command: str
    status: int
    text: str
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0


def read_gates(path: Path, asked: list[str]) -> list[Gate]:
    """The gates of the data file that were asked for, by name or by set."""
    gates = []
    for words, _ in read_table(path, "SET NAME LEVELS KIND ## what it is for"):
        group, name, levels, kind, *arguments = words
        if kind not in KINDS or levels not in ("all", "touched", "ends", "patch"):
            fail(1, f"{path.name}: no gate is made like '{' '.join(words)}': see its head")
        gates.append(Gate(group, name, levels, kind, tuple(arguments)))
    names = {each for gate in gates for each in (gate.group, gate.name)}
    if unknown := [each for each in asked if each not in names]:
        fail(2, f"no gate '{unknown[0]}': ci/check/gates has {' '.join(gate.name for gate in gates)}")
    return [gate for gate in gates if {gate.group, gate.name} & set(asked)]


def read_allowed(path: Path) -> list[tuple[str, re.Pattern[str]]]:
    """Findings that are right as they are: the gate, and how they read."""
    entries = read_table(path, "GATE REGEX ## reason")
    return [(words[0], re.compile(" ".join(words[1:]))) for words, _ in entries]


def digest(*parts: object) -> str:
    """A cache key, made of all that a result depends on."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16]


def version(tool: str) -> str:
    """A tool's version, of ours as well; raises CouldNot if the tool is not there."""
    path = str(TOP / tool) if (TOP / tool).is_file() else shutil.which(tool)
    if not path:
        raise CouldNot(f"{tool} is not installed: run scripts/setup")
    told = subprocess.run([path, "--version"], capture_output=True, text=True)
    if told.returncode:
        raise CouldNot(f"{tool}: {told.stderr.strip() or 'no version'}: run scripts/setup")
    return told.stdout


def ran(command: list[str], cwd: Path, good: tuple[int, ...] = (0,)) -> str:
    """Run a tool and return what it prints; raises CouldNot if it did not finish."""
    status, output, complaints = Tools.run(
        [*offline(), *command], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    lines = complaints.strip().split("\n")
    broke = [line for line in lines if BROKE.search(line)]
    if status not in good or broke:
        last = [*lines, *broke][-1] or "no message"
        raise CouldNot(f"{Path(command[0]).name} exited with {status}: {last}")
    return output


class Check:
    """A stack, its levels and what is known about them."""

    def __init__(self, repo: Path) -> None:
        self.repo = repo
        self.tree = Tree(BASE.name, repo)
        self.folder = self.tree.folder
        self.patches = BASE.patches
        self.levels = self.make_levels()
        self.code = digest(*((TOP / "scripts/avic" / n).read_text() for n in ("findings.py", "kbuild.py", "build.py")))
        self.touched = sorted(
            {file for patch in self.patches for file in patch.files if not file.startswith("tools/")}
        )
        self.includers: set[str] | None = None
        self.building: dict[Path, threading.Lock] = {}
        self.guard = threading.Lock()

    def make_levels(self) -> list[Level]:
        """The base and each patch on the ones before it, as far as they apply."""
        say(f"applying the {len(self.patches)} patches of {BASE.folder.name}, one by one")
        levels = [Level(0, "base", rev(self.repo, "base"))]
        with locked(self.repo), tree_aside(self.repo) as aside:
            trouble = context = ""
            for number, patch in enumerate(self.patches, 1):
                name = patch.path.name.removesuffix(".patch")
                if trouble:
                    trouble = f"{levels[-1].name} is not there"
                else:
                    trouble, context = aside.add(patch)
                commit = "" if trouble else aside.head
                levels.append(Level(number, name, commit, patch, trouble, context))
        series = BASE.series
        for section in series.sections:
            names = [name for each in [*series.needed(section), section] for name in each.names]
            if names != series.names[: len(names)]:
                patches = [patch for patch in self.patches if patch.name in names]
                levels.append(self.other(len(levels), f"{section.name}-alone", patches, "needs another section"))
        if BASE.small:
            levels.append(self.other(len(levels), "small", BASE.small, "does not fit the small form"))
        return levels

    def other(self, number: int, name: str, patches: list[Patch], else_: str) -> Level:
        """Another choice of patches on the base: a section on what it needs, or the small form.

        else_: what it means that a patch does not apply.
        """
        say(f"applying {name}")
        trouble = context = ""
        with locked(self.repo), tree_aside(self.repo) as aside:
            for patch in patches:
                if not trouble:
                    trouble, context = aside.add(patch)
                    trouble = trouble and f"{patch.path.name} {else_}: {trouble}"
            return Level(number, name, "" if trouble else aside.head, None, trouble, context)

    # A method for each kind of gate.  It returns all findings of a level, or raises CouldNot.

    def apply(self, gate: Gate, level: Level, _log: Path) -> list[Finding]:
        """No fuzz, and nothing moved."""
        if level.trouble:
            return [Finding(level.patch.path.name if level.patch else level.name, "", level.trouble)]
        return []

    def rules(self, gate: Gate, level: Level, _log: Path) -> list[Finding]:
        """The rules of a data file.  All patches are read, because some rules are about their order."""
        assert level.patch
        rules = changelog.read_rules(TOP / gate.arguments[0])
        history = Path(os.environ.get("TREE") or self.repo)
        found = changelog.check(rules, self.patches, history)
        return [each for each in found if each.file == level.patch.path.name]

    def checkpatch(self, gate: Gate, level: Level, log: Path) -> list[Finding]:
        """The base's own checkpatch.pl on the patch's file."""
        assert level.patch
        path = level.patch.path
        script = self.tree.text(self.levels[0].commit, "scripts/checkpatch.pl")
        if not script:
            raise CouldNot("the base has no scripts/checkpatch.pl")

        def run() -> list[Finding]:
            command = [
                "perl", "scripts/checkpatch.pl", *gate.arguments, "--terse", "--show-types", str(path),
            ]  # fmt: skip
            output = ran(command, self.tree.path, (0, 1))
            log.write_text(f"$ {' '.join(command)}\n{output}")
            lines = path.read_text().split("\n")

            def inside(number: int) -> str:
                heads = (line for line in lines[:number][::-1] if line.startswith("+++ b/"))
                return next(heads, "").removeprefix("+++ b/")

            found = of_checkpatch(output, path.name, inside)
            if found is None:
                raise CouldNot(f"checkpatch.pl did not finish (log: {log})")
            return found

        return self.remembered(digest(gate, script, path.read_text(), self.code), run)

    def make(self, gate: Gate, level: Level, log: Path) -> list[Finding]:
        """The objects that the stack touches, and those that see a header it touches."""
        build = self.build(gate)
        objects = [each.removesuffix(".c") + ".o" for each in self.touched if each.endswith(".c")]
        narrow = gate.levels == "touched" and not self.whole(level)
        source = level.commit and self.tree.source(level.commit)
        key = digest(gate, source, self.key_of(gate), self.touched, narrow, FULL)

        def run() -> list[Finding]:
            with self.lock_of(build.out):
                build.configure(gate.config)
                if lacks := build.lacks(gate.config):
                    return [Finding("", "", f"not in this base: {lacks}")]
                known = build.known() if narrow else {}
                only = [each for each in objects if each in known]
                targets = only or self.targets(build)
                found = build.make(self.command(build, *targets), log, only=only)
                if objects and not any((build.out / each).exists() for each in objects):
                    if not any("error:" in each.message for each in found):
                        raise CouldNot(f"make has built none of the stack's objects (log: {log})")
                return found

        return self.remembered(key, run)

    def selftests(self, gate: Gate, level: Level, log: Path) -> list[Finding]:
        """KVM's selftests, with the level's user headers."""
        out = self.folder / "build" / gate.name
        headers = self.folder / "build" / f"{gate.name}-headers"
        build = Build(self.tree.path, out, list(gate.variables), JOBS)
        source = self.tree.source(level.commit, "tools", "include", "arch/x86/include")

        def run() -> list[Finding]:
            # Not every base's Makefile knows which test includes which header: start anew.
            seen = out / "headers"
            want = digest(
                *(self.tree.text(level.commit, f) for f in sorted(self.selftest_headers())), level.number == 0
            )
            if not seen.exists() or seen.read_text() != want:
                shutil.rmtree(out, ignore_errors=True)
            out.mkdir(parents=True, exist_ok=True)
            seen.write_text(want)
            common = ["make", f"--jobs={JOBS}", "ARCH=x86_64", *build.variables]
            install = [*common, f"--directory={self.tree.path}", f"O={headers}", "headers"]
            if build.run(log, install):
                raise CouldNot(f"no user headers of this level (log: {log})")
            return build.make(
                [
                    *common, "--output-sync=target", "--keep-going",
                    f"--directory={self.tree.path / SELFTESTS}",
                    f"OUTPUT={out}", f"INSTALL_HDR_PATH={headers}/usr",
                    f"KHDR_INCLUDES=-isystem {headers}/usr/include",
                ],
                log,
                SELFTESTS,
            )  # fmt: skip

        return self.remembered(digest(gate, source, self.key_of(gate)), run)

    def spatch(self, gate: Gate, level: Level, log: Path) -> list[Finding]:
        """Semantic patches in report mode on the files that the stack touches, each by itself."""
        folder = gate.arguments[0]
        tool = version("spatch")
        with scratch("avic-spatch.") as aside:
            place = TOP
            if not (place / folder).is_dir():
                place = aside
                self.unpack(self.levels[0], place, folder)
            scripts = sorted((place / folder).rglob("*.cocci"))
            scripts = [each for each in scripts if "virtual report" in each.read_text()]
            if not scripts:
                raise CouldNot(f"no semantic patch in {folder}")
            rules = digest(tool, self.code, *(each.read_text() for each in scripts))
            keys = {
                file: digest(gate.kind, rules, file, text)
                for file in self.touched
                if file.endswith((".c", ".h")) and (text := self.tree.text(level.commit, file))
            }
            known = {file: self.recall(key) for file, key in keys.items()}
            files = [file for file in keys if known[file] is None]
            if files:
                source = aside / "source"
                source.mkdir()
                self.unpack(level, source, *files)
                output = ""
                for each in scripts:
                    command = [
                        "spatch", "-D", "report", "--no-show-diff", "--very-quiet", "--no-includes",
                        # Each file is parsed once for all of them.
                        "--cache-prefix", str(aside / "parsed"), "--cocci-file", str(each),
                        "--include-headers", "--dir", ".",
                    ]  # fmt: skip
                    output += f"$ {' '.join(command)}\n{ran(command, source)}"
                log.write_text(output)
                found = of_spatch(output, Places(source))
                for file in files:
                    mine = [each for each in found if each.file == file]
                    known[file] = mine
                    self.remember(keys[file], mine)
            return [each for file in keys for each in known[file] or []]

    def modpost(self, gate: Gate, level: Level, log: Path) -> list[Finding]:
        """The kernel's own modpost on KVM's modules, and the same question for what is built in.

        There is no vmlinux here that has the symbols.  So modpost is given those that the
        level's source exports, and those that the base's objects use though no line of C
        exports them.
        """
        version("nm")
        build = self.build(gate)
        base = self.folder / "build" / f"{gate.name}-base.json"

        def run() -> list[Finding]:
            with self.lock_of(build.out):
                build.configure(gate.config)
                targets = self.targets(build)
                found = build.make(self.command(build, *targets), log)
                if any("error:" in each.message for each in found):
                    raise CouldNot(f"not all of it builds: see the gate of {gate.config}")
                exports = kbuild.exports(self.tree.path)
                asked = {name: kbuild.symbols_of(build.out / name, "--undefined-only") for name in self.linked(build, targets)}
                if level.number == 0:
                    base.write_text(json.dumps({"exports": sorted(exports), "asked": sorted(set().union(*asked.values()))}))
                elif not base.exists():
                    raise CouldNot("the base's symbols are not known: run again with RERUN=1")
                known = json.loads(base.read_text())
                given = exports | (set(known["asked"]) - set(known["exports"]))
                return kbuild.modpost(build, asked, given, log)

        key = digest(gate, self.tree.source(level.commit), self.key_of(gate), self.touched, FULL)
        return self.remembered(key, run)

    def linked(self, build: Build, targets: list[str]) -> list[str]:
        """Objects whose symbols are checked: KVM's modules, and what the stack touches that is built in."""
        names = [*kbuild.MODULES, *(each for each in targets if each.endswith(".o"))]
        if missing := [each for each in kbuild.MODULES if not (build.out / each).exists()]:
            raise CouldNot(f"make has left out {missing[0]}")
        return [each for each in names if (build.out / each).exists()]

    # What these methods share.

    def unpack(self, level: Level, folder: Path, *names: str) -> None:
        """Write files or folders of a level below a temporary folder."""
        if complaint := unpack(self.repo, level.commit, folder, *names):
            raise CouldNot(complaint)

    def selftest_headers(self) -> set[str]:
        """Headers of the selftests that the stack touches."""
        return {f for p in self.patches for f in p.files if f.startswith("tools/") and f.endswith(".h")}

    def lock_of(self, out: Path) -> threading.Lock:
        """Two gates may share a build folder."""
        with self.guard:
            return self.building.setdefault(out, threading.Lock())

    def key_of(self, gate: Gate) -> str:
        """All but the source that the result of a build depends on."""
        config = [] if gate.kind == "selftests" else fragments(gate.config)
        tools = [version(v.partition("=")[2]) for v in gate.variables if v[:3] == "CC=" or v[:6] == "CHECK="]
        return digest(self.code, *tools, *(path.read_text() for path in config))

    def build(self, gate: Gate) -> Build:
        """A gate's build folder; each set of make variables has its own."""
        name = "-".join([gate.config, *(v.rpartition("=")[2].rpartition("/")[2] for v in gate.variables)])
        return Build(self.tree.path, self.folder / "build" / name, gate.variables, JOBS)

    def command(self, build: Build, *targets: str) -> list[str]:
        """Make, so that each object's lines stay together."""
        return [
            "make", f"--directory={self.tree.path}", f"O={build.out}",
            f"--jobs={JOBS}", "--output-sync=target", "--keep-going", *build.variables, *targets,
        ]  # fmt: skip

    def whole(self, level: Level) -> bool:
        """Whether a level is checked as a whole: the stack's two ends, and with FULL=1 all."""
        return FULL or level.number in (0, len(self.patches))

    def targets(self, build: Build) -> list[str]:
        """KVM, and the other objects that the stack touches, or that include a header it touches."""
        if FULL and "allmodconfig" in build.out.name:
            return []
        with self.guard:
            if self.includers is None:
                headers = {file for file in self.touched if file.endswith(".h")}
                self.includers = kbuild.includers(self.tree.path, headers)
        config = (build.out / ".config").read_text()
        objects = {
            file.removesuffix(".c") + ".o"
            for file in {*self.touched, *self.includers}
            if file.endswith(".c")
            and not file.startswith(kbuild.OWN)
            and kbuild.is_built(self.tree.path, config, file)
        }
        return [KVM, *sorted(objects)]

    def recall(self, key: str) -> list[Finding] | None:
        """Findings, from the cache if they are there."""
        path = self.folder / "results" / f"{key}.json"
        if not path.exists() or os.environ.get("RERUN"):
            return None
        return [Finding(**each) for each in json.loads(path.read_text())]

    def remember(self, key: str, found: list[Finding]) -> None:
        """Put findings into the cache."""
        path = self.folder / "results" / f"{key}.json"
        write(path, json.dumps([each.as_json() for each in found]))

    def remembered(self, key: str, run: Callable[[], list[Finding]]) -> list[Finding]:
        """Findings, from the cache if they are there."""
        found = self.recall(key)
        if found is None:
            found = run()
            self.remember(key, found)
        return found


KINDS = ("apply", "rules", "checkpatch", "make", "selftests", "spatch", "modpost")
TELLS = ", by this patch or one before it: FULL=1 tells which"
# They don't need the level's files to be in the tree.
TREELESS = ("apply", "rules", "spatch")


class Verdicts:
    """All gates on all levels, and their verdicts."""

    def __init__(self, check: Check, gates: list[Gate]) -> None:
        self.check, self.gates = check, gates
        self.allowed = read_allowed(TOP / "ci/check/allowed")
        self.logs = check.folder / "logs"
        self.verdicts: list[Verdict] = []
        self.base: dict[str, list[Finding] | None] = {}
        self.told: dict[str, list[Finding]] = {}

    def wanted(self, gate: Gate, level: Level) -> bool:
        """Whether a gate looks at a level."""
        if level.number > 0 and not level.patch:
            return gate.kind == "apply" or gate.levels == "all" or (FULL and gate.levels != "patch")
        if gate.levels == "patch":
            return level.number > 0
        return gate.levels != "ends" or self.check.whole(level)

    def one(self, gate: Gate, level: Level) -> None:
        """A gate on a level: its verdict, and a line of progress."""
        begin = time.monotonic()
        log = self.logs / f"{gate.name}.{level.name}"
        log.parent.mkdir(parents=True, exist_ok=True)
        found: list[Finding] = []
        try:
            if level.trouble and gate.kind not in ("apply", "rules", "checkpatch"):
                raise CouldNot(f"no such level: {level.trouble}")
            found = getattr(self.check, gate.kind)(gate, level, log)
            status, text, found = self.judge(gate, level, found)
        except CouldNot as why:
            status, text = COULD_NOT, f"could not check: {why}"
            if level.number == 0:
                self.base[gate.name] = None
        except OSError as why:
            status, text = COULD_NOT, f"could not check: {why}"
        command = " ".join([gate.kind, *gate.arguments])
        seconds = time.monotonic() - begin
        self.verdicts.append(Verdict(gate.name, level.name, command, status, text, found, seconds))
        with self.check.guard:
            if Tools.stopped:
                return
            say(f"{gate.name:10} {level.name}: {text} ({seconds:.0f} s)")

    def judge(self, gate: Gate, level: Level, found: list[Finding]) -> tuple[int, str, list[Finding]]:
        """What the base lacks and nothing allows; each finding is told once, of the patch that brings it."""
        if found and found[0].message.startswith("not in this base"):
            self.base.setdefault(gate.name, [])
            return GREEN, found[0].message, []
        if level.number == 0:
            self.base[gate.name] = found
            errors = sum("error:" in each.message for each in found)
            return GREEN, f"{len(found)} known, {errors} of them errors" if found else "nothing known", []
        before: list[Finding] = []
        if gate.levels != "patch":
            base = self.base.get(gate.name)
            if base is None:
                raise CouldNot("the base could not be checked")
            before = [*base, *self.told.get(gate.name, [])]
        new = more(found, before)
        self.told.setdefault(gate.name, []).extend(new)
        red = [
            each
            for each in new
            if not any(gate.name == name and regex.search(str(each)) for name, regex in self.allowed)
        ]
        if red:
            others = f" and {len(red) - 1} more" if len(red) > 1 else ""
            return RED, f"{red[0]}{others}{TELLS if self.looks_back(gate, level) else ''}", red
        return GREEN, "ok", []

    def looks_back(self, gate: Gate, level: Level) -> bool:
        """Whether a gate sees more on this level than on the one before."""
        return (
            gate.levels in ("touched", "ends") and not FULL and level.number > 1 and self.check.whole(level)
        )

    def run(self) -> None:
        """Level by level, because there is one tree; a level's gates run in parallel.

        Gates that need no tree run beside all that.
        """
        treeless = [gate for gate in self.gates if gate.kind in TREELESS]
        others = [gate for gate in self.gates if gate.kind not in TREELESS]
        with ThreadPoolExecutor(JOBS) as pool, ThreadPoolExecutor(1) as beside:
            waiting = [beside.submit(self.all_levels, treeless)]
            try:
                for level in self.check.levels:
                    gates = [gate for gate in others if self.wanted(gate, level)]
                    if gates and level.commit:
                        self.check.tree.checkout(level.commit)
                    now = [pool.submit(self.one, gate, level) for gate in gates]
                    waiting += now
                    for each in now:
                        each.result()
                waiting[0].result()
            except BaseException:
                for each in waiting:
                    each.cancel()
                Tools.stop()
                raise

    def all_levels(self, gates: list[Gate]) -> None:
        """Some gates, one after the other, each on all its levels."""
        for gate in gates:
            for level in self.check.levels:
                if self.wanted(gate, level) and not Tools.stopped:
                    self.one(gate, level)

    def table(self) -> list[str]:
        """A line a gate."""
        rows = []
        for gate in self.gates:
            mine = [each for each in self.verdicts if each.gate == gate.name]
            bad = [each for each in mine if each.status]
            seconds = sum(each.seconds for each in mine)
            if bad:
                word = "RED" if any(each.status == RED for each in bad) else "could not check"
                note = f"{len(bad)} of {len(mine)}: {', '.join(each.level for each in bad)}"
            elif all(each.text.startswith("not in this base") for each in mine):
                word, note = "-", mine[0].text if mine else ""
            else:
                known = len(self.base.get(gate.name) or [])
                word = "ok" if mine else "could not check"
                note = f"{known} known on the base" if known else ""
            rows.append(f"{gate.name:12} {len(mine):6}  {word:15} {seconds:7.0f}  {note}".rstrip())
        return [f"{'gate':12} levels  {'verdict':15} seconds", *rows]

    def report(self, asked: list[str], seconds: float) -> tuple[int, Path]:
        """Write table, JSON and JUnit of what was asked for; returns the exit status and the folder."""
        folder = CACHE / "report" / "-".join([*asked, BASE.name])
        order = [(gate.name, level.name) for level in self.check.levels for gate in self.gates]
        self.verdicts.sort(key=lambda each: order.index((each.gate, each.level)))
        bad = [each for each in self.verdicts if each.status]
        nothing = [gate.name for gate in self.gates if gate.name not in {v.gate for v in self.verdicts}]
        lines = [f"base     {BASE} ({self.check.repo.name})", f"patches  {len(self.check.patches)}",
                 f"seconds  {seconds:.0f}", "", *self.table(), ""]  # fmt: skip
        for each in bad:
            lines.append(f"red      {each.gate} {each.level}: {each.text}")
            lines += [f"           {finding}" for finding in each.findings[1:]]
        lines += [f"red      {name}: could not check: it has looked at no level" for name in nothing]
        red = len(bad) + len(nothing)
        lines.append(f"verdict  {f'{red} red' if red else 'all gates are green'}")
        results = [
            Result(each.gate, each.level, "fail" if each.status == RED else "error" if each.status else "pass",
                   each.text, [str(finding) for finding in each.findings])
            for each in self.verdicts
        ]  # fmt: skip
        with replaced(folder) as new:
            (new / "summary.txt").write_text("\n".join([*lines, f"report   {folder}"]) + "\n")
            (new / "junit.xml").write_bytes(junit([Column("base"), Column(BASE.name, results)]))
            (new / "verdicts.json").write_text(
                json.dumps(
                    [vars(each) | {"findings": [f.as_json() for f in each.findings]} for each in self.verdicts],
                    indent=1,
                )
                + "\n"
            )
        return (RED if red else GREEN), folder


def main() -> int:
    asked = sys.argv[1:] or ["check"]
    if any(each.startswith("-") for each in asked):
        print(__doc__)
        return 0 if asked[0] in ("-h", "--help") else 2
    gates = read_gates(TOP / "ci/check/gates", asked)
    read_series(BASE.folder)
    begin = time.monotonic()
    check = Check(BASE.tree("fetch"))
    with check.tree.alone():
        verdicts = Verdicts(check, gates)
        verdicts.run()
        status, folder = verdicts.report(asked, time.monotonic() - begin)
    show((folder / "summary.txt").read_text().rstrip("\n"))
    return status
