# SPDX-License-Identifier: GPL-2.0
"""scripts/export on the real bases, each form read by the tool of its user."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import test_export
from machine import TOP, sh
from test_newest_b4 import newest_b4

from avic.base import Base
from avic.changes import unfixed
from avic.patch import read_patch, slug_in, substance
from avic.series import read_series
from avic.tree import FORMAT

# The default base, and the one that goes upstream.
BASES = ("v6.12", "v7.3")

KVM = {"seanjc@google.com", "pbonzini@redhat.com", "kvm@vger.kernel.org"}
X86 = {
    "tglx@kernel.org", "mingo@redhat.com", "bp@alien8.de", "dave.hansen@linux.intel.com",
    "x86@kernel.org", "hpa@zytor.com",
}  # fmt: skip
AMD_IOMMU = {
    "joro@8bytes.org", "suravee.suthikulpanit@amd.com", "vasant.hegde@amd.com", "iommu@lists.linux.dev",
}  # fmt: skip
IOMMU = AMD_IOMMU | {"will@kernel.org", "robin.murphy@arm.com"}
XEN = {"dwmw2@infradead.org", "paul@xen.org"}
EVERYBODY = {"linux-kernel@vger.kernel.org"}
# Whom get_maintainer.pl is to name for a file of v7.3, with MAINTAINERS.snippet.
EXPECTED = {
    "arch/x86/include/asm/kvm": KVM | X86 | EVERYBODY,
    "arch/x86/kvm/xen.c": KVM | X86 | XEN | EVERYBODY,
    "arch/x86/kvm/": KVM | X86 | EVERYBODY,
    "drivers/iommu/amd/": IOMMU | EVERYBODY,
    "include/linux/amd-iommu.h": AMD_IOMMU | EVERYBODY,
    "tools/testing/selftests/kvm/": KVM | {"shuah@kernel.org", "linux-kselftest@vger.kernel.org"} | EVERYBODY,
}


def run(base: str, form: str, out: Path, project: Path = TOP, **env: str) -> str:
    """Export a real base's series as somebody called Test."""
    person = {"GIT_AUTHOR_NAME": "Test", "GIT_AUTHOR_EMAIL": "test@example.org"}
    return sh(
        project / "scripts/export", *form.split(), f"--output={out}", BASE=base, **person, **env
    )


# Slugs whose patch brings a bug, which the base does not have, and those that mend it.
BRINGS = {
    "irqwin-count": {"irqwin-userspace", "irqwin-withdrawn", "irqwin-extint-only"},
    "irte-aliases": {"irte-flush-gone"},
    "ir-list-locked": {"pi-irte-kick"},
}


