# SPDX-License-Identifier: GPL-2.0
"""kvm-unit-tests as tests of a run: KUT= names a checkout of the user's, ci/inner/kut says how they are run.

KUT=pinned is the commit of ci/inner/kut-source, fetched into the cache.  They are guests that
Debian's QEMU runs with KVM, inside the machine (ci/inner/run).  The checkout is only read:
what is built is built of a copy.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from avic import inner, raw
from avic.aside import replaced
from avic.build import digest, jobs, run_make, show_end
from avic.inner import Guests
from avic.ktap import Result
from avic.paths import CACHE, TOP
from avic.process import fail, say
from avic.tables import read_table
from avic.tree import git

POLICY = TOP / "ci" / "inner" / "kut"
SOURCE = TOP / "ci" / "inner" / "kut-source"
PINNED = "pinned"
FORM = "test|leave|known|may|less WORD... ## why"
CONFIGS = "x86/unittests.cfg"
# As x86/run of kvm-unit-tests has it: a PIT that reinjects would inhibit AVIC.
DEVICES = (
    "-global", "kvm-pit.lost_tick_policy=discard",
    "-device", "pc-testdev",
    "-device", "isa-debug-exit,iobase=0xf4,iosize=0x4",
    "-device", "pci-testdev",
)  # fmt: skip
SAID = re.compile(r"inner: QEMU ended with (\d+), failures: (\d+)$")
FAILURE = re.compile(r"(?:FAIL|XPASS): (.*)")
SUMMARY = re.compile(r"SUMMARY: \d+ tests(?:, (\d+) unexpected failures)?")


@dataclass(frozen=True)
class Known:
    """A case that fails on base and stack, or may do so, and why."""

    base: str
    lane: str
    test: str
    case: str
    why: str
    always: bool


@dataclass
class Policy:
    """ci/inner/kut, read."""

    rules: list[tuple[str, int, str, str]] = field(default_factory=list)  # NAME, SECONDS, AVIC, why left out or ''
    known: list[Known] = field(default_factory=list)
    less: list[tuple[str, str, str]] = field(default_factory=list)  # FILE, NUMBER, NEW

    @classmethod
    def read(cls, path: Path = POLICY) -> Policy:
        """Read it; exits with 1 at a line that is wrong."""
        policy = cls()
        for words, why in read_table(path, FORM):
            try:
                policy.add(why, *words)
            except (TypeError, ValueError, re.error):
                fail(1, f"{path.name}: no line of it is made like '{' '.join(words)}': see its head")
        return policy

    def add(self, why: str, kind: str, *words: str) -> None:
        """Add a line; raises TypeError, ValueError or re.error if it is wrong."""
        if kind == "test":
            name, seconds, avic = words
            if avic not in ("on", "off", "-"):
                raise ValueError
            self.rules.append((name, int(seconds), avic, ""))
        elif kind == "leave":
            (name,) = words
            self.rules.append((name, 0, "-", why))
        elif kind in ("known", "may"):
            base, lane, test, *case = words
            re.compile(" ".join(case))
            self.known.append(Known(base, lane, test, " ".join(case or [""]), why, kind == "known"))
        elif kind == "less":
            file, number, new = words
            if not 0 < int(new) < int(number):
                raise ValueError
            self.less.append((file, number, new))
        else:
            raise ValueError

    def rule(self, name: str) -> tuple[int, str, str]:
        """A test's SECONDS and AVIC, and why it is left out, or ''; raises ValueError if there is no line for it."""
        for pattern, seconds, avic, why in self.rules:
            if fnmatch.fnmatchcase(name, pattern):
                return seconds, avic, why
        raise ValueError(f"no line for {name}")

    def expected(self, base: str, lane: str, test: str) -> list[Known]:
        """What is known to fail in a test, without its folder, in a lane of a base."""
        return [
            each for each in self.known
            if all(fnmatch.fnmatchcase(*pair) for pair in ((base, each.base), (lane, each.lane), (test, each.test)))
        ]  # fmt: skip


# What to run.


@dataclass
class Config:
    """A section of x86/unittests.cfg."""

    name: str
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def nodefault(self) -> bool:
        """Whether upstream runs it only by hand."""
        return "nodefault" in self.fields.get("groups", "").split()

    def case(self) -> str:
        """It as a file for ci/inner/run; raises ValueError if something in it can't be given to QEMU."""
        words = [*DEVICES, "-kernel", f"files/{self.fields['file']}", "-smp", self.fields.get("smp", "1")]
        if arguments := self.fields.get("test_args"):
            words += ["-append", *shlex.split(arguments)]
        words += shlex.split(self.fields.get("qemu_params", ""))
        return inner.case(words, *(f"check {each}" for each in self.fields.get("check", "").split()))


