from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from dlas import config
from dlas.config.composing import refusal
from dlas.config.layers.compiler import MIXED
from dlas.errors import UserError
from dlas.plugins.compilers import MISSING, vendor_versions
from dlas.plugins.finding import module_exists
from dlas.plugins.registry import NETWORK_COMPILERS

OPTIONS = sorted(
    (group, option.stem)
    for group in config.GROUPS
    for option in (config.config_folder() / group).glob("*.yaml")
)

NOT_INSTALLED = {
    *(
        name
        for name in NETWORK_COMPILERS.names()
        if not all(map(module_exists, NETWORK_COMPILERS.load(name).PACKAGES))
    ),
    *([MIXED] if MISSING in vendor_versions().values() else []),
}


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(config.config_folder()), version_base="1.3"):
        return compose("config", list(overrides))


def parsed(*overrides: str) -> config.Stack:
    return config.parse(composed(*overrides))


def refused(*overrides: str) -> UserError:
    with pytest.raises(UserError) as caught:
        parsed(*overrides)
    return caught.value


def test_defaults_are_the_documented_ones() -> None:
    stack = parsed()
    assert stack.dataset.name == "digits"
    assert list(stack.compression) == ["channel_pruning"]
    assert (stack.algo.name, stack.format.name) == ("direct", "dense")
    assert (stack.compiler.name, stack.tuner.name, stack.target.name) == ("tvm", "ansor", "host")
    assert (stack.timing.name, stack.timing.runs, stack.timing.sessions) == ("default", 30, 8)


