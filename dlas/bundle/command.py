"""Sign bundles, and find out who signed one.

    python -m dlas.bundle sign bundle=<folder> key=<private key>     makes manifest.json.sig in the folder
    python -m dlas.bundle verify bundle=<folder> signers=<file>      tells who of them signed it

Both check first that every file is as it was sealed. Keys are ssh's, and are used by ssh-keygen. The file of
signers is that of ssh-keygen(1), "ALLOWED SIGNERS": a line for each, `<name> <public key>`. Without signers=
it is what the environment variable DLAS_SIGNERS names, which redeploy and board check heed too.

Exit status: 0 done; 1 the bundle is not as it was sealed, or not signed by one of them; 2 a mistake in the
arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dlas import command_line, config
from dlas.bundle import signing
from dlas.bundle.sealing import verify
from dlas.command_line import Work
from dlas.errors import UserError
from dlas.printable import printable


@dataclass(frozen=True)
class Signing:
    """Options of sign."""

    bundle: str
    key: str


@dataclass(frozen=True)
class Verifying:
    """Options of verify."""

    bundle: str
    signers: str | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """The `dlas-bundle` command; returns its exit status."""
    commands = {"sign": _sign, "verify": _verify}
    return command_line.run(__doc__, arguments, command_line.subcommand(commands))


def _sign(given: list[str]) -> Work:
    command_line.require_given(given, bundle="folder", key="file")
    options = config.options(Signing, given)

    def work() -> None:
        made = signing.sign(verify(_folder(options.bundle)), Path(options.key).expanduser())
        print(f"signed     {printable(made)}")

    return work


def _verify(given: list[str]) -> Work:
    command_line.require_given(given, bundle="folder")
    options = config.options(Verifying, given)
    signers = signing.allowed(options.signers)
    remedy = f"signers=<file>, or the environment variable {signing.SIGNERS}"
    if signers is None:
        raise UserError("is not given", key="signers", remedy=remedy)

    def work() -> None:
        verified = verify(_folder(options.bundle))
        name = signing.signer(verified, signers)
        root = printable(verified.root)
        print(f"verified   {root}: every file is as it was sealed, and signed by {name}")

    return work


def _folder(bundle: str) -> Path:
    return Path(bundle).expanduser()
