"""Training by stochastic gradient descent with momentum over one cycle of the learning rate."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from tqdm import tqdm

from dlas.errors import UserError
from dlas.files.checkpoints import NOWHERE, Checkpoints
from dlas.interfaces.images import ImageDataset
from dlas.models.augmentation import augmented
from dlas.models.training_state import Parts, Place, kept_elsewhere

if TYPE_CHECKING:
    from dlas import config

SAFE_CHANNELS = 16
"""Fewest input channels with which a strided 1x1 convolution trains safely in channels last: 512 bits."""


log = logging.getLogger(__name__)


class AfterStep(Protocol):
    """What is done whenever the optimizer has moved the weights."""

    def __call__(self, model: nn.Module, /) -> None:
        """Change the weights of the model, on its device."""

    def state_dict(self) -> Mapping[str, torch.Tensor]:
        """Give the tensors that it goes by."""

    def load_state_dict(self, state: Mapping[str, torch.Tensor], /) -> None:
        """Go by these tensors, which `state_dict` gave in another process."""


class LeaveAsItIs:
    """Plain training: nothing is done after a step."""

    def __call__(self, model: nn.Module, /) -> None:
        """Do nothing."""

    def state_dict(self) -> Mapping[str, torch.Tensor]:
        """Give nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, torch.Tensor], /) -> None:
        """Do nothing."""


UNCHANGED = LeaveAsItIs()


def train(
    model: nn.Module,
    dataset: ImageDataset,
    settings: config.Train,
    seed: int,
    key: str = "train",
    after_step: AfterStep = UNCHANGED,
    checkpoints: Checkpoints = NOWHERE,
) -> nn.Module:
    """Train `model` in place on the training images and return it in eval mode, on the CPU.

    The learning rate follows OneCycleLR (Smith and Topin, arXiv:1708.07120) up to `learning_rate` and down to
    nothing. On the CPU with the same number of threads the same `seed` gives the same weights, also where the
    training was interrupted, and goes on from its `checkpoints`. `key` is where `settings` were declared: it
    names the progress bar on stderr, and the setting to blame where the loss is not finite. UserError for a
    loss that is not finite, and where the device is not there.
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
    parts = _parts(model, dataset, settings, seed, device)
    training = _Training(parts, dataset, settings, after_step, layout, key)
    with torch.random.fork_rng(), torch.backends.cudnn.flags(deterministic=True, benchmark=False):
        torch.manual_seed(seed)
        _go_on(training, checkpoints)
    nn.utils.convert_conv2d_weight_memory_format(model, torch.contiguous_format)
    return model.to("cpu").eval()


def _parts(
    model: nn.Module, dataset: ImageDataset, settings: config.Train, seed: int, device: torch.device
) -> Parts:
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        nesterov=settings.momentum > 0,
    )
    steps = settings.epochs * batches(len(dataset.train_labels), settings.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=steps, cycle_momentum=False
    )
    return Parts(model, optimizer, schedule, np.random.default_rng(seed), device)


@dataclass(frozen=True)
class _Training:
    """A training: the parts that its steps change, and what they go by."""

    parts: Parts
    dataset: ImageDataset
    settings: config.Train
    after_step: AfterStep
    layout: torch.memory_format
    key: str

    def step(self, batch: npt.NDArray[np.int64]) -> tuple[float, int]:
        """Move the weights by the gradient of the images of these indices; returns the loss before it and how
        many of the images were classified right."""
        parts, dataset = self.parts, self.dataset
        images = augmented(dataset.train_images[batch], dataset.mirrorable, parts.random)
        inputs = torch.from_numpy(dataset.normalized(images)).to(parts.device, memory_format=self.layout)
        labels = torch.from_numpy(dataset.train_labels[batch]).to(parts.device)
        logits = parts.model(inputs)
        loss = nn.functional.cross_entropy(logits, labels)
        parts.optimizer.zero_grad()
        torch.autograd.backward(loss)
        parts.optimizer.step()
        self.after_step(parts.model)
        parts.schedule.step()
        return loss.item(), int((logits.argmax(1) == labels).sum())


def _go_on(training: _Training, checkpoints: Checkpoints) -> None:
    """Take all steps of the training from where its checkpoints stand, or from the first one."""
    parts, settings, key = training.parts, training.settings, training.key
    images, random = len(training.dataset.train_labels), parts.random
    steps = batches(images, settings.batch_size)
    elsewhere = kept_elsewhere(parts.model)
    place, order_from = Place(), random.bit_generator.state
    if saved := checkpoints.take():
        place, order_from, found = parts.restore(saved)
        training.after_step.load_state_dict(found)
        log.info("%s: goes on from epoch %d, step %d", key, place.epoch + 1, place.step + 1)
    done = place.epoch * steps + place.step
    with tqdm(total=settings.epochs * steps, initial=done, desc=key, unit="step") as progress:
        while place.epoch < settings.epochs:
            if place.step == 0:
                order_from = random.bit_generator.state
                order = random.permutation(images)
            else:
                order = drawn_again(order_from, images)
            for batch in np.array_split(order, steps)[place.step :]:
                loss, correct = training.step(batch)
                if not math.isfinite(loss):
                    raise UserError(
                        f"the loss became {loss} in epoch {place.epoch + 1}",
                        key=f"{key}.learning_rate",
                        remedy=f"give a rate below {settings.learning_rate}",
                    )
                place = place.after(correct, len(batch))
                accuracy = place.correct / place.seen
                shown = {"epoch": place.epoch + 1, "loss": f"{loss:.3f}", "accuracy": f"{accuracy:.3f}"}
                progress.set_postfix(shown, refresh=False)
                progress.update()
                if checkpoints.are_due:
                    checkpoints = _if_all_is_saved(checkpoints, parts.model, elsewhere, key)
                    checkpoints.save(parts.state(place, order_from, training.after_step.state_dict()))
            place = Place(place.epoch + 1)


def _if_all_is_saved(
    checkpoints: Checkpoints, model: nn.Module, elsewhere: set[tuple[str, str]], key: str
) -> Checkpoints:
    """The checkpoints; after a warning `NOWHERE` where the model changes what it keeps `elsewhere`: the
    training would go on otherwise than undisturbed."""
    if changed := sorted(elsewhere ^ kept_elsewhere(model)):
        problem = "%s: where it stands is not saved: %s changes, and is neither a parameter nor a buffer"
        log.warning(problem, key, changed[0][0])
        return NOWHERE
    return checkpoints


def drawn_again(order_from: Mapping[str, Any], images: int) -> npt.NDArray[np.int64]:
    """The order of the images that a generator in that state draws."""
    random = np.random.default_rng(0)
    random.bit_generator.state = dict(order_from)
    return random.permutation(images)


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
        if str(device) != name:  # PyTorch keeps 8 bits of a number: cuda:256 would be cuda:0
            raise RuntimeError(f"PyTorch takes it for {device}")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"the device {name!r} cannot be used: {reason}", key="train.device", remedy="give cpu"
        ) from error
    return device
