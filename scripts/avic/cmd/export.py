# SPDX-License-Identifier: GPL-2.0
"""export FORM [SECTION | SLUG...]: a base's series as its next reader wants it; nothing is ever sent.

  b4       a branch that b4 prep tracks, with cover letter and recipients, and
           what b4 would send; the branch goes into TREE, else into the base's tree
  mbox     one mailbox, cover letter first, for git am, b4 am and b4 shazam
  stable   mails for stable@ and who has to approve: what mainline has, by its
           author and in its words, with the commit's id on top and what differs below
  debian   debian/patches with DEP-3 headers, and the lines for its series
  quilt    a quilt folder, each patch with its state upstream
  suse     patches.suse with its header, and the lines for series.conf
  rhel     patches for git am, each with JIRA, the commit in full, and Conflicts
  ubuntu   patches for git am, each with BugLink and where it is from, or SAUCE
  proxmox  patches/kernel, numbered on

  SECTION  only these patches, a section of patches/<base>/series, with a cover
           letter of their own, cover.SECTION.  Sections that it needs are below
           them: the letter names these, and their patches by patch-id
  SLUG...  only these patches, in the order of the stack.  They have to apply without
           the others, and none may lack what patches/upstream says must be together
           with it.  Their letter has what the stack's says of each, or patches/changes

  BASE=v6.12     which base
  TREE=          a user's own kernel tree (see scripts/fetch).  For stable, suse, rhel,
                 ubuntu and proxmox it needs mainline's commits: their words are taken
  B4=            another b4 than that in PATH
  V=1            show all that b4 would send

  --signoff      you become the author and sign off, both as git knows you; a patch
                 in mainline's words stays its author's
  --trailer TAG  one more tag of your own, e.g. 'Assisted-by: LLM sparse'
  --small        all but b4 and mbox: the small form of the stack, or of some patches,
                 where the base has one: without refactoring, for stable trees
  --output DIR   where to, instead of the cache; must not exist
  --prefix RFC   b4, mbox, stable: one more word beside PATCH in the subjects
  --branch NAME  b4: the branch's name, if not avic, avic-SECTION or avic-SLUG
  --replace      b4: if there is such a branch, replace its commits and cover
                 letter; what b4 tracks (change-id, what was sent) stays.  Tags
                 that the list gave (b4 trailers) stay on a patch that is the same.
                 If it has more of yours, it is kept beside, and that is said
  --maintainers  b4: recipients as if MAINTAINERS.snippet were in MAINTAINERS
  --bug BUG      suse, rhel, ubuntu: what the patches are for, e.g. bsc#1234567,
                 RHEL-12345, 2087983; SLUG:BUG is for one of them, e.g. a CVE
  --start N      proxmox: the first patch's number

Without --signoff nobody has signed off, and it says that it cannot be posted.
"""

import argparse
import contextlib
import re
import shutil
import subprocess
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formataddr, getaddresses
from functools import cached_property, partial
from pathlib import Path
from shlex import quote

from avic import packages, raw
from avic.aside import replaced
from avic.base import BASE
from avic.paths import CACHE, TOP
from avic.exact import commit_all, rests_on
from avic.outgoing import (
    GIVEN, Cover, add_trailers, author_of, cover_name, identity, letter_of_some, need_fitting, need_no_tags, provenance,
    read_cover, recorded, restamp, revisions, user_tree, version_notes,
)  # fmt: skip
from avic.packages import BUGS, Mail, bugs_by_slug, file_name, mail_of, state_fields
from avic.patch import Patch, slug_in
from avic.process import fail, say, scratch
from avic.series import Section
from avic.tracking import B4, EXPORTED, Tracked, enroll, recipients_with_snippet, show_mails, tree_for_b4
from avic.tree import FORMAT, git, rev
from avic.upstream import Original, Person, Upstream, read_ledger, read_original

