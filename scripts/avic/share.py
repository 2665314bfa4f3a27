# SPDX-License-Identifier: GPL-2.0
"""The host's side of the folder that scripts/shell shares; ci/shell/share is the machine's.

The machine's kernel has no driver for a file system of the host, and gets none: it would be
another kernel than the tests'.  So the machine begins with a copy, and each side sends what
has changed, as tar.gz, over a serial port.  The machine asks:

  machine: SIZE SHA256, a line; then a tar.gz of SIZE bytes
  host:    SIZE SHA256 MESSAGE, a line, or "error MESSAGE"; then a tar.gz of SIZE bytes, BLOCK
           of them at a time, each behind an empty line of the machine: nothing else keeps
           a serial port from getting more than it can hold
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import socket
import tarfile
import zlib
from pathlib import Path

BLOCK = 32768
# A file that changed on both sides: the machine's gets this name, so that nothing is lost.
ASIDE = ".machine"

State = dict[str, tuple[int, int]]


class Refused(Exception):
    """What came from the machine is not taken; the text says why."""


def state_of(folder: Path) -> State:
    """The regular files below a folder, by relative name -> time in ns and size in bytes."""
    found: State = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place) / name
            if path.is_file() and not path.is_symlink():
                stat = path.stat()
                found[str(path.relative_to(folder))] = (stat.st_mtime_ns, stat.st_size)
    return found


class Share:
    """A folder, and what of it the machine knows."""

    def __init__(self, folder: Path) -> None:
        """folder: as the machine gets it at its start."""
        self.folder = folder
        self.known = state_of(folder)

    def place_of(self, name: str) -> Path:
        """Where a file from the machine goes; raises Refused if that is not in the folder."""
        path = self.folder / name
        inside = path.parent.resolve().is_relative_to(self.folder.resolve())
        if Path(name).is_absolute() or ".." in Path(name).parts or not inside:
            raise Refused(f"{name} is outside of the folder")
        if path.is_symlink() or path.is_dir():
            raise Refused(f"{name} is a link or a folder on the host")
        return path

    def take(self, data: bytes) -> str:
        """Write the files of the machine's tar; returns what there is to say.  Raises Refused, OSError, TarError."""
        said = []
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                if content is None:
                    continue
                name = os.path.normpath(member.name)
                path = self.place_of(name)
                if path.exists() and self.known.get(name) != self.stat_of(path):
                    name, path = name + ASIDE, self.place_of(name + ASIDE)
                    said.append(f"changed on both sides, the machine's is {name}")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.read())
                path.chmod(0o755 if member.mode & 0o100 else 0o644)
                self.known[name] = self.stat_of(path)
        return "; ".join(said)

    @staticmethod
    def stat_of(path: Path) -> tuple[int, int]:
        """A file's time in ns and size in bytes."""
        stat = path.stat()
        return stat.st_mtime_ns, stat.st_size

    def changed(self) -> bytes:
        """A tar of what changed on the host since the last time, b"" if nothing did."""
        now = state_of(self.folder)
        names = sorted(name for name, stat in now.items() if self.known.get(name) != stat)
        self.known = now
        if not names:
            return b""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz", format=tarfile.GNU_FORMAT) as tar:
            for name in names:
                tar.add(self.folder / name, name, recursive=False)
        return packed.getvalue()

    def answer(self, data: bytes, digest: str) -> tuple[str, bytes]:
        """The line and the tar that the machine gets for its tar."""
        if hashlib.sha256(data).hexdigest() != digest:
            return "error it was damaged on the way: do it again", b""
        try:
            said = self.take(data) if data else ""
            back = self.changed()
        except (Refused, OSError, EOFError, zlib.error, tarfile.TarError) as error:
            return f"error {' '.join(str(error).split())}", b""
        return f"{len(back)} {hashlib.sha256(back).hexdigest()} {said}".strip(), back

    def serve(self, connection: socket.socket) -> None:
        """Answer the machine until it is gone."""
        with contextlib.suppress(OSError), connection, connection.makefile("rwb") as port:
            while line := port.readline():
                size, _, digest = line.decode(errors="replace").partition(" ")
                data = port.read(int(size)) if size.isdigit() else b""
                said, back = self.answer(data, digest.strip())
                port.write(f"{said}\n".encode(errors="surrogateescape"))
                port.flush()
                for start in range(0, len(back), BLOCK):
                    if not port.readline():
                        return
                    port.write(back[start : start + BLOCK])
                    port.flush()
