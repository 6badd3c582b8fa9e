"""A bundle names implementations; what is not dlas's own is imported where its package is trusted."""

from __future__ import annotations

from pathlib import Path

import pytest
from bundle_naming import bundle_naming
from old_bundles_cpu import require_cpu_of_old_bundles

from dlas import redeploy
from dlas.bundle import verify
from dlas.config import options
from dlas.errors import UserError
from dlas.redeployment import Request, redeployed

STRANGER = """
from pathlib import Path
from dlas.algorithms.direct.dense import compute, layouts, pack_weight, schedule, unsupported
Path(__file__).with_name("imported").touch()
"""


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Is there once the package `stranger_package` was imported."""
    require_cpu_of_old_bundles()
    package = tmp_path / "modules" / "stranger_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "algorithm.py").write_text(STRANGER)
    monkeypatch.syspath_prepend(package.parent)
    return package / "imported"


@pytest.mark.parametrize(
    ("algorithm", "tuner", "named"),
    [
        ("stranger_package.algorithm", "none", "the algorithm 'stranger_package.algorithm'"),
        ("dlas.algorithms.direct", "stranger_package.algorithm", "the tuner 'stranger_package.algorithm'"),
    ],
)
def test_a_module_of_an_untrusted_package_is_not_imported(
    algorithm: str, tuner: str, named: str, stranger: Path, tmp_path: Path
) -> None:
    made = bundle_naming(tmp_path / "bundle", algorithm, tuner)
    with pytest.raises(UserError) as refused:
        redeployed(verify(made.root), Request(rebuild=True, trusted=("another",)), tmp_path)
    assert named in refused.value.problem
    assert "trust=stranger_package" in refused.value.remedy
    assert not stranger.exists()


@pytest.mark.parametrize("algorithm", ["dlas.hardware.boards.board_server", "workload", "antigravity;x", ""])
def test_what_is_no_algorithm_is_refused_whatever_is_trusted(
    algorithm: str, stranger: Path, tmp_path: Path
) -> None:
    made = bundle_naming(tmp_path / "bundle", algorithm)
    with pytest.raises(UserError) as refused:
        redeployed(verify(made.root), Request(rebuild=True, trusted=("dlas", algorithm)), tmp_path)
    assert refused.value.key in ("bundle", "trust")
    assert "direct" in refused.value.remedy


def test_a_trusted_package_serves_its_bundle(stranger: Path, tmp_path: Path) -> None:
    made = bundle_naming(tmp_path / "bundle", "stranger_package.algorithm")
    found = redeployed(verify(made.root), Request(rebuild=True, trusted=("stranger_package",)), tmp_path)
    assert found.verdict
    assert stranger.exists()


def test_packages_are_trusted_by_name_and_for_a_rebuild_only() -> None:
    asked = options(redeploy.Options, ["bundle=folder", "rebuild=true", "trust='one, other'"])
    assert asked.request(None).trusted == ("one", "other")
    with pytest.raises(UserError, match="rebuild"):
        options(redeploy.Options, ["bundle=folder", "trust=one"])
