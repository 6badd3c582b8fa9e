"""A bundle of a tiny network, as a run leaves it behind: what hostile ones are made from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from dlas import bundle, config
from dlas.bundle import Bundle, mlflow_model
from dlas.files import documents
from dlas.hardware.results import measurement, reference
from dlas.hardware.results.measurement import Measurement, Session
from dlas.hardware.targets import resolving, run_environment, steadiness, target_file

RUNS = 3


def make(root: Path) -> Bundle:
    """A new one in the folder `root`; its timing is made up."""
    import torch
    from torch import nn

    from dlas.systems.choices import lowering
    from dlas.systems.compilers.tvm import building
    from dlas.systems.program import program

    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10)).eval()
    found = Bundle(root)
    found.make_folders()
    host = resolving.resolve(config.Target(name="host"))
    target_file.write(host, found.target)
    lowered = lowering.lower(model, (1, 3, 8, 8), "dlas.algorithms.direct")
    program.save(lowered, found.model)
    building.build_library(lowered, {}, host.code, None, 3, found.library)
    choices = {"tuner": "dlas.systems.tuners.none", "opt_level": 3, "kernels": []}
    (found.tuning / "choices.json").write_text(json.dumps(choices))
    images = np.random.default_rng(0).standard_normal((2, 3, 8, 8), np.float32)
    with torch.inference_mode():
        expected = reference.of_precision(images, model(torch.from_numpy(images)).numpy(), 32)
    reference.write(expected, found.reference)
    mlflow_model.write(found.mlflow_model, expected.inputs, expected.outputs)
    state = steadiness.state()
    sessions = (Session(9_000, (5_000, 6_000, 7_000), state, state),) * 2
    environment = run_environment.of_this_machine()
    measurement.write(Measurement(RUNS, 1, 1, sessions, environment=environment), found.timing)
    documents.write(run_environment.DOCUMENT, found.environment, environment)
    found.config.write_text("model:\n  name: tiny\n")
    return bundle.seal(found.root, point="ab12", stages={"build": "cd34"})
