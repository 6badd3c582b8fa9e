"""What all tests have: a folder for temporary files per test process, one thread of PyTorch, groups of tests.

The tests run in two processes beside each other. A group shares what is costly to make, and stays in one of
them; the longest groups start first, and tests that share nothing fill what is left.
"""

from __future__ import annotations

import gc
import multiprocessing.util
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
import shared
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from dlas import config, datasets, tracking
from dlas.hardware.boards import lock
from dlas.hardware.targets import resolving
from dlas.interfaces.images import ImageDataset
from dlas.interfaces.targets.target import Target
from dlas.tracking.store import client, opening

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from dlas.bundle import Bundle

for threads in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[threads] = "1"  # two processes with as many threads as cores would wait for each other

os.environ["TVM_THREAD_POOL_SPIN_COUNT"] = "0"  # nor do threads without work keep a core from the other one

signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs, and all they start, ignore it

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # each of hundreds of processes would compile this package


gc.disable()  # until all tests are collected

hypothesis.settings.register_profile(
    "any machine",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("any machine")  # however slow it is, or busy with other things


APART = frozenset(
    {
        "test_algorithms",
        "test_carry_over",
        "test_default_recipes",
        "test_integer_convolution",
        "test_integer_kernels",
        "test_sparse",
        "test_winograd",
    }
)
"""Files whose tests share nothing that is costly: each goes to the process that is free."""

FIRST = ("test_upstream_contracts",)
"""What tells in seconds which package an upgrade broke, and explains what else fails then."""

LONGEST = (
    "test_virtual_board",
    "test_choosing",
    "test_run",
    "test_tuned_sparse_point",
    "test_parameters",
    "test_metaschedule",
    "test_ansor",
    "test_kills",
    "test_board_tuning",
    "test_operators",
    "test_emulated_gpu",
    "test_board",
    "test_compilers",
    "test_compressed_points",
    "test_compiler_points",
    "test_batches",
    "test_redeploy",
)
"""What takes the longest, in the order of its start."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts the tests in the order of their start. Exhaustive ones are slow ones, whatever -m asks for."""
    for item in items:
        if item.get_closest_marker("exhaustive") is not None:
            item.add_marker("slow")
    items.sort(key=_place)


def pytest_collection_finish() -> None:
    """Look for garbage from here on, more rarely than Python does by itself, and not among what was imported,
    which stays: each look takes 0.5 s."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Groups:
    """What shares the tests out."""
    return Groups(config, log)


class Groups(LoadScopeScheduling):
    """Gives a process a whole file at once, and of files whose tests go apart one test."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if Path(file).stem in APART else file


def _place(item: pytest.Item) -> tuple[int, str]:
    name = item.path.stem
    early = (*FIRST, *LONGEST)
    place = early.index(name) if name in early else len(early) + (name in APART)
    return place, name


@pytest.fixture(scope="session", autouse=True)
def temporary_files() -> Iterator[None]:
    """In a folder of this test process: with them its lock of the board, which is this machine to the other
    test process too. Multiprocessing has its own beside it, and removes it when this process ends."""
    multiprocessing.util.get_temp_dir()
    folder = Path(tempfile.mkdtemp(prefix="dlas-tests-"))
    kept = tempfile.tempdir, os.environ.get("TMPDIR")
    tempfile.tempdir, os.environ["TMPDIR"] = str(folder), str(folder)
    os.environ[lock.LOCKS] = str(folder / "dlas")
    yield
    del os.environ[lock.LOCKS]
    tempfile.tempdir = kept[0]
    if kept[1] is None:
        del os.environ["TMPDIR"]
    else:
        os.environ["TMPDIR"] = kept[1]
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder that the test processes share: see `shared`."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
    folder.mkdir(exist_ok=True)
    os.environ[shared.FOLDER] = str(folder)
    yield
    del os.environ[shared.FOLDER]


@pytest.fixture(scope="session", autouse=True)
def new_stores(shared_folder: None) -> Iterator[None]:
    """Copies of a store of runs that MLflow made here: its 68 migrations take 3 s."""
    make = opening._make_database

    def copy(database: Path) -> None:
        client.quiet()
        shutil.copyfile(shared.made_once("mlflow.db", make), database)

    opening._make_database = copy
    yield
    opening._make_database = make


@pytest.fixture(scope="session")
def host() -> Target:
    """This machine."""
    return resolving.resolve(config.Target("host"))


@pytest.fixture(scope="session")
def digits() -> ImageDataset:
    """The data set that every machine has."""
    return datasets.load(config.Dataset("digits", "dlas.datasets.digits"))


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as MLflow makes it, without a run."""
    folder = tmp_path_factory.mktemp("tables")
    tracking.open_store(folder, f"sqlite:///{folder / 'mlflow.db'}", "unused")
    return folder / "mlflow.db"


@pytest.fixture(scope="module", name="client")
def client_of_artifacts(artifacts: Path) -> MlflowClient:
    """MLflow's client of the store that the module's `artifacts` are."""
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{artifacts / 'mlflow.db'}")


@pytest.fixture(scope="module")
def bundles(
    client: MlflowClient, runs: dict[str, Run], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Bundle]:
    """The bundles of the module's `runs`, by the same names."""
    from finished_points import fetched_bundles

    return fetched_bundles(client, runs, tmp_path_factory.mktemp("fetched"))
