"""What earlier versions wrote is read, redeployed and built anew: see fixtures/README.md."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest
from old_bundles_cpu import require_cpu_of_old_bundles
from omegaconf import OmegaConf
from user_models import two_layers

from dlas import config
from dlas.bundle import verify
from dlas.errors import UserError
from dlas.files import documents
from dlas.hardware.targets import target_file
from dlas.interfaces.targets.target import Target
from dlas.plugins.registry import ALGORITHMS, TUNERS
from dlas.redeployment import Request, redeployed
from dlas.systems.choices import record
from dlas.systems.choices.lowering import lower
from dlas.systems.choices.scheduling import kernel_tasks
from dlas.systems.program import program
from dlas.systems.tuners import tuning
from dlas.systems.tuners.ansor import tuner as ansor
from dlas.systems.tuners.ansor import worker as ansor_worker
from dlas.systems.tuners.common import tuning_store
from dlas.systems.tuners.common.tuning_store import TuningStore

SCHEMA1 = Path(__file__).parent / "fixtures" / "schema1"
KEPT_TUNED = {"ansor": 2, "metaschedule": 3, "csr": 0, "int8": 0}
STORED = {"ansor-0.19": 24, "metaschedule-0.27.0.post1": 48, "parameters-0.27.0.post1": 33}

each = pytest.mark.parametrize("name", KEPT_TUNED)


@pytest.fixture(scope="module")
def made_for() -> Target:
    """What all of them were made for."""
    require_cpu_of_old_bundles()
    return target_file.read(SCHEMA1 / "ansor" / "library" / "target.json")


@pytest.fixture
def old_store(tmp_path: Path) -> Path:
    shutil.copytree(SCHEMA1 / "tuning", tmp_path / "tuning")
    return tmp_path / "tuning"


@each
def test_an_old_bundle_redeploys(
    name: str, made_for: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = redeployed(verify(SCHEMA1 / name), Request(), tmp_path)
    assert found.verdict
    assert found.comparison.new.median_ms > 0
    assert "16 outputs match the reference" in capsys.readouterr().out


@each
def test_an_old_bundle_is_built_anew_with_its_tuned_kernels(
    name: str, made_for: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = redeployed(verify(SCHEMA1 / name), Request(rebuild=True), tmp_path)
    assert found.rebuilt is not None
    assert [kernel.carried for kernel in found.rebuilt.kernels] == [True] * KEPT_TUNED[name]
    assert "16 outputs match the reference" in capsys.readouterr().out


@each
def test_names_of_an_old_bundle_are_read_as_those_of_the_registry(name: str) -> None:
    layers, _ = program.load_layers(SCHEMA1 / name / "model")
    assert {layer.algorithm for layer in layers} <= set(ALGORITHMS.names())
    assert not any("." in layer.requested for layer in layers)
    assert record.read(SCHEMA1 / name / "tuning" / "choices.json").tuner in TUNERS.names()
    summary = documents.read(tuning.SUMMARY, SCHEMA1 / name / "tuning" / "tuning.json")
    assert all(layer["task"].partition(":")[0] in ALGORITHMS.names() for layer in summary["layers"])


@each
def test_the_config_of_an_old_bundle_is_the_stack_that_it_was(name: str) -> None:
    old = (SCHEMA1 / name / "config.yaml").read_text()
    assert "dlas.algorithms." in old
    stack = config.parse(OmegaConf.create(old))
    assert set(stack.algo.algorithms) <= set(ALGORITHMS.names())
    assert config.parse(OmegaConf.create(config.to_yaml(stack))) == stack
    assert "dlas." not in config.to_yaml(stack)


@each
def test_a_program_is_written_with_names_and_a_version(name: str, tmp_path: Path) -> None:
    model = SCHEMA1 / name / "model"
    program.save(program.load_from_bundle(model, model), tmp_path)
    assert "dlas." not in (tmp_path / program.LAYERS).read_text()
    assert json.loads((tmp_path / program.LAYERS).read_text())["schema"] == 2
    assert program.load_layers(tmp_path) == program.load_layers(SCHEMA1 / name / "model")


def test_a_network_finds_its_records_in_an_old_store(
    made_for: Target, old_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ansor_worker, "FOLDER", tmp_path / "nowhere")  # nothing can be measured
    lowered = lower(two_layers(10).eval(), (1, 3, 32, 32), "direct")
    tasks = list(kernel_tasks(lowered).values())
    settings, log = ansor.Settings("ansor", trials=24), tmp_path / "log.json"
    assert ansor.tune(tasks, made_for, settings, log, TuningStore(old_store)).trials == 24
    assert "dlas." not in log.read_text()
    assert not list(old_store.rglob("dlas.*"))


def test_an_old_store_is_brought_up_to_date_with_every_record(made_for: Target, old_store: Path) -> None:
    store = TuningStore(old_store)
    for tuner, count in STORED.items():
        shelf = store.shelf(tuner, made_for)
        tasks = [task for algorithm in ALGORITHMS.names() for task in shelf.tasks(algorithm)]
        assert sum(len(shelf.records(task)) for task in tasks) == count
    assert not any("dlas." in file.read_text() for file in old_store.rglob("*.json"))


def test_an_exported_old_store_is_imported_as_one_of_today(
    made_for: Target, old_store: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "old.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in sorted(old_store.rglob("*.json")):
            packed.write(file, file.relative_to(old_store))
    assert tuning_store.merge(tmp_path / "new", archive) == sum(STORED.values())
    assert tuning_store.merge(old_store, archive) == 0
    assert not list((tmp_path / "new").rglob("dlas.*"))


def test_what_a_newer_version_wrote_is_refused_with_what_to_do(
    made_for: Target, old_store: Path, tmp_path: Path
) -> None:
    shutil.copytree(SCHEMA1 / "int8", tmp_path / "newer")
    for file in (tmp_path / "newer" / "manifest.json", tmp_path / "newer" / "model" / program.LAYERS):
        file.write_text(json.dumps(json.loads(file.read_text()) | {"schema": 99}))
    (old_store / "store.json").write_text('{"schema": 99}')
    for reading in (
        lambda: verify(tmp_path / "newer"),
        lambda: program.load_layers(tmp_path / "newer" / "model"),
        lambda: TuningStore(old_store).shelf(ansor.VERSION, made_for),
    ):
        with pytest.raises(UserError, match="version 99") as refused:
            reading()
        assert "newer" in refused.value.remedy
