"""Networks that cannot be right are refused before anything is trained, and sound ones stay as they were."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch
import unsound_networks
from command import dlas
from PIL import Image
from test_weights import parsed
from torch import nn

from dlas import config, datasets, models, users_code
from dlas.config.layers.model import Model
from dlas.datasets import folder, imagenet
from dlas.datasets.dataset import channel_statistics
from dlas.errors import UserError
from dlas.interfaces.images import ImageDataset
from dlas.models import training, trial
from dlas.models.resnet import resnet18, resnet20
from dlas.models.untrained import Untrained
from dlas.points import plan

SHAPE = (3, 32, 32)
FILE = Path(unsound_networks.__file__)


def declared(network: str) -> Model:
    return Model(network, f"unsound_networks.{network}")


def run(network: str, batch_size: int | None = 2) -> None:
    trial.run(trial.Trial(declared(network), SHAPE, 10, batch_size))


def line(code: str) -> str:
    """`file:line` of the only line with this in it."""
    (found,) = (number for number, text in enumerate(FILE.read_text().splitlines(), 1) if code in text)
    return f"{FILE.name}:{found}"


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (
            "without_classes",
            ["cannot be called with the number of classes", "(classes: int) -> torch.nn.Module"],
        ),
        ("nothing", ["gives a NoneType"]),
        ("weights_alone", ["gives a OrderedDict"]),
        ("lost_file", ["FileNotFoundError", "/nowhere/weights.pth", line("Path(")]),
        ("lazy", ["lazy layer", "1.weight", "torch.zeros(1, 3, 32, 32)"]),
        ("uncopied", ["cannot be copied", "deepcopy"]),
        ("two_inputs", ["2 inputs (images, scalars)"]),
        (
            "too_few_channels",
            ["in the layer blocks.0.2:", "4 channels, but got 8", line("x: torch.Tensor = ")],
        ),
        ("own_mistake", ["in its own forward", "no attribute 'bias'", line("+ self.bias")]),
        ("one_image", ["1 image of 3x32x32", "(10,)", "(1, 10)"]),
        ("named", ["a dict (logits)", "forward(images)['logits']"]),
        ("two", ["a tuple of 2", "forward(images)[0]"]),
        ("other_when_trained", ["a tuple of 2"]),
        ("unflattened", ["(2, 10, 1, 1)", "(2, 10)", "nn.Flatten()"]),
        ("pixels", ["(2, 10, 32, 32)", "whole images"]),
        ("other_classes", ["(2, 7)", "(2, 10)", "classes: 10"]),
        ("choice", ["(2,)", "(2, 10)"]),
        ("double", ["torch.float64", "float32"]),
        ("chance", ["differently each time", "its own forward, before the layer head", "self.training"]),
        ("chance_in_a_layer", ["differently each time", "the layer blocks.0.2\n"]),
        ("logarithm", ["not finite", "its own forward, before the layer stem"]),
        ("broken_weights", ["not finite", "the layer blocks.0.0\n"]),
        ("batch_statistics", ["others in a batch", "the layer blocks.0.2\n", "track_running_stats"]),
        ("overwriting", ["writes over the images"]),
        ("frozen", ["no parameter gets a gradient", "train.epochs=0"]),
        ("untraced", ["no parameter gets a gradient", "torch.no_grad()"]),
        ("lost_gradient", ["gradients fail", "inplace"]),
    ],
)
def test_a_network_that_cannot_be_right_is_refused_by_what_is_wrong(network: str, told: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        run(network)
    message = str(caught.value)
    assert message.startswith("model.factory: ")
    assert f"unsound_networks.{network}" in message
    assert len(message.splitlines()) == 2
    assert caught.value.remedy
    for part in told:
        assert part in message


def test_one_that_is_not_trained_needs_no_gradient() -> None:
    for network in ("frozen", "untraced", "lost_gradient"):
        run(network, batch_size=None)


@pytest.mark.parametrize("factory", [resnet18, resnet20])
def test_a_sound_network_passes(factory: Callable[[int], nn.Module]) -> None:
    trial.run(trial.Trial(Model(factory.__name__), SHAPE, 10, batch_size=2))
    run("sound")


def test_the_values_that_a_model_declares_are_those_it_is_tried_on() -> None:
    """Pixels as they are, from 0 to 1, have logarithms."""
    plain = dataclasses.replace(declared("logarithm"), mean=[0.0] * 3, std=[1.0] * 3)
    trial.run(trial.Trial(plain, SHAPE, 10, batch_size=2))


def test_a_trial_changes_neither_the_network_that_is_trained_nor_the_random_state(
    digits: ImageDataset,
) -> None:
    few = dataclasses.replace(
        digits, train_images=digits.train_images[:64], train_labels=digits.train_labels[:64]
    )
    model = Model("two_layers", "user_models.two_layers")

    def trained() -> dict[str, torch.Tensor]:
        made = models.build(model, 10)
        return training.train(made, few, config.Train(epochs=1), seed=0).state_dict()

    expected, state = trained(), torch.get_rng_state()
    digest = Untrained(models.build(model, 10), SHAPE, "user_models").digest
    trial.run(trial.Trial(model, SHAPE, 10, batch_size=2))
    assert torch.equal(torch.get_rng_state(), state)
    assert Untrained(models.build(model, 10), SHAPE, "user_models").digest == digest
    for name, tensor in trained().items():
        assert torch.equal(tensor, expected[name]), name


def test_a_batch_of_one_is_refused_for_batch_norm_after_pooling() -> None:
    """As PyTorch does, in the middle of training."""
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        unsound_networks.norm_after_pooling(10)(torch.zeros(1, *SHAPE))
    run("norm_after_pooling")
    with pytest.raises(UserError, match=r"the layer 2: .*more than 1 value per channel") as caught:
        run("norm_after_pooling", batch_size=1)
    assert caught.value.key == "train.batch_size"


@pytest.mark.parametrize(("images", "batch_size"), [(3, 2), (33, 2), (33, 32), (2, 2), (65, 32)])
def test_no_image_is_left_alone_in_a_batch(digits: ImageDataset, images: int, batch_size: int) -> None:
    """PyTorch would refuse it."""
    few = dataclasses.replace(
        digits, train_images=digits.train_images[:images], train_labels=digits.train_labels[:images]
    )
    network = unsound_networks.norm_after_pooling(10)
    training.train(network, few, config.Train(epochs=1, batch_size=batch_size), seed=0)
    assert int(network.get_buffer("2.num_batches_tracked")) == min(-(-images // batch_size), images // 2)


def test_each_distinct_network_of_a_sweep_is_tried_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = tmp_path / "calls"
    (tmp_path / "counted.py").write_text(
        "from user_models import two_layers\n"
        "def net(classes):\n"
        f"    open({str(calls)!r}, 'a').write(f'{{classes}}\\n')\n"
        "    return two_layers(classes)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = ("model.name=counted", "model.factory=counted.net", "compression=none", f"artifacts={tmp_path}")
    for index in range(30):
        file = tmp_path / "images" / str(index % 3) / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (index * 8, index * 4, index * 2)).save(file)
    digits, three = ("dataset=digits", *own), ("dataset=folder", f"dataset.root={tmp_path / 'images'}", *own)
    points = [parsed(*digits), parsed(*digits, "algo=gemm", "seed=3"), parsed(*three)]
    plan.check(points)
    assert calls.read_text().split() == ["10", "10", "3", "3"], "each to be tried, and to be rehearsed"
    plan.check(points)
    assert calls.read_text().split() == ["10", "10", "3", "3"], "an earlier command tried them"


def test_a_network_with_other_layers_for_more_images_is_served_for_one_alone(tmp_path: Path) -> None:
    own = ("model.name=loop", "model.factory=unsound_networks.one_image_at_a_time", "compression=none")
    plan.check([parsed(*own, f"artifacts={tmp_path}")])
    with pytest.raises(UserError, match="other layers for 3 images at once") as refused:
        plan.check([parsed(*own, "timing.batch_sizes=[1,3]", f"artifacts={tmp_path}")])
    assert refused.value.key == "timing.batch_sizes"


def test_of_a_data_set_that_does_not_tell_the_images_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "grey_images.py").write_text(
        "from dlas import config\nfrom dlas.datasets import digits\nimport dataclasses\n"
        "class Settings(config.Dataset):\n    pass\n"
        "def load(settings):\n"
        "    found = digits.load(settings)\n"
        "    grey = {name: getattr(found, name)[:, :1] for name in ('train_images', 'test_images')}\n"
        "    return dataclasses.replace(found, **grey, mean=found.mean[:1], std=found.std[:1])\n"
    )
    (tmp_path / "no_images.py").write_text(
        "from dlas import config\nclass Settings(config.Dataset):\n    pass\n"
        "def load(settings):\n    return {}['images']\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    grey = ("dataset.name=grey", "dataset.module=grey_images", f"artifacts={tmp_path}")
    with pytest.raises(UserError, match=r"in the layer conv1.*to have 3 channels, but got 1") as refused:
        plan.check([parsed("model=resnet20", *grey)])
    assert refused.value.key == "model.name"
    with pytest.raises(UserError, match=r"KeyError: 'images' \(.*no_images.py:5\)") as unread:
        plan.check([parsed("model=resnet20", "dataset.name=none", "dataset.module=no_images")])
    assert unread.value.key == "dataset.module"


def test_the_images_of_every_set_are_read_before_the_first_point(tmp_path: Path) -> None:
    for part in range(10):
        (tmp_path / "images" / str(part)).mkdir(parents=True)
        for each in range(5):
            (tmp_path / "images" / str(part) / f"{each}.png").write_bytes(b"no image")
    sound = parsed("model=resnet20", "compression=none", f"artifacts={tmp_path / 'artifacts'}")
    images = ("dataset=folder", f"dataset.root={tmp_path / 'images'}")
    broken = parsed("model=resnet20", "compression=none", *images, f"artifacts={tmp_path / 'artifacts'}")
    for points in ([broken], [sound, broken]):
        with pytest.raises(UserError, match="50 of 50 images cannot be read") as refused:
            plan.check(points)
        assert refused.value.point == points.index(broken)


def test_the_settings_of_a_data_set_tell_the_shape_of_its_images(digits: ImageDataset) -> None:
    assert parsed("dataset=digits").dataset.image_shape == digits.image_shape
    samples = parsed("dataset=imagenet_samples", "model=resnet50").dataset
    assert samples.image_shape == datasets.load(samples).image_shape


def test_the_command_refuses_a_sweep_for_the_first_of_its_wrong_networks(tmp_path: Path) -> None:
    """Networks are tried side by side, and the one behind it is refused sooner."""
    (tmp_path / "conf" / "model").mkdir(parents=True)
    for name in ("sound", "unflattened", "lost_file"):
        text = f"name: {name}\nfactory: unsound_networks.{name}\n"
        (tmp_path / "conf" / "model" / f"{name}.yaml").write_text(text)
    result = dlas(
        *("run", "--config-dir", str(tmp_path / "conf"), "-m", "model=sound,unflattened,lost_file"),
        *("compression=none", f"artifacts={tmp_path / 'artifacts'}"),
    )
    assert result.returncode == 2, result.stderr
    told = [line for line in result.stderr.splitlines() if not line.startswith("checking ")]  # once a minute
    assert told[0].startswith("model.factory: unsound_networks.unflattened answers")
    assert len(told) == 2
    assert result.stdout == ""
    left = {path.name for path in (tmp_path / "artifacts").iterdir()}
    assert left == {"stages", "unfinished"}, "no store was made"
    assert not list((tmp_path / "artifacts" / "unfinished").iterdir())


def test_an_error_of_a_users_own_code_is_told_by_its_place_and_any_other_is_ours() -> None:
    with pytest.raises(FileNotFoundError) as users:
        unsound_networks.lost_file(10)
    assert line("Path(") in str(users_code.own_mistake(users.value))
    with pytest.raises(AttributeError) as ours:
        channel_statistics(None)  # type: ignore[arg-type]
    assert users_code.own_mistake(ours.value) is None


def test_a_point_that_fails_in_a_users_own_code_tells_its_line(tmp_path: Path) -> None:
    for group, name, field in (
        ("model", "sound", "factory: unsound_networks.sound"),
        ("compression", "failing", "module: failing_compression"),
    ):
        folder = tmp_path / "conf" / group
        folder.mkdir(parents=True)
        step = "" if group == "model" else f"# @package compression.{name}\n"
        (folder / f"{name}.yaml").write_text(f"{step}name: {name}\n{field}\n")
    result = dlas(
        *("run", "--config-dir", str(tmp_path / "conf"), "model=sound", "compression=failing"),
        *("tuner=none", "timing=quick", "train.epochs=0", f"artifacts={tmp_path / 'artifacts'}"),
    )
    assert result.returncode == 1, result.stderr
    assert "ValueError: too little (tests/failing_compression.py:" in result.stderr
    assert "report" not in result.stderr
    assert "Traceback" not in result.stderr


def test_images_that_do_not_fit_into_memory_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are no images at all, which reading them would tell."""
    for name in ("cat", "dog"):
        (tmp_path / "val" / name).mkdir(parents=True)
        for number in range(2):
            (tmp_path / "val" / name / f"{number}.png").write_text("broken")
    small = psutil.virtual_memory()._replace(available=4 * 3 * 224**2 - 1)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: small)
    for load, settings, remedy in (
        (
            folder.load,
            folder.Settings("folder", root=str(tmp_path / "val"), size=224, test_fraction=0.5),
            "dataset.size",
        ),
        (imagenet.load, imagenet.Settings("imagenet", root=str(tmp_path)), "dataset.test_limit"),
    ):
        with pytest.raises(UserError, match=r"4 images of 3x224x224 takes .* GiB are free") as caught:
            load(settings)  # type: ignore[operator]
        assert caught.value.key == "dataset.root"
        assert remedy in caught.value.remedy
