"""Arguments as they are typed: none is dropped, and a text stays the text that it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from command import dlas
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from dlas import config
from dlas.config import composing, typed
from dlas.errors import UserError
from dlas.points import plan


def composed(*arguments: str) -> DictConfig:
    with initialize_config_dir(str(config.config_folder()), version_base="1.3"):
        return compose("config", typed.in_order(arguments))


@pytest.mark.parametrize(
    ("arguments", "key", "said"),
    [
        (["model=vgg16", "seed=1", "model=resnet18"], "model", "-m model=vgg16,resnet18"),
        (["seed=1", "+seed=2"], "seed", "seed=1 and +seed=2"),
        (["hydra.job.name=a", "hydra.job.name=b"], "hydra.job.name", "given twice"),
        (["model=[vgg16,resnet18]"], "model", "-m model=vgg16,resnet18"),
        (["-m", "algo=gemm,[direct,gemm]"], "algo", "[direct,gemm] is a list"),
        (["algo=gemm", "--nulti"], "arguments", "--nulti"),
        (["-m", "algo=gemm,direct", "--cfg", "job"], "arguments", "--multirun and --cfg exclude each other"),
        (["algo=gemm", "--resolve"], "arguments", "--resolve goes with --cfg"),
        (["artifacts=/tmp/\udce4"], "arguments", "LC_ALL=C.UTF-8"),
        (["--config-dir", "nowhere"], "--config-dir", "there is no folder 'nowhere'"),
        (["--config-dir", 300 * "a"], "--config-dir", "that can be opened"),
        (["hydra.searchpath=[file:///nowhere]"], "hydra.searchpath", "there is no folder 'file:///nowhere'"),
    ],
)
def test_nothing_that_is_typed_is_dropped_in_silence(arguments: list[str], key: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        typed.in_order(arguments)
    assert caught.value.key == key
    assert said in str(caught.value)


def test_flags_may_stand_between_overrides(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("name: mine\nfactory: vgg16\n")
    result = dlas("run", "model=mine", "--cfg", "job", "seed=7", "--config-dir", str(tmp_path), "algo=gemm")
    assert result.returncode == 0, result.stderr
    shown = OmegaConf.create(result.stdout)
    assert (shown.model.name, shown.seed, shown.algo.name) == ("mine", 7, "gemm")


@pytest.mark.parametrize(
    "text", ["1_000", "1e5", "007", "0x10", "1.50", "true", "inf", "a b", "ä/ß (1)", "[x", "a=b"]
)
def test_a_text_stays_as_it_was_typed(text: str) -> None:
    found = composed(
        f"artifacts={text}", f"dataset.root={text}", f"model.weights={text}", f"target.rpc.key={text}"
    )
    assert [found.artifacts, found.dataset.root, found.model.weights, found.target.rpc.key] == [text] * 4


def test_a_text_of_an_option_s_own_stays_too() -> None:
    assert (
        composed("dataset=imagenet_samples", "dataset.calibration_root=1e5").dataset.calibration_root == "1e5"
    )


def test_numbers_stay_numbers_and_nulls_nulls() -> None:
    found = composed("seed=1_000", "train.learning_rate=1e-3", "model.weights=null", "target.smt=false")
    assert (found.seed, found.train.learning_rate, found.model.weights, found.target.smt) == (
        1000,
        1e-3,
        None,
        False,
    )


def test_a_sweep_over_texts_keeps_each() -> None:
    points = swept("dataset.root=1e5,'a b',007,x")
    assert [point.stack.dataset.root for point in points] == ["1e5", "a b", "007", "x"]


def test_settings_that_follow_others_are_those_of_their_own_point() -> None:
    points = swept("train.epochs=3,4", "seed=${train.epochs}", "timing.runs=7")
    assert [(point.stack.seed, point.stack.train.epochs) for point in points] == [(3, 3), (4, 4)]
    assert [point.overrides[0] for point in points] == ["train.epochs=3", "train.epochs=4"]


@pytest.mark.parametrize(
    ("arguments", "key"),
    [(["artifacts="], "artifacts"), (["artifacts=' '"], "artifacts"), (["dataset.root="], "dataset.root")],
)
def test_an_empty_folder_is_not_the_working_directory(arguments: list[str], key: str) -> None:
    with pytest.raises(UserError, match="has no value") as caught:
        config.parse(composed(*arguments))
    assert caught.value.key == key


@pytest.mark.parametrize("written", ["007", "1_000", "1e5", "1.50", "true"])
def test_a_number_in_a_yaml_where_a_text_belongs_is_refused(written: str, tmp_path: Path) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "mine.yaml").write_text(f"name: mine\nmodule: folder\nroot: {written}\n")
    with pytest.raises(UserError, match="number where a text belongs") as caught:
        config.parse(composed(f'hydra.searchpath=["{tmp_path}"]', "dataset=mine"))
    assert caught.value.key == "dataset.root"


def test_an_option_by_a_name_of_the_package_s_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    mine = tmp_path / "model" / "vgg16.yaml"
    mine.write_bytes((config.config_folder() / "model" / "vgg16.yaml").read_bytes())
    for arguments in (["--config-dir", str(tmp_path)], [f'hydra.searchpath=["{tmp_path}"]']):
        assert typed.in_order(arguments), "an exact copy does no harm"
    mine.write_text("name: vgg16\nimage_size: 8\n")
    for arguments in (["--config-dir", str(tmp_path)], [f'hydra.searchpath=["file://{tmp_path}"]']):
        with pytest.raises(UserError, match=r"model/vgg16.yaml.* would be hidden"):
            typed.in_order(arguments)
        with pytest.raises(UserError, match=r"model/vgg16.yaml.* would be hidden"):
            config.layer_arguments(arguments, "target")


@dataclass(frozen=True)
class Options:
    bundle: str | None = None
    port: int = 1
    tracking: config.Tracking = field(default_factory=config.Tracking)


@pytest.mark.parametrize("text", ["0x10", "1_000", "true", "~", "#1", "a #b", "[a]", "a: b", "ä ß"])
def test_small_commands_keep_texts_as_well(text: str) -> None:
    found = config.options(Options, [f"bundle={text}", f"tracking.uri={text}", "port=0x10"])
    assert (found.bundle, found.tracking.uri, found.port) == (text, text, 16)


def test_small_commands_know_null_and_quotes_and_refuse_twice() -> None:
    assert config.options(Options, ["bundle=null"]).bundle is None
    assert config.options(Options, ["bundle='null'"]).bundle == "null"
    with pytest.raises(UserError, match="bundle=a and bundle=b") as caught:
        config.options(Options, ["bundle=a", "bundle=b"])
    assert caught.value.key == "bundle"


def swept(*arguments: str, on_right: Callable[[], object] = composing.do_nothing) -> list[composing.Point]:
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode

    with initialize_config_dir(str(config.config_folder()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        master = loader.load_configuration("config", typed.checked(arguments), RunMode.MULTIRUN)
        return composing.sweep_points(master, on_right)


def test_a_mistake_in_one_of_many_points_names_it_and_is_found_first() -> None:
    with pytest.raises(UserError) as caught:
        swept("seed=range(0,100)", "model=vgg16,resnet18", "tuner.trials=3,-1")
    assert caught.value.key == "tuner.trials"
    assert "[point 2 of 400: seed=0 model=vgg16 tuner.trials=-1]" in str(caught.value)
    with pytest.raises(UserError, match=r"did you mean 'vgg16'.*\[point 2 of 2: model=vgg61\]"):
        swept("seed=3", "model=vgg16,vgg61")


def test_two_values_that_cannot_be_together_are_found_before_most_points_are_composed() -> None:
    right: list[None] = []
    with pytest.raises(UserError, match=r"\[point 49 of 64: algo=winograd_f2 format=csr ") as caught:
        swept(
            *("algo=direct,winograd_f2", "format=dense,csr", "compression=weight_pruning"),
            *("tuner.trials=1,2,3,4", "timing.runs=5,6,7,8"),
            on_right=lambda: right.append(None),
        )
    assert caught.value.key == "format"
    assert len(right) == 30


def test_what_takes_seconds_begins_with_the_first_point_that_is_right() -> None:
    begun: list[str] = []
    with pytest.raises(UserError, match=r"\[point 1 of 2: model=vgg61\]"):
        swept("model=vgg61,vgg16", on_right=lambda: begun.append("too early"))
    assert begun == []
    with pytest.raises(UserError, match=r"\[point 2 of 2: model=vgg61\]"):
        swept("model=vgg16,vgg61", on_right=lambda: begun.append("begun"))
    assert begun == ["begun"]


@pytest.mark.parametrize(
    ("arguments", "key"),
    [(["model=vgg16,vgg16"], "model=vgg16"), (["seed=1,1_0,10", "algo=gemm"], "seed=10 algo=gemm")],
)
def test_points_that_are_the_same_are_refused(arguments: list[str], key: str) -> None:
    points = swept(*arguments)
    with pytest.raises(UserError, match="are the same") as caught:
        composing.stacks_of(points)
    assert caught.value.key == key


def test_the_order_of_steps_makes_another_point() -> None:
    points = swept("compression=[weight_pruning,channel_pruning],[channel_pruning,weight_pruning]")
    assert len(composing.stacks_of(points)) == 2


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ("target.cpu=abacus", "target.cpu"),
        ("target.features=[+abacus]", "target.features"),
        ("target.cores=4096", "target.cores"),
        ("target.linker=/nowhere/ld", "target.linker"),
        ("train.device=mps", "train.device"),
    ],
)
def test_a_machine_that_is_not_there_is_refused_before_the_first_point(
    wrong: str, key: str, tmp_path: Path
) -> None:
    points = swept("seed=1,2", wrong, f"artifacts={tmp_path}")
    with composing.naming(points), pytest.raises(UserError) as caught:
        plan.check(composing.stacks_of(points))
    assert (caught.value.key, caught.value.point) == (key, 0)


def test_a_refused_sweep_is_one_message_and_status_2(tmp_path: Path) -> None:
    result = dlas("run", "-m", "target.cores=1,4096", f"artifacts={tmp_path}")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("target.cores: 4096 cores")
    assert "[point 2 of 2: target.cores=4096]" in result.stderr
    assert not (tmp_path / "mlflow.db").exists()