@pytest.mark.parametrize(
    "name", [name for name in NETWORK_COMPILERS.names() if NETWORK_COMPILERS.load(name).PROGRAMS]
)
def test_a_program_that_a_compiler_calls_is_missed_before_any_work(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (program,) = NETWORK_COMPILERS.load(name).PROGRAMS
    chosen = (f"compiler={name}", "compression=none")
    parsed(*chosen)
    monkeypatch.setenv("PATH", str(tmp_path))
    error = refused(*chosen)
    assert (error.key, program in error.problem) == ("compiler", True)


def test_a_model_may_bring_its_own_training() -> None:
    assert parsed("model=resnet20").train == config.Train(epochs=6, learning_rate=0.05)
    assert parsed("model=resnet20", "train.epochs=1").train == config.Train(epochs=1, learning_rate=0.05)
    assert parsed("model=vgg16").train == config.Train()


def test_a_network_of_a_users_own_has_every_setting_of_a_model(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("name: mine\nfactory: user_models.two_layers\n")
    mine = (f'hydra.searchpath=["{tmp_path}"]', "model=mine")
    assert parsed(*mine).model == config.Model("mine", "user_models.two_layers")
    weights = tmp_path / "weights.pth"
    weights.touch()
    numbers = ("model.mean=[0,0,0]", "model.std=[1,1,1]")
    set_here = parsed(*mine, "model.image_size=32", f"model.weights={weights}", *numbers).model
    assert set_here == config.Model("mine", "user_models.two_layers", 32, str(weights), [0] * 3, [1] * 3)


def test_a_compression_of_a_users_own_that_lacks_its_first_line_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "compression").mkdir()
    (tmp_path / "compression" / "mine.yaml").write_text("name: mine\nmodule: user_package.mine\n")
    error = refused(f'hydra.searchpath=["{tmp_path}"]', "compression=mine")
    assert (error.key, error.remedy) == ("compression", "begin it with: # @package compression.mine")


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes_and_lists_every_setting(group: str, option: str) -> None:
    """What a YAML leaves out could not be overridden without Hydra's `+`."""
    fitting = ["model.image_size=null"]  # or it might not fit the default dataset
    fitting += ["compression=weight_pruning"] if group == "format" else []
    fitting += ["tuner=none"] if group == "target" else []  # what a GPU takes
    if group == "compiler" and option in NOT_INSTALLED:
        with pytest.raises(UserError, match=re.escape(f"pip install 'dlas[{option}]'")):
            parsed(f"{group}={option}", *fitting)
        return
    stack = parsed(f"{group}={option}", *fitting)
    chosen, written = getattr(stack, group), composed(f"{group}={option}")[group]
    if group == "compression":
        chosen, written = chosen.get(option), written.get(option)
    if option == "none" and group == "compression":
        assert stack.compression == {}
    else:
        assert chosen.name == option
        assert set(written) == {item.name for item in dataclasses.fields(chosen)}


def test_a_setting_reaches_its_field_with_its_type() -> None:
    stack = parsed(
        "tuner.trials=7", "train.learning_rate=1", "target.cores=2", "compression.channel_pruning.ratio=0.25"
    )
    assert stack.tuner.trials == 7  # type: ignore[attr-defined]
    assert stack.train.learning_rate == 1.0
    assert isinstance(stack.train.learning_rate, float)
    assert stack.target.cores == 2
    assert stack.compression["channel_pruning"].ratio == 0.25  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("override", "key", "hint"),
    [
        ("tuner.trials=many", "tuner.trials", "int"),
        ("tuner.trials=2.5", "tuner.trials", "int"),
        ("tuner.trials=true", "tuner.trials", "int"),
        ("tuner.trials=null", "tuner.trials", "int"),
        ("tuner.trials=-1", "tuner.trials", "1 or more"),
        ("+tuner.trails=3", "tuner.trails", "did you mean 'trials'?"),
        ("+trian=3", "trian", "did you mean 'train'?"),
        ("+epochs=3", "epochs", "did you mean 'train.epochs'?"),
        (
            "+compression.channel_pruning.finetune.epoch=3",
            "compression.channel_pruning.finetune.epoch",
            "did you mean 'epochs'?",
        ),
        (
            "compression.channel_pruning.finetune.epochs=x",
            "compression.channel_pruning.finetune.epochs",
            "int",
        ),
        ("compression.channel_pruning.ratio=1.5", "compression.channel_pruning.ratio", ""),
        ("compression=[int8,weight_pruning]", "compression", "last"),
        ("compression=[float16,int8]", "compression", "only one"),
        ("train=3", "train", "train.epochs"),
        ("train.epochs=[1]", "train.epochs", "int"),
        ("model.mean=0.5", "model.mean", "model.mean=[...]"),
        ("model.mean=[a]", "model.mean", "model.mean=[...]"),
        ("train.epochs=-1", "train.epochs", "0 or more"),
        ("train.batch_size=0", "train.batch_size", "1 or more"),
        ("train.learning_rate=nan", "train.learning_rate", "more than 0"),
        ("train.learning_rate=inf", "train.learning_rate", "more than 0"),
        ("train.momentum=1", "train.momentum", "below 1"),
        ("train.device=gpu", "train.device", "cuda"),
        ("target.cores=0", "target.cores", "1 or more"),
        ("timing.runs=0", "timing.runs", "1 or more"),
        ("timing.warmup=-1", "timing.warmup", "0 or more"),
        ("timing.batch_sizes=[4]", "timing.batch_sizes", "1 first"),
        ("timing.batch_sizes=[1,0]", "timing.batch_sizes", "1 first"),
        ("timing.batch_sizes=[]", "timing.batch_sizes", "1 first"),
        ("compiler.opt_level=9", "compiler.opt_level", "3"),
        ("format.name=coo", "format.name", "dense"),
        ("seed=-1", "seed", "0 to"),
        ("tracking.experiment=''", "tracking.experiment", "name"),
        ("dataset.module=dlas.datasets.nowhere", "dataset.module", "PYTHONPATH"),
        ("model.factory=nowhere.vgg16", "model.factory", "PYTHONPATH"),
        ("model.factory=vgg17", "model.factory", "dotted path"),
        ("algo.module=dlas.algorithms.fft", "algo.module", "PYTHONPATH"),
        ("tuner.module=dlas.errors", "tuner.module", "ansor"),
        ("tuner.module=json", "tuner.module", "Settings"),
        ("tuner.module=json.nowhere", "tuner.module", "PYTHONPATH"),
        ("tuner.module=3", "tuner.module", "ansor"),
        ("artifacts=${nowhere}", "artifacts", "refers"),
        ("model.name=???", "model.name", "model.name="),
        ("~tuner", "tuner", "tuner="),
        ("~model", "model", "model"),
    ],
)
def test_a_mistake_is_refused_by_its_full_key_with_what_would_be_right(
    override: str, key: str, hint: str
) -> None:
    error = refused(override)
    assert error.key == key
    assert hint in error.remedy
    assert "\n" not in error.problem