# Marks a place in a cover letter that is still to be filled in.
OPEN = "[not known yet"
# What nobody can do for the person who sends.
YOURS = """\
    before you send, what the kernel asks of you and of nobody else:
      - that you understand each patch, can defend it, and have tested it
      - your sign-off (Documentation/process/submitting-patches.rst): --signoff
      - to say which tools made or wrote what, in a tag Assisted-by
        (Documentation/process/coding-assistants.rst): --trailer
    evidence: {report}, by make run BASE={base}; and releases/, for each revision
"""
# Where Debian's linux package keeps such patches.
DEBIAN = "bugfix/x86/avic"


def base_name(repo: Path) -> str:
    """The base in words, for a cover letter."""
    subject = git(repo, "log", "-1", "--format=%s", "base").stdout.strip()
    if user_tree():
        return f"{rev(repo, 'base')[:12]} (\"{subject}\")"
    whose = "Debian's" if "Package" in BASE.fields else "kernel.org's"
    return f"{whose} {subject} as one commit, as scripts/fetch makes it"


# A form: our patch, where it stands, and its commit in mainline -> the patch in the form's words.
Dress = Callable[[Mail, Upstream, Original | None], Mail]


@dataclass(frozen=True)
class Dressed:
    """A patch in a form's words."""

    patch: Patch
    mail: Mail
    entry: Upstream
    original: Original | None


def original_of(entry: Upstream, slug: str, form: str, must: bool) -> Original | None:
    """A change's commit, in TREE.

    must: exit where TREE lacks it, or where nothing says how the base's patch differs from it.
    """
    tree = user_tree()
    there = tree and entry.commit and rev(tree, f"{entry.commit}^{{commit}}")
    if not entry.commit or not (there or must):
        return None
    if must and not entry.differs:
        fail(1, f"patches/upstream does not say how {slug} on {form} differs from its commit: add 'differs'")
    return read_original(entry, tree, slug)


def chosen(words: list[str]) -> tuple[Section | None, list[str]]:
    """The section, or the patches in their order, that words name; exits with 2 where they name neither, or both."""
    file = BASE.series
    known = [each.name for each in file.sections]
    slugs = [slug_in(name) for name in file.names]
    for word in words:
        if word in known and len(words) > 1:
            fail(2, f"section {word} goes out as it is: give it alone, or slugs alone")
        if word not in known + slugs:
            why = BASE.why("Left-out").get(word, "")
            fail(2, f"no section or patch '{word}' in patches/{BASE}: {why and f'it is left out, {why}' or f'see {file.shown}'}")
    if words and words[0] in known:
        return file.section(words[0]), []
    return None, [slug for slug in slugs if slug in words]


def label(section: Section | None, slugs: list[str]) -> str:
    """What a part of the stack is called in names, '' for all of it."""
    if section:
        return section.name
    return "-and-".join([*slugs[:1], *([str(len(slugs) - 1)] if slugs[1:] else [])])


def plain_head(head: str) -> str:
    """A mail's head with each field in one line, in ASCII."""

    def encoded(field: re.Match[str]) -> str:
        with contextlib.suppress(UnicodeEncodeError):
            return f"{field[1]}: {', '.join(map(formataddr, getaddresses([field[2]])))}"
        return field[0]  # an address beyond ASCII has no other form

    # b4 0.12 with Debian 12's Python cannot read a header that goes on in a second line.
    head = head.replace("\n ", " ")
    # Git leaves the cover letter's From as it is, and all recipients.
    return re.sub(r"(?m)^(From|To|Cc): (.*[^\x00-\x7f].*)$", encoded, head)