def read_configs(text: str) -> list[Config]:
    """The sections of x86/unittests.cfg; raises ValueError at a line that is none of its kind."""
    found: list[Config] = []
    for number, line in enumerate(text.splitlines(), 1):
        key, equals, value = (part.strip() for part in line.partition("="))
        if not line.strip() or line.startswith("#"):
            continue
        if section := re.fullmatch(r"\[(\S+)\]", line.strip()):
            found.append(Config(section[1]))
        elif equals and found and '"""' not in value:
            found[-1].fields["qemu_params" if key == "extra_params" else key] = value
        else:
            raise ValueError(f"{CONFIGS}:{number}: '{line}'")
    if not found or any("file" not in each.fields for each in found):
        raise ValueError(f"{CONFIGS} has a section without a file, or none at all")
    return found


def choose(text: str, policy: Policy, flats: Path) -> Guests:
    """What of x86/unittests.cfg is run; raises ValueError where it can't be understood.

    flats: a folder with what is built of it.
    """
    chosen, left_out = Guests(), []
    for config in read_configs(text):
        seconds, avic, why = policy.rule(config.name)
        if why or config.nodefault or config.fields.get("arch", "x86_64") != "x86_64":
            left_out.append(config.name)
            continue
        flat = config.fields["file"]
        if not (flats / flat).exists():
            raise ValueError(f"[{config.name}] names {flat}, which is not built")
        chosen.files[flat] = flats / flat
        chosen.test(f"kut/{config.name}", seconds, avic, config.case())
    chosen.what["no kut"] = f"{' '.join(left_out)} (ci/inner/kut)"
    return chosen


# The checkout.


def pinned(source: Path = SOURCE) -> Path:
    """A checkout in the cache of the commit that a file like ci/inner/kut-source names; exits with 1 if it can't be had."""
    fields = dict(re.findall(r"^(\w+): *(\S+)$", source.read_text(), re.MULTILINE))
    if fields.keys() != {"From", "Commit"} or not re.fullmatch(r"[0-9a-f]{40}", fields["Commit"]):
        fail(1, f"{source.name}: want 'From: ADDRESS' and 'Commit: 40 hex digits'")
    address, commit = fields["From"], fields["Commit"]
    folder = CACHE / "kut" / f"source-{commit[:12]}"
    if not folder.exists():
        say(f"fetching kvm-unit-tests {commit[:12]} from {address}")
        with replaced(folder) as new:
            git(new, "init", "--quiet")
            # Not by git(), which no signal ends.
            slow = ("-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60")
            got = subprocess.run(
                ["git", "-C", new, *slow, "fetch", "--quiet", "--depth=1", address, commit],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            )  # fmt: skip
            if got.returncode:
                why = " ".join(got.stderr.split())
                fail(1, f"kvm-unit-tests can't be had from {address}: {why}: KUT=FOLDER takes a checkout of your own")
            # What the server sends for it is what git has checked against the commit's name.
            git(new, "checkout", "--quiet", "--detach", commit)
    return folder


def checkout() -> Path | None:
    """KUT=, None if it is not set; exits with 2 if it is no checkout of kvm-unit-tests."""
    if not (name := os.environ.get("KUT")):
        return None
    if name == PINNED:
        return pinned()
    folder = Path(name).expanduser().resolve()
    if not (folder / CONFIGS).is_file() or not (folder / ".git").exists():
        fail(2, f"KUT={name} is no checkout of kvm-unit-tests: it has no {CONFIGS}, or no .git")
    return folder


def version(folder: Path) -> str:
    """A checkout's commit, with -dirty behind it if files differ from it."""
    return git(folder, "-c", "safe.directory=*", "describe", "--always", "--dirty").stdout.strip()


def sources(folder: Path) -> list[str]:
    """The files of a checkout, without what git ignores: the user may have built there, for another compiler."""
    listed = git(
        folder, "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard",
    ).stdout.split("\0")  # fmt: skip
    return sorted({name for name in listed if name and ((folder / name).is_symlink() or (folder / name).is_file())})