@pytest.mark.parametrize("block", ["8", "8x1", "null", "[8,x]", "[2.5,1]", "[[8],1]", "[8,null]", "[8]"])
def test_a_block_of_another_form_is_told_the_right_one(block: str) -> None:
    error = refused("compression=block_pruning", f"compression.block_pruning.block={block}")
    assert error.key == "compression.block_pruning.block"
    assert "[8,1]" in error.remedy
    assert block in str(error)
    assert "Config" not in str(error), "a class of OmegaConf"


@pytest.mark.parametrize(
    ("overrides", "key", "hint"),
    [
        (["format=csr", "compression=none"], "format", "weight_pruning"),
        (["format=csr", "compression=channel_pruning"], "format", "weight_pruning"),
        (["format=csr", "compression=[weight_pruning,int8]"], "format", "format=dense"),
        (["format=csr", "compression=weight_pruning", "algo=winograd_f2"], "format", "another algo="),
        (["format=bsr", "format.block=[0,1]"], "format.block", "[8,1]"),
        (["format=auto", "format.candidates=[coo]"], "format.candidates", "csr"),
        (["format=auto", "format.candidates=[]"], "format.candidates", "csr"),
        (["format=auto", "format.candidates=[csr,dense,csr]"], "format.candidates", "each once"),
        (["algo=auto", "algo.module=dlas.algorithms.gemm"], "algo.module", "one of the two"),
        (["algo=auto", "algo.candidates=[gemm,dlas.algorithms.gemm]"], "algo.candidates", "each once"),
        (["algo=direct", "algo.candidates=[gemm]"], "algo.candidates", "algo=auto"),
        (["algo=auto", "algo.candidates=[dlas.algorithms.fft]"], "algo.candidates", "PYTHONPATH"),
    ],
)
def test_a_combination_of_algorithm_and_format_that_cannot_be_is_refused(
    overrides: list[str], key: str, hint: str
) -> None:
    error = refused(*overrides)
    assert error.key == key
    assert hint in error.remedy


@pytest.mark.parametrize(
    "overrides",
    [
        ["format=csr", "compression=weight_pruning"],
        ["format=bsr", "compression=block_pruning", "algo=spatial_pack"],
        ["format=auto", "algo=auto", "compression=none"],
    ],
)
def test_a_combination_of_algorithm_and_format_that_can_be_is_taken(overrides: list[str]) -> None:
    assert parsed(*overrides).format.formats


@pytest.mark.parametrize(
    ("overrides", "key", "hint"),
    [
        (["algo=spatial_pack", "tuner=none"], "algo", "algo=gemm"),
        (["algo=auto", "tuner=none"], "algo", "algo=gemm"),
        (["algo=auto", "algo.candidates=[dlas.algorithms.direct,dlas.algorithms.gemm]"], "algo", "algo=gemm"),
        (["compression=weight_pruning", "format=csr", "tuner=none"], "format", "format=dense"),
        (["compression=int8", "tuner=none"], "compression", "float16"),
        (["tuner=metaschedule"], "tuner", "tuner=none"),
        (["tuner=none", "target.arch=turing"], "target.arch", "sm_87"),
        (["tuner=none", "target.kind=cpu", "target.arch=sm_87"], "target.arch", "target.kind=cuda"),
        (["tuner=none", "target.kind=opencl"], "target.kind", "cuda"),
        (["target=jetson_orin_gpu", "tuner=none", "target.arch=null"], "target.arch", "sm_87"),
    ],
)
def test_what_a_gpu_does_not_take_is_refused(overrides: list[str], key: str, hint: str) -> None:
    error = refused("target=cuda", *overrides)
    assert error.key == key
    assert hint in error.remedy


