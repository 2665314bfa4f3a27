# SPDX-License-Identifier: GPL-2.0
"""scripts/export on a toy stack: what each form holds, and what is refused."""

import os
import re
import shutil
import subprocess
from email import message_from_string
from pathlib import Path

from project import slow
from toy import TOP, Toy, edit, git

# Asks for one file's sake, as the real one does.
GET_MAINTAINER = """\
#!/bin/sh
case " $* " in *" --mpath="*) echo "snippet@example.org" ;; esac
case " $* " in *" --nom "*) echo "list@example.org" ;; *) echo "Boss <boss@example.org>" ;; esac
"""

# {} is a commit of the toy tree, which is in no branch.
UPSTREAM = """\
toy-one   {} v9.1 ## first
toy-two   otherwise v9.2 2222222222222222222222222222222222222222 ## it is fixed at the root
toy-three unsent - ## mainline has the bug
differs   toy-one toy ## it is a toy here
"""
# That commit's message.
ORIGINAL = """\
KVM: SVM: Do it as mainline does, in a subject that is too long for a file

All of mainline's reasons.

Fixes: 333333333333 ("KVM: SVM: Toy")
Signed-off-by: Una Original <una@mainline.lan>
"""


# DEP-3 fields as Debian's own parser reads them.
DEP3 = """
my $fields = Dpkg::Control::HashCore->new();
$fields->load($ARGV[0]);
print "$_\\0$fields->{$_}\\0" for keys %$fields;
"""


def dep3(path: Path) -> dict[str, str]:
    """The fields of a patch's header."""
    head = path.with_suffix(".head")
    head.write_bytes(path.read_bytes().partition(b"\n---\n")[0] + b"\n")
    said = subprocess.check_output(["perl", "-MDpkg::Control::HashCore", "-e", DEP3, head])
    words = said.decode().split("\0")
    return dict(zip(words[::2], words[1::2]))


class Base(Toy):
    def setUp(self) -> None:
        super().setUp()
        self.gitconfig = self.root / "gitconfig"
        self.gitconfig.write_text("[user]\n\tname = Toy\n\temail = toy@localhost\n")
        self.env["GIT_CONFIG_GLOBAL"] = str(self.gitconfig)
        script = self.tree / "scripts/get_maintainer.pl"
        script.parent.mkdir()
        script.write_text(GET_MAINTAINER)
        script.chmod(0o755)
        (self.tree / "MAINTAINERS").write_text("THE REST\n")
        git(self.tree, "add", "--all")
        git(self.tree, "commit", "--quiet", "--message=maintainers")
        self.make_stack()
        (self.patches / "cover").write_text("KVM: SVM: Toys\n\nThree toys.\n")
        self.original = self.commit_original()
        (self.project / "patches/upstream").write_text(UPSTREAM.format(self.original))
        shutil.copy(TOP / "MAINTAINERS.snippet", self.project)
        self.before = self.state()

    def commit_original(self) -> str:
        """A commit of mainline in the toy tree, by somebody."""
        made = subprocess.run(
            ["git", "-C", self.tree, "commit-tree", "HEAD^{tree}", "-p", "HEAD"], input=ORIGINAL,
            stdout=subprocess.PIPE, text=True, check=True,
            env=os.environ | {
                "GIT_AUTHOR_NAME": "Una Original", "GIT_AUTHOR_EMAIL": "una@mainline.lan",
                "GIT_COMMITTER_NAME": "Linus", "GIT_COMMITTER_EMAIL": "linus@mainline.lan",
                "GIT_AUTHOR_DATE": "2026-01-23T10:00:00+0000",
            },
        )  # fmt: skip
        return made.stdout.strip()

    def make_sections(self) -> None:
        """Three sections with a patch each: the last one needs the first, not the second."""
        (self.patches / "series").write_text(
            "# toy stack\n\n# Section low: The base of it\n0001-toy-one.patch\n\n# Section mid: By itself\n"
            "0002-toy-two.patch\n\n# Section high: On top\n# Needs: low\n0003-toy-three.patch\n"
        )
        for name in ("low", "mid", "high"):
            (self.patches / f"cover.{name}").write_text(f"KVM: SVM: The {name} one\n\nOne toy.\n")

    def patch_id(self, path: Path) -> str:
        said = subprocess.run(
            ["git", "patch-id", "--stable"], input=path.read_text(), text=True, check=True, stdout=subprocess.PIPE
        )
        return said.stdout.split()[0]

    def state(self) -> tuple[str, str, str]:
        """The user's tree, as far as git sees it."""
        return (
            git(self.tree, "for-each-ref"),
            git(self.tree, "status", "--porcelain", "--ignored"),
            git(self.tree, "config", "--list", "--local"),
        )

    def export(self, form: str, **env: str) -> Path:
        """Run it; returns its folder."""
        self.said = self.script(f"export {form}", **env).stdout
        return self.cache / "export/toy" / re.sub(r" --.*", "", form).replace(" ", "-")

    def nothing_left(self) -> None:
        self.assertEqual(self.state(), self.before)
        self.assertFalse((self.cache / "export").exists())


