"""A network tried before anything is trained: built, run, and taken through one step of training.

The network is made for the trial alone, so nothing of it is left in the one that is trained.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from dlas import models
from dlas.errors import UserError
from dlas.models import passage
from dlas.models.graph.exporting import exported
from dlas.models.untrained import IMAGES
from dlas.users_code import told

if TYPE_CHECKING:
    from dlas import config

PIXEL_MEAN, PIXEL_STD = 0.2, 0.8
"""Mean and standard deviation for images of which only reading them tells: they normalize pixels to -0.25 to
1, values of nearly any set."""

SAME = 1e-3
"""Answers that differ by less than this part of the largest one are the same: rounding differs by less."""

MODULE = "a function (classes: int) -> torch.nn.Module"


@dataclass(frozen=True)
class Trial:
    """Trial of a network: the network, its images and its classes."""

    model: config.Model
    image_shape: tuple[int, int, int]
    """Channels, height, width."""
    classes: int
    batch_size: int | None = None
    """Images in a step of its training; None where it is not trained."""

    @property
    def key(self) -> str:
        """Config key that declared the network."""
        return "model.name" if self.model.factory is None else "model.factory"

    @property
    def code(self) -> str:
        """Dotted name of the module that makes the network."""
        return self.model.implementation.rpartition(".")[0]

    @property
    def factory(self) -> str:
        """The network, as it was declared."""
        return self.model.name if self.model.factory is None else self.model.factory

    def refusal(self, problem: str, remedy: str) -> UserError:
        """UserError about the network."""
        return UserError(f"{self.factory} {problem}", key=self.key, remedy=remedy)

    def told_images(self, count: int) -> str:
        """Number and shape of images, for a message."""
        shape = "x".join(map(str, self.image_shape))
        return f"{count} image{'s' if count > 1 else ''} of {shape}"


def run(trial: Trial) -> None:
    """UserError for what keeps the network from being right, which names the layer where one is to blame."""
    network = _built(trial)
    trained = _copied(trial, network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        images = _images(trial)
        _set_mode(trial, network, training=False)
        _require_steady(trial, network, images)
        _require_exportable(trial, network, images[:1])
        _set_mode(trial, trained, training=True)
        _require_trainable(trial, trained, images)


def _built(trial: Trial) -> nn.Module:
    try:
        network = models.build(trial.model, trial.classes)
    except UserError:
        raise
    except Exception as error:  # a user's own code may raise anything
        raise trial.refusal(
            f"does not build: {told(error)}", f"mend it there; it has to be {MODULE}"
        ) from error
    lazy = next((name for name, each in network.named_parameters() if is_lazy(each)), None)
    if lazy is not None:
        shape = ", ".join(map(str, trial.image_shape))
        raise trial.refusal(
            f"has weights without a shape: {lazy} of a lazy layer",
            f"run it once in the factory: network(torch.zeros(1, {shape}))",
        )
    return network


def _copied(trial: Trial, network: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(network)
    except Exception as error:  # whatever its parts raise
        raise trial.refusal(
            f"cannot be copied: {told(error)}",
            "keep no results, open files or locks in the network: copy.deepcopy(network) has to work",
        ) from error


def _set_mode(trial: Trial, network: nn.Module, *, training: bool) -> None:
    try:
        network.train(training)
    except Exception as error:  # torch.export's modules have no modes
        mode = "training" if training else "eval"
        raise trial.refusal(
            f"cannot be put into {mode} mode: {told(error)}",
            "a network as a plain torch.nn.Module, not an exported one",
        ) from error


def _images(trial: Trial) -> torch.Tensor:
    """Random pixels, normalized as far as it is known how."""
    mean, std = trial.model.mean, trial.model.std
    if mean is None or std is None:
        mean, std = [PIXEL_MEAN], [PIXEL_STD]
    pixels = torch.rand(IMAGES, *trial.image_shape)
    return (pixels - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)


def _answers(trial: Trial, network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Answers of the network for the images, checked to be (N, classes)."""
    _require_one_input(trial, network)
    given = images.clone()
    with passage.watched(network) as way:
        try:
            answers = network(given)
        except Exception as error:  # a user's own code may raise anything
            mode = " in training mode" if network.training else ""
            raise trial.refusal(
                f"fails on {trial.told_images(len(images))}{mode}, in {way.innermost}: {told(error)}",
                "a network that takes such images, as many at once as it is given",
            ) from error
    _require_answers(trial, answers, images)
    if not torch.equal(given, images):
        raise trial.refusal(
            "writes over the images that it is given",
            "let its first operation make a new tensor: inplace=False, x = x * 2 instead of x *= 2",
        )
    found: torch.Tensor = answers
    return found


def _require_one_input(trial: Trial, network: nn.Module) -> None:
    try:
        signature = inspect.signature(network.forward)
        signature.bind(None)
    except TypeError:
        needed = [name for name, each in signature.parameters.items() if each.default is each.empty]
        raise trial.refusal(
            f"has a forward of {len(needed)} inputs ({', '.join(needed)}), and is given images alone",
            "a forward(images) -> (N, classes); give other inputs constants in a module around it",
        ) from None
    except ValueError:  # scripted code tells no signature
        return


