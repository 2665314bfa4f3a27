# SPDX-License-Identifier: GPL-2.0
"""export FORM [SECTION]: a base's series as its next reader wants it; nothing is ever sent.

  b4       a branch that b4 prep tracks, with cover letter and recipients, and
           what b4 would send; the branch goes into TREE, else into the base's tree
  mbox     one mailbox, cover letter first, for git am, b4 am and b4 shazam
  stable   mails for stable@: what mainline has, with the commit's id on top
  debian   debian/patches with DEP-3 headers, and the lines for its series
  quilt    a quilt folder, each patch with its state upstream

  SECTION  only these patches, a section of patches/<base>/series, with a cover
           letter of their own, cover.SECTION.  Sections that it needs are below
           them: the letter names these, and their patches by patch-id

  BASE=v6.12     which base
  TREE=          a user's own kernel tree (see scripts/fetch)
  B4=            another b4 than that in PATH
  V=1            show all that b4 would send

  --signoff      you become the author and sign off, both as git knows you
  --trailer TAG  one more tag of your own, e.g. 'Assisted-by: LLM sparse'
  --prefix RFC   one more word beside PATCH in the subjects
  --output DIR   where to, instead of the cache; must not exist
  --branch NAME  b4: the branch's name, avic or avic-SECTION if not given
  --replace      b4: if there is such a branch, replace its commits and cover
                 letter; what b4 tracks (change-id, what was sent) stays.  If it
                 has something of yours, it is kept beside, and that is said
  --maintainers  b4: recipients as if MAINTAINERS.snippet were in MAINTAINERS

Without --signoff nobody has signed off, and it says that it cannot be posted.
"""

import argparse
import re
import shutil
import textwrap
from email import message_from_string
from email.utils import parsedate_to_datetime
from pathlib import Path
from shlex import quote

from avic.aside import replaced
from avic.base import BASE
from avic.paths import CACHE
from avic.exact import commit_all
from avic.outgoing import (
    GIVEN, Cover, Upstream, add_trailers, author_of, identity, need_no_tags, provenance,
    read_cover, recorded, restamp, upstream, user_tree, version_notes,
)  # fmt: skip
from avic.patch import Patch, slug_in
from avic.process import fail, say, scratch, unwind_on_signals
from avic.tracking import B4, EXPORTED, Tracked, enroll, recipients_with_snippet, show_mails, tree_for_b4
from avic.tree import FORMAT, git, rev

# Marks a place in a cover letter that is still to be filled in.
OPEN = "[not known yet"
# Where Debian's linux package keeps such patches.
DEBIAN = "bugfix/x86/avic"


def base_name(repo: Path) -> str:
    """The base in words, for a cover letter."""
    subject = git(repo, "log", "-1", "--format=%s", "base").stdout.strip()
    if user_tree():
        return f"{rev(repo, 'base')[:12]} (\"{subject}\")"
    whose = "Debian's" if "Package" in BASE.fields else "kernel.org's"
    return f"{whose} {subject} as one commit, as scripts/fetch makes it"