class Forms(Base):
    def test_mbox(self) -> None:
        mbox = (self.export("mbox") / "avic-toy.mbox").read_text()
        mails = [message_from_string(each) for each in re.split(r"(?m)^From 0+ .*\n", mbox)[1:]]
        self.assertEqual(
            [" ".join(mail["Subject"].split()) for mail in mails],
            ["[PATCH 0/3] KVM: SVM: Toys", "[PATCH 1/3] KVM: SVM: Toy one",
             "[PATCH 2/3] KVM: SVM: Toy two", "[PATCH 3/3] KVM: SVM: Toy three"],
        )  # fmt: skip
        self.assertEqual({mail["In-Reply-To"] for mail in mails[1:]}, {mails[0]["Message-Id"]})
        self.assertIn("Three toys.", mails[0].get_payload())
        self.assertIn(f"base-commit: {git(self.tree, 'rev-parse', 'HEAD')}", mbox)
        self.assertNotIn("Signed-off-by", mbox)
        self.assertIn("cannot be posted yet: nobody has signed off", self.said)

    def test_signoff_makes_you_the_author(self) -> None:
        self.gitconfig.write_text("[user]\n\tname = Jo Doe\n\temail = doe@localhost\n")
        mbox = (self.export("mbox --signoff") / "avic-toy.mbox").read_text()
        self.assertEqual(mbox.count("\nFrom: Jo Doe <doe@localhost>\n"), 4)
        self.assertEqual(mbox.count("\nWhy.\n\nSigned-off-by: Jo Doe <doe@localhost>\n---\n"), 3)
        self.assertNotIn("cannot be posted", self.said)

    def test_headers_are_ascii(self) -> None:
        """A raw name in From: is no mail header."""
        self.gitconfig.write_text("[user]\n\tname = J\u00f6 D\u00f6e\n\temail = doe@localhost\n")
        maintainers = self.tree / "scripts/get_maintainer.pl"
        edit(maintainers, "Boss <boss", "B\u00f6ss <boss")
        git(self.tree, "commit", "--quiet", "--all", "--message=a name")
        folders = [self.export("mbox --signoff"), self.export("stable --signoff")]
        text = "".join(path.read_text() for folder in folders for path in sorted(folder.iterdir()))
        heads = re.findall(r"(?ms)^From 0{40} .*?\n\n", text)
        self.assertEqual(len(heads), 7)
        for head in heads:
            self.assertTrue(head.isascii(), head)
        self.assertIn("boss@example.org>", "".join(heads))
        self.gitconfig.write_text("[user]\n\tname = J\u00f6\n\temail = d\u00f6e@localhost\n")
        self.assertIn("<d\u00f6e@localhost>", (self.export("mbox --signoff") / "avic-toy.mbox").read_text())

    def test_debian(self) -> None:
        folder = self.export("debian")
        names = [line for line in (folder / "series").read_text().split() if "/" in line]
        names = [name for name in names if name.endswith(".patch")]
        heads = [dep3(folder / "debian/patches" / name) for name in names]
        one, two, three = heads
        self.assertEqual(one["Description"], "KVM: SVM: Toy one\nWhy.")
        url = f"https://git.kernel.org/linus/{self.original}"
        self.assertEqual(one["Origin"], f"backport, {url}")
        self.assertEqual(one["Applied-Upstream"], f"v9.1, {url}")
        self.assertEqual([head["Forwarded"] for head in heads], ["not-needed", "not-needed", "no"])
        self.assertIn("as of v9.2 it is fixed at the root (commits 222222222222)", two["Description"])
        self.assertNotIn("Applied-Upstream", three)
        for head in heads:
            self.assertRegex(head["Last-Update"], r"^\d{4}-\d\d-\d\d$")
        # Who made the toys is nobody.
        self.assertEqual([head.get("Author") for head in heads], ["Una Original <una@mainline.lan>", None, None])

    def test_debian_signed(self) -> None:
        self.gitconfig.write_text("[user]\n\tname = Jo Doe\n\temail = doe@distribution.lan\n")
        folder = self.export("debian --signoff")
        heads = [dep3(path) for path in sorted(folder.rglob("*.patch"))]
        authors = ["Una Original <una@mainline.lan>", *["Jo Doe <doe@distribution.lan>"] * 2]
        self.assertEqual([head["Author"] for head in heads], authors)
        self.assertTrue(all(head["Description"].endswith("Signed-off-by: Jo Doe <doe@distribution.lan>") for head in heads))

    def test_debian_has_names_as_they_are(self) -> None:
        repo = Path(self.script("apply").stdout.strip())
        message = "KVM: SVM: Jörg’s toy 日本語 that goes on and on until its header takes a second line\n\nWhy, Zoë?\n\n.\n..\n\x85\nend"
        git(repo, "commit", "--quiet", "--amend", "--author=Jörg Müller, PhD <j@mainline.lan>", f"--message={message}")
        self.script("refresh")
        three = dep3(next(self.export("debian").rglob("0003-*")))
        self.assertEqual(three["Author"], "Jörg Müller, PhD <j@mainline.lan>")
        self.assertEqual(three["Description"].split("\n"), [message.split("\n")[0], *message.split("\n")[2:]])
        git(repo, "commit", "--quiet", "--amend", f"--message={message}\n\x0c\nmore")
        self.script("refresh")
        self.refused("export debian", 1, "0003-toy-three.patch", "DEP-3 drops the white space")

    def test_paths_with_a_blank(self) -> None:
        """A printed command can be pasted."""
        self.env["AVIC_CACHE"] = str(self.root / "my cache")
        for form, told in (
            ("quilt", "to apply: QUILT_PATCHES='{}/my cache/export/toy/quilt' quilt push"),
            ("debian", "cp --recursive '{}/my cache/export/toy/debian/debian' . && cat '{}/my cache/export/toy/debian/series' >>"),
            ("mbox", "git am --empty=drop '{}/my cache/export/toy/mbox/avic-toy.mbox'"),
            (f"suse {OPTIONS['suse']}", "cp --recursive '{}/my cache/export/toy/suse/patches.suse' ."),
            (f"rhel {OPTIONS['rhel']}", "git am '{}/my cache/export/toy/rhel'/*.patch"),
            (f"ubuntu {OPTIONS['ubuntu']}", "git am '{}/my cache/export/toy/ubuntu'/*.patch"),
            (f"proxmox {OPTIONS['proxmox']}", "cp '{}/my cache/export/toy/proxmox'/*.patch patches/kernel/"),
        ):  # fmt: skip
            self.assertIn(told.replace("{}", str(self.root)), self.script(f"export {form}").stdout)

    def test_quilt(self) -> None:
        folder = self.export("quilt")
        work = self.root / "work"
        shutil.copytree(self.tree, work, ignore=shutil.ignore_patterns(".git"))
        subprocess.run(
            ["quilt", "push", "-a", "--fuzz=0"], cwd=work, check=True, stdout=subprocess.DEVNULL,
            env=os.environ | {"QUILT_PATCHES": str(folder)},
        )  # fmt: skip
        self.assertIn("changed line 40", (work / "arch/x86/kvm/x86.c").read_text())
        one = (folder / "0001-toy-one.patch").read_text()
        self.assertIn(f"\nPatch-mainline: v9.1\nGit-commit: {self.original}\n\nWhy.\n", one)

    def test_quilt_has_the_tags(self) -> None:
        for path in self.export("quilt --signoff --trailer=Assisted-by:me").glob("*.patch"):
            text = path.read_text()
            self.assertIn("\nWhy.\n\nAssisted-by: me\nSigned-off-by: Toy <toy@localhost>\n---\n", text)
            self.assertIn("\nFrom: Toy <toy@localhost>\n", text)

    def test_stable_takes_what_mainline_has(self) -> None:
        folder = self.export("stable")
        self.assertEqual(
            sorted(path.name for path in folder.iterdir()),
            ["0000-cover-letter.patch", "0001-toy-one.patch", "0002-toy-two.patch"],
        )
        one = message_from_string((folder / "0001-toy-one.patch").read_text())
        subject, _, text = ORIGINAL.partition("\n\n")
        self.assertEqual(" ".join(one["Subject"].split()), f"[PATCH toy.y 1/2] {subject}")
        self.assertEqual(one["To"], "stable@vger.kernel.org")
        for who in ("Boss <boss@example.org>", "list@example.org", "Una Original <una@mainline.lan>"):
            self.assertIn(who, one["Cc"])
        self.assertEqual(one["From"], "Una Original <una@mainline.lan>")
        self.assertIn(
            f"commit {self.original} upstream.\n\n{text}[ backport: it is a toy here ]\n---\n", one.get_payload()
        )
        two = (folder / "0002-toy-two.patch").read_text()
        self.assertIn(
            "\n\n[ No upstream commit: as of v9.2 it is fixed at the root (commits\n  222222222222). ]\n\nWhy.\n", two
        )
        self.assertIn("\nSubject: [PATCH toy.y 2/2] KVM: SVM: Toy two\n", two)
        self.assertIn("left out toy-three: not in mainline yet", self.said)

    def test_stable_stays_its_authors(self) -> None:
        self.gitconfig.write_text("[user]\n\tname = Jo Doe\n\temail = doe@distribution.lan\n")
        folder = self.export("stable --signoff")
        one, two = ((folder / f"000{n}-toy-{name}.patch").read_text() for n, name in ((1, "one"), (2, "two")))
        self.assertIn("\nFrom: Una Original <una@mainline.lan>\n", one)
        self.assertIn("[ backport: it is a toy here ]\nSigned-off-by: Jo Doe <doe@distribution.lan>\n---\n", one)
        self.assertIn("\nFrom: Jo Doe <doe@distribution.lan>\n", two)
        git(self.tree, "am", "--quiet", str(folder / "0001-toy-one.patch"), str(folder / "0002-toy-two.patch"))

    def test_stable_must_not_get_it(self) -> None:
        with (self.project / "patches/upstream").open("a") as upstream:
            upstream.write("nostable toy-one - ## it moves the set-up around\n")
        folder = self.export("stable")
        self.assertFalse(list(folder.glob("*toy-one*")))
        self.assertIn("left out toy-one: not for stable: it moves the set-up around", self.said)

    def test_stable_keeps_together_what_belongs_together(self) -> None:
        text = "together  toy-one,toy-three - ## one is wrong without the other\n"
        edit(self.project / "patches/upstream", "toy-one ", f"{text}toy-one ")
        folder = self.export("stable")
        self.assertFalse(list(folder.glob("*toy-one*")))
        self.assertIn("left out toy-one: not without toy-three", self.said)

    def test_version_notes(self) -> None:
        for number, text in enumerate((
            "v9:\n- x: X: new\n",
            "toy:\n- toy-two: KVM: SVM: Toy two: new\n",
            "- Better.\n  Much.\n\ntoy:\n- toy-two: KVM: SVM: Toy two: changed\n- toy-gone: KVM: SVM: Toy four: gone\n\nv9:\n- no change\n",
            "- Of another base.\n\ntoy:\n- no change\n\nv9:\n- x: X: changed\n",
        ), 1):
            folder = self.project / f"releases/v{number}"
            folder.mkdir(parents=True)
            (folder / "changelog").write_text(text)
        mbox = (self.export("mbox") / "avic-toy.mbox").read_text()
        # What is another base's makes no revision of this one, and nobody on the list knows a slug.
        self.assertIn("Subject: [PATCH v2 1/3]", mbox)
        self.assertIn("\nChanges in v2:\n- Better.\n  Much.\n- 2. KVM: SVM: Toy two: changed\n- KVM: SVM: Toy four: gone\n\n", mbox)
        self.assertNotIn("Changes in v1", mbox)


