# SPDX-License-Identifier: GPL-2.0
"""status: builds avic-status, which says on a live host whether KVM uses AVIC, and why not.

  OUT=       where to; by default build/avic-status
  STATIC=1   without shared libraries, for a machine that has none
  DEB=1      also a Debian package beside it
  CLANG=     another compiler for BPF than clang-19

Prints the program's path, and that of the package.  ci/avic-status has the source;
its advice and the signs of bugs are data files there.  Exit status 1 if it does not build.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from avic.aside import write
from avic.base import Base
from avic.cmd.affected import Rules
from avic.paths import TOP
from avic.process import fail, scratch
from avic.tables import read_lines
from avic.tree import git

SOURCE = TOP / "ci" / "avic-status"
KEY = re.compile(r"(?:host|vm|inhibit)\.[\w-]+")
KINDS = ("has", "lacks", "fixed")
WHATS = ("member", "enum", "type", "function", "parameter")
COPYRIGHT = """\
Copyright: the authors of this project, see its git log.
License: GPL-2; on Debian systems the text is in /usr/share/common-licenses/GPL-2.
"""


def quoted(text: str) -> str:
    """A C string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def read_advices(text: str) -> list[tuple[str, str, str]]:
    """Key, advice and source of each line of ci/avic-status/advice; raises ValueError at a line that is wrong."""
    found: list[tuple[str, str, str]] = []
    for (key, *_), note in read_lines(text, "ci/avic-status/advice", "KEY ## advice ## source"):
        advice, _, source = (part.strip() for part in note.partition("##"))
        if not KEY.fullmatch(key) or not source or key in [each[0] for each in found]:
            raise ValueError(f"ci/avic-status/advice: {key}: want 'KEY ## advice ## source', each KEY once")
        found.append((key, advice, source))
    return found


def read_signs(text: str, slugs: set[str]) -> list[list[str]]:
    """The words of each line of ci/avic-status/bugs; slugs: those of patches/affected.  Raises ValueError."""
    found = []
    for words, _ in read_lines(text, "ci/avic-status/bugs", "SLUG KIND WHAT NAME"):
        slug, kind, what, *name = words
        if slug not in slugs:
            raise ValueError(f"ci/avic-status/bugs: {slug} is not in patches/affected")
        good = kind in KINDS and what in WHATS and len(name) == 1
        if not good or (what == "member" and not re.fullmatch(r"\w+\.\w+(?::\w+)?", name[0])):
            raise ValueError(f"ci/avic-status/bugs: '{' '.join(words)}': want SLUG KIND WHAT NAME, see its first lines")
        found.append(words)
    return found


def c_array(kind: str, name: str, rows: list[str]) -> str:
    """An array of structs, with its size in NAME_count."""
    lines = "".join(f"\t{{ {row} }},\n" for row in rows)
    return f"const struct {kind} {name}[] = {{\n{lines}}};\nconst size_t {name}_count = {len(rows)};\n"


def tables() -> str:
    """tables.c, of the data files."""
    rules, bases = Rules(), Base.every()
    try:
        advices = read_advices((SOURCE / "advice").read_text())
        signs = read_signs((SOURCE / "bugs").read_text(), set(rules.of))
    except ValueError as error:
        fail(1, str(error))
    return "\n".join([
        "// SPDX-License-Identifier: GPL-2.0",
        "/* Made by scripts/status of the data files in ci/avic-status, and of patches/affected. */",
        '#include "status.h"\n',
        c_array("advice", "advices", [", ".join(map(quoted, each)) for each in advices]),
        c_array("sign", "signs", [", ".join(map(quoted, each)) for each in signs]),
        f"const char known_kernels[] = {quoted(f'{bases[0]} to {bases[-1]}')};\n",
        c_array("bug", "bugs", [f"{quoted(slug)}, {quoted(rules.symptoms[slug])}" for slug in rules.of]),
    ])  # fmt: skip


def version() -> str:
    """The commit, after its time, so that a newer one is a newer package."""
    utc = ("--format=%cd.%h", "--date=format-local:%Y%m%d%H%M%S")
    said = git(TOP, "log", "-1", *utc, check=False, env={"TZ": "UTC"}).stdout.strip()
    return f"0~{said}" if said else "0"