def lessen(source: Path, policy: Policy) -> None:
    """Change the numbers in a copy that ci/inner/kut names; exits if one is not there: the test would take hours."""
    for file, number, new in policy.less:
        path = source / file
        text, times = re.subn(rf"(?<![\w.]){number}(?!\d|\.)", new, raw.read(path) if path.exists() else "")
        if not times:
            fail(1, f"kvm-unit-tests' {file} has no {number}: mend the line 'less' in {POLICY.relative_to(TOP)}")
        raw.write(path, text)


def built(folder: Path, policy: Policy) -> Path:
    """A folder of the cache with a checkout's x86/*.flat and its list of tests, built first if need be.

    Exits if it does not build.
    """
    names = sources(folder)
    parts: list[bytes | str] = [subprocess.check_output(["gcc", "--version"]), Path(__file__).read_bytes()]
    parts += [" ".join(line) for line in policy.less]
    for name in names:
        path = folder / name
        parts += [name, os.readlink(path) if path.is_symlink() else path.read_bytes()]
    done = CACHE / "kut" / digest(*parts)
    if done.exists():
        return done
    log = CACHE / "kut" / "build.log"
    say(f"building kvm-unit-tests of {folder} (log: {log})")
    log.parent.mkdir(parents=True, exist_ok=True)
    with replaced(done) as new:
        source = new / "source"
        for name in names:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / name, source / name, follow_symlinks=False)
        lessen(source, policy)
        there = f"--chdir={source}"
        if not (
            run_make(log, "env", there, "./configure", "--arch=x86_64", "--disable-werror")
            and run_make(log, "env", there, "make", f"--jobs={jobs()}")
        ):
            show_end(log)
            fail(1, f"kvm-unit-tests of {folder} do not build (log: {log})")
        for flat in (source / "x86").glob("*.flat"):
            flat.rename(new / flat.name)
        (source / CONFIGS).rename(new / Path(CONFIGS).name)
        shutil.rmtree(source)
    return done


def prepare(folder: Path) -> Guests:
    """A checkout's tests; exits if they do not build, or can't be understood."""
    policy = Policy.read()
    flats = built(folder, policy)
    try:
        found = choose((flats / Path(CONFIGS).name).read_text(), policy, flats)
    except ValueError as error:
        fail(1, f"{folder}/{CONFIGS}: {error}: a line 'leave' in {POLICY.relative_to(TOP)} leaves it out")
    found.what = {"kut": version(folder), **found.what}
    return found


# What came of it.


def settle(result: Result, base: str, policy: Policy) -> None:
    """Make of what a test said its failing cases; it passes if these are the known ones, and only then.

    A test that timed out, or brought the kernel to complain, stays what it is.
    """
    if result.status not in ("pass", "fail"):
        return
    ends = [(n, match) for n, line in enumerate(result.log) if (match := SAID.match(line))]
    if not ends:
        # Of more than run-plan keeps, or QEMU failed.
        if result.status == "pass":
            result.status, result.note = "error", "passed, but its end is not there"
        return
    at, said = ends[-1]
    result.failing = [match[1] for line in result.log[at:] if (match := FAILURE.match(line))]
    summary = [match for line in result.log[at:] if (match := SUMMARY.match(line))]
    known = policy.expected(base, result.lane, result.name.partition("@")[0].removeprefix("kut/"))
    unknown = [case for case in result.failing if not any(re.fullmatch(each.case, case) for each in known)]
    always = [each.case for each in known if each.always]
    gone = [regex for regex in always if not any(re.fullmatch(regex, case) for case in result.failing)]
    told = int(summary[-1][1] or 0) if summary else int(said[2])
    if int(said[2]) != len(result.failing):
        wrong = f"{said[2]} cases fail, only {len(result.failing)} of them are in the log"
    elif told != len(result.failing):
        wrong = f"{len(result.failing)} cases fail, its summary has {told}"
    elif unknown:
        wrong = f"{len(unknown)} cases fail: {'; '.join(unknown)}"
    elif gone:
        wrong = f"'{gone[0]}' does not fail any more: remove it from ci/inner/kut"
    elif result.status == "fail" and (said[1] != "3" or not result.failing):
        wrong = f"QEMU ended with {said[1]}, no case failed that would explain it"
    elif result.status == "pass" and result.failing:
        wrong = f"{result.failing[0]}: failed, but the test ended as if all was well"
    else:
        if result.failing:
            result.status, result.note = "pass", f"{len(result.failing)} cases fail, as {POLICY.relative_to(TOP)} says"
        return
    result.status, result.note = "fail", wrong