def _require_answers(trial: Trial, answers: Any, images: torch.Tensor) -> None:
    expected = f"one number for each class, {(len(images), trial.classes)}"
    if not isinstance(answers, torch.Tensor):
        raise trial.refusal(
            f"answers with {_kind(answers)} instead of a tensor of {expected}", _chosen(answers)
        )
    shape = tuple(answers.shape)
    for_images = f"answers {trial.told_images(len(images))} with a tensor of {shape} instead of {expected}"
    if shape == (len(images), trial.classes):
        if answers.dtype == torch.float32:
            return
        raise trial.refusal(
            f"answers in {answers.dtype}", "return float32 numbers, before any argmax: x.float()"
        )
    if shape[:2] != (len(images), trial.classes):
        if len(shape) == 2 and shape[0] == len(images):
            remedy = f"a last layer of as many outputs as the factory is told classes: {trial.classes}"
        else:
            remedy = "a forward that keeps the images apart: dimension 0 is theirs, dimension 1 the classes'"
        raise trial.refusal(for_images, remedy)
    if all(length == 1 for length in shape[2:]):
        raise trial.refusal(for_images, "let it end with .flatten(1), or nn.Flatten()")
    raise trial.refusal(for_images, "classify whole images: let it end with .flatten(2).mean(2)")


def _kind(answers: object) -> str:
    if isinstance(answers, Mapping):
        return f"a {type(answers).__name__} ({', '.join(map(str, answers))})"
    if isinstance(answers, tuple | list):
        return f"a {type(answers).__name__} of {len(answers)}"
    return "nothing" if answers is None else f"a {type(answers).__name__}"


def _chosen(answers: object) -> str:
    if isinstance(answers, Mapping) and answers:
        return f"return the logits alone: forward(images)[{next(iter(answers))!r}] in a module around it"
    if isinstance(answers, tuple | list) and answers:
        return "return the logits alone: forward(images)[0], or whichever they are, in a module around it"
    return "let forward return the logits"


def _require_steady(trial: Trial, network: nn.Module, images: torch.Tensor) -> None:
    """Finite answers, the same each time, whatever else is in the batch."""
    with torch.no_grad():
        answers = _answers(trial, network, images)
        if not _finite(answers):
            where = passage.first(_passed(network, images).crossings, lambda tensor: not _finite(tensor))
            raise trial.refusal(
                f"answers with numbers that are not finite; the first come from {where or passage.WHOLE}",
                "keep logarithms, roots, divisions and powers away from 0 and, since images are normalized, "
                "from negative numbers",
            )
        if _differ(answers, _answers(trial, network, images)):
            where = passage.first_difference(_passed(network, images), _passed(network, images), _differ)
            raise trial.refusal(
                f"answers differently each time in eval mode; the first to differ: {where or passage.WHOLE}",
                "chance for training alone: nn.Dropout, or F.dropout(x, p, self.training)",
            )
        if _differ(answers[:1], _answers(trial, network, images[:1])):
            where = passage.first_difference(_passed(network, images[:1]), _passed(network, images), _differ)
            raise trial.refusal(
                "answers an image differently beside others in a batch in eval mode; the first to differ: "
                f"{where or passage.WHOLE}",
                "batch norm with track_running_stats=True, and nothing else that works over dimension 0",
            )


def _require_exportable(trial: Trial, network: nn.Module, image: torch.Tensor) -> None:
    """The same answers from what `torch.export` writes down."""
    program = exported(network, image)
    with torch.no_grad():
        if _differ(_answers(trial, network, image), program.module()(image)):
            raise trial.refusal(
                "answers otherwise than what torch.export writes down of it",
                "a forward that keeps nothing from one call to the next, and decides by no image's values",
            )


def _passed(network: nn.Module, images: torch.Tensor) -> passage.Passage:
    with passage.watched(network, keep=True) as way:
        network(images.clone())
    return way


def _finite(tensor: torch.Tensor) -> bool:
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())


def _differ(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two answers differ by more than rounding; of the longer one the first part is looked at."""
    if one.dim() and other.dim():
        shorter = min(len(one), len(other))
        one, other = one[:shorter], other[:shorter]
    if one.shape != other.shape or not one.numel():
        return False
    largest = float(one.abs().max())
    return bool(((one - other).abs().max() > SAME * largest).item())


def _require_trainable(trial: Trial, network: nn.Module, images: torch.Tensor) -> None:
    """A forward in training mode; and where it is trained a gradient."""
    answers = _answers(trial, network, images)
    if trial.batch_size is None:
        return
    labels = torch.arange(IMAGES) % trial.classes
    remedy = "train.epochs=0, or parameters with requires_grad=True and a forward without torch.no_grad()"
    try:
        loss = nn.functional.cross_entropy(answers, labels)
        if loss.requires_grad:
            torch.autograd.backward(loss)
    except Exception as error:  # a user's own backward may raise anything
        raise trial.refusal(
            f"cannot be trained, its gradients fail: {told(error)}",
            "operations with a gradient that write over nothing (inplace=False); or train.epochs=0",
        ) from error
    if all(parameter.grad is None for parameter in network.parameters()):
        raise trial.refusal("cannot be trained: no parameter gets a gradient", remedy)
    if trial.batch_size == 1:
        _require_single(trial, network, images[:1])


def _require_single(trial: Trial, network: nn.Module, image: torch.Tensor) -> None:
    try:
        _answers(trial, network, image)
    except UserError as error:
        raise UserError(
            f"{trial.batch_size} is too small: {error.problem}",
            key="train.batch_size",
            remedy="2 or more, since batch norm needs several values of each channel",
        ) from error
