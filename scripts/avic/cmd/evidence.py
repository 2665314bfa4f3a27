# SPDX-License-Identifier: GPL-2.0
"""evidence [SLUG...]: each fix's test fails on the level before the fix, and passes from it on.

  SLUG         only these changes, on fewer levels: before and from each on, and with the whole
               stack; the stored evidence stays what it is
  BASE=v6.12   which base           TREE=     a user's own kernel tree
  QEMU=        another QEMU than the one that ci/emulator/build makes
  RERUN=1      run again though nothing has changed
  JOBS=, V=1   as in scripts/build

Builds KVM's modules at every level of the stack (level N is the base with N
patches; for a VARIANT of ci/proofs only on the levels before and from the change on, and with
the whole stack), runs the cases of ci/proofs with them on an emulated machine with
AVIC, and an IOMMU where a case has a device, and prints a line for each as soon as
it is known.  The level before a fix has a machine of its own, because its bug may
corrupt memory.  So have the cases of each VARIANT; QEMU gets the options of
ci/emulator/oddities for the machines of those that name it.  What does not fail
before its fix is run three times in all, and the line says which run failed: a busy
machine may miss a race.  A run that has not changed is not run again.  The results
are kept in the cache, for the report.  Exit status 1 if a line is red: a case does
not fail before its fix for the reason that ci/proofs gives, or does not pass from the
fix on.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from avic import ktap
from avic.aside import aside, replaced
from avic.base import BASE, Base
from avic.build import Images
from avic.changes import ids, read_changes, unfixed
from avic.paths import CACHE, TOP
from avic.machine import Run, copy_logs, first_over, kept, made_with, need_qemu, stack_of
from avic.modules import MODULES, Modules, alone
from avic.plan import Lane, Plan, Test
from avic.process import fail, script, show
from avic.proof import KERNELS, RACES, WITH_DEVICE, Proof, load_proofs, parts_of
from avic.raw import printable
from avic.results import Case, Evidence, Seen, save

SECONDS = {"": 120, "kasan": 600, "notifier": 300}  # for one case, by what is built
AT_ONCE = 2  # machines
TRIES = 3  # of the level before a fix: a race may be missed on a busy machine, and one failure proves that it is there
OF_A_PANIC = 80  # lines
SELFTEST = "selftest-"  # how the slugs of tests begin; no claim is made about the levels before them
# A change to anything else than these needs a kernel of its own.
OF_MODULES = re.compile(
    r"(arch/x86/kvm|virt/kvm|tools|Documentation)/|arch/x86/include/asm/kvm|include/linux/kvm_"
)


@dataclass
class Built:
    """The base with some of its patches: modules, and the kernel that they are for."""

    modules: Path
    kernel: Path


def lane(number: int) -> str:
    """The name of a level's lane, and of its modules in a bundle."""
    return f"level-{number}"


@dataclass
class Row:
    """A proof, the level from which it must pass, and what was seen on which level."""

    proof: Proof
    before: int  # the level on which it must fail, if fails_before
    first: int  # 0 if it must pass on the base already
    fails_before: bool
    seen: dict[int, ktap.Result] = field(default_factory=dict)
    tries: int = 1  # how often the level before was run

    def problems(self, stands: dict[int, int]) -> list[str]:
        """What speaks against the proof; nothing if it holds.

        stands: each level of the stack -> the level that was run for it.
        """
        found = []
        if self.fails_before:
            before = self.seen[self.before]
            said = "\n".join([*before.log, before.note])
            if before.status not in ("fail", "splat", "panic", "hang"):
                found.append(f"does not fail at {self.before}: {said_by(before)}")
            elif not re.search(self.proof.why, said):
                found.append(f"fails for another reason at {self.before}: {said_by(before)}")
        for level, number in stands.items():
            if level >= self.first and self.seen[number].status != "pass":
                found.append(f"does not pass at {level}: {said_by(self.seen[number])}")
        return found

    def complete(self, stands: dict[int, int]) -> bool:
        """Whether all levels that it is about have been run."""
        wanted = {number for level, number in stands.items() if level >= self.first}
        return self.seen.keys() >= (wanted | {self.before} if self.fails_before else wanted)

    def text(self, stands: dict[int, int]) -> str:
        """The line for people."""
        proof = self.proof
        problems = self.problems(stands)
        passes = [level for level in stands if level >= self.first]
        gaps = len(passes) < max(stands) - self.first + 1
        verdict = f"passes {' '.join(map(str, passes)) if gaps else f'{self.first}..{max(stands)}'}"
        if self.fails_before:
            which = f" in run {self.tries}" if self.tries > 1 else ""
            verdict = f"fails at {self.before}{which}, {verdict}"
        if problems:
            verdict = f"RED: {problems[0]}"
            if problems[1:]:
                verdict += f" (and {len(problems) - 1} more)"
        return f"{proof.id:3} {proof.slug:25} {proof.test} {proof.case}  {verdict}"