class Series:
    """The series as commits on its base, with the author and tags that the form asks for."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.me = identity(user_tree()) if args.signoff or args.form == "b4" else None
        self.signed = args.signoff
        self.trailers = list(args.trailer)
        if args.signoff:
            self.trailers.append(f"Signed-off-by: {self.me}")
        file = BASE.series
        self.section, self.slugs, self.label = args.section, args.slugs, args.label
        self.needs = file.needed(self.section) if self.section else []
        self.bugs = bugs_by_slug(args.form, args.bug) if args.form in BUGS else {"": []}
        self.form = f"{BASE}/small" if args.small else BASE.name
        self.stack = self.all_of_it(args.small)
        wanted = [slug_in(name) for name in self.section.names] if self.section else self.slugs
        self.patches = [patch for patch in self.stack if patch.slug in wanted] if wanted else self.stack
        self.below = BASE.read([name for section in self.needs for name in section.names])
        if not self.patches:
            fail(1, f"{file.shown} is empty: there is nothing to export")
        need_no_tags(self.below + self.patches, self.me)
        mine = {patch.slug for patch in self.patches}
        if lost := sorted(set(self.bugs) - mine - {""}):
            fail(2, f"--bug is for {lost[0]}, which is no patch of {self.words}: correct it")
        self.below_covers: list[Cover] = []
        self.plain: tuple[list[Patch], list[str]] = [], []  # what was applied, and the commits
        others = {slug_in(name) for name in file.names} - mine
        self.revisions = revisions(self.patches, others, self.section.name if self.section else "")
        if self.slugs:
            self.need_whole_groups()
            self.applied()

    def all_of_it(self, small: bool) -> list[Patch]:
        """The patches of the whole stack in the form that was asked for."""
        if not small:
            return BASE.patches
        if self.section:
            fail(2, "--small is a form of the whole stack: give no section")
        if not BASE.small:
            fail(2, f"patches/{BASE} has no small form: leave --small out")
        if lost := sorted(set(self.slugs) - {patch.slug for patch in BASE.small}):
            fail(2, f"the small form of patches/{BASE} does without {lost[0]}: leave it out, or --small")
        return BASE.small

    def need_whole_groups(self) -> None:
        """Exit with 1 if a patch lacks what must be together with it."""
        found = read_ledger(self.form).missing(self.slugs, {patch.slug for patch in self.stack})
        if found:
            lacks = "; ".join(f"{' '.join(more)} ({why})" for more, why in found)
            fail(1, f"{' '.join(self.slugs)} must not go without {lacks}: give these as well")

    def advice(self, patch: Patch) -> str:
        """What to do if a patch does not apply; '' where the stack itself does not."""
        if self.section:
            return f"section {self.label} needs more than '# Needs:' says, {BASE.series.shown}:{self.section.line}"
        mine = {each.slug for each in self.patches}
        if len(mine) == len(self.stack):
            return ""
        needs = [slug for slug in rests_on(self.repo, self.stack, patch) if slug not in mine]
        return f"it needs {' '.join(needs)}, not among {self.words}" if needs else ""

    @cached_property
    def repo(self) -> Path:
        """The base's tree."""
        return BASE.tree("fetch")

    @property
    def name(self) -> str:
        """What files and branches are called."""
        return f"{BASE}-{self.label}" if self.label else f"{BASE}"

    @property
    def words(self) -> str:
        """The series in a comment."""
        if self.slugs:
            return f"patches/{BASE}, {len(self.patches)} of its {len(self.stack)} patches"
        return f"patches/{BASE}, section {self.label}" if self.section else f"patches/{BASE}"

    def letter(self) -> Cover:
        """The letter of the stack, or of a section, and those of what it needs are there as well."""
        self.below_covers = [read_cover(section) for section in self.needs]
        return read_cover(self.section)

    def subject(self, letter: Cover) -> str:
        """The subject of its cover letter."""
        if not self.slugs:
            return letter.subject
        if len(self.patches) == 1:
            return self.patches[0].subject
        return f"{letter.subject}, {len(self.patches)} of {len(self.stack)} patches"

    def cover(self) -> Cover:
        """Its cover letter."""
        letter = self.letter()
        need_fitting(letter, cover_name(self.section), BASE, self.patches if self.section else self.stack)
        if not self.slugs:
            return letter
        return replace(letter_of_some(letter, self.patches, self.stack), subject=self.subject(letter))

    def cover_text(self, cover: Cover, links: dict[int, str] | None = None) -> str:
        """The cover letter's text: the letter, what it needs, the base, and what changed since earlier revisions.

        links: where revisions were posted, by number.
        """
        added = [f"Base: {base_name(self.repo)}."]
        if self.below:
            names = " and ".join(f'"{below.subject}"' for below in self.below_covers)
            added.insert(0, f"This series goes on top of {names}: see the prerequisite-patch-ids below.")
        text = "\n".join([cover.body, *(textwrap.fill(each, width=72) + "\n" for each in added)])
        notes = version_notes(self.revisions, links or {})
        return f"{text}\n---\n{notes}" if notes else text

    def applied(self) -> list[str]:
        """The patches, and those below them, as commits on the base."""
        patches = self.below + self.patches
        if self.plain[0] != patches:
            self.plain = patches, commit_all(self.repo, patches, self.advice)
        return self.plain[1]

    def commit(self, words: dict[str, Mail] | None = None) -> list[str]:
        """Apply the patches and stamp the commits.

        words: another author, subject and text for a patch, by slug.
        """
        base = rev(self.repo, "base")
        patches = self.below + self.patches
        plain = self.applied()
        self.author = self.me if self.signed else None

        def edit(number: int, message: str) -> tuple[str, Person | None]:
            if words:
                mail = words[patches[number].slug]
                return f"{mail.subject}\n\n{mail.text}\n", mail.author
            return add_trailers(self.repo, message, self.trailers), self.author

        commits = restamp(self.repo, plain, base, edit, self.me)
        self.commits = commits[len(self.below) :]
        self.onto = [base, *commits][len(self.below)]
        return self.commits

    def dressed(self, patches: list[Patch], dress: Dress, must: bool = True) -> list[Dressed]:
        """Patches in a form's words, with the person's tags at the end.

        must: whether the form goes out in the words of mainline's commits, where there are some.
        """
        found = []
        where = provenance(patches, self.form)
        for patch in patches:
            bugs = (*self.bugs[""], *self.bugs.get(patch.slug, []))
            mail, entry = replace(mail_of(patch), bugs=bugs), where[patch.slug]
            if self.signed and self.me:
                mail = replace(mail, author=self.me)
            original = original_of(entry, patch.slug, self.form, must)
            mail = dress(mail, entry, original)
            message = add_trailers(TOP, f"{mail.subject}\n\n{mail.text}\n", self.trailers)
            mail = replace(mail, text=message.partition("\n\n")[2].rstrip(raw.WHITE))
            found.append(Dressed(patch, mail, entry, original))
        return found

    def base_lines(self) -> list[str]:
        """The base, and the patches between it and the series, as git format-patch names them."""
        text = git(self.repo, "format-patch", "--stdout", "--base=base", f"{self.onto}..{self.commits[-1]}").stdout
        return re.findall(r"^(?:base-commit|prerequisite-patch-id): [0-9a-f]+$", text, re.MULTILINE)

    def mails(self, cover: Cover, prefix: list[str], *options: str) -> str:
        """The series as git format-patch writes it, cover letter first."""
        who = self.author or author_of(self.repo, self.commits[0])
        version = [f"--reroll-count={len(self.revisions)}"] if self.revisions[1:] else []
        text = git(
            self.repo,
            "format-patch",
            "--stdout",
            "--cover-letter",
            "--base=base",
            "--thread=shallow",
            f"--subject-prefix={' '.join(['PATCH', *prefix])}",
            *FORMAT,
            *version,
            *options,
            f"{self.onto}..{self.commits[-1]}",
            env=who.env("COMMITTER"),
        ).stdout
        text = re.sub(r"(?ms)^From 0{40} .*?\n\n", lambda head: plain_head(head[0]), text)
        text = text.replace("*** SUBJECT HERE ***", cover.subject, 1)
        return text.replace("*** BLURB HERE ***", self.cover_text(cover).rstrip(), 1)

    def why_not_yet(self, cover: Cover) -> list[str]:
        """What keeps the series from being posted with a cover letter."""
        reasons = []
        if OPEN in cover.body:
            reasons.append(f"its cover letter has places marked {OPEN}: fill them in")
        if not self.signed:
            reasons.append("nobody has signed off: run again with --signoff")
        if not user_tree():
            reasons.append("its base-commit is known here only: give TREE=, a clone of the tree it is for")
        return reasons

    def say_what_first(self) -> None:
        """Which sections have to be applied before this one."""
        for section in self.needs:
            print(f"before them: section {section.name}, {section.title}")

    def say_how_to_send(self, cover: Cover, command: str) -> None:
        """What to run to send, or why not to."""
        reasons = self.why_not_yet(cover)
        for reason in reasons:
            print(f"cannot be posted yet: {reason}")
        if not reasons:
            print(f"to send: {command}")


