"""Signatures of a bundle by ssh keys, made and checked by OpenSSH's ssh-keygen.

    sign(Bundle, private key) -> manifest.json.sig
    signer(Bundle, allowed signers) -> who signed it

What is signed is the manifest's bytes, which hold the sha256 of every file. The file of allowed signers is
that of ssh-keygen(1): a line for each, with a name, `namespaces="dlas-bundle"` if wanted, and the public key.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dlas.bundle.layout import MANIFEST, SIGNATURE, Bundle
from dlas.bundle.sealing import DOCUMENT, verify
from dlas.errors import UserError, require
from dlas.files import documents
from dlas.files.plain_files import read_plain
from dlas.printable import last_line_of, printable

NAMESPACE = "dlas-bundle"
"""Purpose that a signature is bound to, so that one made for something else is no good here."""

SIGNERS = "DLAS_SIGNERS"
"""Environment variable with the file of the signers that are trusted; without it none has to sign."""

MAX_BYTES = 1 << 16
"""Largest size of a signature: those of RSA keys of 16384 bits have 6 KB."""


def allowed(signers: str | None) -> Path | None:
    """The file `signers` or, where that is null, the one of DLAS_SIGNERS; None where there is neither.
    UserError for an empty name, which stands for nobody."""
    require(signers != "", "signers", "names no file", "signers=<file>, or leave it out")
    found = os.environ.get(SIGNERS) if signers is None else signers
    return Path(found).expanduser() if found else None


def trusted(root: Path, signers: str | None) -> Bundle:
    """The verified bundle in `root`, signed by one of `signers`, a file, or of those of DLAS_SIGNERS; where
    neither is given, it need not be signed. UserError where it is not what it should be."""
    who = allowed(signers)
    if who is not None:
        signer(Bundle(root), who)
    return verify(root)


def sign(bundle: Bundle, key: Path) -> Path:
    """Write the signature of the bundle's manifest by the private `key`, and return its file. UserError where
    the key can't be used. ssh-keygen asks for the key's passphrase on the terminal."""
    if not key.is_file():
        raise UserError(
            f"there is no key {printable(key)}", key="key", remedy="a private key of ssh-keygen's"
        )
    manifest = documents.content(DOCUMENT, bundle.manifest)
    signed = _ssh_keygen(["sign", "-f", os.fspath(key.absolute()), "-n", NAMESPACE], manifest)
    if signed.returncode != 0 or not signed.stdout:
        raise UserError(f"{printable(key)} can't sign: {_said(signed)}", key="key")
    bundle.signature.write_bytes(signed.stdout)
    return bundle.signature


def signer(bundle: Bundle, signers: Path) -> str:
    """The name, in the file `signers`, of who signed the bundle; UserError where none of them did."""
    if not signers.is_file():
        raise UserError(
            f"there is no file {printable(signers)}",
            key="signers",
            remedy="a file of allowed signers (ssh-keygen(1)): a name and a public key on each line",
        )
    try:
        signature = read_plain(bundle.signature, MAX_BYTES)
    except UserError as error:
        raise _unsigned(f"{SIGNATURE} {error.problem}", signers) from None
    try:
        manifest = documents.content(DOCUMENT, bundle.manifest)
    except UserError as error:
        raise _unsigned(f"{MANIFEST} {error.problem}", signers) from None
    with tempfile.TemporaryDirectory(prefix="dlas-") as folder:
        copy = Path(folder, SIGNATURE)
        copy.write_bytes(signature)
        files = ["-s", os.fspath(copy), "-f", os.fspath(signers.absolute())]
        found = _ssh_keygen(["find-principals", *files], b"")
        for name in found.stdout.decode(errors="replace").splitlines():
            checked = _ssh_keygen(["verify", "-I", name, "-n", NAMESPACE, *files], manifest)
            if checked.returncode == 0:
                return printable(name)
    raise _unsigned(f"{SIGNATURE} is not of this manifest by one of them", signers)


def _ssh_keygen(arguments: Sequence[str], content: bytes) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["ssh-keygen", "-Y", *arguments], input=content, capture_output=True)
    except FileNotFoundError:
        raise UserError(
            "signatures are made and checked by ssh-keygen, which is not installed",
            key="signers" if "-s" in arguments else "key",
            remedy="Install OpenSSH's client, such as Debian's package openssh-client.",
        ) from None


def _said(ended: subprocess.CompletedProcess[bytes]) -> str:
    return printable(last_line_of(ended.stderr.decode(errors="replace"), f"exit code {ended.returncode}"))


def _unsigned(problem: str, signers: Path) -> UserError:
    return UserError(
        f"the bundle is signed by nobody in {printable(signers)}: {problem}",
        key="signers",
        remedy="Ask its sender to sign it: python -m dlas.bundle sign bundle=<folder> key=<private key>",
    )