# What a commit's message has to look like, by the rules that the distributions publish.  Each is one of
# ours that mainline has, and one that it lacks.
SIGNED = "Signed-off-by: Jo Doe <doe@distribution.lan>\n"
GRAMMARS = {
    # documentation.ubuntu.com, "Stable patch format".
    "ubuntu": (
        r"(?!UBUNTU: )\S.*\n\n(BugLink: https://bugs\.launchpad\.net/bugs/\d+\n)+\n(.*\n)+"
        rf"\(backported from commit [0-9a-f]{{40}}\)\n\[\S+:.*\]\n(CVE-\d{{4}}-\d+\n)*{SIGNED}",
        r"UBUNTU: SAUCE: \S.*\n\n(BugLink: https://bugs\.launchpad\.net/bugs/\d+\n)+\n(.*\n)+"
        rf"(CVE-\d{{4}}-\d+\n)*\n?{SIGNED}",
    ),
    # The "Commit Rules" of CentOS Stream's kernel.
    "rhel": (
        r"\S.*\n\n(JIRA: https://issues\.redhat\.com/browse/RHEL-\d+\n)+(CVE: CVE-\d{4}-\d+\n)*"
        r"\nConflicts: \S.*\n(  .*\n)*\ncommit [0-9a-f]{40}\nAuthor: .+ <.+@.+>\nDate:   .+\n\n"
        rf"((    .*)?\n)+{SIGNED}",
        r"\S.*\n\n(JIRA: https://issues\.redhat\.com/browse/RHEL-\d+\n)+(CVE: CVE-\d{4}-\d+\n)*"
        rf"Upstream Status: (RHEL Only|Posted, \S+)\n\n(.*\n)+{SIGNED}",
    ),
    # What pve-kernel's patches/kernel has.
    "proxmox": (
        rf"\S.*\n\n(.*\n)+\(backported from commit [0-9a-f]{{40}}\)\n\[\S+:.*\]\n{SIGNED}",
        rf"\S.*\n\n(.*\n)+{SIGNED}",
    ),
}
OPTIONS = {
    "ubuntu": "--bug=2087983",
    "rhel": "--bug=RHEL-12345",
    "suse": "--bug=bsc#1234567",
    "proxmox": "--start=27",
}
# SUSE's fields of a patch, as kernel-source's scripts/python/suse_git/header.py has them.
SUSE = {
    "Patch-mainline": r"v\d+(\.\d+)+(-rc\d+)?|Never, \S.*|Submitted, \S.*|Not yet, (?!submitted)\S.*",
    "Git-commit": r"[0-9a-f]{40}",
    "References": r"(bsc|boo|bnc)#\d+.*|jsc#\w+-\d+.*",
    "From": r".+ <.+@.+>",
    "Subject": r"\S.*",
}


class Distributions(Base):
    """Each form in its distribution's grammar, and taken by the tool that takes it there."""

    def setUp(self) -> None:
        super().setUp()
        self.gitconfig.write_text("[user]\n\tname = Jo Doe\n\temail = doe@distribution.lan\n")
        self.base = git(self.tree, "rev-parse", "HEAD")

    def exported(self, form: str) -> Path:
        return self.export(f"{form} --signoff {OPTIONS[form]}")

    def test_messages(self) -> None:
        """git am takes them, and the commits are as they should be."""
        for form, (upstream, other) in GRAMMARS.items():
            with self.subTest(form):
                paths = sorted(self.exported(form).iterdir())
                git(self.tree, "checkout", "--quiet", "--detach", self.base)
                git(self.tree, "am", "--quiet", *map(str, paths))
                commits = git(self.tree, "rev-list", "--reverse", f"{self.base}..HEAD").split()
                messages = [git(self.tree, "show", "--no-patch", "--format=%B", each) + "\n" for each in commits]
                for message, grammar in zip(messages, (upstream, other, other), strict=True):
                    self.assertRegex(message, rf"\A{grammar}\Z")
                    self.assertEqual(message.count("BugLink: "), form == "ubuntu")
                one, two, _ = messages
                self.assertIn(ORIGINAL.partition("\n")[0] + "\n", one)
                self.assertIn("All of mainline's reasons.\n", one)
                self.assertIn("it is a toy here", one)
                self.assertIn("Signed-off-by: Una Original <una@mainline.lan>\n", one)
                self.assertIn("[ Mainline: as of v9.2 it is fixed at the root (commits 222222222222). ]\n", two)
                # In RHEL's git a backport is its maker's; elsewhere it stays its author's.
                authors = git(self.tree, "log", "--reverse", "--format=%an", f"{self.base}..HEAD").splitlines()
                self.assertEqual(authors, ["Jo Doe" if form == "rhel" else "Una Original", "Jo Doe", "Jo Doe"])

    def test_names_are_as_git_makes_them(self) -> None:
        paths = sorted(self.exported("proxmox").iterdir())
        git(self.tree, "am", "--quiet", *map(str, paths))
        out = self.root / "again"
        git(self.tree, "format-patch", "--quiet", "--no-numbered", "--start-number=27", f"--output-directory={out}",
            f"{self.base}..")  # fmt: skip
        self.assertEqual([path.name for path in paths], sorted(path.name for path in out.iterdir()))
        self.assertTrue(paths[0].name.startswith("0027-KVM-SVM-Do-it"))

    def test_suse(self) -> None:
        folder = self.exported("suse")
        names = (folder / "series.conf").read_text().split("\n\t")[1:]
        self.assertEqual([name.strip() for name in names][0], "patches.suse/KVM-SVM-Do-it-as-mainline-does-in-a-subject-that-is-.patch")
        heads = []
        for name in names:
            mail = message_from_string((folder / name.strip()).read_text())
            heads.append(mail)
            for field, grammar in SUSE.items():
                if field != "Git-commit" or mail[field] or mail["Patch-mainline"].startswith("v"):
                    self.assertRegex(" ".join(mail.get_all(field)), rf"\A(?:{grammar})\Z")
            self.assertTrue(mail.get_payload().partition("\n---\n")[0].endswith(SIGNED.strip()))
        self.assertEqual([head["Git-commit"] for head in heads], [self.original, None, None])
        self.assertEqual(heads[0]["From"], "Una Original <una@mainline.lan>")
        self.assertEqual({head["References"] for head in heads}, {"bsc#1234567"})
        self.assertIn("someone of SUSE has to sign off", self.said)
        git(self.tree, "am", "--quiet", *(str(folder / name.strip()) for name in names))
        self.gitconfig.write_text("[user]\n\tname = Jo Doe\n\temail = doe@suse.com\n")
        self.exported("suse")
        self.assertNotIn("someone of SUSE", self.said)

    def test_cve_of_one_patch(self) -> None:
        for form, before in (("ubuntu", "]\n"), ("rhel", "RHEL-12345\nCVE: "), ("suse", "References: bsc#1234567 ")):
            folder = self.export(f"{form} --signoff {OPTIONS[form]} --bug=toy-one:CVE-2026-12345")
            one, two, _ = (path.read_text() for path in sorted(folder.rglob("*.patch")))
            self.assertIn(f"{before}CVE-2026-12345\n", one)
            self.assertNotIn("CVE", two)

    def test_unsigned(self) -> None:
        for form in ("rhel", "ubuntu", "proxmox"):
            self.export(f"{form} {OPTIONS[form]}")
            self.assertIn("nobody has signed off", self.said)

    def test_names_beyond_ascii(self) -> None:
        self.gitconfig.write_text("[user]\n\tname = J\u00f6 D\u00f6e\n\temail = doe@distribution.lan\n")
        paths = sorted(self.exported("rhel").iterdir())
        git(self.tree, "am", "--quiet", *map(str, paths))
        self.assertEqual(git(self.tree, "show", "--no-patch", "--format=%an %B").count("J\u00f6 D\u00f6e"), 2)

    def test_refused(self) -> None:
        for form, good in (("suse", "bsc#1234567"), ("rhel", "RHEL-12345"), ("ubuntu", "2087983")):
            self.refused(f"export {form}", 2, f"{form} takes no patch without a bug", f"--bug {good}")
            self.refused(f"export {form} --bug=CVE-2026-12345", 2, "takes no patch without a bug")
            self.refused(f"export {form} --bug=none", 2, f"--bug 'none' is none of {form}'s", good)
            self.refused(f"export {form} --bug={good} --bug=toy-four:CVE-2026-12345", 2, "toy-four, which is no patch")
        self.refused("export proxmox", 2, "give --start")
        for form, options in OPTIONS.items():
            edit(self.project / "patches/upstream", self.original, "1" * 40)
            said = ("toy-one goes out in the words of commit 111111111111 (v9.1)", "fetch mainline there")
            self.refused(f"export {form} {options}", 1, *said)
            edit(self.project / "patches/upstream", "1" * 40, self.original)
            edit(self.project / "patches/upstream", "differs   toy-one toy", "differs   toy-one v9")
            self.refused(f"export {form} {options}", 1, "does not say how toy-one on toy differs")
            edit(self.project / "patches/upstream", "differs   toy-one v9", "differs   toy-one toy")
        self.nothing_left()

    def test_options_that_a_form_does_not_take(self) -> None:
        for form, option in (
            ("debian", "--prefix=RFC"), ("quilt", "--bug=bsc#1"), ("mbox", "--bug=1"), ("mbox", "--branch=x"),
            ("rhel", "--prefix=RFC"), ("suse", "--start=1"), ("stable", "--replace"), ("mbox", "--maintainers"),
            ("b4", "--bug=1"), ("b4", "--start=0"),
        ):  # fmt: skip
            name = option.partition("=")[0]
            self.refused(f"export {form} {option}", 2, f"{form} takes no {name}: see export --help")
        self.nothing_left()


