# SPDX-License-Identifier: GPL-2.0
"""scripts/fetch: a base is whole or not there, whatever happens on the way; scripts/moved."""

import os
import random
import re
import shutil
import signal
import subprocess
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mirror import KernelOrg, Key, Mirror
from project import TOP, slow
from toy import Toy, edit, git

from avic.base import Base

# Bytes in what is fetched that do not compress away.  What cuts a download short goes by it.
NOISE = 1 << 20


class FetchTree(Toy):
    def test_clean_tree(self) -> None:
        repo = Path(self.script("fetch").stdout.strip())
        self.assertEqual(git(repo, "rev-parse", "base"), git(self.tree, "rev-parse", "HEAD"))
        self.assertTrue(repo.is_relative_to(self.cache))

    def test_not_a_kernel_tree(self) -> None:
        self.refused("fetch", 2, "is not a kernel tree", TREE="/usr")
        self.refused("fetch", 2, "is not a kernel tree", TREE="/nonexistent")
        self.refused("fetch", 2, "fetch: TREE=/usr is not", TREE="/usr", TREE_NAME="MINE")

    def test_names_that_mean_something_to_others(self) -> None:
        """As a CI job's folder, which git once took for a URL."""
        head = git(self.tree, "rev-parse", "HEAD")
        for name in ("job%2Fmaster", "it's a tree", "~", "$(false)", "*", "-b", "host:tree", "日本\tx"):
            with self.subTest(name):
                tree = self.root / name
                self.tree.rename(tree)
                shutil.rmtree(self.cache, ignore_errors=True)
                repo = Path(self.script("apply", TREE=str(tree)).stdout.strip())
                self.assertEqual(git(repo, "rev-parse", "base"), head)
                tree.rename(self.tree)

    def test_not_a_git_tree(self) -> None:
        shutil.rmtree(self.tree / ".git")
        self.refused("fetch", 2, "is not a git tree")

    def test_uncommitted_changes(self) -> None:
        edit(self.tree / "Kconfig", "toy", "edited")
        self.refused("fetch", 2, "has uncommitted changes")
        self.assertFalse((self.cache / "base").exists())


class Fetched(Toy):
    """What holds of a base wherever it comes from; `name` is in its commit's subject."""

    name = "linux"

    @classmethod
    def setUpClass(cls) -> None:
        cls.key = Key()
        cls.addClassCleanup(cls.key.close)

    def setUp(self) -> None:
        super().setUp()
        # Something that takes a moment to unpack and does not compress away.
        noise = random.Random(1).randbytes(NOISE)
        (self.tree / "noise").write_bytes(noise)

    def check(self, folder: str, version: str) -> None:
        repo = Path(folder.strip())
        self.assertEqual(repo.name, version)
        self.assertEqual(git(repo, "log", "--format=%s", "base"), f"{self.name} {version}")
        self.assertEqual(git(repo, "status", "--porcelain"), "")
        self.assertEqual((repo / "noise").stat().st_size, NOISE)

    def nothing_half_written(self) -> None:
        for repo in self.cache.glob("base/toy/[0-9]*"):
            self.check(str(repo), repo.name)
        self.assertEqual(list(self.cache.glob("base/toy/.new*")), [])

    def interrupt_at_any_time(self, version: str) -> None:
        cut, scale = 0, 1.0
        for moment in self.moments("fetch"):
            shutil.rmtree(self.cache / "base", ignore_errors=True)
            short = self.interrupted("fetch", moment * scale)
            # The machine may be less busy than when the moments were measured.
            cut, scale = cut + short, scale if short else scale * 0.7
            self.nothing_half_written()
        self.assertGreater(cut, 4, "no run was cut short: the test showed nothing")
        self.check(self.script("fetch").stdout, version)


