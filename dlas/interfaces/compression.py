"""Layer 3: a step of compression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from dlas.files.checkpoints import Checkpoints
    from dlas.interfaces.images import ImageDataset
    from dlas.interfaces.training import Train


@runtime_checkable
class Compression(Protocol):
    """A module that makes a trained network cheaper. It is light to import: torch is imported where it is
    used."""

    Settings: type
    """A frozen subclass of `dlas.config.Compression`: what the option's YAML may say. Its `data_type` and
    `leaves_zeros` tell later layers what the weights are afterwards."""

    def rehearse(self, model: nn.Module, image_shape: tuple[int, int, int], settings: Any, /) -> nn.Module:
        """Give the network as this step would leave it, without training anything; `model` is left as it
        was.

        Called on an untrained network before the first point of a sweep starts, so that what cannot be done
        is refused before anything is trained: UserError where the step cannot serve such a network. Only the
        operations and the shapes of what it gives count. `image_shape` is channels, height, width.
        """
        ...

    def compress(
        self,
        model: nn.Module,
        dataset: ImageDataset,
        settings: Any,
        train: Train,
        seed: int,
        checkpoints: Checkpoints,
        /,
    ) -> nn.Module:
        """Give a cheaper network of the same inputs and outputs; `model` is left as it was.

        Called once, on what the step before left. `train` says how the dense network was trained, `seed`
        decides what is drawn: the same arguments give the same weights. Test images decide nothing. Work of
        more than a minute saves where it stands in `checkpoints`, and goes on from there when it was
        interrupted, to the same weights: `finetune` in dlas.compression.finetuning does so.
        """
        ...

    def restore(self, model: nn.Module, weights: Path, /) -> nn.Module:
        """Give what `compress` gave once more: from the network that it was given, and the file of the state
        dict (safetensors) of the one that it made. Called wherever the step's result is taken from the
        store."""
        ...
