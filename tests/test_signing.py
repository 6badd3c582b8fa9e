"""Signatures of bundles, by real keys and a real ssh-keygen."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dlas import board, board_check, bundle, config, redeploy
from dlas.bundle import Bundle
from dlas.bundle.command import main
from dlas.errors import UserError


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the keys of ann and eve, and the file `signers` that trusts ann alone."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ann", "eve"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    (folder / "signers").write_text(f"ann@example.org {(folder / 'ann.pub').read_text()}")
    return folder


@pytest.fixture
def sealed(tmp_path: Path) -> Bundle:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "timing.json").write_text("{}")
    return bundle.seal(tmp_path / "bundle", point="ab12", stages={})


def signed(sealed: Bundle, key: Path) -> Bundle:
    assert main(["sign", f"bundle={sealed.root}", f"key={key}"]) == 0
    return sealed


def test_a_signed_bundle_tells_who_signed_it(
    sealed: Bundle, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signed(sealed, keys / "ann")
    assert main(["verify", f"bundle={sealed.root}", f"signers={keys / 'signers'}"]) == 0
    assert "signed by ann@example.org" in capsys.readouterr().out
    assert bundle.trusted(sealed.root, str(keys / "signers")) == sealed
    assert bundle.verify(sealed.root) == sealed


def test_ssh_keygen_itself_accepts_the_signature(sealed: Bundle, keys: Path) -> None:
    signed(sealed, keys / "ann")
    command = ["ssh-keygen", "-Y", "verify", "-f", str(keys / "signers"), "-I", "ann@example.org"]
    command += ["-n", "dlas-bundle", "-s", str(sealed.root / "manifest.json.sig")]
    checked = subprocess.run(command, input=sealed.manifest.read_bytes(), capture_output=True)
    assert checked.returncode == 0, checked.stderr


def by_nobody(sealed: Bundle, keys: Path) -> None:
    pass


def by_a_stranger(sealed: Bundle, keys: Path) -> None:
    signed(sealed, keys / "eve")


def sealed_anew(sealed: Bundle, keys: Path) -> None:
    signature = signed(sealed, keys / "ann").signature.read_bytes()
    sealed.timing.write_text("[]")
    bundle.seal(sealed.root, point="ab12", stages={})
    sealed.signature.write_bytes(signature)


def for_another_purpose(sealed: Bundle, keys: Path) -> None:
    command = ["ssh-keygen", "-Y", "sign", "-n", "file", "-f", str(keys / "ann"), str(sealed.manifest)]
    subprocess.run(command, check=True, capture_output=True)


def by_a_pipe(sealed: Bundle, keys: Path) -> None:
    os.mkfifo(sealed.signature)


def by_nonsense(sealed: Bundle, keys: Path) -> None:
    sealed.signature.write_text("-----BEGIN SSH SIGNATURE-----\n\x1b[31m\n")


@pytest.mark.parametrize(
    "sign", [by_nobody, by_a_stranger, sealed_anew, for_another_purpose, by_a_pipe, by_nonsense]
)
def test_a_bundle_that_no_trusted_key_signed_is_refused(
    sealed: Bundle,
    keys: Path,
    sign: Callable[[Bundle, Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sign(sealed, keys)
    with pytest.raises(UserError, match="signed by nobody in") as refusal:
        bundle.trusted(sealed.root, str(keys / "signers"))
    assert refusal.value.key == "signers"
    monkeypatch.setenv("DLAS_SIGNERS", str(keys / "signers"))
    with pytest.raises(UserError, match="signed by nobody in"):
        bundle.trusted(sealed.root, None)
    assert str(refusal.value).replace("\n", "").isprintable()


def test_an_unsigned_bundle_is_not_redeployed(
    sealed: Bundle, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [f"bundle={sealed.root}", f"signers={keys / 'signers'}"]
    options = config.options(redeploy.Options, arguments)
    (refused,) = redeploy.redeploy(options, options.request(None)).points
    assert "signed by nobody" in refused.told
    assert "verified" not in capsys.readouterr().out
    with pytest.raises(UserError, match="signed by nobody"):
        board_check.check(
            config.options(board_check.Options, arguments), None, config.declared_timing("thorough")
        )


@pytest.mark.parametrize("typed", ["signers=", "signers=''"])
def test_signers_that_are_typed_empty_do_not_stand_for_anybody(
    typed: str, sealed: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    redeployed = redeploy.main([f"bundle={sealed.root}", typed])
    checked = board.main(["check", f"bundle={sealed.root}", typed])
    told = capsys.readouterr()
    assert redeployed != 0
    assert checked != 0
    assert told.err.count("signers: ") == 2
    assert "verified" not in told.out


def test_a_bundle_that_changed_is_not_signed(sealed: Bundle, keys: Path) -> None:
    sealed.timing.write_text("[]")
    assert main(["sign", f"bundle={sealed.root}", f"key={keys / 'ann'}"]) == 1
    assert not sealed.signature.exists()


def test_sealing_anew_drops_the_signature(sealed: Bundle, keys: Path) -> None:
    signed(sealed, keys / "ann")
    bundle.seal(sealed.root, point="ab12", stages={})
    assert not sealed.signature.exists()


def test_a_missing_ssh_keygen_is_told(
    sealed: Bundle,
    keys: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["sign", f"bundle={sealed.root}", f"key={keys / 'ann'}"]) == 1
    assert "ssh-keygen, which is not installed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["bless"], 2, "pack, unpack, sign, verify"),
        (["sign", "bundle=x"], 2, "key=<file>"),
        (["verify"], 2, "bundle=<folder or x.dlas.zip>"),
        (["verify", "bundle=x", "signers="], 2, "signers: has no value"),
        (["verify", "bundle=x", "signers=y", "more=z"], 2, "more"),
        (["verify", "bundle=/nowhere", "signers=y"], 1, "there is no bundle"),
        (["sign", "bundle={bundle}", "key=/nowhere"], 1, "there is no key"),
        (["verify", "bundle={bundle}", "signers=/nowhere"], 1, "there is no file"),
    ],
)
def test_mistakes_are_told(
    arguments: list[str], status: int, said: str, sealed: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([one.format(bundle=sealed.root) for one in arguments]) == status
    assert said in capsys.readouterr().err


def test_a_signature_travels_with_its_bundle(sealed: Bundle, keys: Path, tmp_path: Path) -> None:
    signed(sealed, keys / "ann")
    moved = Path(shutil.copytree(sealed.root, tmp_path / "moved"))
    assert bundle.signer(Bundle(moved), keys / "signers") == "ann@example.org"