# mbox and stable


def export_mbox(args: argparse.Namespace, out: Path) -> None:
    series = Series(args)
    cover = series.cover()
    series.commit()
    name = f"avic-{series.name}.mbox"
    with replaced(out) as new:
        raw.write(new / name, series.mails(cover, args.prefix))
    print(f"{len(series.commits)} patches and the cover letter in {out / name}")
    series.say_what_first()
    mbox = quote(str(out / name))
    print(f"to apply: git am --empty=drop {mbox}   (the cover letter is an empty patch)")
    print(f"      or: b4 shazam --use-local-mbox {mbox}")
    for reason in series.why_not_yet(cover):
        print(f"cannot be posted yet: {reason}")


def for_stable(patches: list[Patch], form: str) -> list[Patch]:
    """The patches that stable@ takes; prints why the others are left out."""
    where = provenance(patches, form)
    left = {}
    for patch in patches:
        entry = where[patch.slug]
        if entry.nostable:
            left[patch.slug] = f"not for stable: {entry.nostable}"
        elif not entry.version:
            left[patch.slug] = f"not in mainline yet: {entry.note}"
    slugs = {patch.slug for patch in patches}
    for group, note in read_ledger(form).together:
        if missing := sorted(group & set(left)):
            for slug in sorted(group & slugs - set(left)):
                left[slug] = f"not without {' '.join(missing)}: {note}"
    for patch in patches:
        if patch.slug in left:
            print(f"left out {patch.slug}: {left[patch.slug]}")
    return [patch for patch in patches if patch.slug not in left]


