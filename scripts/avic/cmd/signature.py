# SPDX-License-Identifier: GPL-2.0
"""signature KEY TARBALL: whether a key of ci/keys signed a release of kernel.org.

  KEY      its fingerprint; ci/keys/KEY.asc is the key
  TARBALL  linux-*.tar.xz; beside it is linux-*.tar.xz.sign, the signature of what is in it

Prints nothing if so, else why not.  Exit status 1 if it is not what the key signed, 2 if
that could not be checked.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from avic.paths import TOP
from avic.process import fail, scratch

# What gpgv's status says of a signature whose bytes are right, if it is not to be trusted.
STALE = {
    "EXPKEYSIG": "is signed by a key that has expired: put its new version into ci/keys",
    "REVKEYSIG": "is signed by a key that was revoked: name another in the base's file",
    "EXPSIG": "has a signature that has expired: take another release",
}
# Hashes of OpenPGP (RFC 9580, 9.5) that nobody can forge: SHA-2 and SHA-3.
STRONG = {"8", "9", "10", "11", "12", "14"}


class CouldNot(Exception):
    """There is no answer; the message says why."""


def judge(status: str, key: str) -> str:
    """What gpgv's --status-fd says of a file: '' if the key signed it, else why that does not hold."""
    found = []
    for part in status.split("[GNUPG:] NEWSIG")[1:]:
        lines = [line.split()[1:] for line in part.splitlines() if line.startswith("[GNUPG:] ")]
        found.append({words[0]: words[1:] for words in lines})
    if not found:
        raise CouldNot("gpgv has found no signature")
    reasons = [why_not(said, key) for said in found]
    return "" if "" in reasons else reasons[0]


def why_not(said: dict[str, list[str]], key: str) -> str:
    """The same of one signature: said has the words behind each keyword."""
    bad = f"is not what the key {key} signed"
    # VALIDSIG: fingerprint, date, time, expiry, version, reserved, algorithm, hash, class, main key's fingerprint.
    valid = said.get("VALIDSIG", [])
    if len(valid) < 10 or key not in (valid[0], valid[9]):
        signer = (said.get("NO_PUBKEY") or valid or [""])[0]
        return f"{bad}, but {signer}" if signer else bad
    for keyword, why in STALE.items():
        if keyword in said:
            return why
    if valid[7] not in STRONG:
        return f"{bad}: its signature is of a hash that can be forged (OpenPGP's {valid[7]})"
    return "" if "GOODSIG" in said else bad


def run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run a tool; raises CouldNot if it is not there."""
    try:
        return subprocess.run(command, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload,no-any-return]
    except OSError as error:
        raise CouldNot(f"{command[0]}: {error.strerror}") from error


def ask_gpgv(key: str, tarball: Path) -> str:
    """gpgv's status for the unpacked tarball."""
    file = TOP / "ci/keys" / f"{key}.asc"
    if not file.is_file():
        raise CouldNot(f"no key {file.relative_to(TOP)}")
    with scratch("avic-signature.") as folder:
        gpg = ("gpg", "--homedir", folder, "--batch", "--no-autostart")
        shown = run(*gpg, "--show-keys", "--with-colons", file, stdout=subprocess.PIPE)
        if not re.search(rf"^fpr:+{key}:", shown.stdout.decode(errors="replace"), re.MULTILINE):
            raise CouldNot(f"{file.relative_to(TOP)} does not have the key of its name")
        run(*gpg, "--output", folder / "keyring", "--dearmor", file)
        command: list[str | Path] = ["gpgv", "--status-fd=1", "--keyring", folder / "keyring", f"{tarball}.sign", "-"]
        try:
            unpack = subprocess.Popen(["xz", "--decompress", "--stdout", tarball], stdout=subprocess.PIPE)
        except OSError as error:
            raise CouldNot(f"xz: {error.strerror}") from error
        try:
            checked = run(*command, stdin=unpack.stdout, stdout=subprocess.PIPE)
        finally:
            assert unpack.stdout
            unpack.stdout.close()
            unpacked = unpack.wait()
    text = checked.stdout.decode(errors="replace")
    if unpacked < 0 or checked.returncode < 0 or "NEWSIG" not in text:
        raise CouldNot(f"gpgv: {checked.stderr.decode(errors='replace').strip() or 'it was ended'}".replace("\n", "; "))
    return text


def main() -> int:
    if len(sys.argv) != 3:
        fail(2, "usage: signature KEY TARBALL")
    key, tarball = sys.argv[1], Path(sys.argv[2])
    try:
        why = judge(ask_gpgv(key, tarball), key)
    except CouldNot as could_not:
        print(f"could not be checked: {could_not}")
        return 2
    print(why, end="")
    return 1 if why else 0