class Small(Base):
    """The small form: without a patch, and with another one for a patch."""

    def setUp(self) -> None:
        super().setUp()
        edit(self.patches / "base", "Range", "Small: toy-two: it fixes nothing\nRange")
        (self.patches / "small").mkdir()
        text = (self.patches / "0003-toy-three.patch").read_text()
        (self.patches / "small/toy-three.patch").write_text(text.replace("Why.", "Why, in small."))

    def test_form(self) -> None:
        for form in ("quilt", "debian", "proxmox --start=1"):
            folder = self.cache / f"export/toy/{form.split()[0]}-small"
            self.export(f"{form} --small")
            texts = [path.read_text() for path in sorted(folder.rglob("*.patch"))]
            self.assertEqual(len(texts), 2)
            self.assertIn("Why, in small.", texts[1])
        names = (self.cache / "export/toy/quilt-small/series").read_text().split()
        self.assertEqual([name for name in names if name.endswith(".patch")], ["0001-toy-one.patch", "0003-toy-three.patch"])

    def test_stable(self) -> None:
        with (self.project / "patches/upstream").open("a") as upstream:
            upstream.write("differs toy-one toy/small ## it is small here\n")
        self.export("stable --small")
        text = (self.cache / "export/toy/stable-small/0001-toy-one.patch").read_text()
        self.assertIn("[ backport: it is small here ]\n", text)

    def test_refused(self) -> None:
        self.refused("export mbox --small", 2, "mbox takes no --small")
        self.make_sections()
        self.refused("export quilt mid --small", 2, "--small is a form of the whole stack")
        edit(self.patches / "base", "Small: toy-two", "Small: toy-four")
        self.refused("export quilt --small", 1, "patches/toy has no patch toy-four, which its small form names")
        edit(self.patches / "base", "Small: toy-four: it fixes nothing\n", "")
        shutil.rmtree(self.patches / "small")
        self.refused("export quilt --small", 2, "patches/toy has no small form")
        self.nothing_left()


class Sections(Base):
    """One section at a time, in each form."""

    def setUp(self) -> None:
        super().setUp()
        self.make_sections()

    def test_mbox_of_each_applies_alone(self) -> None:
        base = git(self.tree, "rev-parse", "HEAD")
        boxes = {}
        for name in ("low", "mid", "high"):
            boxes[name] = self.export(f"mbox {name}") / f"avic-toy-{name}.mbox"
            text = boxes[name].read_text()
            self.assertIn(f"Subject: [PATCH 0/1] KVM: SVM: The {name} one\n", text)
            self.assertEqual(text.count("\nSubject: "), 2)
            self.assertIn(f"\nbase-commit: {base}\n", text)
            needs = [self.patch_id(self.patches / "0001-toy-one.patch")] if name == "high" else []
            self.assertEqual(re.findall(r"(?m)^prerequisite-patch-id: (.*)$", text), needs)
            self.assertEqual('on top of "KVM: SVM: The low one"' in text.replace("\n", " "), name == "high")
            self.assertEqual("before them: section low, The base of it\n" in self.said, name == "high")
        for names in (("low",), ("mid",), ("low", "high")):
            git(self.tree, "checkout", "--quiet", "--detach", base)
            for name in names:
                git(self.tree, "am", "--quiet", "--empty=drop", str(boxes[name]))

    def test_options_may_come_first(self) -> None:
        self.script("export mbox --signoff low")
        self.assertTrue((self.cache / "export/toy/mbox-low/avic-toy-low.mbox").exists())

    def test_whole_stack_as_before(self) -> None:
        mbox = (self.export("mbox") / "avic-toy.mbox").read_text()
        self.assertIn("Subject: [PATCH 0/3] KVM: SVM: Toys\n", mbox)
        self.assertNotIn("prerequisite-patch-id", mbox)

    def test_needs_of_needs(self) -> None:
        edit(self.patches / "series", "# Section mid: By itself\n", "# Section mid: By itself\n# Needs: low\n")
        edit(self.patches / "series", "# Needs: low\n0003", "# Needs: mid\n0003")
        text = (self.export("mbox high") / "avic-toy-high.mbox").read_text()
        self.assertEqual(text.count("\nprerequisite-patch-id: "), 2)
        self.assertIn('on top of "KVM: SVM: The low one" and "KVM: SVM: The mid one"', text.replace("\n", " "))

    def test_quilt_and_debian(self) -> None:
        folder = self.export("quilt high")
        self.assertIn("before them: section low, The base of it\n", self.said)
        series = "# toy stack\n\n# Section high: On top\n# Needs: low\n0003-toy-three.patch\n"
        self.assertEqual((folder / "series").read_text(), series)
        self.assertEqual(sorted(path.name for path in folder.iterdir()), ["0003-toy-three.patch", "series"])
        folder = self.export("debian mid")
        self.assertEqual([path.name for path in folder.rglob("*.patch")], ["0002-toy-two.patch"])
        self.assertIn("# AVIC in KVM, from patches/toy, section mid\n", (folder / "series").read_text())

    def test_stable(self) -> None:
        folder = self.export("stable low")
        self.assertEqual(
            sorted(path.name for path in folder.iterdir()), ["0000-cover-letter.patch", "0001-toy-one.patch"]
        )
        self.assertIn("[PATCH toy.y 0/1] KVM: SVM: The low one", (folder / "0000-cover-letter.patch").read_text())
        self.refused("export stable high", 1, "nothing of patches/toy, section high is for stable")

    def test_version_notes_are_of_the_section(self) -> None:
        new = "toy:\n- toy-one: KVM: SVM: Toy one: new\n- toy-two: KVM: SVM: Toy two: new\n"
        more = "- toy-four: KVM: SVM: Toy four: gone from low\n- toy-five: KVM: SVM: Toy five: gone from mid\n"
        for number, text in ((1, new), (2, f"- Better.\n\n{new.replace(': new', ': changed')}{more}"), (3, "toy:\n- toy-one: X: changed\n")):
            (self.project / f"releases/v{number}").mkdir(parents=True)
            (self.project / f"releases/v{number}/changelog").write_text(text)
        mbox = (self.export("mbox mid") / "avic-toy-mid.mbox").read_text()
        self.assertIn("\nChanges in v2:\n- Better.\n- 1. KVM: SVM: Toy two: changed\n- KVM: SVM: Toy five: gone\n\n", mbox)
        self.assertIn("Subject: [PATCH v2 0/1]", mbox)
        self.assertIn("Subject: [PATCH v3 0/1]", (self.export("mbox low") / "avic-toy-low.mbox").read_text())

    def test_refused(self) -> None:
        for form in ("b4", "mbox", "stable", "debian", "quilt", "proxmox --start=1", "suse --bug=bsc#1"):
            self.refused(f"export {form} none", 2, "no section or patch 'none' in patches/toy: see patches/toy/series")
        for name in ("low", "high"):
            cover = self.patches / f"cover.{name}"
            text = cover.read_text()
            cover.write_text("Subject only\n")
            self.refused("export mbox high", 1, f"patches/toy/cover.{name} is no cover letter")
            cover.write_text("Subject\n\nFran\u00e7ais.\n")
            self.refused("export mbox high", 1, f"patches/toy/cover.{name} is no cover letter", "ASCII")
            cover.unlink()
            self.refused("export mbox high", 2, "no cover letter", f"patches/toy/cover.{name}")
            cover.write_text(text)
        two = self.patches / "0002-toy-two.patch"
        text = two.read_text()
        two.write_text(text.replace("\nWhy.\n", "\nWhy.\n\nReviewed-by: A B <ab@localhost>\n"))
        self.refused("export mbox mid", 1, "0002-toy-two.patch", "Reviewed-by")
        two.write_text(text)
        # It says that it needs nothing, and is wrong.
        edit(two, "line 9 of avic.c", "line 10 of avic.c")
        self.refused("export mbox mid", 1, "0002-toy-two.patch does not apply", "section mid needs more", "series:6")
        self.nothing_left()