class FetchDebian(Fetched):
    """Like a machine whose apt knows one mirror, the toy one."""

    name = "linux-source-toy"

    def setUp(self) -> None:
        super().setUp()
        self.mirror = Mirror(self.root, self.tree, self.key)
        self.addCleanup(self.mirror.close)
        self.env["TREE"] = ""
        self.env["AVIC_KEYRING"] = str(self.key.keyring)
        self.machine(self.mirror.uri)

    def machine(self, uri: str) -> None:
        """Point the machine's own apt at a mirror."""
        apt = self.root / "apt"
        (apt / "lists").mkdir(parents=True, exist_ok=True)
        (apt / "sources.list").write_text(f"deb {uri} bookworm main\n")
        (apt / "apt.conf").write_text(
            f'Dir::Etc::SourceList "{apt}/sources.list";\nDir::Etc::SourceParts "/dev/null";\n'
            f'Dir::State::Lists "{apt}/lists";\nAcquire::Retries "0";\n'
        )
        self.env["APT_CONFIG"] = str(apt / "apt.conf")

    def test_base_from_debian(self) -> None:
        self.check(self.script("fetch").stdout, "1.0-1")
        # For the report, which asks nobody.
        self.assertRegex((self.cache / "newest/toy").read_text(), r"^1\.0-1 \d{4}-\d\d-\d\d\n$")

    def test_new_files_are_not_ignored(self) -> None:
        """Debian's package ignores everything at the top, and with it each new file anywhere."""
        (self.tree / ".gitignore").write_text("*.o\n#\n# Debian packaging\n#\n/*\n!/debian/\n")
        self.mirror.add("1.1-1", self.tree)
        repo = Path(self.script("fetch").stdout.strip())
        self.check(str(repo), "1.1-1")
        for name in ("arch/x86/kvm/new.c", "new.o"):
            (repo / name).write_text("int x;\n")
        self.assertEqual(git(repo, "status", "--porcelain"), "?? arch/x86/kvm/new.c")

    def test_second_time_needs_no_network(self) -> None:
        self.script("fetch")
        self.machine("http://127.0.0.1:9/debian")
        self.check(self.script("fetch").stdout, "1.0-1")

    def test_newest_in_range(self) -> None:
        self.mirror.add("1.10-1", self.tree)
        self.mirror.add("1.9-1", self.tree)
        self.mirror.add("2.0-1", self.tree)
        self.check(self.script("fetch").stdout, "1.10-1")

    def test_update_takes_what_came_since(self) -> None:
        self.script("fetch")
        self.mirror.add("1.1-1", self.tree)
        self.check(self.script("fetch").stdout, "1.0-1")
        self.check(self.script("fetch", UPDATE="1").stdout, "1.1-1")

    def test_older_version_is_not_taken_for_a_newer_one(self) -> None:
        """As of a mirror that was put back, or that somebody stands before."""
        self.mirror.add("1.1-1", self.tree)
        self.script("fetch")
        self.mirror.packages.pop()
        self.mirror.publish()
        self.refused("fetch", 1, "has only 1.0-1 now, and the cache has 1.1-1", UPDATE="1")
        self.check(self.script("fetch").stdout, "1.1-1")

    def test_settings_of_the_machine(self) -> None:
        """They run nothing here, and don't have a list believed that nobody signed."""
        conf, hook = self.root / "apt/apt.conf", self.root / "hook"
        settings = conf.read_text()
        settings += 'Acquire::AllowInsecureRepositories "true";\nAPT::Get::AllowUnauthenticated "true";\n'
        settings += "".join(f'APT::Update::{when} {{ "touch {hook}"; }};\n' for when in ("Pre-Invoke", "Post-Invoke"))
        conf.write_text(settings + 'Acquire::Check-Valid-Until "false";\n')
        said = self.script("fetch").stderr
        self.assertIn("lists may have expired", said)
        self.assertFalse(hook.exists())
        (self.mirror.www / "debian/dists/bookworm/InRelease").unlink()
        self.refused("fetch", 1, "reading Debian's package lists", UPDATE="1")

    def test_lists_that_the_machines_settings_would_believe(self) -> None:
        """Without a signature from the first time on, and of a day that is still to come."""
        conf = self.root / "apt/apt.conf"
        conf.write_text(conf.read_text() + (
            'Acquire::AllowInsecureRepositories "true";\nAPT::Get::AllowUnauthenticated "true";\nAcquire::Check-Date "false";\n'
        ))  # fmt: skip
        signed = self.mirror.www / "debian/dists/bookworm/InRelease"
        signed.rename(signed.with_suffix(".away"))
        self.refused("fetch", 1, "reading Debian's package lists")
        self.mirror.date = "Thu, 20 Nov 2087 00:00:00 UTC"
        self.mirror.publish()
        self.refused("fetch", 1, "reading Debian's package lists")

    def test_what_moved(self) -> None:
        for package, version in (("1.5", "1.5.2-1"), ("1.5", "1.5.10-1"), ("1.4", "1.4.9-1"), ("1.6", "1.6.1-1")):
            self.mirror.packages.append(
                f"Package: linux-source-{package}\nVersion: {version}\nArchitecture: all\nDescription: toy\n"
                f"Maintainer: Toy <toy@localhost>\nFilename: pool/{version}.deb\nSize: 1\nSHA256: {'0' * 64}\n"
            )
        self.mirror.publish()
        fields = "Package: linux-source-1.5\nRange: 1.5.*\nSuites: bookworm\nTested: 1.5.1-1 1.5.2-1\n"
        (self.patches / "base").write_text(fields)
        self.assertEqual(
            [" ".join(line.split()) for line in self.script("moved").stdout.splitlines()],
            [
                "base tested newest",
                "toy 1.5.2-1 1.5.10-1 moved: make run BASE=toy UPDATE=1",
                "- - 1.6.1-1 new: linux-source-1.6 has no base; TREE= scripts/fit says which stack fits",
            ],
        )
        # For the report, which asks nobody.
        heard = (self.cache / "newest/toy").read_text()
        self.assertRegex(heard, r"^1\.5\.10-1 \d{4}-\d\d-\d\d\n$")
        self.assertEqual([path.name for path in (self.cache / "newest").iterdir()], ["toy"])
        own = self.patches.parent / "own"
        own.mkdir()
        (own / "base").write_text("Range: 1.5.*\n")
        self.assertRegex(self.script("moved").stdout, r"\nown +- +- +its kernel is a TREE= alone\n")
        self.refused("fetch", 2, "patches/own/base names no Package and no Source", "give TREE=", BASE="own")
        edit(self.patches / "base", "1.5.2-1", "1.5.10-1")
        self.assertNotIn("moved:", self.script("moved").stdout)
        edit(self.patches / "base", "Range: 1.5", "Range: 1.7")
        self.assertIn("gone: Debian has no linux-source-1.5 1.7.* any more", self.script("moved", 1).stdout)
        self.assertEqual((self.cache / "newest/toy").read_text(), heard)

    @slow
    def test_to_which_versions_a_stack_applies(self) -> None:
        self.env["TREE"] = str(self.tree)
        repo = self.make_stack()
        # What a stack adds is in no version.
        (repo / "new.c").write_text("int x;\n")
        git(repo, "add", "new.c")
        git(repo, "commit", "--quiet", "--message=KVM: SVM: Toy four\n\nWhy.")
        self.script("refresh")
        self.env["TREE"] = ""
        edit(self.tree / "arch/x86/kvm/svm/avic.c", "line 9 of", "another line 9 of")
        self.mirror.add("1.10-1", self.tree)
        self.mirror.add("2.0-1", self.tree)
        said = self.script("fit-all")
        rows = [" ".join(line.split()) for line in said.stdout.splitlines()]
        self.assertEqual(rows[0], "toy 1.0-1 4 of 4 apply")
        self.assertRegex(rows[1], r"^toy 1\.10-1 1 of 4 apply, then 0002-toy-two\.patch: .*avic\.c, hunk 1 of 1")
        self.assertIn("+another line 9 of avic.c", rows)
        self.assertNotIn("2.0-1", said.stdout)
        self.assertEqual([*self.cache.glob("fit/*")], [])
        self.assertEqual(self.script("fit-all toy").stdout, said.stdout)

    @slow
    def test_a_version_that_cannot_be_had(self) -> None:
        """The others are told of all the same, and no stack is said to fit what was not looked at."""
        other = self.patches.parent / "gone"
        other.mkdir()
        (other / "base").write_text("Package: linux-source-1.5\nRange: 1.5.*\nSuites: bookworm\n")
        self.env["TREE"] = str(self.tree)
        self.make_stack()
        self.env["TREE"] = ""
        said = self.script("fit-all", 1)
        self.assertIn("3 of 3 apply", said.stdout)
        self.assertIn("linux-source-1.5 has no 1.5.* any more", said.stderr)
        self.mirror.cuts = [1000] * 9
        said = self.script("fit-all toy", 1)
        self.assertEqual(said.stdout, "")
        self.assertIn("run again, it resumes", said.stderr)
        self.assertEqual([*self.cache.glob("fit/*")], [])

    @slow
    def test_what_moved_at_kernel_org(self) -> None:
        org = KernelOrg(self.root / "org", self.tree, self.key)
        other = self.patches.parent / "v1.0"
        other.mkdir()
        (other / "base").write_text(f"Source: {org.source}\nRange: 1.0.1-\nTested: 1.0.1\n")
        rows = [" ".join(line.split()) for line in self.script("moved").stdout.splitlines()]
        self.assertEqual(rows, ["base tested newest", "toy - 1.0-1 moved: make run BASE=toy UPDATE=1", "v1.0 1.0.1 1.0.1"])
        org.add("1.0.2", self.tree)
        self.assertIn("1.0.2                moved: make run BASE=v1.0 UPDATE=1", self.script("moved").stdout)
        edit(other / "base", "Range: 1.0.1-", "Range: 1.0.3-")
        self.assertIn("gone: kernel.org has no 1.0.3- any more", self.script("moved", 1).stdout)
        (org.folder / "sha256sums.asc").write_text("<html>moved</html>\n")
        said = self.script("moved", 1)
        self.assertIn("lists no linux-*.tar.xz", said.stderr)
        self.assertIn("not known: see above", said.stdout)
        self.assertNotIn("gone:", said.stdout)
        org.close()
        said = self.script("moved", 1)
        self.assertIn("the source of v1.0 can't be had from 127.0.0.1", said.stderr)
        self.assertIn("not known: see above", said.stdout)

    def test_moved_when_the_kernels_cannot_be_listed(self) -> None:
        stub = self.root / "bin"
        stub.mkdir()
        (stub / "apt-cache").write_text('#!/bin/sh\ncase "$*" in *search*) exit 100 ;; esac\nexec /usr/bin/apt-cache "$@"\n')
        (stub / "apt-cache").chmod(0o755)
        self.refused("moved", 1, "Debian's kernels cannot be listed", PATH=f"{stub}:{os.environ['PATH']}")

    def test_no_keyring(self) -> None:
        self.refused("fetch", 2, "no keyring /no/such/keyring", "AVIC_KEYRING=", AVIC_KEYRING="/no/such/keyring")

    def test_none_in_range(self) -> None:
        edit(self.patches / "base", "Range: 1.*", "Range: 3.*")
        self.refused("fetch", 1, "linux-source-toy has no 3.* any more", "TREE=")

    def test_no_mirror(self) -> None:
        (self.root / "apt/sources.list").write_text("")
        self.refused("fetch", 2, "no Debian mirror in this machine's apt", "TREE=")

    def test_no_network(self) -> None:
        self.machine("http://127.0.0.1:9/debian")
        self.refused("fetch", 1, "reading Debian's package lists", "check the network")
        self.nothing_half_written()

    def test_wrong_signature(self) -> None:
        edit(self.mirror.www / "debian/dists/bookworm/InRelease", "Suite: stable", "Suite: other")
        self.refused("fetch", 1, "reading Debian's package lists")
        self.nothing_half_written()

    def test_package_is_not_what_was_signed(self) -> None:
        deb = next((self.mirror.www / "debian/pool").iterdir())
        deb.write_bytes(deb.read_bytes()[:-1] + b"x")
        self.refused("fetch", 1, "download of linux-source-toy 1.0-1")
        self.nothing_half_written()

    def test_broken_download_resumes(self) -> None:
        self.mirror.cuts = [NOISE // 4] * 3  # apt itself tries three times
        self.refused("fetch", 1, "failed: run again, it resumes")
        self.nothing_half_written()
        self.check(self.script("fetch").stdout, "1.0-1")
        self.assertEqual(self.mirror.ranges[-1:], [f"bytes={3 * (NOISE // 4)}-"])

    def test_truncated_tarball(self) -> None:
        (self.tree / "linux-source-toy.tar.xz").write_bytes(b"\xfd7zXZ\0 and no more")
        stub = self.root / "bin"
        stub.mkdir()
        # dpkg-deb unpacks, and the tarball is then not all there.
        (stub / "dpkg-deb").write_text(
            '#!/bin/sh\n/usr/bin/dpkg-deb "$@" && truncate --size=256K "$3"/usr/src/*.xz\n'
        )
        (stub / "dpkg-deb").chmod(0o755)
        self.refused("fetch", 1, "unpacking", PATH=f"{stub}:{os.environ['PATH']}")
        self.nothing_half_written()
        self.check(self.script("fetch").stdout, "1.0-1")

    @slow
    @unittest.skipUnless(os.geteuid() == 0, "needs root to mount a small file system")
    def test_full_disk(self) -> None:
        self.cache.mkdir()
        for size in ("64K", "1280K", "2560K"):
            with self.subTest(size=size):
                subprocess.run(
                    ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", self.cache], check=True
                )
                try:
                    self.refused("fetch", 1, "full")
                    self.nothing_half_written()
                finally:
                    subprocess.run(["umount", self.cache], check=True)
        self.check(self.script("fetch").stdout, "1.0-1")

    def test_interrupt_while_it_cleans_up(self) -> None:
        """The second Ctrl-C of somebody in a hurry, or one that comes at the very end."""
        tools, aside = self.cache / "bin", self.cache / "aside"
        for folder in (tools, aside):
            folder.mkdir(parents=True)
        (tools / "rm").write_text(f'#!/bin/sh\n: >{tools}/began\nsleep 0.5\nexec /bin/rm "$@"\n')
        (tools / "rm").chmod(0o755)
        process = subprocess.Popen(
            ["bash", "-c", f". {self.project}/scripts/lib.sh; aside+=({aside})"],
            env=os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}, start_new_session=True,
        )  # fmt: skip
        while not (tools / "began").exists():
            self.assertIsNone(process.poll(), "it ended without cleaning up")
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=60)
        self.assertFalse(aside.exists())

    @slow
    def test_interrupt_at_any_time(self) -> None:
        self.interrupt_at_any_time("1.0-1")