class Series:
    """The series as commits on its base, with the author and tags that the form asks for."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.me = identity(user_tree()) if args.signoff or args.form == "b4" else None
        self.signed = args.signoff
        self.trailers = list(args.trailer)
        if args.signoff:
            self.trailers.append(f"Signed-off-by: {self.me}")
        file = BASE.series
        self.section = file.section(args.section) if args.section else None
        self.advice = (
            f"section {self.section.name} needs more than '# Needs:' says, {file.shown}:{self.section.line}"
            if self.section else ""
        )  # fmt: skip
        self.needs = file.needed(self.section) if self.section else []
        self.patches = BASE.read(self.section.names if self.section else file.names)
        self.below = BASE.read([name for section in self.needs for name in section.names])
        if not self.patches:
            fail(1, f"{file.shown} is empty: there is nothing to export")
        need_no_tags(self.below + self.patches, self.me)
        mine = {patch.slug for patch in self.patches}
        self.below_covers: list[Cover] = []
        self.others = {slug_in(name) for name in file.names} - mine

    @property
    def name(self) -> str:
        """What files and branches are called."""
        return f"{BASE}-{self.section.name}" if self.section else f"{BASE}"

    @property
    def words(self) -> str:
        """The series in a comment."""
        return f"patches/{BASE}, section {self.section.name}" if self.section else f"patches/{BASE}"

    def cover(self) -> Cover:
        """Its cover letter, and those of what it needs are there as well."""
        self.below_covers = [read_cover(section) for section in self.needs]
        return read_cover(self.section)

    def cover_text(self, cover: Cover, links: dict[int, str] | None = None) -> str:
        """The cover letter's text: the letter, what it needs, the base, and what changed since earlier revisions.

        links: where revisions were posted, by number.
        """
        added = [f"Base: {base_name(self.repo)}."]
        if self.below:
            names = " and ".join(f'"{below.subject}"' for below in self.below_covers)
            added.insert(0, f"This series goes on top of {names}: see the prerequisite-patch-ids below.")
        text = "\n".join([cover.body, *(textwrap.fill(each, width=72) + "\n" for each in added)])
        notes = version_notes(links or {}, self.others)
        return f"{text}\n---\n{notes}" if notes else text

    def commit(self, heads: dict[str, str] | None = None) -> list[str]:
        """Apply the patches and stamp the commits.

        heads: a line to put on top of a patch's text, by slug.
        """
        self.repo = BASE.tree("fetch")
        base = rev(self.repo, "base")
        patches = self.below + self.patches
        plain = commit_all(self.repo, patches, self.advice)
        self.author = self.me if self.signed else None

        def edit(number: int, message: str) -> str:
            head = (heads or {}).get(patches[number].slug)
            if head:
                subject, _, text = message.partition("\n\n")
                message = f"{subject}\n\n{head}\n\n{text}"
            return add_trailers(self.repo, message, self.trailers)

        commits = restamp(self.repo, plain, base, edit, self.author, self.me)
        self.commits = commits[len(self.below) :]
        self.onto = [base, *commits][len(self.below)]
        return self.commits

    def base_lines(self) -> list[str]:
        """The base, and the patches between it and the series, as git format-patch names them."""
        text = git(self.repo, "format-patch", "--stdout", "--base=base", f"{self.onto}..{self.commits[-1]}").stdout
        return re.findall(r"^(?:base-commit|prerequisite-patch-id): [0-9a-f]+$", text, re.MULTILINE)

    def mails(self, cover: Cover, prefix: list[str], *options: str) -> str:
        """The series as git format-patch writes it, cover letter first."""
        who = self.author or author_of(self.repo, self.commits[0])
        version = [f"--reroll-count={recorded()}"] if recorded() > 1 else []
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
        # b4 0.12 with Debian 12's Python cannot read a header that goes on in a second line.
        heads = re.compile(r"^From 0{40} .*?\n\n", re.MULTILINE | re.DOTALL)
        text = heads.sub(lambda head: head[0].replace("\n ", " "), text)
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
        (new / name).write_text(series.mails(cover, args.prefix))
    print(f"{len(series.commits)} patches and the cover letter in {out / name}")
    series.say_what_first()
    mbox = quote(str(out / name))
    print(f"to apply: git am --empty=drop {mbox}   (the cover letter is an empty patch)")
    print(f"      or: b4 shazam --use-local-mbox {mbox}")
    for reason in series.why_not_yet(cover):
        print(f"cannot be posted yet: {reason}")


def for_stable(patches: list[Patch]) -> tuple[list[Patch], dict[str, str]]:
    """The patches that stable@ takes, and the line on top of each; prints why the others are left out."""
    where = provenance(patches)
    _, together = upstream()
    heads = {}
    for patch in patches:
        entry = where[patch.slug]
        if entry.commit:
            heads[patch.slug] = f"commit {entry.commit} upstream."
        elif entry.version:
            line = f"[ No upstream commit: as of {entry.version} {entry.note}. ]"
            heads[patch.slug] = textwrap.fill(line, width=75, subsequent_indent="  ")
    slugs = {patch.slug for patch in patches}
    for group, note in together:
        if missing := sorted((group & slugs) - set(heads)):
            for slug in [patch.slug for patch in patches if patch.slug in group & set(heads)]:
                print(f"left out {slug}: not without {' '.join(missing)}: {note}")
                del heads[slug]
    for patch in patches:
        if patch.slug in slugs - set(heads) and not where[patch.slug].commit:
            print(f"left out {patch.slug}: not in mainline yet: {where[patch.slug].note}")
    return [patch for patch in patches if patch.slug in heads], heads


def export_stable(args: argparse.Namespace, out: Path) -> None:
    series = Series(args)
    cover = series.cover()
    taken, heads = for_stable(series.below + series.patches)
    series.below = [patch for patch in series.below if patch in taken]
    series.patches = [patch for patch in series.patches if patch in taken]
    if not series.patches:
        fail(1, f"nothing of {series.words} is in mainline: post it there first, with b4")
    series.commit(heads)
    release = BASE.name.removeprefix("v") + ".y"
    cover = Cover(cover.subject, stable_text(series.patches, release))
    mails = series.mails(cover, [release, *args.prefix], "--to=stable@vger.kernel.org")
    with replaced(out) as new:
        git(series.repo, "mailsplit", f"-o{new}", "--mboxrd", "-d4", stdin=mails)
        for number, path in enumerate(sorted(new.iterdir())):
            slug = series.patches[number - 1].slug if number else "cover-letter"
            path.rename(new / f"{number:04}-{slug}.patch")
    print(f"{len(series.patches)} patches and the cover letter in {out}")
    series.say_what_first()
    series.say_how_to_send(cover, f"git send-email {quote(str(out))}/*.patch")


def stable_text(patches: list[Patch], release: str) -> str:
    """What the cover letter of a series for stable@ says."""
    where = provenance(patches)
    rows = "\n".join(
        f"  {patch.subject}\n    {where[patch.slug].commit or 'no upstream commit'}, {where[patch.slug].version}"
        for patch in patches
    )
    return f"""\
