# SPDX-License-Identifier: GPL-2.0
"""A toy Debian mirror and a toy kernel.org on loopback: signed, and they can break connections on purpose."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.server
import re
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path


def run(*command: str | Path, cwd: Path | None = None) -> None:
    """Run a command quietly; its output is shown if it fails."""
    result = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert result.returncode == 0, result.stdout.decode()


class Key:
    """A signing key in a folder of its own; takes a second to make, so make one."""

    def __init__(self, *options: str, expires: str = "never") -> None:
        """options: of gpg, when it makes the key.  expires: as gpg takes it."""
        self.home = Path(tempfile.mkdtemp(prefix="avic-toy-key."))
        self.keyring = self.home / "keyring.gpg"
        self.gpg(*options, "--quick-generate-key", "toy@localhost", "default", "default", expires)
        self.gpg("--output", self.keyring, "--export")
        listed = subprocess.check_output(["gpg", "--homedir", self.home, "--no-auto-check-trustdb", "--show-keys", "--with-colons", self.keyring], text=True)
        self.fingerprint = re.search(r"^fpr:+(\w+):", listed, re.MULTILINE)[1]

    def gpg(self, *args: str | Path) -> None:
        run("gpg", "--homedir", self.home, "--batch", "--quiet", "--passphrase", "", *args)

    def close(self) -> None:
        run("gpgconf", "--homedir", self.home, "--kill", "all")
        # The agent removes its sockets after gpgconf has told it to end.
        while self.home.exists():
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(self.home)


class Server:
    """Serves self.www; each of `cuts` ends one request for a package or tarball after so many bytes."""

    LARGE = (".deb", ".xz")

    def __init__(self, root: Path, key: Key) -> None:
        self.www = root / "www"
        self.key = key
        self.cuts: list[int] = []
        self.ranges: list[str] = []
        outer = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args: object) -> None:
                super().__init__(*args, directory=str(outer.www))  # type: ignore[arg-type]

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                outer.answer(self)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.uri = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        """One GET, with ranges, and a broken connection if the test wants one."""
        path = self.www / request.path.lstrip("/").replace("%2b", "+")
        if not path.is_file():
            request.send_error(404)
            return
        data = path.read_bytes()
        start = 0
        if match := re.match(r"bytes=(\d+)-", request.headers.get("Range") or ""):
            start = int(match[1])
            if path.suffix in self.LARGE:
                self.ranges.append(match[0])
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            request.send_response(200)
        request.send_header("Content-Length", str(len(data) - start))
        request.send_header("Accept-Ranges", "bytes")
        request.send_header("Last-Modified", "Fri, 20 Nov 2026 00:00:00 GMT")
        request.end_headers()
        body = data[start:]
        if path.suffix in self.LARGE and self.cuts:
            body = body[: self.cuts.pop()]
            request.close_connection = True
        try:
            request.wfile.write(body)
        except ConnectionError:
            pass

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Mirror(Server):
    """Debian, with linux-source-toy from a tree."""

    def __init__(self, root: Path, tree: Path, key: Key) -> None:
        super().__init__(root, key)
        self.uri += "/debian"
        self.packages: list[str] = []
        self.add("1.0-1", tree)

    def add(self, version: str, tree: Path) -> None:
        """Publish tree as linux-source-toy of a version."""
        work = self.www.parent / f"deb-{version}"
        source = work / "usr/src"
        source.mkdir(parents=True)
        run("tar", "--create", "--use-compress-program=xz -0", f"--file={source}/linux-source-toy.tar.xz",
            "--exclude=.git", f"--directory={tree.parent}", tree.name)  # fmt: skip
        (work / "DEBIAN").mkdir()
        control = (
            f"Package: linux-source-toy\nVersion: {version}\nArchitecture: all\n"
            "Maintainer: Toy <toy@localhost>\nDescription: toy\n"
        )
        (work / "DEBIAN/control").write_text(control)
        pool = self.www / "debian/pool"
        pool.mkdir(parents=True, exist_ok=True)
        name = f"linux-source-toy_{version}_all.deb"
        run("dpkg-deb", "-Znone", "--build", "--root-owner-group", work, pool / name)
        shutil.rmtree(work)
        data = (pool / name).read_bytes()
        self.packages.append(
            f"{control}Filename: pool/{name}\nSize: {len(data)}\n"
            f"SHA256: {hashlib.sha256(data).hexdigest()}\n"
        )
        self.publish()

    date = "Fri, 20 Nov 2026 00:00:00 UTC"

    def publish(self) -> None:
        """Write and sign the lists."""
        suite = self.www / "debian/dists/bookworm"
        lists = {"main/binary-amd64/Packages": "\n".join(self.packages).encode()}
        lists["main/binary-amd64/Packages.gz"] = gzip.compress(
            lists["main/binary-amd64/Packages"], mtime=0
        )
        release = "Origin: Debian\nSuite: stable\nCodename: bookworm\nArchitectures: amd64\n"
        release += f"Components: main\nDate: {self.date}\nSHA256:\n"
        for name, data in lists.items():
            (suite / name).parent.mkdir(parents=True, exist_ok=True)
            (suite / name).write_bytes(data)
            release += f" {hashlib.sha256(data).hexdigest()} {len(data)} {name}\n"
        (suite / "Release").write_text(release)
        (suite / "InRelease").unlink(missing_ok=True)
        self.key.gpg("--clearsign", "--output", suite / "InRelease", suite / "Release")


class KernelOrg(Server):
    """kernel.org, with releases of a tree: tarball, signature of what is in it, and list."""

    def __init__(self, root: Path, tree: Path, key: Key) -> None:
        super().__init__(root, key)
        self.folder = self.www / "v1.x"
        self.folder.mkdir(parents=True)
        self.source = f"{self.uri}/v1.x/linux-*.tar.xz"
        self.add("1.0.1", tree)

    def add(self, version: str, tree: Path, inside: str = "", signer: Key | None = None, options: tuple[str, ...] = ()) -> None:
        """Publish tree as a release.

        inside: the folder in its tarball, if it is not linux-VERSION.  options: of gpg, to sign.
        """
        tar = self.folder / f"linux-{version}.tar"
        run("tar", "--create", f"--file={tar}", "--exclude=.git", f"--directory={tree.parent}",
            f"--transform=s,^{tree.name},{inside or f'linux-{version}'},", tree.name)  # fmt: skip
        (signer or self.key).gpg(*options, "--armor", "--detach-sign", "--output", f"{tar}.sign", tar)
        run("xz", "-0", tar)
        self.publish()

    def publish(self) -> None:
        """Write the list.  kernel.org signs it; scripts/fetch trusts the tarballs' signatures."""
        lines = ["-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n"]
        for path in sorted(self.folder.glob("*.tar.xz")):
            lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}")
        lines.append(f"{'0' * 64}  linux-1.0.tar.xz.old\n{'1' * 64}  patch-1.0.1.xz")
        (self.folder / "sha256sums.asc").write_text("\n".join(lines) + "\n")