def said_by(result: ktap.Result) -> str:
    """A result in a few words."""
    return " ".join([result.status, result.note, *result.log[-1:]])


def changed(repo: Path, one: str, other: str) -> set[str]:
    """Files outside of KVM's modules that differ between two commits."""
    names = script("git", "-C", repo, "diff", "--name-only", one, other).split("\n")
    return {name for name in names if name and not OF_MODULES.match(name)}


def kernel_of(build: str) -> tuple[str, str, str]:
    """The kernel's configuration, its patch of ci/races, and one for KVM's modules alone; build: see avic.proof.parts_of()."""
    if not build or build in KERNELS:
        return build or "emulator", "", ""
    diff = (RACES / f"{build}.patch").read_text()
    if all(map(OF_MODULES.match, re.findall(r"^\+\+\+ b/(.*)", diff, re.MULTILINE))):
        return "emulator", "", diff
    return "emulator", build, ""


def levels_for(rows: list[Row], top: int, chosen: bool) -> set[int]:
    """The levels on which rows of one variant are run; top: that of the whole stack.

    A variant may need a kernel for each level, so its rows are run at the ends only: on the
    level before the change, from the change on, and with the whole stack.  So are rows that
    were chosen by name.
    """
    if not rows[0].proof.variant and not chosen:
        return set(range(min(row.before for row in rows), top + 1))
    return {level for row in rows for level in (row.before, row.first)} | {top}


def build_levels(repo: Path, build: str, rows: list[Row], chosen: bool) -> dict[int, Built]:
    """Modules and kernel of each level that the rows need, see levels_for(); exits if one does not build."""
    config, patch, diff = kernel_of(build)
    builds = Images(BASE, repo)

    def image(level: str) -> Path:
        # Without selftests: each case has those of the whole stack.
        return builds.image(level, config, patch, tests=False)

    images = {"stack": image("stack")}
    builder = Modules(repo, images["stack"], build)
    commits = script("git", "-C", repo, "rev-list", "--reverse", "base..stack").split()
    wanted = levels_for(rows, len(commits), chosen)
    levels = {}
    for number, commit in enumerate([script("git", "-C", repo, "rev-parse", "base"), *commits]):
        if number not in wanted:
            continue
        name = f"level {number}{build and '-'}{build}"
        modules, trouble = builder.build(name, commit, diff)
        if trouble:
            fail(1, f"level {number} of {BASE} {trouble}")
        # Most levels can use the kernel of another one.
        same = [image for other, image in images.items() if not changed(repo, other, commit)]
        if not same:
            images[commit] = image(str(number) if number else "base")
            same = [images[commit]]
        levels[number] = Built(modules, same[0] / "bzImage")
    builder.prune()
    return levels


def distinct(levels: dict[int, Built]) -> dict[int, int]:
    """Level -> the first level with the same modules and kernel, which stands for it."""
    first: dict[tuple[bytes, ...], int] = {}
    stands = {}
    for number, level in levels.items():
        content = tuple((level.modules / name).read_bytes() for name in MODULES)
        key = (*content, str(level.kernel).encode())
        stands[number] = first.setdefault(key, number)
    return stands


@dataclass
class Kind:
    """What the machines of some rows have in common; each kind is run separately."""

    variant: str
    machine: str
    selftests: Path
    levels: dict[int, Built]
    stands: dict[int, int]  # see distinct()

    @property
    def suffix(self) -> str:
        """The end of its machines' names."""
        device = "device" if self.machine == WITH_DEVICE else ""
        return "".join(f"-{word}" for word in (self.variant, device) if word)


