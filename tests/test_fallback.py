"""What is not a convolution against PyTorch, between layers in NCHW and in blocks of channels."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import tvm
from small_networks import EveryOperator

from dlas import config
from dlas.hardware.targets.resolving import resolve
from dlas.systems.choices.lowering import lower
from dlas.systems.compilers.tvm.building import build_library


@pytest.mark.parametrize(("algorithm", "batch"), [("direct", 2), ("spatial_pack", 1)])
def test_operators_between_convolutions_equal_pytorch(algorithm: str, batch: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    image = torch.randn(batch, 3, 29, 30)
    network = EveryOperator().eval()
    program = lower(network, image.shape, algorithm)
    build_library(program, {}, resolve(config.Target(name="host")).code, None, 3, tmp_path / "library.so")
    library = tvm.runtime.load_module(str(tmp_path / "library.so"))
    found = tvm.runtime.vm.VirtualMachine(library, tvm.cpu())["main"](tvm.runtime.tensor(image.numpy()))
    with torch.inference_mode():
        torch.testing.assert_close(torch.from_numpy(found.numpy()), network(image), rtol=1e-4, atol=1e-5)