These fix KVM's AVIC support in {release}.  What they are upstream:

{rows}

Each patch says where it differs from the upstream commit, and why.
"""


# debian and quilt


def dep3(patch: Patch, entry: Upstream) -> str:
    """The patch with a DEP-3 header."""
    head, _, rest = patch.path.read_text().partition("\n---\n")
    mail = message_from_string(head.partition("\n")[2])
    text = mail.get_payload().strip()
    if entry.version and not entry.commit:
        text += f"\n\nMainline fixes this in another way: as of {entry.version} {entry.note}."
    lines = [line if line.strip() else "." for line in text.split("\n")]
    author = " ".join(mail["From"].split())
    fields = [f"Description: {patch.subject}", *(f" {line}" for line in lines), f"Author: {author}"]
    if entry.commit:
        fields += [
            f"Origin: backport, {entry.url}",
            "Forwarded: not-needed",
            f"Applied-Upstream: {entry.version}, {entry.url}",
        ]
    else:
        fields += ["Origin: vendor"]
        fields += [f"Forwarded: {entry.link or ('not-needed' if entry.version else 'no')}"]
    fields += [f"Last-Update: {parsedate_to_datetime(mail['Date']):%Y-%m-%d}"]
    return "\n".join([*fields, "---", rest])


def export_debian(args: argparse.Namespace, out: Path) -> None:
    series = Series(args)
    where = provenance(series.patches)
    with replaced(out) as new:
        folder = new / "debian/patches" / DEBIAN
        folder.mkdir(parents=True)
        for patch in series.patches:
            (folder / patch.path.name).write_text(dep3(patch, where[patch.slug]))
        names = "".join(f"{DEBIAN}/{patch.path.name}\n" for patch in series.patches)
        (new / "series").write_text(f"\n# AVIC in KVM, from {series.words}\n{names}")
    print(f"{len(series.patches)} patches in {out}/debian, their series lines in {out}/series")
    series.say_what_first()
    print("to add them, in the package's folder:")
    print(f"  cp --recursive {quote(f'{out}/debian')} . && cat {quote(f'{out}/series')} >>debian/patches/series")
    print("  dpkg-source --before-build .")


def export_quilt(args: argparse.Namespace, out: Path) -> None:
    series = Series(args)
    where = provenance(series.patches)
    with replaced(out) as new:
        for patch in series.patches:
            entry = where[patch.slug]
            state = [f"Patch-mainline: {entry.version}", f"Git-commit: {entry.commit}"]
            if not entry.commit:
                never = f"Never, {entry.version} fixes it in another way: {entry.note}"
                not_yet = f"Submitted, {entry.link}" if entry.link else "Not yet, not posted"
                state = [f"Patch-mainline: {never if entry.version else not_yet}"]
            head, _, rest = patch.path.read_text().partition("\n\n")
            (new / patch.path.name).write_text("\n".join([head, *state, "", rest]))
        (new / "series").write_text(BASE.series.text([patch.path.name for patch in series.patches]))
    print(f"{len(series.patches)} patches in {out}")
    series.say_what_first()
    print(f"to apply: QUILT_PATCHES={quote(str(out))} quilt push -a --fuzz=0")


# b4


def need_another_branch(target: Path, branch: str) -> None:
    """Exit with 2 if the tree is on the branch: then it is the base of nothing, and cannot be replaced."""
    if git(target, "symbolic-ref", "--quiet", "HEAD", check=False).stdout.strip() == f"refs/heads/{branch}":
        fail(2, f"{target} is on branch {branch}, which this makes: git switch to the one that the series is for")


def export_b4(args: argparse.Namespace, out: Path) -> None:
    series = Series(args)
    cover = series.cover()
    assert series.me
    branch = args.branch or ("avic-" + series.section.name if series.section else "avic")
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
        if args.prefix:
            b4.run("prep", "--set-prefixes", *args.prefix)
        if recorded() > (old.revision if old else 1):
            b4.run("prep", "--force-revision", str(recorded()))
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
                target, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head",
                str(aside), f"{force}refs/heads/{branch}:refs/heads/{branch}",
            )  # fmt: skip
            git(target, "update-ref", f"{EXPORTED}{branch}", f"refs/heads/{branch}")
            git(target, "config", f"branch.{branch}.b4-prep-cover-strategy", "commit")
    print(f"b4       {b4.version}")
    print(f"branch   {branch} in {target}, {len(commits)} patches on {base[:12]}")
    series.say_what_first()
    print(f"dry run  {out / 'dry-run'}")
    if kept:
        print(f"kept     {kept}, the old branch, for what is only there: {'; '.join(only_there)}")
    if old and max(recorded(), 1) < old.revision:
        print(
            f"cannot be posted yet: v{old.revision - 1} was posted, and this is not recorded as"
            f" another: run scripts/release v{old.revision}, then this again"
        )
    else:
        series.say_how_to_send(cover, f"cd {quote(str(target))} && git switch {branch} && {checks}b4 send")


FORMS = {
    "b4": export_b4,
    "mbox": export_mbox,
    "stable": export_stable,
    "debian": export_debian,
    "quilt": export_quilt,
}


def main() -> None:
    unwind_on_signals()
    parser = argparse.ArgumentParser(
        prog="export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("form", choices=FORMS)
    parser.add_argument("section", nargs="?")
    parser.add_argument("--signoff", action="store_true")
    parser.add_argument("--trailer", action="append", default=[])
    parser.add_argument("--prefix", action="append", default=[])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--branch")
    parser.add_argument("--replace", action="store_true")
    parser.add_argument("--maintainers", action="store_true")
    args = parser.parse_intermixed_args()
    if args.output and args.output.exists():
        fail(2, f"{args.output} exists: give --output, a folder that does not")
    for trailer in args.trailer:
        if not re.fullmatch(r"[A-Z][A-Za-z-]+:\s*\S.*", trailer) or GIVEN.match(trailer):
            fail(2, f"--trailer '{trailer}': want 'Name: value', a tag of your own; --signoff signs off")
    name = f"{args.form}-{args.section}" if args.section else args.form
    out = (args.output or CACHE / "export" / BASE.name / name).absolute()
    FORMS[args.form](args, out)
