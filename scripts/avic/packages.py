# SPDX-License-Identifier: GPL-2.0
"""What stable and each distribution want at the head of a patch: its words, and fields above them."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime

from avic.patch import Patch
from avic.process import fail
from avic.upstream import Original, Person, Upstream

JIRA = "https://issues.redhat.com/browse/"
LAUNCHPAD = "https://bugs.launchpad.net/bugs/"
CVE = r"CVE-\d{4}-\d{4,}"
# What --bug may say, and the kind that a form cannot do without.
BUGS = {
    "rhel": (rf"RHEL-\d+|{CVE}", r"RHEL-\d+", "RHEL-12345"),
    "ubuntu": (rf"\d+|{CVE}", r"\d+", "2087983, a number of Launchpad's"),
    "suse": (rf"(?:bsc|boo|bnc)#\d+|jsc#\w+-\d+|{CVE}", r"(?:bsc|boo|bnc)#\d+|jsc#\w+-\d+", "bsc#1234567"),
}
TAG = re.compile(r"^[A-Z][\w-]+-by: |^Fixes: |^Cc: ", re.MULTILINE)
# Names that belong to nobody (RFC 2606).
NOBODY = re.compile(r"@(?:.*\.)?(?:example(?:\.\w+)?|invalid|test|localhost)$")


@dataclass(frozen=True)
class Mail:
    """A patch as a mail, in pieces."""

    author: Person
    date: str
    subject: str
    text: str  # its tags as well
    rest: str  # diffstat and diff
    bugs: tuple[str, ...] = ()  # what it is for

    @property
    def cves(self) -> list[str]:
        """Those of its bugs that are CVEs."""
        return [bug for bug in self.bugs if bug.startswith("CVE")]

    @property
    def reports(self) -> list[str]:
        """Those that are none."""
        return [bug for bug in self.bugs if bug not in self.cves]

    def __str__(self) -> str:
        return self.with_fields([])

    def with_fields(self, fields: list[str]) -> str:
        """The mail with more lines in its header."""
        head = [
            "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001",
            f"From: {self.author}",
            f"Date: {self.date}",
            f"Subject: [PATCH] {self.subject}",
        ]
        if not f"{self.author}{self.subject}{self.text}".isascii():
            head += ["MIME-Version: 1.0", "Content-Type: text/plain; charset=UTF-8"]
            head += ["Content-Transfer-Encoding: 8bit"]
        return "\n".join([*head, *fields, "", self.text, "---", self.rest])


def mail_of(patch: Patch) -> Mail:
    """A patch of a series."""
    name, _, address = patch.author.rpartition(" <")
    return Mail(Person(name, address.removesuffix(">")), patch.date, patch.subject, patch.text.strip("\n"), patch.diff)


def bugs_by_slug(form: str, given: list[str]) -> dict[str, list[str]]:
    """What --bug says, by slug; '' is for each patch.

    Exits with 2 if a bug is not of the form's kind, or if there is none for each patch.
    """
    allowed, needed, example = BUGS[form]
    found: dict[str, list[str]] = {"": []}
    for each in given:
        slug, _, bug = each.rpartition(":")
        if not re.fullmatch(allowed, bug):
            fail(2, f"--bug '{each}' is none of {form}'s: want {example}, or SLUG:CVE-2026-12345")
        found.setdefault(slug, []).append(bug)
    if not any(re.fullmatch(needed, bug) for bug in found[""]):
        fail(2, f"{form} takes no patch without a bug: give --bug {example}")
    return found


def paragraph(text: str) -> str:
    """A note of ours, wrapped as changelogs are."""
    return textwrap.fill(text, width=75, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def in_two(text: str) -> tuple[str, str]:
    """A changelog's text, and the tags at its end with what stands among them."""
    body, _, last = text.rpartition("\n\n")
    return (body, last) if TAG.search(last) else (text, "")


def below(text: str, *lines: str) -> str:
    """A changelog with more lines below its tags."""
    gap = "\n" if in_two(text)[1] else "\n\n"
    return f"{text}{gap if lines else ''}" + "\n".join(lines)


def with_otherwise(text: str, entry: Upstream) -> str:
    """A changelog that says how mainline fixes the bug in another way, if it does, above its tags."""
    if not entry.otherwise:
        return text
    body, tags = in_two(text)
    return "\n\n".join(each for each in (body, paragraph(f"[ Mainline: {entry.otherwise}. ]"), tags) if each)


def in_its_words(mail: Mail, original: Original, *lines: str) -> Mail:
    """A patch with author, subject and text of the commit, and more lines below its tags."""
    return replace(mail, author=original.author, subject=original.subject, text=below(original.text, *lines))