def make(out: Path) -> None:
    """Build in a folder; exits with what the compiler says if that fails."""
    # make exports each of its settings, the empty ones too.
    clang = os.environ.get("CLANG") or "clang-19"
    for tool, package in ((clang, "clang-19"), ("bpftool", "bpftool"), ("gcc", "gcc")):
        if not shutil.which(tool) and not Path("/usr/sbin", tool).exists():
            fail(2, f"no {tool}: apt-get install {package}")
    variables = [f"OUT={out}", f"VERSION={version()}", "CC=gcc", f"CLANG={clang}", f"STATIC={os.environ.get('STATIC', '')}"]
    for name, text in (("tables.c", tables()), ("flags", "\n".join(variables) + "\n")):
        if not (out / name).exists() or (out / name).read_text() != text:
            write(out / name, text)
    # Debian has bpftool in sbin, which is not in everybody's path.
    env = os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin"}
    built = subprocess.run(
        ["make", "--no-print-directory", f"--directory={SOURCE}", *variables],
        env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    if built.returncode:
        fail(1, "avic-status does not build, see below", built.stdout)


def depends(program: Path, place: Path) -> str:
    """The Depends line for a program by what it is linked with here, '' for a static one; place: an empty folder."""
    if os.environ.get("STATIC"):
        return ""
    if not shutil.which("dpkg-shlibdeps"):
        fail(2, "no dpkg-shlibdeps: apt-get install dpkg-dev")
    (place / "debian").mkdir()
    (place / "debian/control").write_text("Source: avic-status\n\nPackage: avic-status\nArchitecture: any\n")
    said = subprocess.run(["dpkg-shlibdeps", "-O", program], cwd=place, capture_output=True, text=True)
    if said.returncode:
        fail(1, f"dpkg-shlibdeps can't tell which packages {program} needs: see below; STATIC=1 needs none", said.stderr)
    return f"Depends: {said.stdout.strip().removeprefix('shlibs:Depends=')}\n"


def package(out: Path) -> Path:
    """A Debian package of what was built."""
    deb = out / f"avic-status_{version()}_amd64.deb"
    with scratch("avic-deb.") as root, scratch("avic-shlibs.") as place:
        (root / "usr/share/doc/avic-status").mkdir(parents=True)
        (root / "usr/share/doc/avic-status/copyright").write_text(COPYRIGHT)
        for source, target, mode in (
            (out / "avic-status", "usr/sbin/avic-status", 0o755),
            (SOURCE / "avic-status.8", "usr/share/man/man8/avic-status.8", 0o644),
            (SOURCE / "avic-status.bash", "usr/share/bash-completion/completions/avic-status", 0o644),
        ):
            (root / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, root / target)
            (root / target).chmod(mode)
        root.chmod(0o755)
        (root / "DEBIAN").mkdir()
        (root / "DEBIAN/control").write_text(
            f"Package: avic-status\nVersion: {version()}\nArchitecture: amd64\nSection: admin\nPriority: optional\n"
            f"Maintainer: nobody <nobody@localhost>\n{depends(out / 'avic-status', place)}"
            "Description: whether KVM uses AVIC, for which vCPUs, and why not\n"
            " It only reads, with BPF, on a live host with an AMD CPU.\n"
        )
        new = root.parent / f"{root.name}.deb"
        try:
            subprocess.run(
                ["dpkg-deb", "--root-owner-group", "--build", root, new], check=True, stdout=subprocess.DEVNULL
            )
            shutil.copy(new, f"{deb}.new")
            Path(f"{deb}.new").replace(deb)
        finally:
            new.unlink(missing_ok=True)
    return deb


def main() -> int:
    out = Path(os.environ.get("OUT") or TOP / "build" / "avic-status").absolute()
    out.mkdir(parents=True, exist_ok=True)
    make(out)
    print(out / "avic-status")
    if os.environ.get("DEB"):
        print(package(out))
    return 0