LETTER = """\
KVM: SVM: Toys

Four toys, of which the second is big.

 1. The first is
    broken.

 2. The second is.

 3. The third is as well, but
    not as much.

10. No patch of ours has this number.
"""


class Some(Base):
    """Some of the patches: the fourth's context is what the first makes of it."""

    forms = ("mbox", "stable", "debian", "quilt", *(f"{form} {options}" for form, options in OPTIONS.items()))

    def setUp(self) -> None:
        super().setUp()
        repo = Path(self.script("apply").stdout.strip())
        edit(repo / "arch/x86/kvm/x86.c", "line 12 of", "changed line 12 of")
        git(repo, "commit", "--quiet", "--all", "--message=KVM: SVM: Toy four\n\nWhy.")
        self.four = git(repo, "rev-parse", "HEAD")
        self.script("refresh")
        letter = LETTER.replace("10. No patch of ours has this number", " 4. The fourth rests on the first")
        (self.patches / "cover").write_text(letter)
        edit(self.patches / "base", "Range", "Cover: toy-one toy-two toy-three toy-four\nRange")
        self.tell("toy-four otherwise v9.2 ## it is fixed at the root\n")
        self.before = self.state()

    def tell(self, lines: str) -> None:
        """More lines for patches/upstream."""
        with (self.project / "patches/upstream").open("a") as upstream:
            upstream.write(lines)

    @slow
    def test_each_form_has_them_in_order(self) -> None:
        for form in self.forms:
            with self.subTest(form):
                verb = form.split()[0]
                self.script(f"export {form} toy-four toy-one")
                folder = self.cache / f"export/toy/{verb}-toy-one-and-1"
                if verb == "mbox":
                    texts = re.split(r"(?m)^From 0+ .*\n", next(folder.iterdir()).read_text())[2:]
                else:
                    texts = [path.read_text() for path in sorted(folder.rglob("*.patch")) if "0000-" not in path.name]
                for text, line in zip(texts, (10, 12), strict=True):
                    self.assertIn(f"\n+changed line {line} of x86.c\n", text)

    def test_quilt_takes_them(self) -> None:
        edit(self.patches / "series", "0002-", "# The second alone.\n0002-")
        said = self.script("export quilt toy-one toy-three").stdout
        folder = self.cache / "export/toy/quilt-toy-one-and-1"
        self.assertIn(f"2 patches in {folder}\n", said)
        self.assertEqual((folder / "series").read_text(), "# toy stack\n0001-toy-one.patch\n0003-toy-three.patch\n")
        git(self.tree, "am", "--quiet", *map(str, sorted(folder.glob("*.patch"))))

    def test_letter_is_by_subject_and_number(self) -> None:
        self.script("export mbox toy-four toy-one")
        text = (self.cache / "export/toy/mbox-toy-one-and-1/avic-toy-toy-one-and-1.mbox").read_text()
        self.assertIn("Subject: [PATCH 0/2] KVM: SVM: Toys, 2 of 4 patches\n", text)
        self.assertIn(
            '2 of the 4 patches of the series "KVM: SVM: Toys", by their numbers\nthere:\n\n'
            " 1. KVM: SVM: Toy one\n\n    The first is\n    broken.\n\n"
            " 4. KVM: SVM: Toy four\n\n    The fourth rests on the first.\n",
            text,
        )
        for words in ("Four toys", "The second", "as much"):
            self.assertNotIn(words, text)
        self.script("export stable toy-one")
        letter = (self.cache / "export/toy/stable-toy-one/0000-cover-letter.patch").read_text()
        self.assertIn("Subject: [PATCH toy.y 0/1] KVM: SVM: Toy one\n", letter)

    def test_letter_that_does_not_fit(self) -> None:
        (self.patches / "cover").write_text(LETTER)
        for form in ("mbox", "b4"):
            self.refused(f"export {form} toy-one", 1, "patches/toy/cover numbers 1 2 3 10, and its fixes are 1 to 4")
        self.refused("export mbox", 1, "patches/toy/cover numbers 1 2 3 10")
        self.nothing_left()
        self.script("export stable toy-one")

    @slow
    def test_stack_that_the_letter_no_longer_fits(self) -> None:
        """A patch is dropped, split or moved: each number was about another one."""
        repo = Path(self.script("apply").stdout.strip())
        four = "correct patches/toy/cover, then Cover"
        for commits, words in (
            ("stack~3 stack~2 stack", "number 3 is toy-four in the stack, and toy-three there"),
            ("stack~3 stack~1 stack~2 stack", "number 2 is toy-three in the stack, and toy-two there"),
            ("stack~3 stack~2 stack~1", "number 4 is nothing in the stack, and toy-four there"),
        ):
            ids = git(repo, "rev-parse", *commits.split()).split()
            with self.subTest(commits):
                git(repo, "checkout", "--quiet", "-B", "stack", "base")
                git(repo, "cherry-pick", *ids)
                self.script("refresh")
                for form in ("mbox", "b4", "mbox toy-one"):
                    self.refused(f"export {form}", 1, f"patches/toy/base, Cover: {words}", four)
                self.script("export quilt")
                git(repo, "checkout", "--quiet", "-B", "stack", self.four)
                self.script("refresh")

    def test_letter_without_numbers(self) -> None:
        """It has no words for one patch alone: patches/changes has them."""
        (self.patches / "cover").write_text("KVM: SVM: Toys\n\nFour toys.\n")
        changes = self.project / "patches/changes"
        changes.write_text("L1 toy-one ## the first toy is whole\nL4 toy-four ## `toy()` is, too, and that is a line which goes on and on\n")
        self.script("export mbox toy-four toy-one")
        text = (self.cache / "export/toy/mbox-toy-one-and-1/avic-toy-toy-one-and-1.mbox").read_text()
        self.assertIn(
            '2 of the 4 patches of the series "KVM: SVM: Toys", by their numbers\nthere:\n\n'
            " 1. KVM: SVM: Toy one\n\n    the first toy is whole\n\n"
            " 4. KVM: SVM: Toy four\n\n    `toy()` is, too, and that is a line which goes on and on\n",
            text,
        )
        self.assertNotIn("Four toys.", text)
        changes.write_text("L4 toy-four ## the fourth\n")
        for form in ("mbox", "b4"):
            self.refused(f"export {form} toy-one", 1, "patches/changes has no line for toy-one: add one")

    def test_applied_once(self) -> None:
        log, stub = self.root / "log", self.root / "bin"
        stub.mkdir()
        (stub / "git").write_text(f'#!/bin/sh\necho "$*" >>{log}\nexec {shutil.which("git")} "$@"\n')
        (stub / "git").chmod(0o755)
        for form, number in (("mbox toy-one toy-three", 2), ("quilt toy-one", 1), ("mbox", 4)):
            log.write_text("")
            self.script(f"export {form}", PATH=f"{stub}:{os.environ['PATH']}")
            self.assertEqual(len(re.findall(r"(?m)^.* am --quiet", log.read_text())), number, form)

    def test_together(self) -> None:
        self.tell("together toy-two,toy-three - ## one is wrong without the other\n")
        self.tell("together toy-three,toy-four - ## so is this\n")
        self.tell("gone unsent - ## the kernel has it\ntogether toy-one,gone - ## not on this base\n")
        for form in (*self.forms, "b4"):
            self.refused(
                f"export {form} toy-two", 1,
                "toy-two must not go without toy-three (one is wrong without the other); toy-four (so is this): give these",
            )  # fmt: skip
        self.nothing_left()
        self.script("export quilt toy-one")

    def test_what_it_needs(self) -> None:
        for form in (*self.forms, "b4"):
            error = self.refused(
                f"export {form} toy-two toy-four", 1, "patches/toy/0004-toy-four.patch does not apply: arch/x86/kvm/x86.c, hunk 1",
                "it needs toy-one, not among patches/toy, 2 of its 4 patches",
            )  # fmt: skip
            self.assertNotIn("toy-three", error)
        self.nothing_left()

    def test_tree_that_is_another(self) -> None:
        """Then no patch is missing: the stack does not apply either."""
        edit(self.tree / "arch/x86/kvm/x86.c", "line 41 of", "my line 41 of")
        git(self.tree, "commit", "--quiet", "--all", "--message=another base")
        self.before = self.state()
        error = self.refused("export quilt toy-three", 1, "0003-toy-three.patch does not apply", "rebase branch stack")
        self.assertNotIn("it needs", error)
        self.nothing_left()
        self.script("export quilt toy-one")

    def test_small(self) -> None:
        edit(self.patches / "base", "Range", "Small: toy-one: it fixes nothing\nRange")
        (self.patches / "small").mkdir()
        text = (self.patches / "0004-toy-four.patch").read_text()
        (self.patches / "small/toy-four.patch").write_text(text.replace(" changed line 10", " line 10").replace("Why.", "Small."))
        self.tell("together toy-one,toy-four - ## not in the small form\n")
        self.refused("export quilt --small toy-one", 2, "the small form of patches/toy does without toy-one")
        self.script("export quilt --small toy-four")
        folder = self.cache / "export/toy/quilt-toy-four-small"
        self.assertIn("\nSmall.\n", (folder / "0004-toy-four.patch").read_text())
        git(self.tree, "am", "--quiet", str(folder / "0004-toy-four.patch"))

    def test_unknown(self) -> None:
        edit(self.patches / "base", "Range", "Left-out: toy-five: in this base it is fixed\nRange")
        self.refused("export quilt toy-one none", 2, "no section or patch 'none' in patches/toy: see patches/toy/series")
        self.refused("export quilt toy-five", 2, "no section or patch 'toy-five'", "it is left out, in this base it is fixed")
        (self.patches / "series").write_text(
            "# Section low: One\n0001-toy-one.patch\n0002-toy-two.patch\n0003-toy-three.patch\n"
            "# Section high: Two\n0004-toy-four.patch\n"
        )
        self.refused("export quilt low toy-one", 2, "section low goes out as it is", "give it alone")
        self.refused("export suse --bug=bsc#1 --bug=toy-one:CVE-2026-12345 toy-three", 2, "--bug is for toy-one, which is no patch")
        self.nothing_left()


