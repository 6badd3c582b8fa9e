"""Names that last: of one file in its room, or of what was written before there were any."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf
from test_config import parsed

from dlas import config
from dlas.errors import UserError
from dlas.plugins.registry import ALGORITHMS, COMPRESSIONS, DATASETS, FACTORIES, TUNERS, Registry

OPTIONS = {"algo": ALGORITHMS, "tuner": TUNERS, "dataset": DATASETS}


@pytest.mark.parametrize("registry", [ALGORITHMS, TUNERS, COMPRESSIONS, DATASETS, FACTORIES])
def test_a_name_leads_to_its_implementation_and_back(registry: Registry) -> None:
    assert registry.names()
    for name in registry.names():
        assert "." not in name
        assert registry.name(registry.path(name)) == name == registry.name(name)
        assert registry.exists(name)


@pytest.mark.parametrize("group", OPTIONS)
def test_each_option_of_the_package_is_named_as_its_implementation(group: str) -> None:
    options = {path.stem for path in (config.config_folder() / group).glob("*.yaml")} - {"auto"}
    assert options <= set(OPTIONS[group].names())


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("dlas.algorithms.spatial_pack", "spatial_pack"),
        ("dlas.algorithms.direct_csr", "direct_sparse"),
        ("gemm_channel_index", "gemm_sparse"),
        ("my_package.direct", "my_package.direct"),
        ("dlas.algorithms.layout", "dlas.algorithms.layout"),
    ],
)
def test_what_was_written_before_has_a_name_now(written: str, name: str) -> None:
    assert ALGORITHMS.name(written) == name


def test_a_module_of_the_package_that_is_no_implementation_is_none() -> None:
    assert not ALGORITHMS.exists("dlas.algorithms.layout")
    assert not TUNERS.exists("dlas.systems.tuners.common.search.searching")
    assert not FACTORIES.exists("dlas.models.training.train")
    assert ALGORITHMS.exists("json.decoder"), "what a user's own offers is seen when it is used"


@pytest.mark.parametrize(
    ("dotted", "short"),
    [
        (["algo.module=dlas.algorithms.direct"], []),
        (["algo.module=dlas.algorithms.gemm"], ["algo=gemm"]),
        (["model.factory=dlas.models.vgg.vgg16", "model.image_size=32"], ["model=vgg16"]),
        (["algo=auto", "algo.candidates=[dlas.algorithms.gemm]"], ["algo=auto", "algo.candidates=[gemm]"]),
        (["tuner.module=dlas.systems.tuners.ansor"], []),
        (["model=vgg16", "model.factory=dlas.models.vgg.vgg16"], ["model=vgg16"]),
        (["dataset.module=dlas.datasets.digits"], []),
        (["compression.channel_pruning.module=dlas.compression.channel_pruning"], []),
    ],
)
def test_a_stack_is_the_same_however_its_implementations_are_written(
    dotted: list[str], short: list[str]
) -> None:
    one, other = (parsed(*overrides) for overrides in (dotted, short))
    assert one == other
    assert config.identity(one) == config.identity(other)


def test_a_users_module_called_as_one_of_the_package_is_not_shadowed_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gemm").mkdir()  # no module
    (tmp_path / "direct.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=f"dlas.algorithms.direct.dense and {tmp_path}/direct.py") as told:
        parsed("algo=direct", "algo.name=mine", "algo.module=direct")
    assert told.value.key == "algo.module"
    parsed("algo=direct")
    parsed("algo=gemm", "algo.module=gemm")
    parsed("algo=direct", "algo.module=dlas.algorithms.direct")


def test_a_users_own_is_known_by_its_dotted_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "explosive_package"
    package.mkdir()
    offered = (
        "from dlas.algorithms.direct.dense import compute, layouts, pack_weight, schedule, unsupported\n"
    )
    for file in ("__init__.py", "mine.py"):
        (package / file).write_text(f"{offered}raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    stack = parsed("algo.name=mine", "algo.module=explosive_package.mine")
    assert stack.algo.algorithms == ["explosive_package.mine"]
    assert stack.algo.name == "mine"
    unnamed = parsed("algo=direct", "algo.module=explosive_package.mine")
    assert unnamed.algo.name == "explosive_package.mine", "what is timed is not the package's own"
    given = OmegaConf.create(config.to_yaml(stack))
    assert isinstance(given, DictConfig)
    assert given.algo.module == "explosive_package.mine"