@pytest.mark.parametrize("override", ["algo=direct", "algo=gemm", "compression=float16"])
def test_what_a_gpu_takes(override: str) -> None:
    assert parsed("target=cuda", "tuner=none", override).target.kind == "cuda"


@pytest.mark.parametrize("override", ["train=[1]", "compression.channel_pruning.finetune=[3]"])
def test_a_list_in_the_place_of_a_group_is_told(override: str) -> None:
    with pytest.raises(Exception, match="Error merging") as caught:
        parsed(override)
    mistake = refusal(caught.value)
    assert mistake is not None
    assert mistake.key == override.partition("=")[0]
    assert "a list stands where a group belongs" in mistake.problem


def test_a_setting_of_a_step_that_is_not_chosen_is_told_with_what_a_sweep_needs() -> None:
    with pytest.raises(Exception, match="Could not override") as caught:
        parsed("compression=none", "compression.int8.weight_bits=7")
    mistake = refusal(caught.value)
    assert mistake is not None
    assert mistake.key == "compression.int8"
    assert "compression=int8" in mistake.remedy
    assert "in a sweep every point needs the step" in mistake.remedy


def test_an_artifacts_folder_is_absolute_and_a_relative_one_starts_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert parsed("artifacts=mine").artifacts == str(tmp_path / "mine")
    assert parsed().artifacts == str(config.default_artifacts())


def test_yaml_gives_the_same_stack_again() -> None:
    stack = parsed("model=vgg16", "algo=gemm", "tuner.trials=3", "target.cores=1")
    assert config.parse(OmegaConf.create(config.to_yaml(stack))) == stack


def test_identity_follows_what_decides_the_numbers_and_nothing_else(tmp_path: Path) -> None:
    same = config.identity(parsed())
    elsewhere = parsed(f"artifacts={tmp_path}", "tracking.uri=http://elsewhere", f"dataset.root={tmp_path}")
    assert config.identity(elsewhere) == same
    others = ("seed=1", "tuner.trials=3", "algo=gemm", "model=vgg16", "train.epochs=1", "timing.runs=9")
    assert len({same, *(config.identity(parsed(other)) for other in others)}) == 1 + len(others)


def test_flat_names_every_setting_by_its_full_key() -> None:
    settings = config.flat(parsed("compression.channel_pruning.ratio=0.25"))
    assert settings["compression.channel_pruning.ratio"] == "0.25"
    assert settings["compression.channel_pruning.finetune.epochs"].isdigit()
    assert settings["target.cores"] == "null"
    assert settings["algo.module"] == "null"
    assert not any(isinstance(value, dict) for value in settings.values())


def test_modules_are_found_without_being_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "explosive"
    (package / "inner").mkdir(parents=True)
    for folder in (package, package / "inner"):
        (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "inner" / "leaf.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert module_exists("explosive.inner.leaf")
    assert not module_exists("explosive.inner.loaf")
    assert not module_exists("explosive.inner.leaf.deeper")
    assert not module_exists("")
    assert not module_exists("explosive..leaf")
    assert "explosive" not in sys.modules


@dataclasses.dataclass(frozen=True)
class Options:
    port: int = 1
    inner: config.Timing = dataclasses.field(default_factory=lambda: config.Timing(name="t"))


def test_options_of_a_small_command() -> None:
    assert config.options(Options, ["port=5", "inner.runs=2"]) == Options(5, config.Timing("t", runs=2))
    for argument, key in (("port=x", "port"), ("prot=1", "prot"), ("5", "5"), ("inner.run=3", "inner.run")):
        with pytest.raises(UserError) as caught:
            config.options(Options, [argument])
        assert caught.value.key == key