class B4(Base):
    """What b4 makes of it; test_newest_b4.py does the same with the newest."""

    b4 = "b4"

    def setUp(self) -> None:
        super().setUp()
        self.env["B4"] = self.b4

    def run_b4(self, tree: Path, *args: str) -> str:
        """b4 in a tree, with nowhere to go to."""
        env = os.environ | self.env | {"XDG_CACHE_HOME": str(self.root), "XDG_DATA_HOME": str(self.root)}
        done = subprocess.run(
            [self.b4, "--offline-mode", "--no-stdin", *args], cwd=tree, text=True, env=env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    @slow
    def test_b4(self) -> None:
        folder = self.export("b4 --signoff --prefix RFC --maintainers")
        self.assertIn("to send: cd ", self.said)
        for word in ("understand", "tested", "coding-assistants.rst", "Assisted-by", f"evidence: {self.cache}/report/toy"):
            self.assertIn(word, self.said)
        self.assertIn('mail     [PATCH RFC 0/3] KVM: SVM: Toys\n', self.said)
        for line in ("to       Boss <boss@example.org>", "to       snippet@example.org", "cc       list@example.org"):
            self.assertIn(line, self.said)
        self.assertIn("Signed-off-by: Toy <toy@localhost>", (folder / "dry-run").read_text())
        log = git(self.tree, "log", "--format=%an %s", "HEAD..avic").splitlines()
        self.assertEqual(
            log, ["Toy KVM: SVM: Toy three", "Toy KVM: SVM: Toy two", "Toy KVM: SVM: Toy one", "Toy KVM: SVM: Toys"]
        )
        git(self.tree, "switch", "--quiet", "avic")
        info = self.run_b4(self.tree, "prep", "--show-info")
        self.assertIn(f"base-commit: {git(self.tree, 'rev-parse', 'avic~4')}", info)
        self.assertIn("revision: 1\n", info)

    @slow
    def test_b4_again_keeps_what_was_sent(self) -> None:
        self.export("b4")
        self.refused("export b4", 2, "has a branch avic", "--replace")
        # As b4 send leaves it: v1 sent, the branch at v2.
        git(self.tree, "switch", "--quiet", "avic")
        message = git(self.tree, "show", "--no-patch", "--format=%B", "HEAD~3")
        sent = message.replace('"revision": 1', '"revision": 2, "history": {"v1": ["id@localhost"]}')
        tree = git(self.tree, "rev-parse", "HEAD~3^{tree}")
        cover = git(self.tree, "commit-tree", tree, "-p", "HEAD~4", "-m", sent)
        git(self.tree, "switch", "--quiet", "-")
        git(self.tree, "branch", "--force", "avic", cover)
        self.export("b4 --replace")
        self.assertIn("v1 was posted, and no release has a change of it since: run scripts/release v1", self.said)
        for number in (1, 2):
            (self.project / f"releases/v{number}").mkdir(parents=True)
            (self.project / f"releases/v{number}/changelog").write_text("- Better.\n\ntoy:\n- toy-one: KVM: SVM: Toy one: changed\n")
        folder = self.export("b4 --replace --signoff")
        self.assertIn("to send: ", self.said)
        mails = (folder / "dry-run").read_text()
        self.assertIn("Subject: [PATCH v2 1/3]", mails)
        self.assertRegex(mails, r"Changes in v2:\n.*- Better.\n.*- 1. KVM: SVM: Toy one: changed\n.*- Link to v1: https://lore.kernel.org/all/id@localhost")
        change = re.search(r"change-id: (\S+)", message) or re.search(r'"change-id": "(\S+)"', message)
        self.assertIn(f"change-id: {change[1]}", mails)

    @slow
    def test_prefix_does_not_stick(self) -> None:
        self.export("b4 --prefix RFC")
        self.assertIn("mail     [PATCH RFC 0/3] ", self.said)
        self.export("b4 --replace --prefix RFT")
        self.assertIn("mail     [PATCH RFT 0/3] ", self.said)
        self.export("b4 --replace")
        self.assertIn("mail     [PATCH 0/3] ", self.said)

    def change(self, number: int, message: str, line: int = 0) -> None:
        """Another message, and perhaps another line, for a commit of branch avic, counted from its end."""
        git(self.tree, "checkout", "--quiet", "--detach", f"avic~{number}")
        if line:
            edit(self.tree / "arch/x86/kvm/x86.c", f"line {line} of", f"my line {line} of")
        git(self.tree, "commit", "--quiet", "--all", "--allow-empty", "--amend", f"--message={message}")
        for later in range(number - 1, -1, -1):
            git(self.tree, "cherry-pick", f"avic~{later}")
        git(self.tree, "branch", "--force", "avic", "HEAD")
        git(self.tree, "switch", "--quiet", self.at)

    @slow
    def test_replace_keeps_what_the_user_did_there(self) -> None:
        """Tags from the list, a commit, another letter: nothing of these is dropped without a word."""
        self.at = git(self.tree, "symbolic-ref", "--short", "HEAD")
        for options in ("", " --replace", " --replace --signoff"):
            self.export(f"b4{options}")
            self.assertNotIn("kept ", self.said)
        had = "the old branch, for what is only there"
        with self.subTest("tags"):
            text = git(self.tree, "show", "--no-patch", "--format=%B", "avic~1")
            signed = "Signed-off-by: Toy <toy@localhost>"
            given = "Reviewed-by: Other <other@localhost>\nTested-by: \u00d6ther <other@localhost> # on Zen 4"
            self.change(1, text.replace(signed, f"{given}\n{signed}"))
            for _ in range(2):
                self.export("b4 --replace --signoff")
                self.assertIn("tags     KVM: SVM: Toy two: Reviewed-by: Other <other@localhost>\n", self.said)
                self.assertNotIn("kept ", self.said)
                message = git(self.tree, "show", "--no-patch", "--format=%B", "avic~1")
                self.assertEqual(message, f"KVM: SVM: Toy two\n\nWhy.\n\n{given}\n{signed}")
            self.assertIn(given.split("\n")[0], (self.cache / "export/toy/b4/dry-run").read_text())
            self.export("b4 --replace")
            self.assertEqual(git(self.tree, "show", "--no-patch", "--format=%B", "avic~1"), f"KVM: SVM: Toy two\n\nWhy.\n\n{given}")
        with self.subTest("tags of what is another patch now"):
            two = self.patches / "0002-toy-two.patch"
            before = two.read_text()
            tagged = git(self.tree, "rev-parse", "avic")
            for old, new in (("\nWhy.\n", "\nWhy not.\n"), ("+changed line 10", "+other line 10")):
                two.write_text(before.replace(old, new))
                self.export("b4 --replace --signoff")
                self.assertIn(f"kept     avic.before-1, {had}: KVM: SVM: Toy two\n", self.said)
                self.assertNotIn("tags ", self.said)
                self.assertEqual(git(self.tree, "rev-parse", "avic.before-1"), tagged)
                for branch in ("avic", "exported/avic"):
                    git(self.tree, "update-ref", f"refs/{'heads' if branch == 'avic' else 'avic'}/{branch}", tagged)
                git(self.tree, "branch", "--quiet", "-D", "avic.before-1")
            two.write_text(before)
            git(self.tree, "branch", "avic.before-1")
            self.export("b4 --replace --signoff")
        with self.subTest("code"):
            self.change(0, git(self.tree, "show", "--no-patch", "--format=%B", "avic"), line=55)
            self.export("b4 --replace --signoff")
            self.assertIn(f"kept     avic.before-2, {had}: KVM: SVM: Toy three\n", self.said)
        with self.subTest("the letter"):
            text = git(self.tree, "show", "--no-patch", "--format=%B", "avic~3")
            self.change(3, text.replace("Three toys.", "Three fine toys."))
            self.export("b4 --replace --signoff")
            self.assertIn(f"kept     avic.before-3, {had}: the cover letter\n", self.said)

    def test_from_the_branch_itself(self) -> None:
        """Where `b4 send` leaves one, the tree's HEAD is no base."""
        self.export("b4")
        git(self.tree, "switch", "--quiet", "avic")
        self.refused("export b4 --replace", 2, "is on branch avic", "git switch")

    def test_recipients_know_the_history_of_the_tree(self) -> None:
        """The base is one commit; who wrote what a patch fixes is asked for in TREE."""
        old = git(self.tree, "rev-parse", "HEAD")
        ask = f'[ -z "$(git log -1 --format=%H {old} 2>/dev/null)" ] || echo "history@example.org"\n'
        (self.tree / "scripts/get_maintainer.pl").write_text(GET_MAINTAINER + ask)
        git(self.tree, "commit", "--quiet", "--all", "--message=asks for history")
        self.export("b4")
        self.assertIn("history@example.org", self.said)

    @slow
    def test_b4_of_sections_side_by_side(self) -> None:
        self.make_sections()
        base = git(self.tree, "rev-parse", "HEAD")
        needed = f"prerequisite-patch-id: {self.patch_id(self.patches / '0001-toy-one.patch')}"
        for again in ("", " --replace"):
            for name, below in (("low", []), ("mid", []), ("high", ["KVM: SVM: Toy one"])):
                folder = self.export(f"b4 {name} --signoff{again}")
                self.assertIn(f"git switch avic-{name} && ", self.said)
                self.assertRegex(self.said, r"mail     \[PATCH\] KVM: SVM: Toy (one|two|three)\n")
                log = git(self.tree, "log", "--reverse", "--format=%s", f"{base}..avic-{name}").splitlines()
                self.assertEqual(log[:-1], [*below, f"KVM: SVM: The {name} one"])
                mails = (folder / "dry-run").read_text()
                self.assertEqual(len(re.findall(r"(?m)^[ |]*Subject: ", mails)), 1)
                self.assertIn("One toy.", mails)
                lines = re.findall(r"(?m)^[ |]*((?:base-commit|prerequisite-patch-id): .*)$", mails)
                self.assertEqual(lines[0], f"base-commit: {base}")
                self.assertEqual(lines.count(needed), len(below))

    @slow
    def test_b4_of_some_patches(self) -> None:
        (self.patches / "cover").write_text(LETTER.partition("\n10.")[0])
        edit(self.patches / "base", "Range", "Cover: toy-one toy-two toy-three\nRange")
        base = git(self.tree, "rev-parse", "HEAD")
        for again in ("", " --replace"):
            self.script(f"export b4 toy-three toy-one{again}")
            mails = (self.cache / "export/toy/b4-toy-one-and-1/dry-run").read_text()
            self.assertRegex(mails, r"Subject: \[PATCH 0/2\] KVM: SVM: Toys, 2 of 3 patches\n")
            self.assertRegex(mails, r"(?m)^[ |]*3\. KVM: SVM: Toy three$")
            log = git(self.tree, "log", "--format=%s", f"{base}..avic-toy-one-and-1").splitlines()
            self.assertEqual(log, ["KVM: SVM: Toy three", "KVM: SVM: Toy one", "KVM: SVM: Toys, 2 of 3 patches"])

    @slow
    def test_section_that_no_longer_needs_another(self) -> None:
        self.make_sections()
        series = self.patches / "series"
        series.write_text(
            "# Section low: The base of it\n0001-toy-one.patch\n"
            "# Section high: On top\n# Needs: low\n0002-toy-two.patch\n0003-toy-three.patch\n"
        )
        mails = (self.export("b4 high") / "dry-run").read_text()
        self.assertIn("mail     [PATCH 0/2] KVM: SVM: The high one\n", self.said)
        self.assertEqual(len(re.findall(r"(?m)^[ |]*prerequisite-patch-id: ", mails)), 1)
        edit(series, "# Needs: low\n", "")
        mails = (self.export("b4 high --replace") / "dry-run").read_text()
        self.assertNotIn("prerequisite", mails)

    def test_am_and_shazam_take_the_mbox(self) -> None:
        mbox = self.export("mbox") / "avic-toy.mbox"
        (self.root / "am").mkdir()
        said = self.run_b4(self.tree, "am", "--use-local-mbox", str(mbox), "--outdir", str(self.root / "am"))
        self.assertIn("Total patches: 3", said)
        base = git(self.tree, "rev-parse", "HEAD")
        self.assertRegex(said, f"{base}|applies clean to current tree")
        git(self.tree, "config", "user.name", "Toy")
        git(self.tree, "config", "user.email", "toy@localhost")
        for verb in ("am", "shazam"):
            git(self.tree, "checkout", "--quiet", base)
            if verb == "am":
                git(self.tree, "am", "--quiet", *map(str, (self.root / "am").glob("*.mbx")))
            else:
                self.run_b4(self.tree, "shazam", "--use-local-mbox", str(mbox))
            subjects = git(self.tree, "log", "--reverse", "--format=%s", f"{base}..").splitlines()
            self.assertEqual(subjects, [f"KVM: SVM: Toy {n}" for n in ("one", "two", "three")])


class Refused(Base):
    def test_refused(self) -> None:
        """One line each, and nothing is left behind."""
        self.gitconfig.write_text("")
        for form in ("b4", "mbox --signoff", "stable --signoff"):
            self.refused(f"export {form}", 2, "no git identity", "git config")
        self.gitconfig.write_text("[user]\n\tname = J\u00f6 (x\n\temail = toy@localhost\n")
        self.refused("export b4", 2, "your user.name 'J\u00f6 (x'", "correct it")
        self.gitconfig.write_text("[user]\n\tname = Toy\n\temail = toy@localhost\n")
        self.refused("export b4", 2, "there is no /nonexistent", "B4=", B4="/nonexistent")
        old = self.root / "b4"
        old.write_text("#!/bin/sh\necho 0.9.0\n")
        old.chmod(0o755)
        self.refused("export b4", 2, "is 0.9.0, too old", "0.12", B4=str(old))
        self.refused("export mbox", 2, "no base 'none'", BASE="none")
        self.refused(f"export mbox --output {self.root}", 2, "exists")
        for tag in ("Signed-off-by:Me", "Reviewed-by:You"):
            self.refused(f"export mbox --trailer {tag}", 2, "a tag of your own", "--signoff")
        self.nothing_left()

        cover = self.patches / "cover"
        text = cover.read_text()
        cover.unlink()
        for form in ("b4", "mbox", "stable"):
            self.refused(f"export {form}", 2, "no cover letter", "patches/toy/cover")
        cover.write_text("Subject only\n")
        self.refused("export mbox", 1, "is no cover letter")
        cover.write_text(text)
        self.nothing_left()

        two = self.patches / "0002-toy-two.patch"
        text = two.read_text()
        for tag in ("Reviewed-by: A B <ab@localhost>", "Signed-off-by: A B <ab@localhost>"):
            two.write_text(text.replace("\nWhy.\n", f"\nWhy.\n\n{tag}\n"))
            for form in ("b4", "mbox", "debian", "quilt", "stable"):
                self.refused(f"export {form}", 1, "0002-toy-two.patch", tag)
        two.write_text(text)
        self.nothing_left()

        (self.project / "patches/upstream").write_text("toy-one unsent - ## one\n")
        for form in ("debian", "quilt", "stable"):
            self.refused(f"export {form}", 1, "patches/upstream has no entry for toy-two")
        self.nothing_left()

    def test_bytes_that_are_not_utf8(self) -> None:
        """git takes them in a file, so mbox has them; b4 ends with a traceback."""
        repo = Path(self.script("apply").stdout.strip())
        (repo / "a.txt").write_bytes("caf\xe9\n".encode("latin-1"))
        git(repo, "add", "a.txt")
        git(repo, "commit", "--quiet", "--message=KVM: SVM: Toy four\n\nWhy.")
        self.script("refresh")
        self.script("export mbox")
        self.assertIn(b"+caf\xe9\n", (self.cache / "export/toy/mbox/avic-toy.mbox").read_bytes())
        self.before = self.state()
        self.refused("export b4", 1, "0004-toy-four.patch has bytes that are not UTF-8", "export mbox")

    def test_address_that_is_not_ascii(self) -> None:
        """git takes it as an author's; b4 ends with a traceback."""
        self.gitconfig.write_text("[user]\n\tname = Toy\n\temail = \u00e9@localhost\n")
        self.refused("export b4", 2, "your user.email '\u00e9@localhost' is not ASCII")
        self.gitconfig.write_text("[user]\n\tname = Toy\n\temail = toy@localhost\n")
        two = self.patches / "0002-toy-two.patch"
        two.write_text(two.read_text().replace("<toy@localhost>", "<\u00e9@localhost>"))
        self.refused("export b4", 1, "0002-toy-two.patch is from an address that is not ASCII", "export mbox")

    def test_wrong_tree(self) -> None:
        edit(self.tree / "arch/x86/kvm/x86.c", "line 12 of", "another line 12 of")
        for form in ("b4", "mbox", "stable"):
            self.assertIn("has uncommitted changes", self.script(f"export {form}", 2).stderr)
        git(self.tree, "commit", "--quiet", "--all", "--message=another base")
        self.before = self.state()
        for form in ("b4", "mbox", "stable"):
            self.refused(f"export {form}", 1, "0001-toy-one.patch does not apply", "the context moved")
        self.nothing_left()

    def test_temporary_folder_with_a_blank(self) -> None:
        temporary = self.root / "my tmp"
        temporary.mkdir()
        self.script("export b4 --maintainers", TMPDIR=str(temporary))

    def test_what_b4_leaves_behind(self) -> None:
        """Ended by a Ctrl-C, it may not get to remove its temporary files."""
        untidy = self.root / "b4"
        untidy.write_text('#!/bin/sh\n[ "$1" = --version ] || mktemp --directory >>"$MADE"\nexec b4 "$@"\n')
        untidy.chmod(0o755)
        made = self.root / "made"
        temporary = self.temporary()
        self.script("export b4", B4=str(untidy), MADE=str(made))
        self.assertGreater(len(made.read_text().split()), 2)
        self.assertEqual(list(temporary.iterdir()), [])

    @slow
    def test_interrupt_at_any_time(self) -> None:
        cut = 0
        temporary = self.temporary()
        moments = self.moments("export b4")
        whole = self.state()
        for moment in moments:
            git(self.tree, "branch", "--quiet", "-D", "avic")
            git(self.tree, "update-ref", "-d", "refs/avic/exported/avic")
            shutil.rmtree(self.cache / "export", ignore_errors=True)
            cut += self.interrupted("export b4", moment)
            if git(self.tree, "branch", "--list", "avic"):
                self.assertEqual(len(git(self.tree, "rev-list", "HEAD..avic").split()), 4)
            else:
                self.assertEqual(list((self.cache / "export").glob("*/*")), [])
                self.assertEqual(self.state()[0], self.before[0])
                git(self.tree, "branch", "avic")
            self.assertEqual(self.state()[1], whole[1])
        self.assertGreater(cut, 4, "no run was cut short: the test showed nothing")
        self.assertEqual(list(temporary.iterdir()), [])