def for_stable(mail: Mail, entry: Upstream, original: Original | None) -> Mail:
    """The commit's own words below its id, and what differs; our own words where mainline has another fix."""
    if original:
        mail = in_its_words(mail, original, paragraph(f"[ backport: {entry.differs} ]"))
        return replace(mail, text=f"commit {original.commit} upstream.\n\n{mail.text}")
    return replace(mail, text=f"{paragraph(f'[ No upstream commit: {entry.otherwise}. ]')}\n\n{mail.text}")


def for_suse(mail: Mail, entry: Upstream, original: Original | None) -> Mail:
    """The commit's words, and what differs; the rest is in fields."""
    if original:
        return in_its_words(mail, original, paragraph(f"[ backport: {entry.differs} ]"))
    return replace(mail, text=with_otherwise(mail.text, entry))


def for_proxmox(mail: Mail, entry: Upstream, original: Original | None, me: Person) -> Mail:
    """The commit's words, where it is from, and what the exporting person changed, in one line."""
    if original:
        note = f"[{me.email.partition('@')[0]}: {entry.differs}]"
        return in_its_words(mail, original, f"(backported from commit {original.commit})", note)
    return replace(mail, text=with_otherwise(mail.text, entry))


def for_ubuntu(mail: Mail, entry: Upstream, original: Original | None, me: Person) -> Mail:
    """As Proxmox, with BugLink first and CVEs last; SAUCE where mainline does not have it."""
    mail = for_proxmox(mail, entry, original, me)
    links = "\n".join(f"BugLink: {LAUNCHPAD}{bug}" for bug in mail.reports)
    subject = mail.subject if original else f"UBUNTU: SAUCE: {mail.subject}"
    return replace(mail, subject=subject, text=f"{links}\n\n{below(mail.text, *mail.cves)}")


def for_rhel(mail: Mail, entry: Upstream, original: Original | None) -> Mail:
    """The tags, then the commit in full, indented; `Upstream Status` where there is none."""
    lines = [*(f"JIRA: {JIRA}{bug}" for bug in mail.reports), *(f"CVE: {cve}" for cve in mail.cves)]
    if original:
        head = [*lines, "", *textwrap.wrap(f"Conflicts: {entry.differs}", width=75, subsequent_indent="  ")]
        head += ["", f"commit {original.commit}", f"Author: {original.author}", f"Date:   {original.date}"]
        text = "\n".join([*head, "", textwrap.indent(original.text, "    ")])
        return replace(mail, subject=original.subject, text=text)
    lines += [f"Upstream Status: {f'Posted, {entry.link}' if entry.link else 'RHEL Only'}"]
    return replace(mail, text="\n".join([*lines, "", with_otherwise(mail.text, entry)]))


def state_fields(entry: Upstream) -> list[str]:
    """Where a patch stands in mainline, as SUSE's kernel and others with quilt write it."""
    if entry.commit:
        return [f"Patch-mainline: {entry.version}", f"Git-commit: {entry.commit}"]
    if entry.otherwise:
        return [f"Patch-mainline: Never, {entry.otherwise}"]
    return [f"Patch-mainline: {f'Submitted, {entry.link}' if entry.link else 'Not yet, not posted'}"]


def dep3(mail: Mail, entry: Upstream, author: Person | None, shown: str) -> str:
    """The patch with a DEP-3 header; exits with 1 where that cannot hold its text.

    author: of the original, or who exports; else whom the patch names.  shown: the patch's file, for errors.
    """
    text = with_otherwise(mail.text, entry)
    if found := re.search(r"^.*[^\S\n]$", f"{mail.subject}\n{text}", re.MULTILINE | re.ASCII):
        fail(1, f"{shown} has {found[0]!r}, and DEP-3 drops the white space at its end: reword it")
    # An empty line is a dot there, and one of dots alone has one more.
    lines = [re.sub(r"^\.*$", r".\g<0>", line) for line in text.split("\n")]
    fields = [f"Description: {mail.subject}", *(f" {line}" for line in lines)]
    who = author or mail.author
    if not NOBODY.search(who.email):
        fields += [f"Author: {who}"]
    if entry.commit:
        fields += [
            f"Origin: backport, {entry.url}",
            "Forwarded: not-needed",
            f"Applied-Upstream: {entry.version}, {entry.url}",
        ]
    else:
        fields += ["Origin: vendor"]
        fields += [f"Forwarded: {entry.link or ('not-needed' if entry.otherwise else 'no')}"]
    fields += [f"Last-Update: {parsedate_to_datetime(mail.date):%Y-%m-%d}"]
    return "\n".join([*fields, "---", mail.rest])


def file_name(subject: str) -> str:
    """A patch's file, without number, as git format-patch names it."""
    name = re.sub(r"[^A-Za-z0-9._]+", "-", subject).strip("-.")
    return f"{re.sub(r'[.]+', '.', name)[:52]}.patch"