@dataclass
class Boot:
    """One machine: which cases it runs on which levels."""

    name: str
    cases: dict[int, list[Row]]
    kind: Kind
    tries: int = 1
    logs: Path = field(default_factory=Path)  # once it has run

    def image(self, folder: Path) -> Path:
        """A folder for scripts/bundle with the modules of the levels; all have one kernel."""
        (folder / "modules").mkdir(parents=True)
        (folder / "selftests").symlink_to(self.kind.selftests)
        for number in self.cases:
            (folder / "modules" / lane(number)).symlink_to(self.kind.levels[number].modules)
        (folder / "bzImage").symlink_to(self.kind.levels[number].kernel)
        return folder

    def plan(self) -> Plan:
        """What the machine has to do."""
        lanes = []
        for number, rows in self.cases.items():
            tests = []
            # Changes that show together have one case.
            for proof in {row.proof.name: row.proof for row in rows}.values():
                command = [f"./{find_test(self.kind.selftests, proof.test)}", *proof.arguments]
                seconds = SECONDS.get(parts_of(proof.variant)[0], SECONDS[""])
                # Another name, as the plan is in the key by which an equal run is found.
                tests.append(Test(f"{proof.name}{self.mark}", seconds, command, proof.wants))
            lanes.append(Lane(lane(number), lane(number), ["avic=1"], tests))
        return Plan(self.kind.machine.split(), lanes, parts_of(self.kind.variant)[1])

    @property
    def seconds(self) -> int:
        """How long it may take."""
        return sum(test.seconds for test in self.plan().tests)

    @property
    def mark(self) -> str:
        """What the names of its tests end in."""
        return f"@{self.tries}" if self.tries > 1 else ""

    def once_more(self) -> Boot | None:
        """The machine for another try of what did not fail on the level before; its rows have not seen that then."""
        missed: dict[int, list[Row]] = {}
        for number, rows in self.cases.items():
            for row in rows:
                if row.fails_before and row.before == number and row.seen[number].status == "pass":
                    missed.setdefault(number, []).append(row)
        if not missed or self.tries == TRIES:
            return None
        for number, rows in missed.items():
            for row in rows:
                row.tries = self.tries + 1
                del row.seen[number]
        return Boot(f"{self.name.removesuffix(self.mark)}@{self.tries + 1}", missed, self.kind, self.tries + 1)

    def note(self, result: ktap.Result) -> None:
        """Put a result into its row; a splat outside of the tests counts for all rows of its lane."""
        for number, rows in self.cases.items():
            for row in rows:
                if result.lane == lane(number) and result.name in (
                    f"{row.proof.name}{self.mark}", "(load)", "(unload)", "(lane)",
                ):  # fmt: skip
                    row.seen[number] = result


def selftests_of(repo: Path, home: str) -> Path:
    """The KVM selftests of this base's stack, or of another's, adapted as this base's file says."""
    if home in ("", BASE.name):
        return Images(BASE, repo).selftests("stack")
    base = Base.named(home)
    return Images(base, base.tree("apply")).selftests("stack", *BASE.why("Adapt"))


def find_test(selftests: Path, name: str) -> Path:
    """Where a test of the stack is; exits if there is none."""
    for path in sorted(selftests.rglob(name)):
        return path.relative_to(selftests)
    fail(1, f"ci/proofs: no selftest '{name}' in {selftests}")
    raise AssertionError


def choose(proofs: list[Proof], slugs: list[str]) -> list[Row]:
    """A row for each change of a proof that has a case; exits if a change has no proof."""
    for slug in slugs:
        if not any(slug in proof.slugs for proof in proofs):
            fail(1, f"ci/proofs has nothing for {slug} of patches/{BASE}: add a line")
    rows = []
    alone = {proof.slug for proof in proofs if proof.test != "-"}
    lacking = {proof.test for proof in proofs if proof.slug.startswith(SELFTEST) and proof.slug not in slugs}
    for proof in proofs:
        test = proof.slug.startswith(SELFTEST)
        if proof.test == "-" or (test and proof.slug not in slugs):
            continue
        here = [slug for slug in proof.slugs if slug in slugs]
        if not here and not proof.home and proof.test in lacking:
            continue
        at = [slugs.index(slug) + 1 for slug in here]
        begin = slugs.index(proof.needs) + 1 if proof.needs in slugs else 0
        before, first = (min(at) - 1, max(at)) if at else (begin, begin)
        for slug in here or proof.slugs[:1]:
            if len(proof.slugs) > 1 and slug in alone:
                continue  # its own line counts
            own = replace(proof, slug=slug, id=proof.id.split("+")[proof.slugs.index(slug)])
            rows.append(Row(own, before, first, bool(at) and not test))
    return rows


def boots(rows: list[Row], kind: Kind) -> list[Boot]:
    """A machine for each level before a fix; for all other levels, one for each kernel."""
    before: dict[int, Boot] = {}
    after: dict[Path, Boot] = {}
    for row in rows:
        if row.fails_before:
            new = Boot(f"before-{row.proof.slug}{kind.suffix}", {row.before: []}, kind)
            boot = before.setdefault(row.before, new)
            boot.cases[row.before].append(row)
        for number in sorted({kind.stands[n] for n in kind.levels if n >= row.first}):
            kernel = kind.levels[number].kernel
            boot = after.setdefault(kernel, Boot(f"after-{len(after)}{kind.suffix}", {}, kind))
            boot.cases.setdefault(number, []).append(row)
    return [*before.values(), *after.values()]


