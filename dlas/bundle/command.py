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

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dlas import config
from dlas.bundle import signing
from dlas.bundle.sealing import verify
from dlas.errors import UserError
from dlas.printable import printable

FAILED, MISTAKE = 1, 2


@dataclass(frozen=True)
class Signing:
    """What sign takes."""

    bundle: str
    key: str


@dataclass(frozen=True)
class Verifying:
    """What verify takes."""

    bundle: str
    signers: str | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """The `dlas-bundle` command; returns its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or {"-h", "--help"} & set(given):
        print(__doc__)
        return 0 if given else MISTAKE
    commands: dict[str, Callable[[list[str]], Callable[[], str]]] = {"sign": _sign, "verify": _verify}
    command, *settings = given
    try:
        config.require(command in commands, command, "is no command", f"one of: {', '.join(commands)}")
        work = commands[command](settings)
    except UserError as error:
        print(error, file=sys.stderr)
        return MISTAKE
    try:
        print(work())
    except (UserError, OSError) as error:
        print(error, file=sys.stderr)
        return FAILED
    return 0


def _sign(settings: list[str]) -> Callable[[], str]:
    _require(settings, "bundle", "key")
    options = config.options(Signing, settings)

    def work() -> str:
        made = signing.sign(verify(_folder(options.bundle)), Path(options.key).expanduser())
        return f"signed     {printable(made)}"

    return work


def _verify(settings: list[str]) -> Callable[[], str]:
    _require(settings, "bundle")
    options = config.options(Verifying, settings)
    signers = signing.allowed(options.signers)
    remedy = f"signers=<file>, or the environment variable {signing.SIGNERS}"
    if signers is None:
        raise UserError("is not given", key="signers", remedy=remedy)

    def work() -> str:
        verified = verify(_folder(options.bundle))
        name = signing.signer(verified, signers)
        return f"verified   {printable(verified.root)}: every file is as it was sealed, and signed by {name}"

    return work


def _require(settings: Sequence[str], *names: str) -> None:
    for name in names:
        given = any(one.startswith(f"{name}=") for one in settings)
        config.require(given, name, "is not given", f"{name}=<{'folder' if name == 'bundle' else 'file'}>")


def _folder(bundle: str) -> Path:
    return Path(bundle).expanduser()