class FetchKernelOrg(Fetched):
    """A base without a Debian package."""

    def setUp(self) -> None:
        super().setUp()
        self.org = KernelOrg(self.root, self.tree, self.key)
        self.addCleanup(self.org.close)
        self.env |= {"TREE": "", "HOME": str(self.root)}
        self.keys = self.project / "ci/keys"
        self.keys.mkdir(parents=True)
        self.base_file(self.trust(self.key))

    def trust(self, key: Key) -> str:
        """Put a key into ci/keys; returns its name."""
        key.gpg("--yes", "--armor", "--output", self.keys / f"{key.fingerprint}.asc", "--export")
        return key.fingerprint

    def base_file(self, key: str, allowed: str = "1.0.1-", source: str = "") -> None:
        (self.patches / "base").write_text(f"Source: {source or self.org.source}\nKey: {key}\nRange: {allowed}\n")

    def test_base_from_kernel_org(self) -> None:
        self.check(self.script("fetch").stdout, "1.0.1")
        self.assertEqual(list(self.cache.glob("kernel.org/toy/*.tar*")), [], "the tarball is still there")

    def test_second_time_needs_no_network(self) -> None:
        self.script("fetch")
        self.org.close()
        self.check(self.script("fetch").stdout, "1.0.1")

    def test_newest_in_range(self) -> None:
        for version in ("1.0.9", "1.0.10", "1.1.20"):
            self.org.add(version, self.tree)
        self.check(self.script("fetch").stdout, "1.0.10")

    def test_update_takes_a_newer_point_release(self) -> None:
        self.script("fetch")
        self.org.add("1.0.2", self.tree)
        self.check(self.script("fetch").stdout, "1.0.1")
        self.check(self.script("fetch", UPDATE="1").stdout, "1.0.2")

    def test_two_at_once(self) -> None:
        with ThreadPoolExecutor() as pool:
            found = {each.stdout for each in pool.map(lambda _: self.script("fetch"), range(3))}
        (folder,) = found
        self.check(folder, "1.0.1")

    def test_the_callers_options_of_tar(self) -> None:
        self.check(self.script("fetch", TAR_OPTIONS="--exclude=noise", XZ_OPT="--memlimit-decompress=1KiB").stdout, "1.0.1")

    def test_too_old_for_the_stack(self) -> None:
        self.base_file(self.key.fingerprint, "1.0.2-")
        self.refused("fetch", 1, "kernel.org has no 1.0.2- any more", "TREE=")

    def test_no_network(self) -> None:
        self.base_file(self.key.fingerprint, source="http://127.0.0.1:9/v1.x/linux-*.tar.xz")
        self.refused("fetch", 1, "the source of toy can't be had from 127.0.0.1:9", "TREE=")
        self.nothing_half_written()

    def test_signed_by_another(self) -> None:
        other = Key()
        self.addCleanup(other.close)
        self.org.add("1.0.2", self.tree, signer=other)
        self.refused("fetch", 1, f"linux-1.0.2.tar.xz is not what the key {self.key.fingerprint} signed")
        self.nothing_half_written()
        self.trust(other)
        self.refused("fetch", 1, "is not what the key")
        self.base_file(other.fingerprint)
        self.check(self.script("fetch").stdout, "1.0.2")

    def test_a_key_of_another_name(self) -> None:
        """The name in the base's file is a fingerprint, and not just a file's name."""
        other = Key()
        self.addCleanup(other.close)
        self.org.add("1.0.2", self.tree, signer=other)
        self.trust(other)
        named = self.keys / f"{self.key.fingerprint}.asc"
        named.write_bytes((self.keys / f"{other.fingerprint}.asc").read_bytes())
        self.refused("fetch", 1, "could not be checked", "does not have the key of its name")

    def signed(self, key: Key, *options: str) -> str:
        """What is said of a release that is signed in another way."""
        self.org.add("1.0.2", self.tree, signer=key, options=options)
        self.base_file(self.trust(key))
        error = self.refused("fetch", 1, "linux-1.0.2.tar.xz")
        self.nothing_half_written()
        return error

    def new_key(self, *options: str, expires: str = "never") -> Key:
        key = Key(*options, expires=expires)
        self.addCleanup(key.close)
        return key

    def test_key_that_has_expired(self) -> None:
        past = ("--faked-system-time", "20200101T000000!")
        key = self.new_key(*past, expires="2020-02-01")
        self.assertIn("is signed by a key that has expired", self.signed(key, *past))

    def test_key_that_was_revoked(self) -> None:
        key = self.new_key()
        revocation = next((key.home / "openpgp-revocs.d").glob("*.rev"))
        self.org.add("1.0.2", self.tree, signer=key)
        revocation.write_text(revocation.read_text().replace("\n:-----", "\n-----"))
        key.gpg("--import", revocation)
        self.base_file(self.trust(key))
        self.refused("fetch", 1, "is signed by a key that was revoked")
        self.nothing_half_written()

    def test_signature_that_has_expired(self) -> None:
        key = self.new_key("--faked-system-time", "20200101T000000!")
        error = self.signed(key, "--faked-system-time", "20200101T000000!", "--default-sig-expire", "2020-02-01")
        self.assertIn("has a signature that has expired", error)

    def test_signature_of_a_hash_that_can_be_forged(self) -> None:
        for weak in ("SHA1", "RIPEMD160"):
            with self.subTest(weak):
                self.assertIn("of a hash that can be forged", self.signed(self.key, "--digest-algo", weak))
                for path in self.org.folder.glob("linux-1.0.2*"):
                    path.unlink()

    def test_two_signatures(self) -> None:
        """One of somebody else beside the right one does not hurt."""
        other = self.new_key()
        tar = self.org.folder / "linux-1.0.1.tar"
        subprocess.run(["xz", "--decompress", "--keep", f"{tar}.xz"], check=True)
        for key, name in ((other, "a"), (self.key, "b")):
            key.gpg("--detach-sign", "--output", self.root / name, tar)
        tar.unlink()
        Path(f"{tar}.sign").write_bytes((self.root / "a").read_bytes() + (self.root / "b").read_bytes())
        self.check(self.script("fetch").stdout, "1.0.1")

    def tools_without(self, missing: str) -> str:
        """A PATH that has all tools but one."""
        folder = self.root / f"without-{missing}"
        folder.mkdir()
        for path in Path("/usr/bin").iterdir():
            if path.name != missing:
                (folder / path.name).symlink_to(path)
        return str(folder)

    def test_could_not_check_is_not_a_wrong_signature(self) -> None:
        """What was downloaded is still there for when it can be checked."""
        for tool in ("gpgv", "gpg", "xz"):
            with self.subTest(tool):
                error = self.refused("fetch", 1, "could not be checked", tool, PATH=self.tools_without(tool))
                self.assertNotIn("is not what", error)
                self.assertTrue(list(self.cache.glob("kernel.org/toy/*.tar.xz")), "the tarball is gone")
                self.nothing_half_written()
        stub = self.root / "stub"
        stub.mkdir()
        (stub / "gpgv").write_text("#!/bin/sh\nkill -9 $$\n")
        (stub / "gpgv").chmod(0o755)
        self.refused("fetch", 1, "could not be checked", PATH=f"{stub}:{os.environ['PATH']}")
        self.check(self.script("fetch").stdout, "1.0.1")

    def test_range_is_of_one_stable_series(self) -> None:
        for version in ("1.1.20", "1.10.1", "2.0.1"):
            self.org.add(version, self.tree)
        self.base_file(self.key.fingerprint, "1.0-")
        self.check(self.script("fetch").stdout, "1.0.1")
        self.base_file(self.key.fingerprint, "1-")
        self.refused("fetch", 1, "Range is '1-': want")

    def test_what_is_cached_is_held_against_the_range(self) -> None:
        self.script("fetch")
        self.org.add("1.0.2", self.tree)
        self.base_file(self.key.fingerprint, "1.0.2-")
        self.check(self.script("fetch").stdout, "1.0.2")

    def test_list_without_a_release(self) -> None:
        (self.org.folder / "sha256sums.asc").write_text("<html>moved</html>\n")
        self.refused("fetch", 1, "lists no linux-*.tar.xz", "TREE=")

    def test_no_such_key(self) -> None:
        self.base_file("0" * 40)
        self.refused("fetch", 1, "could not be checked", f"no key ci/keys/{'0' * 40}.asc")

    def test_tarball_is_not_what_was_signed(self) -> None:
        tar = self.org.folder / "linux-1.0.1.tar"
        (self.tree / "noise").write_bytes(b"x" * NOISE)
        signature = Path(f"{tar}.sign").read_bytes()
        for suffix in (".sign", ".xz"):
            Path(f"{tar}{suffix}").unlink()
        self.org.add("1.0.1", self.tree)
        Path(f"{tar}.sign").write_bytes(signature)
        self.refused("fetch", 1, "linux-1.0.1.tar.xz is not what the key")
        self.nothing_half_written()
        self.assertEqual(list(self.cache.glob("kernel.org/toy/*.tar*")), [])

    def test_old_release_under_a_new_name(self) -> None:
        self.org.add("1.0.2", self.tree, inside="linux-1.0.1")
        self.refused("fetch", 1, "linux-1.0.2.tar.xz is of another version: it has no folder linux-1.0.2")
        self.nothing_half_written()

    def test_tarball_that_ends_early(self) -> None:
        """The list knows better; and the list is not needed to know."""
        tarball = self.org.folder / "linux-1.0.1.tar.xz"
        tarball.write_bytes(tarball.read_bytes()[: NOISE // 4])
        self.refused("fetch", 1, "download of ", "linux-1.0.1.tar.xz")
        self.nothing_half_written()
        self.org.publish()
        self.refused("fetch", 1, "linux-1.0.1.tar.xz is not what the key")
        self.nothing_half_written()

    def test_no_signature(self) -> None:
        (self.org.folder / "linux-1.0.1.tar.sign").unlink()
        self.refused("fetch", 1, "download of ", "linux-1.0.1.tar.sign")
        self.nothing_half_written()

    def test_broken_download_resumes(self) -> None:
        self.org.cuts = [NOISE // 4] * 4
        self.refused("fetch", 1, "run again, it resumes")
        self.nothing_half_written()
        self.check(self.script("fetch").stdout, "1.0.1")
        self.assertTrue(self.org.ranges, "it began anew")

    @slow
    def test_interrupt_at_any_time(self) -> None:
        self.interrupt_at_any_time("1.0.1")

    def test_keys_are_what_their_names_say(self) -> None:
        found = sorted((TOP / "ci/keys").iterdir())
        named = {base.fields["Key"][0] for base in Base.every() if "Key" in base.fields}
        self.assertEqual({path.stem for path in found}, named)
        for path in found:
            shown = subprocess.run(
                ["gpg", "--homedir", self.key.home, "--show-keys", "--with-colons", path],
                stdout=subprocess.PIPE, text=True, check=True,
            ).stdout  # fmt: skip
            self.assertEqual(re.findall(r"^pub:.*\nfpr:+(\w+):", shown, re.MULTILINE), [path.stem])
