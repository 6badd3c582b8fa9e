"""Training by stochastic gradient descent with momentum over one cycle of the learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from dlas.errors import UserError
from dlas.interfaces.images import ImageDataset
from dlas.models.augmentation import augmented

if TYPE_CHECKING:
    from dlas import config

SAFE_CHANNELS = 16
"""Fewest input channels with which a strided 1x1 convolution trains safely in channels last: 512 bits."""


def leave_as_it_is(model: nn.Module) -> None:
    """Do nothing after a step of plain training."""


def train(
    model: nn.Module,
    dataset: ImageDataset,
    settings: config.Train,
    seed: int,
    key: str = "train",
    after_step: Callable[[nn.Module], None] = leave_as_it_is,
) -> nn.Module:
    """Train `model` in place on the training images and return it in eval mode, on the CPU.

    The learning rate follows OneCycleLR (Smith and Topin, arXiv:1708.07120) up to `learning_rate` and down to
    nothing. On the CPU with the same number of threads the same `seed` gives the same weights. `key` is where
    `settings` were declared: it names the progress bar on stderr, and the setting to blame where the loss is
    not finite. `after_step` is given the model, on its device, whenever the optimizer has moved its weights.
    UserError for a loss that is not finite, and where the device is not there.
    """
    device = available_device(settings.device)
    if settings.epochs == 0:
        return model.eval()
    if len(dataset.train_labels) == 0:
        raise UserError(
            f"'{dataset.name}' has no training images: it is for evaluation only",
            key=f"{key}.epochs",
            remedy="give 0 epochs, and to a dense network its model.weights; or choose another dataset=",
        )
    layout = memory_layout(model, device)
    model.to(device).train()
    nn.utils.convert_conv2d_weight_memory_format(model, layout)
    steps_per_epoch = batches(len(dataset.train_labels), settings.batch_size)
    steps = settings.epochs * steps_per_epoch
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        nesterov=settings.momentum > 0,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=steps, cycle_momentum=False
    )
    random = np.random.default_rng(seed)
    with (
        torch.random.fork_rng(),
        torch.backends.cudnn.flags(deterministic=True, benchmark=False),
        tqdm(total=steps, desc=key, unit="step") as progress,
    ):
        torch.manual_seed(seed)
        for epoch in range(settings.epochs):
            correct = seen = 0
            order = random.permutation(len(dataset.train_labels))
            for batch in np.array_split(order, steps_per_epoch):
                images = augmented(dataset.train_images[batch], dataset.mirrorable, random)
                inputs = torch.from_numpy(dataset.normalized(images)).to(device, memory_format=layout)
                labels = torch.from_numpy(dataset.train_labels[batch]).to(device)
                logits = model(inputs)
                loss = nn.functional.cross_entropy(logits, labels)
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
                after_step(model)
                schedule.step()
                if not math.isfinite(loss.item()):
                    raise UserError(
                        f"the loss became {loss.item()} in epoch {epoch + 1}",
                        key=f"{key}.learning_rate",
                        remedy=f"give a rate below {settings.learning_rate}",
                    )
                correct += int((logits.argmax(1) == labels).sum())
                seen += len(batch)
                progress.set_postfix(
                    epoch=epoch + 1,
                    loss=f"{loss.item():.3f}",
                    accuracy=f"{correct / seen:.3f}",
                    refresh=False,
                )
                progress.update()
    nn.utils.convert_conv2d_weight_memory_format(model, torch.contiguous_format)
    return model.to("cpu").eval()


def batches(images: int, batch_size: int) -> int:
    """Number of batches of nearly the same size that an epoch goes into.

    None is of a single image, unless all are: after pooling, batch norm can't train on one. So of an odd
    number by twos the last joins the two before it.
    """
    most = images if batch_size == 1 else max(images // 2, 1)
    return min(math.ceil(images / batch_size), most)


def memory_layout(model: nn.Module, device: torch.device) -> torch.memory_format:
    """Memory layout of activations and weights while training: channels last on a CPU, where it is faster.

    A strided 1x1 convolution with fewer than `SAFE_CHANNELS` input channels is an exception: on CPUs with
    AVX-512, the gradient of its weights by oneDNN 3.12 writes beyond its arrays then.
    """
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    unsafe = any(
        layer.kernel_size == (1, 1) and layer.stride != (1, 1) and layer.in_channels < SAFE_CHANNELS
        for layer in convolutions
    )
    return torch.contiguous_format if unsafe or device.type != "cpu" else torch.channels_last


def available_device(name: str) -> torch.device:
    """The torch device `name`; UserError where it is unknown or not in this machine."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"the device {name!r} cannot be used: {reason}", key="train.device", remedy="give cpu"
        ) from error
    return device