def run(boots: list[Boot], place: Path) -> Iterator[Boot]:
    """Run all machines, some at once, and note what was seen in their rows; each that has ended.

    What did not fail on the level before its fix is run again, TRIES times in all.
    """
    # The longest first, so that none runs alone at the end.
    waiting = sorted(boots, key=lambda boot: boot.seconds, reverse=True)
    running: dict[Run, Boot] = {}
    try:
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                boot = waiting.pop(0)
                name = f"{len(waiting)}.{boot.name}"
                image = boot.image(place / f"{name}.image")
                started = Run(image, boot.plan(), place / name)
                running[started] = boot
                started.start()
            started = first_over(running)
            boot = running.pop(started)
            boot.logs = started.finish()
            wants = {test.name: test.wants for test in started.plan.tests}
            for result in sorted(started.results(), key=lambda result: result.name.startswith("(")):
                ktap.prove(result, wants.get(result.name, "on"), avic=True)
                if result.status == "panic":
                    # The KTAP ends before the panic; the console has the reason.
                    console = ktap.read_text(boot.logs / "console").splitlines()[-OF_A_PANIC:]
                    result.log += [printable(line) for line in console]
                boot.note(result)
            if more := boot.once_more():
                waiting.insert(0, more)
            yield boot
    finally:
        for started in running:
            started.stop()


def store(
    folder: Path,
    what: dict[str, str],
    rows: list[Row],
    stands: dict[str, dict[int, int]],
    ran: list[Boot],
) -> None:
    """Keep what was seen, and the logs of the machines that it was seen on.

    stands: for each variant, which level was run for which.
    """
    cases = []
    for row in rows:
        booted = {
            number: boot.name for boot in ran for number, each in boot.cases.items() if row in each
        }
        cases.append(Case(
            **asdict(row.proof), first=row.first, fails_before=row.fails_before,
            problems=row.problems(stands[row.proof.variant]),
            seen=[Seen(n, booted[n], result) for n, result in sorted(row.seen.items())],
        ))  # fmt: skip
    with replaced(folder) as new:
        for boot in ran:
            copy_logs(boot.logs, new, boot.name)
        when = max((boot.logs / "when").read_text().strip() for boot in ran)
        save(new / "evidence.json", Evidence({**what, "when": when}, stands, cases))


def collect(repo: Path, wanted: set[str]) -> Iterator[tuple[str, bool]]:
    """Show each fix: a line for people and whether it is red, as soon as known; all is kept at the end.

    repo: the tree with the stack on it.  wanted: only these changes; what is kept stays then.
    """
    proofs = load_proofs(TOP / "ci" / "proofs", ids(read_changes()[0]))
    slugs = BASE.slugs
    left = unfixed(BASE)
    rows = choose([proof for proof in proofs if not left.keys() & {*proof.slugs}], slugs)
    if unknown := wanted - {row.proof.slug for row in rows}:
        fail(2, f"ci/proofs has no case for {' '.join(sorted(unknown))} on {BASE}")
    rows = [row for row in rows if not wanted or row.proof.slug in wanted]
    for proof in proofs:
        if proof.test == "-" and proof.slug in slugs and not wanted:
            yield f"{proof.id:3} {proof.slug:25} nothing to show: {proof.why}", False
    for slug, why in left.items():
        if not wanted:
            yield f"    {slug:25} left out here, {why}", False
    stands: dict[str, dict[int, int]] = {}
    machines, ran = [], []
    for variant in dict.fromkeys(row.proof.variant for row in rows):
        these = [row for row in rows if row.proof.variant == variant]
        stands[variant], its_machines = prepare(repo, variant, these, bool(wanted))
        machines += its_machines
    told: set[int] = set()
    with aside(CACHE / "run") as place:
        for boot in run(machines, place):
            ran.append(boot)
            for row in rows:
                here = stands[row.proof.variant]
                if id(row) not in told and row.complete(here):
                    told.add(id(row))
                    yield row.text(here), bool(row.problems(here))
    if not wanted:
        what = {"stack": stack_of(repo), **made_with()}
        store(kept("evidence"), what, rows, stands, ran)


def main() -> int:
    repo = BASE.tree("apply")
    need_qemu()
    status = 0
    for line, red in collect(repo, set(sys.argv[1:])):
        show(line)
        status = max(status, red)
    return status


def prepare(repo: Path, variant: str, rows: list[Row], chosen: bool) -> tuple[dict[int, int], list[Boot]]:
    """Build what the rows of a variant need; which level stands for which, and the machines."""
    with alone(repo):
        levels = build_levels(repo, parts_of(variant)[0], rows, chosen)
        selftests = {home: selftests_of(repo, home) for home in {row.proof.home for row in rows}}
    stands = distinct(levels)
    kinds: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        kinds.setdefault((row.proof.machine, row.proof.home), []).append(row)
    machines = []
    for (machine, home), these in kinds.items():
        machines += boots(these, Kind(variant, machine, selftests[home], levels, stands))
    return stands, machines
