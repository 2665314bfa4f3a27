# SPDX-License-Identifier: GPL-2.0
"""What a runner runs, as one folder: bzImage, initramfs, plan, key.

A hardware runner unpacks the initramfs' /bundle and runs run-plan there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from avic.aside import replaced
from avic.build import digest
from avic.paths import TOP
from avic.plan import Plan
from avic.process import fail

GUEST = TOP / "ci" / "guest"


def compile_program(source: Path, target: Path) -> None:
    """A C file as a program that needs no library; exits if it does not compile."""
    if subprocess.run(["gcc", "-static", "-O2", "-Wall", "-Werror", "-o", target, source]).returncode:
        fail(1, f"{source.relative_to(TOP)} does not compile: see above")


def with_posted_irq(image: Path, folder: Path) -> Path:
    """Make a folder that is an image like this one, with tests/guest/posted_irq.c among its selftests."""
    folder.mkdir(parents=True)
    for path in image.iterdir():
        if path.name != "selftests":
            (folder / path.name).symlink_to(path)
    shutil.copytree(image / "selftests", folder / "selftests", copy_function=os.symlink)
    compile_program(TOP / "tests/guest/posted_irq.c", folder / "selftests/posted_irq")
    return folder


def pack_initramfs(root: Path, target: Path) -> None:
    """A folder as an initramfs; the same content gives the same file, whoever made it and when."""
    for path in [root, *root.rglob("*")]:
        os.utime(path, (0, 0), follow_symlinks=False)
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    names = sorted(os.fsencode(path.relative_to(root)) for path in root.rglob("*"))
    with target.open("wb") as packed:
        subprocess.run(
            ["cpio", "--quiet", "--null", "--create", "--format=newc", "--reproducible", "--owner=0:0"],
            cwd=root, input=b"".join(name + b"\0" for name in [b".", *names]), stdout=packed, check=True,
        )  # fmt: skip


def copy_modules(image: Path, level: str, into: Path) -> None:
    """KVM's modules of a level: the image's own, or those of its modules/LEVEL/."""
    own = image / "modules" / level
    folder = own if own.is_dir() else image
    into.mkdir(parents=True)
    for name in ("kvm.ko", "kvm-amd.ko"):
        shutil.copy(folder / name, into)


def copy_tests(image: Path, plan: Plan, bundle: Path) -> None:
    """The programs of a plan's tests."""
    for program in sorted({test.command[0] for test in plan.tests}):
        # Guests of the guest have a folder of their own in the image.
        if program.startswith("../"):
            folder = program.split("/")[1]
            shutil.copytree(image / folder, bundle / folder, symlinks=True)
            continue
        target = bundle / "tests" / program
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image / "selftests" / program, target)


def fill(root: Path, image: Path, plan: Plan) -> None:
    """Make a root folder with busybox and /bundle, for a plan and an image as make_bundle() takes them; no init."""
    busybox = shutil.which("busybox")
    if not busybox:
        fail(2, "no busybox: apt-get install busybox-static")
    for name in ("bin", "dev", "proc", "sys", "bundle/tests"):
        (root / name).mkdir(parents=True)
    shutil.copy(busybox, root / "bin/busybox")
    (root / "bin/sh").symlink_to("busybox")
    for name in ("run-plan", "reload", "unplug"):
        shutil.copy(GUEST / name, root / "bundle")
    (root / "bundle/plan").write_text(plan.text())
    for level in sorted({lane.level for lane in plan.lanes}):
        copy_modules(image, level, root / "bundle/modules" / level)
    copy_tests(image, plan, root / "bundle")


def make_bundle(image: Path, plan: Plan, out: Path) -> None:
    """Make the folder out.

    image: a folder of Images.image(), or one like it that has modules/LEVEL/ for each level
    of the plan's lanes.
    """
    with replaced(out) as new:
        root = new / "root"
        fill(root, image, plan)
        shutil.copy(GUEST / "init", root)
        shutil.copy(image / "bzImage", new)
        (new / "plan").write_text(plan.text())
        pack_initramfs(root, new / "initramfs")
        shutil.rmtree(root)
        key = digest((new / "bzImage").read_bytes(), (new / "initramfs").read_bytes())
        (new / "key").write_text(f"{key}\n")
