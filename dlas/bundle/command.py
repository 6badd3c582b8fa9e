"""Pack bundles as one file, sign them, and find out who signed one.

    python -m dlas.bundle pack run=<run id>                          makes <run id>.dlas.zip
    python -m dlas.bundle pack bundle=<folder>                       makes <folder>.dlas.zip
    python -m dlas.bundle unpack file=<x.dlas.zip>                   makes the folder x
    python -m dlas.bundle sign bundle=<folder> key=<private key>     makes manifest.json.sig in the folder
    python -m dlas.bundle verify bundle=<folder or x.dlas.zip>       tells whether it is as it was sealed

    file=<x.dlas.zip>     of pack: the file to make
    bundle=<folder>       of unpack: the folder to make
    artifacts=<folder>    of pack: where the store of runs is; tracking.uri=<uri> another one
    signers=<file>        of unpack and verify: refuse what none of these signed, and tell who did

All check first that every file is as it was sealed. The same bundle is packed into the same bytes, anywhere;
its signature goes with it. redeploy and board check take a packed one as it is.

Keys are ssh's, and are used by ssh-keygen. The file of signers is that of ssh-keygen(1), "ALLOWED SIGNERS": a
line for each, `<name> <public key>`. Without signers= it is what the environment variable DLAS_SIGNERS names,
which redeploy and board check heed too.

Exit status: 0 done; 1 the bundle is not as it was sealed, or not signed by one of them; 2 a mistake in the
arguments.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dlas import command_line, config
from dlas.bundle import archive, signing
from dlas.bundle.layout import Bundle
from dlas.bundle.sealing import verify
from dlas.command_line import Work
from dlas.files.folders import require_writable_file
from dlas.printable import printable


@dataclass(frozen=True)
class Packing:
    """Options of pack."""

    run: str | None = None
    bundle: str | None = None
    file: str | None = None
    artifacts: str | None = None
    tracking: config.Tracking = field(default_factory=config.Tracking)

    def __post_init__(self) -> None:
        one = (self.run is None) != (self.bundle is None)
        remedy = "run=<run id> or bundle=<folder>"
        config.require(one, "run", "exactly one of run and bundle is to be given", remedy)

    @property
    def made(self) -> Path:
        """The file to make."""
        name = self.run or _path(self.bundle or "").resolve().name
        return _path(self.file or f"{name}{archive.SUFFIX}")


@dataclass(frozen=True)
class Unpacking:
    """Options of unpack."""

    file: str
    bundle: str | None = None
    signers: str | None = None

    @property
    def made(self) -> Path:
        """The folder to make."""
        name = _path(self.file).name
        stem = name.removesuffix(archive.SUFFIX)
        return _path(self.bundle or (stem if stem != name else f"{name}.bundle"))


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
    commands = {"pack": _pack, "unpack": _unpack, "sign": _sign, "verify": _verify}
    return command_line.run(__doc__, arguments, command_line.subcommand(commands))


def _pack(given: list[str]) -> Work:
    options = config.options(Packing, given)

    def work() -> None:
        archive.require_new(options.made)
        require_writable_file("file", options.made)
        with tempfile.TemporaryDirectory(prefix="dlas-") as folder:
            source = _path(options.bundle) if options.bundle else _fetched(options, Path(folder))
            archive.pack(verify(source), options.made)
        print(f"packed     {printable(options.made)}: {options.made.stat().st_size} bytes")

    return work


def _unpack(given: list[str]) -> Work:
    command_line.require_given(given, file="x.dlas.zip")
    options = config.options(Unpacking, given)
    signers = signing.allowed(options.signers)

    def work() -> None:
        made = archive.unpack(_path(options.file), options.made, signers)
        print(f"unpacked   {printable(made.root)}: {_told(made, signers)}")

    return work


def _sign(given: list[str]) -> Work:
    command_line.require_given(given, bundle="folder", key="file")
    options = config.options(Signing, given)

    def work() -> None:
        made = signing.sign(verify(_path(options.bundle)), _path(options.key))
        print(f"signed     {printable(made)}")

    return work


def _verify(given: list[str]) -> Work:
    command_line.require_given(given, bundle="folder or x.dlas.zip")
    options = config.options(Verifying, given)
    signers = signing.allowed(options.signers)

    def work() -> None:
        with tempfile.TemporaryDirectory(prefix="dlas-") as folder:
            verified = verify(archive.folder_of(_path(options.bundle), Path(folder)))
            print(f"verified   {printable(options.bundle)}: {_told(verified, signers)}")

    return work


def _told(verified: Bundle, signers: Path | None) -> str:
    """What is known of a verified bundle, in words; UserError where none of the signers signed it."""
    sealed = "every file is as it was sealed"
    if signers is None:
        return f"{sealed}; who made it was not asked (signers=<file>)"
    return f"{sealed}, and signed by {signing.signer(verified, signers)}"


def _fetched(options: Packing, destination: Path) -> Path:
    """The bundle of the run, from the store or on its way there."""
    from dlas.tracking import delivery

    artifacts = command_line.artifacts_folder(options.artifacts)
    place = delivery.Place(artifacts, options.tracking.uri, options.tracking.experiment)
    return delivery.fetch_bundle(place, place.open_existing(), options.run or "", destination)


def _path(typed: str) -> Path:
    return Path(typed).expanduser()