class Export(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.repos = {base: Path(sh(TOP / "scripts/fetch", BASE=base)) for base in BASES}
        cls.folder = Path(tempfile.mkdtemp(prefix="avic-export."))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.mbox, cls.done = {}, {}
        for base, repo in cls.repos.items():
            run(base, "mbox", cls.folder / base)
            cls.mbox[base] = next((cls.folder / base).glob("*.mbox"))
            cls.done[base] = cls.git_am(repo, cls.mbox[base], "--empty=drop")

    @classmethod
    def git_am(cls, repo: Path, *args: str | Path) -> str:
        """What git am makes of it on a clean base: the last commit."""
        tree = Path(tempfile.mkdtemp(dir=cls.folder)) / "tree"
        sh("git", "-C", repo, "worktree", "add", "--no-checkout", "--detach", tree, "base")
        try:
            sh("git", "-C", tree, "read-tree", "HEAD")
            sh("git", "-C", tree, "-c", "user.name=t", "-c", "user.email=t@localhost", "am", "--quiet", *args)
            return sh("git", "-C", tree, "rev-parse", "HEAD")
        finally:
            sh("git", "-C", repo, "worktree", "remove", "--force", tree)

    def touched(self, base: str) -> list[str]:
        return sh(
            "git", "-C", self.repos[base], "diff", "--name-only", "base", self.done[base]
        ).split()

    def unpack(self, base: str, folder: Path) -> None:
        """What the series touches, as the base has it."""
        known = set(sh("git", "-C", self.repos[base], "ls-tree", "-r", "--name-only", "base").split("\n"))
        files = [name for name in self.touched(base) if name in known]
        folder.mkdir(parents=True)
        subprocess.run(
            ["tar", "--extract", f"--directory={folder}"],
            input=subprocess.check_output(["git", "-C", self.repos[base], "archive", "base", *files]),
            check=True,
        )

    def check(self, base: str, folder: Path) -> None:
        """That the files in a folder are what git am made of them."""
        for name in self.touched(base):
            shown = ["git", "-C", self.repos[base], "show", f"{self.done[base]}:{name}"]
            self.assertEqual((folder / name).read_bytes(), subprocess.check_output(shown), name)

    def test_round_trip(self) -> None:
        """mbox, git am, format-patch: what is in patches/."""
        for base, repo in self.repos.items():
            out = self.folder / f"again-{base}"
            sh("git", "-C", repo, "format-patch", "--quiet", "--no-numbered", *FORMAT,
               f"--output-directory={out}", f"base..{self.done[base]}")  # fmt: skip
            folder = TOP / "patches" / base
            wanted = [substance((folder / name).read_text()) for name in read_series(folder).names]
            self.assertEqual([substance(p.read_text()) for p in sorted(out.iterdir())], wanted)

    def test_each_section_applies_alone(self) -> None:
        """On the sections that it needs, and on no others; all of them together are the stack."""
        repo, series = self.repos["v7.3"], read_series(TOP / "patches/v7.3")
        boxes: dict[str, Path] = {}
        for section in series.sections:
            out = self.folder / f"section-{section.name}"
            run("v7.3", f"mbox {section.name}", out)
            boxes[section.name] = next(out.glob("*.mbox"))
            below = [boxes[each.name] for each in series.needed(section)]
            done = self.git_am(repo, "--empty=drop", *below, boxes[section.name])
            commits = sh("git", "-C", repo, "rev-list", "--reverse", f"base..{done}").split()
            needed = [self.patch_id(repo, each) for each in commits[: len(commits) - len(section.names)]]
            text = boxes[section.name].read_text()
            self.assertEqual(re.findall(r"(?m)^prerequisite-patch-id: (.*)$", text), needed)
            self.assertIn(f"\nbase-commit: {sh('git', '-C', repo, 'rev-parse', 'base')}\n", text)
        self.assertEqual(set(boxes), {"iommu", "ga-log", "irqwin"})
        done = self.git_am(repo, "--empty=drop", *boxes.values())
        trees = sh("git", "-C", repo, "rev-parse", f"{done}^{{tree}}", f"{self.done['v7.3']}^{{tree}}")
        self.assertEqual(len(set(trees.split())), 1)

    def patch_id(self, repo: Path, commit: str) -> str:
        shown = subprocess.check_output(["git", "-C", repo, "show", commit])
        return subprocess.check_output(["git", "patch-id", "--stable"], input=shown).decode().split()[0]

    def test_quilt(self) -> None:
        for base in BASES:
            out, tree = self.folder / f"quilt-{base}", self.folder / f"quilt-tree-{base}"
            run(base, "quilt", out)
            self.unpack(base, tree)
            sh("quilt", "push", "-a", "--fuzz=0", cwd=tree, QUILT_PATCHES=str(out))
            self.check(base, tree)

    def mainline(self, base: str) -> tuple[Path, dict[str, str]]:
        """A copy of our scripts and of a base, and a tree of that base which has mainline's commits, too.

        The commits are made up, as is their author; patches/upstream has their IDs.
        """
        repo, root = self.repos[base], Path(tempfile.mkdtemp(dir=self.folder))
        head = sh("git", "-C", repo, "rev-parse", "base")
        tree = root / f"cache/base/{base}/tree-{head[:12]}"
        sh("git", "clone", "--quiet", "--shared", "--no-checkout", repo, tree)
        for folder in sh("git", "-C", repo, "ls-tree", "-d", "--name-only", "base").split():
            (tree / folder).mkdir()
        sh("git", "-C", tree, "sparse-checkout", "set", "scripts", "arch/x86/kvm")
        sh("git", "-C", tree, "checkout", "--quiet", "-B", "base", head)
        project = root / "project"
        for name in ("scripts", f"patches/{base}"):
            shutil.copytree(TOP / name, project / name)
        upstream = (TOP / "patches/upstream").read_text()
        for slug, commit in re.findall(r"(?m)^(\S+) +([0-9a-f]{40}) v", upstream):
            message = f"KVM: SVM: Mainline's {slug}\n\nIts reasons.\n\nSigned-off-by: Una <una@mainline.lan>\n"
            made = subprocess.run(
                ["git", "-C", tree, "commit-tree", "base^{tree}", "-p", "base"], input=message, text=True,
                env=os.environ | {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER")
                                  for what, value in (("NAME", "Una"), ("EMAIL", "una@mainline.lan"))},
                stdout=subprocess.PIPE, check=True,
            )  # fmt: skip
            upstream = upstream.replace(commit, made.stdout.strip())
        (project / "patches/upstream").write_text(upstream)
        return project, {"TREE": str(tree), "AVIC_CACHE": str(root / "cache")}

    def test_stable(self) -> None:
        """By mainline's authors, in their words, to who has to approve; nothing that stable must not get."""
        project, env = self.mainline("v6.12")
        out = self.folder / "stable"
        said = run("v6.12", "stable --signoff", out, project, **env)
        mails = sorted(out.glob("*.patch"))
        self.assertGreater(len(mails), 4)
        for mail in mails[1:]:
            text = mail.read_text()
            self.assertRegex(text, r"(?m)^Subject: \[PATCH 6\.12\.y \d+/\d+\] ")
            if "\n\n[ No upstream commit: as of v" not in text:
                self.assertRegex(text, r"(?m)^Subject: .* Mainline's ")
                self.assertRegex(text, r"(?m)^From: Una <una@mainline.lan>$")
                self.assertRegex(text, r"\n\ncommit [0-9a-f]{40} upstream\.\n\nIts reasons\.\n")
                self.assertRegex(text, r"(?s)\n\[ backport: .* \]\nSigned-off-by: Test <test@example.org>\n---\n")
            told = set(re.findall(r"[\w.+-]+@[\w.-]+", text.partition("\n\n")[0]))
            self.assertLessEqual(KVM | {"stable@vger.kernel.org", "una@mainline.lan"}, told)
            self.assertNotIn("linux-kernel@vger.kernel.org", told)
        # None of the IRQ-window patches goes without their fixes, which mainline lacks.
        self.assertIn("left out irqwin-count: not without irqwin-", said)
        self.assertIn("left out ga-log-unregister: not for stable: ", said)
        # What mainline has of the list of IRTEs rests on nothing that mainline lacks.
        self.assertLessEqual({"pi-irqfd", "irte-mode-before-load", "ga-log-blocking-only"}, {mail.stem[5:] for mail in mails})
        claim = next(out.glob("*-physical-id-claim.patch")).read_text()
        self.assertIn("c5866d42f711, 6418b715d5a2,", claim.replace("\n  ", " "))
        self.git_am(self.repos["v6.12"], *mails[1:])

    def test_stable_small(self) -> None:
        """In the small form nothing comes along that fixes nothing."""
        project, env = self.mainline("v6.12")
        out = self.folder / "stable-small"
        run("v6.12", "stable --small", out, project, **env)
        mails = sorted(out.glob("*.patch"))
        slugs = [mail.stem[5:] for mail in mails[1:]]
        self.assertEqual(slugs[-2:], ["ga-log-pre-destroy", "physical-id-claim"])
        self.assertFalse({"precreate-hook", "per-vm-init"} & set(slugs))
        self.assertIn("avic_vm_init() keeps its place", mails[-2].read_text().replace("\n  ", " "))
        self.git_am(self.repos["v6.12"], *mails[1:])

    def test_distributions(self) -> None:
        """git am takes what is for each of them, and makes of it what the stack is."""
        project, env = self.mainline("v6.12")
        for form, options in test_export.OPTIONS.items():
            with self.subTest(form):
                out = self.folder / f"v6.12-{form}"
                run("v6.12", f"{form} --signoff {options}", out, project, **env)
                paths = sorted(out.iterdir())
                if form == "suse":
                    lines = (out / "series.conf").read_text().split("\n")
                    paths = [out / line.strip() for line in lines if "patches.suse/" in line]
                self.assertEqual(len(paths), len(read_series(TOP / "patches/v6.12").names))
                done = self.git_am(self.repos["v6.12"], *paths)
                trees = sh("git", "-C", self.repos["v6.12"], "rev-parse", f"{done}^{{tree}}",
                           f"{self.done['v6.12']}^{{tree}}")  # fmt: skip
                self.assertEqual(len(set(trees.split())), 1)

    def test_maintainers(self) -> None:
        # Back on branch stack: a build may have left the tree on its base.
        repo = Path(sh(TOP / "scripts/apply", BASE="v7.3"))
        maintainers = self.folder / "MAINTAINERS"
        text = sh("git", "-C", repo, "show", "base:MAINTAINERS")
        maintainers.write_text(f"{text}\n\n{(TOP / 'MAINTAINERS.snippet').read_text()}")
        options = ["--nogit", "--nogit-fallback", "--norolestats", f"--mpath={maintainers}"]

        def ask(*what: str | Path) -> set[str]:
            said = sh(repo / "scripts/get_maintainer.pl", *options, *what, cwd=repo)
            return set(re.findall(r"[\w.+-]+@[\w.-]+", said))

        for name in self.touched("v7.3"):
            with self.subTest(name):
                expected = next(who for folder, who in EXPECTED.items() if name.startswith(folder))
                self.assertEqual(ask("-f", name), expected)
        # KVM hears of AVIC's hooks elsewhere.
        patch = next((TOP / "patches/v7.3").glob("*-ga-log-notifier-rcu.patch"))
        self.assertLessEqual(IOMMU | EVERYBODY | {"kvm@vger.kernel.org"}, ask(patch))

    def test_affected(self) -> None:
        """scripts/affected finds in a base the bugs that its series fixes, and with it those that it leaves unfixed."""
        lines = (TOP / "patches/affected").read_text().splitlines()
        known = {line.split()[0] for line in lines if line[:1].isalpha()}
        for base in BASES:
            fixed = {slug_in(name) for name in read_series(TOP / "patches" / base).names} & known
            for slug, mended in BRINGS.items():
                if slug in fixed:
                    fixed -= mended
            left = {*unfixed(Base.named(base))}
            self.assertEqual(self.affected(base, "base"), fixed | left)
            self.assertEqual(self.affected(base, self.done[base]), left)

    def affected(self, base: str, level: str) -> set[str]:
        """The bugs that scripts/affected finds at a commit."""
        said = subprocess.run([TOP / "scripts/affected", self.repos[base], level], stdout=subprocess.PIPE, text=True)
        found = set(re.findall(r"(?m)^(\S+) +affected", said.stdout))
        self.assertNotIn("cannot tell", said.stdout)
        self.assertEqual(said.returncode, 1 if found else 0)
        return found

    # Debian.

    def test_debian_source_package(self) -> None:
        """Debian's own linux package, with the entries added to its series."""
        source = Path(sh(TOP / "tests/debian", "source", "v6.1"))
        out = self.folder / "debian-v6.1"
        run("v6.1", "debian", out)
        names = set()
        for patch in (TOP / "patches/v6.1").glob("*.patch"):
            names |= set(re.findall(r"(?m)^diff --git a/(\S+) ", patch.read_text()))
        package = self.folder / "package-v6.1"
        for name in ("debian", ".pc"):
            shutil.copytree(source / name, package / name, symlinks=True)
        for name in names:
            if (source / name).exists():
                (package / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source / name, package / name)
        self.before_build(package, out, len(read_series(TOP / "patches/v6.1").names))
        version = sh("dpkg-parsechangelog", "--show-field=Version", f"-l{source}/debian/changelog")
        print(f"     Debian's linux {version} takes patches/v6.1")

    def before_build(self, package: Path, out: Path, patches: int) -> None:
        """Add an export to a package, and have dpkg-source apply it; it refuses fuzz."""
        shutil.copytree(out / "debian", package / "debian", dirs_exist_ok=True)
        with (package / "debian/patches/series").open("a") as series:
            series.write((out / "series").read_text())
        said = sh("sh", "-c", "dpkg-source --before-build . 2>&1", cwd=package)
        self.assertEqual(len(re.findall(r"applying bugfix/x86/avic/", said)), patches, said)

    def test_debian_package_of_the_exact_base(self) -> None:
        """dpkg-source builds and unpacks a package of what the series touches."""
        for base in BASES:
            work = self.folder / f"debian-work-{base}"
            package = work / "linux-1"
            self.unpack(base, package)
            sh("tar", "--create", "--gzip", "--file=linux_1.orig.tar.gz", "linux-1", cwd=work)
            out = self.folder / f"debian-{base}"
            run(base, "debian", out)
            shutil.copytree(out / "debian", package / "debian")
            shutil.copy(out / "series", package / "debian/patches/series")
            (package / "debian/source").mkdir()
            (package / "debian/source/format").write_text("3.0 (quilt)\n")
            who = "Test <test@example.org>"
            (package / "debian/control").write_text(
                f"Source: linux\nMaintainer: {who}\n\nPackage: linux\nArchitecture: all\nDescription: test\n"
            )
            (package / "debian/changelog").write_text(
                f"linux (1-1) unstable; urgency=low\n\n  * Test.\n\n -- {who}  Sat, 21 Nov 2026 00:00:00 +0000\n"
            )
            sh("dpkg-source", "--build", package, cwd=work)
            sh("dpkg-source", "--no-check", "--extract", "linux_1-1.dsc", "unpacked", cwd=work)
            self.check(base, work / "unpacked")

    # b4 on the real tree.

    def b4(self, command: str) -> None:
        repo, branch = self.repos["v7.3"], f"avic-test-{os.getpid()}"
        out = Path(tempfile.mkdtemp(dir=self.folder)) / "b4"
        try:
            said = run("v7.3", f"b4 --signoff --maintainers --branch={branch}", out, B4=command)
            tree = sh("git", "-C", repo, "rev-parse", f"{branch}^{{tree}}")
            self.assertEqual(tree, sh("git", "-C", repo, "rev-parse", f"{self.done['v7.3']}^{{tree}}"))
        finally:
            sh("git", "-C", repo, "branch", "--quiet", "-D", branch)
        wanted = KVM | X86 | IOMMU | EVERYBODY
        self.assertLessEqual(wanted, set(re.findall(r"(?m)^(?:to|cc) .*?([\w.+-]+@[\w.-]+)>?$", said)))
        mails = (out / "dry-run").read_text()
        patches = len(read_series(TOP / "patches/v7.3").names)
        self.assertEqual(mails.count("Signed-off-by: Test <test@example.org>"), patches)
        self.assertEqual(len(re.findall(rf"(?m)^[ |]*Subject: \[PATCH \d+/{patches}\]", mails)), patches + 1)
        self.assertIn(f"base-commit: {sh('git', '-C', repo, 'rev-parse', 'base')}", mails)

    def b4_sections(self, command: str) -> None:
        """Each section goes to whom MAINTAINERS names for its files, and to nobody for the others' files."""
        repo, series = self.repos["v7.3"], read_series(TOP / "patches/v7.3")
        everyone = KVM | IOMMU | X86 | XEN | EVERYBODY
        for section in series.sections:
            branch = f"avic-test-{section.name}-{os.getpid()}"
            out = Path(tempfile.mkdtemp(dir=self.folder)) / "b4"
            try:
                said = run("v7.3", f"b4 {section.name} --branch={branch}", out, B4=command)
                subjects = sh("git", "-C", repo, "log", "--format=%s", f"base..{branch}").splitlines()
            finally:
                sh("git", "-C", repo, "branch", "--quiet", "-D", branch)
            below = sum(len(each.names) for each in series.needed(section))
            self.assertEqual(len(subjects), below + 1 + len(section.names))
            wanted: set[str] = set()
            for name in section.names:
                for file in read_patch(TOP / "patches/v7.3" / name).files:
                    wanted |= next(who for folder, who in EXPECTED.items() if file.startswith(folder))
            told = set(re.findall(r"(?m)^(?:to|cc) .*?([\w.+-]+@[\w.-]+)>?$", said))
            self.assertEqual(told & everyone, wanted & everyone, section.name)
            self.assertLessEqual(wanted, told)
            mails = (out / "dry-run").read_text()
            base = sh("git", "-C", repo, "rev-parse", "base")
            self.assertEqual(re.findall(r"(?m)^[ |]*base-commit: (.*)$", mails)[0], base)
            self.assertEqual(len(re.findall(r"(?m)^[ |]*prerequisite-patch-id: ", mails)), below)

    def am(self, command: str) -> None:
        # b4 0.12 says nothing and fails if git does not know who runs it.
        person = self.folder / "gitconfig"
        person.write_text("[user]\n\tname = Test\n\temail = test@example.org\n")
        for base, repo in self.repos.items():
            out = Path(tempfile.mkdtemp(dir=self.folder))
            sh(command, "--offline-mode", "am", "--use-local-mbox", self.mbox[base], "--outdir", out, cwd=repo,
               XDG_CACHE_HOME=str(out), XDG_DATA_HOME=str(out), GIT_CONFIG_GLOBAL=str(person))  # fmt: skip
            done = self.git_am(repo, *out.glob("*.mbx"))
            trees = sh("git", "-C", repo, "rev-parse", f"{done}^{{tree}}", f"{self.done[base]}^{{tree}}")
            self.assertEqual(len(set(trees.split())), 1)

    def test_b4_of_debian_12(self) -> None:
        self.b4("b4")
        self.b4_sections("b4")
        self.am("b4")

    def test_b4_of_sid(self) -> None:
        # To whom a section goes is said by the tree's get_maintainer.pl, not by b4.
        command = newest_b4()
        self.b4(command)
        self.am(command)