def recipients(series: Series) -> list[str]:
    """Whom the base's get_maintainer.pl names for the patches, but for linux-kernel@, which it names for each."""
    script = series.repo / "scripts/get_maintainer.pl"
    options = ["--nogit", "--nogit-fallback", "--nogit-chief-penguins", "--norolestats", "--no-s"]
    found: dict[str, None] = {}
    for which in ("--nol", "--nom"):
        files = [str(patch.path) for patch in series.patches]
        done = subprocess.run(
            [script, *options, which, *files],
            cwd=series.repo, encoding="utf-8", errors="surrogateescape", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        if done.returncode:
            fail(1, f"{script} does not say who has to approve: check out branch base in {series.repo}", done.stderr)
        found |= dict.fromkeys(done.stdout.splitlines())
    return [each for each in found if "linux-kernel@" not in each]


def export_stable(args: argparse.Namespace, out: Path) -> None:
    series = Series(args)
    letter = series.letter()
    taken = for_stable(series.below + series.patches, series.form)
    series.below = [patch for patch in series.below if patch in taken]
    series.patches = [patch for patch in series.patches if patch in taken]
    if not series.patches:
        fail(1, f"nothing of {series.words} is for stable: see above")
    words = {each.patch.slug: each.mail for each in series.dressed(taken, packages.for_stable)}
    series.commit(words)
    release = BASE.name.removeprefix("v") + ".y"
    cover = Cover(series.subject(letter), stable_text(series, release))
    authors = [mail.author for mail in words.values() if not packages.NOBODY.search(mail.author.email)]
    copies = [f"--cc={each}" for each in dict.fromkeys([*recipients(series), *map(str, authors)])]
    mails = series.mails(cover, [release, *args.prefix], "--to=stable@vger.kernel.org", *copies)
    with replaced(out) as new:
        git(series.repo, "mailsplit", f"-o{new}", "-d4", stdin=mails)
        for number, path in enumerate(sorted(new.iterdir())):
            slug = series.patches[number - 1].slug if number else "cover-letter"
            path.rename(new / f"{number:04}-{slug}.patch")
    print(f"{len(series.patches)} patches and the cover letter in {out}")
    series.say_what_first()
    series.say_how_to_send(cover, f"git send-email {quote(str(out))}/*.patch")


def stable_text(series: Series, release: str) -> str:
    """What the cover letter of a series for stable@ says."""
    where = provenance(series.patches, series.form)
    rows = "\n".join(
        f"  {patch.subject}\n    {where[patch.slug].commit or 'no upstream commit'}, {where[patch.slug].version}"
        for patch in series.patches
    )
    return f"""\
These fix KVM's AVIC support in {release}.  What they are upstream:

{rows}

Each patch says where it differs from the upstream commit.
"""


# Packages of distributions.


def ours(mail: Mail, entry: Upstream, original: Original | None) -> Mail:
    """A patch in our own words."""
    return mail


def export_debian(args: argparse.Namespace, out: Path) -> None:
    series = Series(args)
    dressed = series.dressed(series.patches, ours, must=False)
    with replaced(out) as new:
        folder = new / "debian/patches" / DEBIAN
        folder.mkdir(parents=True)
        for each in dressed:
            author = each.original.author if each.original else each.mail.author
            shown = str(each.patch.path.relative_to(TOP))
            raw.write(folder / each.patch.name, packages.dep3(each.mail, each.entry, author, shown))
        names = "".join(f"{DEBIAN}/{patch.name}\n" for patch in series.patches)
        (new / "series").write_text(f"\n# AVIC in KVM, from {series.words}\n{names}")
    print(f"{len(series.patches)} patches in {out}/debian, their series lines in {out}/series")
    series.say_what_first()
    print("to add them, in the package's folder:")
    print(f"  cp --recursive {quote(f'{out}/debian')} . && cat {quote(f'{out}/series')} >>debian/patches/series")
    print("  dpkg-source --before-build .")


def export_quilt(args: argparse.Namespace, out: Path) -> None:
    series = Series(args)
    dressed = series.dressed(series.patches, ours, must=False)
    with replaced(out) as new:
        for each in dressed:
            raw.write(new / each.patch.name, each.mail.with_fields(state_fields(each.entry)))
        names = [patch.name for patch in series.patches]
        # Comments are about what stands below them, which may not be there.
        text = "\n".join([*BASE.series.head, *names]) + "\n" if series.slugs else BASE.series.text(names)
        raw.write(new / "series", text)
    print(f"{len(series.patches)} patches in {out}")
    series.say_what_first()
    print(f"to apply: QUILT_PATCHES={quote(str(out))} quilt push -a --fuzz=0")


def export_suse(args: argparse.Namespace, out: Path) -> None:
    series = Series(args)
    dressed = series.dressed(series.patches, packages.for_suse)
    lines = [f"# AVIC, from {series.words}: in this order"]
    with replaced(out) as new:
        (new / "patches.suse").mkdir()
        for each in dressed:
            name = f"patches.suse/{file_name(each.mail.subject)}"
            references = f"References: {' '.join(each.mail.bugs)}"
            raw.write(new / name, each.mail.with_fields([*state_fields(each.entry), references]))
            lines.append(name)
        (new / "series.conf").write_text("".join(f"\t{line}\n" for line in lines))
    print(f"{len(lines) - 1} patches in {out}/patches.suse, their lines for series.conf in {out}/series.conf")
    series.say_what_first()
    print(f"to add them, in kernel-source: cp --recursive {quote(f'{out}/patches.suse')} .")
    print("  and the lines, in one piece, into series.conf, below its sorted section")
    if not series.signed or "@suse." not in str(series.me):
        print("cannot be committed yet: someone of SUSE has to sign off, or add Acked-by:")


def export_mails(dress: Dress, args: argparse.Namespace, out: Path, start: int = 1) -> None:
    """A folder of patches for git am, numbered from a number on."""
    series = Series(args)
    dressed = series.dressed(series.patches, dress)
    with replaced(out) as new:
        for number, each in enumerate(dressed, start):
            raw.write(new / f"{number:04}-{file_name(each.mail.subject)}", str(each.mail))
    print(f"{len(dressed)} patches in {out}")
    series.say_what_first()
    if not series.signed:
        print("cannot be merged yet: nobody has signed off: run again with --signoff")


def export_rhel(args: argparse.Namespace, out: Path) -> None:
    export_mails(packages.for_rhel, args, out)
    print(f"to apply: git am {quote(str(out))}/*.patch")


def export_ubuntu(args: argparse.Namespace, out: Path) -> None:
    export_mails(partial(packages.for_ubuntu, me=identity(user_tree())), args, out)
    print(f"to apply: git am {quote(str(out))}/*.patch")


def export_proxmox(args: argparse.Namespace, out: Path) -> None:
    if args.start is None:
        fail(2, "proxmox numbers its patches: give --start, the number behind the last of patches/kernel")
    export_mails(partial(packages.for_proxmox, me=identity(user_tree())), args, out, args.start)
    print(f"to add them, in pve-kernel: cp {quote(str(out))}/*.patch patches/kernel/")


# b4


def need_another_branch(target: Path, branch: str) -> None:
    """Exit with 2 if the tree is on the branch: then it is the base of nothing, and cannot be replaced."""
    if git(target, "symbolic-ref", "--quiet", "HEAD", check=False).stdout.strip() == f"refs/heads/{branch}":
        fail(2, f"{target} is on branch {branch}, which this makes: git switch to the one that the series is for")


def export_b4(args: argparse.Namespace, out: Path) -> None:
    series = Series(args)
    cover = series.cover()
    assert series.me
    for patch in series.patches:
        # It reads each commit as UTF-8, and Python's formataddr() takes no other address.
        shown = patch.path.relative_to(TOP)
        if not raw.plain(patch.diff):
            fail(1, f"{shown} has bytes that are not UTF-8, and b4 takes no such patch: use export mbox")
        if not mail_of(patch).author.email.isascii():
            fail(1, f"{shown} is from an address that is not ASCII, and b4 takes none: use export mbox")
    if not series.me.email.isascii():
        fail(2, f"your user.email '{series.me.email}' is not ASCII, and b4 takes no such address: use export mbox")
    branch = args.branch or "-".join(["avic", *filter(None, [series.label])])
    need_another_branch(user_tree() or BASE.tree("fetch"), branch)
    with scratch("avic-b4.") as folder:
        aside = folder / "linux"
        b4 = B4(aside)
        commits = series.commit()
        base = rev(series.repo, "base")
        target = user_tree() or series.repo
        exists = rev(target, f"refs/heads/{branch}")
        if exists and not args.replace:
            fail(2, f"{target} has a branch {branch}: --replace it, or give --branch, another name")
        say(f"b4 {b4.version}: tracking {len(commits)} patches")
        tree_for_b4(aside, series.repo, commits[-1], series.me)
        git(aside, "update-ref", "refs/heads/base", base)
        old = Tracked(aside, target, branch) if exists else None
        commits, tags = old.tagged(commits, series.onto, series.me) if old else (commits, [])
        enroll(b4, commits, series.onto, branch, series.me, old)
        letter = folder / "cover"
        lines = series.base_lines()
        text = f"{cover.subject}\n\n{series.cover_text(cover, old.links if old else {})}"
        knows = b4.can("prep", "--edit-deps")
        if series.below and not knows:
            text += "\n" + "".join(f"{line}\n" for line in lines)
        b4.edit("cover", letter, text)
        if knows and (series.below or old):
            deps = [line.removeprefix("prerequisite-") for line in lines] if series.below else []
            b4.edit("deps", folder / "deps", "".join(f"{line}\n" for line in deps))
        if args.prefix or old:
            b4.run("prep", "--set-prefixes", *(args.prefix or [""]))
        if len(series.revisions) > (old.revision if old else 1):
            b4.run("prep", "--force-revision", str(len(series.revisions)))
        if args.maintainers:
            recipients_with_snippet(aside)
        say("asking get_maintainer.pl who gets each patch (some seconds a patch)")
        b4.run("prep", "--auto-to-cc")
        info = b4.run("prep", "--show-info")
        if f"base-commit: {series.onto}" not in info:
            fail(1, f"b4 {b4.version} tracks another base than {series.onto}", info)
        if rev(aside, "HEAD^{tree}") != rev(aside, f"{commits[-1]}^{{tree}}"):
            fail(1, f"b4 {b4.version} changed what the patches do: report it, with B4= and BASE=")
        say("asking b4 what it would send")
        sent = b4.run("send", "--dry-run", "--no-sign")
        checks = "b4 prep --check && " if b4.can("prep", "--check") else ""
        checks += "b4 prep --check-deps && " if knows and series.below else ""
        if missing := [line for line in lines if line not in sent]:
            fail(1, f"b4 {b4.version} would not say '{missing[0]}': report it, with B4= and BASE=", sent)
        # b4 puts the letter of a single patch below that patch.
        show_mails(sent, len(commits) + 1 if len(commits) > 1 else 1)
        with replaced(out) as new:
            (new / "dry-run").write_text(sent)
            (new / "info").write_text(info)
            shutil.copy(letter, new / "cover")
            only_there = old.only_here(commits[-1], text) if old else []
            kept = old.keep(target, branch) if old and only_there else ""
            force = "+" if args.replace else ""
            git(
                target, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--atomic", str(aside),
                f"{force}refs/heads/{branch}:refs/heads/{branch}", f"+refs/heads/{branch}:{EXPORTED}{branch}",
            )  # fmt: skip
            git(target, "config", f"branch.{branch}.b4-prep-cover-strategy", "commit")
    print(f"b4       {b4.version}")
    print(f"branch   {branch} in {target}, {len(commits)} patches on {base[:12]}")
    series.say_what_first()
    print(f"dry run  {out / 'dry-run'}")
    for tag in tags:
        print(raw.printable(f"tags     {tag}"))
    if kept:
        print(f"kept     {kept}, the old branch, for what is only there: {'; '.join(only_there)}")
    if old and max(len(series.revisions), 1) < old.revision:
        print(
            f"cannot be posted yet: v{old.revision - 1} was posted, and no release has a change of it since:"
            f" run scripts/release v{recorded() + 1}, then this again"
        )
    else:
        collect = "b4 trailers --update && " if old and old.links else ""
        series.say_how_to_send(cover, f"cd {quote(str(target))} && git switch {branch} && {collect}{checks}b4 send")
    print(textwrap.dedent(YOURS).format(report=CACHE / "report" / BASE.name, base=BASE), end="")


# Each form, and the options that it takes beside --signoff, --trailer and --output.
FORMS = {
    "b4": (export_b4, "prefix branch replace maintainers"),
    "mbox": (export_mbox, "prefix"),
    "stable": (export_stable, "prefix small"),
    "debian": (export_debian, "small"),
    "quilt": (export_quilt, "small"),
    "suse": (export_suse, "bug small"),
    "rhel": (export_rhel, "bug small"),
    "ubuntu": (export_ubuntu, "bug small"),
    "proxmox": (export_proxmox, "start small"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("form", choices=FORMS)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--signoff", action="store_true")
    parser.add_argument("--trailer", action="append", default=[])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--prefix", action="append", default=[])
    parser.add_argument("--branch")
    parser.add_argument("--replace", action="store_true")
    parser.add_argument("--maintainers", action="store_true")
    parser.add_argument("--bug", action="append", default=[])
    parser.add_argument("--start", type=int)
    args = parser.parse_intermixed_args()
    export, takes = FORMS[args.form]
    for option in ("prefix", "branch", "replace", "maintainers", "bug", "start", "small"):
        if getattr(args, option) != parser.get_default(option) and option not in takes.split():
            fail(2, f"{args.form} takes no --{option}: see export --help")
    if args.output and args.output.exists():
        fail(2, f"{args.output} exists: give --output, a folder that does not")
    for trailer in args.trailer:
        if not re.fullmatch(r"[A-Z][A-Za-z-]+:\s*\S.*", trailer) or GIVEN.match(trailer):
            fail(2, f"--trailer '{trailer}': want 'Name: value', a tag of your own; --signoff signs off")
    args.section, args.slugs = chosen(args.words)
    args.label = label(args.section, args.slugs)
    name = "-".join([args.form, *filter(None, [args.label]), *(["small"] if args.small else [])])
    out = (args.output or CACHE / "export" / BASE.name / name).absolute()
    export(args, out)
