# SPDX-License-Identifier: GPL-2.0
"""A branch that b4 tracks, made in a temporary tree, and what b4 would send of it."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
from email import message_from_string
from email.utils import formataddr, getaddresses
from pathlib import Path
from shlex import quote

from avic import raw
from avic.paths import TOP
from avic.outgoing import GIVEN, restamp, user_tree
from avic.process import fail
from avic.raw import printable, printable_lines
from avic.tree import git, rev
from avic.upstream import Person

# What b4 keeps in the cover letter's commit: the same line in 0.12 to 0.16.
TRACKING = "--- b4-submit-tracking ---"
OLDEST_B4 = (0, 12)
# Where a branch's commit as exported is noted, in the tree that has the branch.
EXPORTED = "refs/avic/exported/"
OBJECTS = ("rev-parse", "--path-format=absolute", "--git-path", "objects")


class B4:
    """b4 in a tree of its own, without the user's settings: those count when the user sends."""

    def __init__(self, tree: Path) -> None:
        self.command = os.environ.get("B4") or "b4"
        self.tree = tree
        self.env = os.environ | {
            "XDG_CACHE_HOME": f"{tree}/.git/b4-cache",
            "XDG_DATA_HOME": f"{tree}/.git/b4-data",
            # After a Ctrl-C it may leave files there; they are removed with the tree.
            "TMPDIR": f"{tree}/.git/b4-tmp",
        }  # fmt: skip
        for name in ("EDITOR", "VISUAL", "GIT_EDITOR"):
            self.env.pop(name, None)
        self.version = self.find()
        self.helps: dict[str, str] = {}

    def find(self) -> str:
        """The version; exits with 2 if there is no b4, or if it is too old."""
        try:
            said = subprocess.run(
                [self.command, "--version"], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        except OSError:
            fail(2, f"there is no {self.command}: run scripts/setup, or give B4=")
            raise AssertionError
        version = said.stdout.strip()
        numbers = re.match(r"(\d+)\.(\d+)", version)
        if said.returncode or not numbers:
            fail(2, f"{self.command} --version says '{version}': give B4=, a b4 that runs")
            raise AssertionError
        if (int(numbers[1]), int(numbers[2])) < OLDEST_B4:
            fail(2, f"{self.command} is {version}, too old to track a series: want 0.12 or newer, give B4=")
        return version

    def can(self, verb: str, option: str) -> bool:
        """Whether a verb of this b4 knows an option."""
        if verb not in self.helps:
            self.helps[verb] = self.run(verb, "--help")
        return bool(re.search(rf"{option}(?![\w-])", self.helps[verb]))

    def run(self, *args: str) -> str:
        """Run b4 and return what it says; older versions say it on stderr.  Exits with 1 if it fails."""
        Path(self.env["TMPDIR"]).mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [self.command, *args],
            cwd=self.tree, env=self.env, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if done.returncode:
            fail(1, f"b4 {self.version}: b4 {' '.join(args)} failed", done.stdout)
        return done.stdout

    def edit(self, what: str, path: Path, text: str) -> None:
        """Give the branch a text: its cover, or its deps, which are prerequisites."""
        path.write_text(text)
        git(self.tree, "config", "core.editor", f"cp {quote(str(path))}")
        self.run("prep", f"--edit-{what}")


def tree_for_b4(aside: Path, repo: Path, tip: str, me: Person) -> None:
    """A git tree that shares the base's objects and has, on disk, only what get_maintainer.pl reads."""
    git(repo, "init", "--quiet", str(aside))
    objects = git(repo, *OBJECTS).stdout.strip()
    # The base is one commit; get_maintainer.pl looks at those that Fixes: names.
    history = [git(tree, *OBJECTS).stdout.strip() for tree in [user_tree()] if tree]
    raw.write(aside / ".git/objects/info/alternates", "".join(f"{each}\n" for each in [objects, *history]))
    shallow = Path(objects).parent / "shallow"
    if shallow.exists():
        shutil.copy(shallow, aside / ".git/shallow")
    # get_maintainer.pl wants the top of a kernel tree, and matches a folder only if it exists.
    for folder in git(repo, "ls-tree", "-rd", "--name-only", "base").stdout.splitlines():
        (aside / folder).mkdir(parents=True, exist_ok=True)
    touched = git(repo, "diff", "--name-only", "base", tip).stdout.split()
    wanted = ["/*", "!/*/", "/scripts/get_maintainer.pl", *(f"/{name}" for name in touched)]
    (aside / ".git/info").mkdir(exist_ok=True)
    (aside / ".git/info/sparse-checkout").write_text("\n".join(wanted) + "\n")
    for name, value in {
        "core.sparseCheckout": "true",
        "gc.auto": "0",
        "user.name": me.name,
        "user.email": me.email,
        "b4.prep-cover-strategy": "commit",
        # Nothing is sent from here.  Without this b4 would ask for a signature for the web endpoint.
        "sendemail.smtpserver": "localhost",
    }.items():
        git(aside, "config", name, value)


def letter_of(repo: Path, commit: str) -> str:
    """A commit's message without what b4 notes there."""
    return git(repo, "show", "--no-patch", "--format=%B", commit).stdout.partition(TRACKING)[0].strip()


def without_given(text: str) -> str:
    """A commit's message without the tags that people gave."""
    return re.sub(r"(?:^[A-Z][\w-]*-by: .*(?:\n|\Z))+", "", f"{text}\n", flags=re.MULTILINE).strip(raw.WHITE)


def with_given(text: str, tags: list[str]) -> str:
    """A commit's message with more of them, above the sign-off of who sends."""
    rest, _, last = text.rstrip("\n").rpartition("\n")
    lines = [*tags, last] if last.startswith("Signed-off-by: ") else [last, *([] if GIVEN.match(last) else [""]), *tags]
    return "\n".join([rest, *lines, ""])


def substance_of(repo: Path, commit: str) -> tuple[str, str]:
    """What a commit says and does, wherever in a series it is."""
    diff = git(repo, "diff-tree", "--patch", commit).stdout
    return letter_of(repo, commit), git(repo, "patch-id", "--stable", stdin=diff).stdout.partition(" ")[0]


class Tracked:
    """A branch that b4 tracks already: its cover letter's commit, and what b4 noted there."""

    def __init__(self, aside: Path, target: Path, branch: str) -> None:
        self.aside = aside
        git(aside, "fetch", "--quiet", "--no-tags", str(target), f"refs/heads/{branch}:refs/avic/old")
        found = git(
            aside, "log", "--format=%H", "--fixed-strings", f"--grep={TRACKING}", "base..refs/avic/old"
        ).stdout.split()
        if len(found) != 1:
            fail(1, f"branch {branch} in {target} is not b4's: give --branch, another name")
        self.message = git(aside, "show", "--no-patch", "--format=%B", found[0]).stdout.strip()
        series = json.loads("{" + self.message.partition(TRACKING)[2].partition("{")[2])["series"]
        self.revision = int(series["revision"])
        self.links = {
            int(revision[1:]): f"https://lore.kernel.org/all/{sent[-1]}"
            for revision, sent in series.get("history", {}).items()
        }
        self.cover = found[0]
        self.lost: list[str] = []  # patches with tags that nothing of the new series has, by subject
        # As it was exported.  Older exports did not note that.
        exported = f"{EXPORTED}{branch}:refs/avic/exported"
        git(aside, "fetch", "--quiet", "--no-tags", str(target), exported, check=False)

    def only_here(self, tip: str, letter: str) -> list[str]:
        """What the branch has that neither the last export made nor the new one, with this tip and letter, has."""
        was = git(self.aside, "rev-list", "base..refs/avic/exported", check=False).stdout.split()
        now = git(self.aside, "rev-list", f"base..{tip}").stdout.split()
        known = {substance_of(self.aside, commit) for commit in [*was, *now]}
        letters = {letter.strip(), *(letter_of(self.aside, commit) for commit in was)}
        found = [] if letter_of(self.aside, self.cover) in letters else ["the cover letter"]
        for commit in git(self.aside, "rev-list", "--reverse", "base..refs/avic/old").stdout.split():
            if commit != self.cover and substance_of(self.aside, commit) not in known:
                found.append(git(self.aside, "show", "--no-patch", "--format=%s", commit).stdout.strip())
        return list(dict.fromkeys([*found, *self.lost]))

    def tagged(self, commits: list[str], onto: str, me: Person) -> tuple[list[str], list[str]]:
        """The commits anew, with the tags that people gave to those of the branch which are the same; and the tags, by subject.

        They are the same if they say and do the same.  onto: the commit before the series.
        """
        given = {}
        for commit in git(self.aside, "rev-list", "base..refs/avic/old").stdout.split():
            text, patch = substance_of(self.aside, commit)
            # A sign-off is of who sends.
            tags = [match[0] for match in GIVEN.finditer(text) if not match[0].startswith("Signed-off")]
            if tags:
                given[without_given(text), patch] = text.partition("\n")[0], tags
        said: list[str] = []

        def edit(number: int, text: str) -> tuple[str, Person | None]:
            same = without_given(text), substance_of(self.aside, commits[number])[1]
            subject, tags = given.pop(same, ("", []))
            said.extend(f"{subject}: {tag}" for tag in tags)
            return with_given(text, tags) if tags else text, None

        done = restamp(self.aside, commits, onto, edit, me)
        self.lost = [subject for subject, _ in given.values()]
        return done, said

    def keep(self, target: Path, branch: str) -> str:
        """Give the old commits a branch of their own; returns its name."""
        names = (f"{branch}.before-{number}" for number in itertools.count(1))
        name = next(each for each in names if not rev(target, f"refs/heads/{each}"))
        git(target, "branch", "--no-track", name, rev(self.aside, "refs/avic/old"))
        return name


def enroll(b4: B4, commits: list[str], onto: str, branch: str, me: Person, old: Tracked | None) -> None:
    """Make the branch in b4's tree, tracked: anew, or as the old one is.  onto: the commit before the series."""
    tip = commits[-1]
    if old:
        cover = git(
            b4.tree, "commit-tree", f"{onto}^{{tree}}", "-p", onto, "-F", "-",
            stdin=old.message, env=me.env("AUTHOR") | me.env("COMMITTER"),
        ).stdout.strip()  # fmt: skip
        tip = restamp(b4.tree, commits, cover, lambda _, text: (text, None), me)[-1]
    git(b4.tree, "checkout", "--quiet", "-B", branch, tip)
    if old:
        git(b4.tree, "config", f"branch.{branch}.b4-prep-cover-strategy", "commit")
    else:
        b4.run("prep", "--enroll", onto)


def recipients_with_snippet(aside: Path) -> None:
    """Make b4 call get_maintainer.pl as it does by default, but with MAINTAINERS.snippet added."""
    maintainers = aside / ".git/MAINTAINERS"
    known = git(aside, "show", "base:MAINTAINERS").stdout
    raw.write(maintainers, f"{known}\n{raw.read(TOP / 'MAINTAINERS.snippet')}")
    script = aside / "scripts/get_maintainer.pl"
    options = "--nogit --nogit-fallback --nogit-chief-penguins --norolestats"
    command = f"{quote(str(script))} {options} {quote(f'--mpath={maintainers}')}"
    git(aside, "config", "b4.send-auto-to-cmd", f"{command} --nol")
    git(aside, "config", "b4.send-auto-cc-cmd", f"{command} --nom")


def show_mails(text: str, wanted: int) -> None:
    """Print what b4 would send: recipients and subjects, with V=1 all of it.

    Exits with 1 if the number of mails is wrong.
    """
    found = re.findall(r"(?ms)^ *--- DRYRUN: message follows ---\n(.*?)^ *--- DRYRUN: message ends", text)
    mails = [message_from_string(re.sub(r"(?m)^ *\| ?", "", each)) for each in found]
    if len(mails) != wanted:
        fail(1, f"b4 would send {len(mails)} mails, not {wanted}: see what it says", text)
    if os.environ.get("V"):
        print(printable_lines(text))
        return
    for field in ("To", "Cc"):
        for pair in getaddresses(mails[0].get_all(field, [])):
            print(printable(f"{field.lower():8} {formataddr(pair)}"))
    for mail in mails:
        print(printable(f"mail     {' '.join(mail['Subject'].split())}"))
