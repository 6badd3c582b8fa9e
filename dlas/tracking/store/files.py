"""The files of a run, wherever its store keeps them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlas.tracking.embedded import location
from dlas.tracking.embedded.address import SQLITE, database_at

if TYPE_CHECKING:
    from dlas.tracking.store.entities import Store


def upload(store: Store, run_id: str, folder: Path, inside: str | None = None) -> None:
    """Copy what lies in the folder to the run, into its folder `inside` where one is given."""
    _repository(store, run_id).log_artifacts(str(folder), inside)


def upload_file(store: Store, run_id: str, file: Path) -> None:
    """Copy the file to the run."""
    _repository(store, run_id).log_artifact(str(file))


def sizes(store: Store, run_id: str, inside: str | None = None) -> dict[str, int]:
    """The sizes in bytes of all files of the run, or of those in a folder of it, by their paths."""
    repository = _repository(store, run_id)
    found: dict[str, int] = {}
    waiting: list[str | None] = [inside]
    while waiting:
        for entry in repository.list_artifacts(waiting.pop()):
            if entry.is_dir:
                waiting.append(entry.path)
            else:
                found[entry.path] = int(entry.file_size or 0)
    return found


def download(store: Store, run_id: str, inside: str, destination: Path) -> Path:
    """Copy a folder of the run, or all with "", into the folder `destination`; returns where it is then."""
    return download_from(store, run_id, _recorded(store, run_id), inside, destination)


def download_from(store: Store, run_id: str, recorded: str, inside: str, destination: Path) -> Path:
    """Copy as `download`, from where the run's record says that its files are, without asking the store."""
    destination.mkdir(parents=True, exist_ok=True)
    return Path(_opened(store, run_id, recorded).download_artifacts(inside, str(destination)))


def folder_of(store: Store, run_id: str) -> Path | None:
    """The folder that holds the run's files; None where they are not on a disk of this machine."""
    return folder_from(store, run_id, _recorded(store, run_id)) if store.uri.startswith(SQLITE) else None


def folder_from(store: Store, run_id: str, recorded: str) -> Path | None:
    """The folder as `folder_of`, by where the run's record says that its files are."""
    return location.path_of(_place(store, run_id, recorded)) if store.uri.startswith(SQLITE) else None


def _repository(store: Store, run_id: str) -> Any:
    """MLflow's access to the run's files."""
    return _opened(store, run_id, _recorded(store, run_id))


def _opened(store: Store, run_id: str, recorded: str) -> Any:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(_place(store, run_id, recorded), tracking_uri=store.uri)


def _recorded(store: Store, run_id: str) -> str:
    """The place of the run's files, as its record has it."""
    return str(store.client.get_run(run_id).info.artifact_uri)


def _place(store: Store, run_id: str, recorded: str) -> str:
    """The place of the run's files, as MLflow takes it."""
    if not store.uri.startswith(SQLITE):
        return recorded
    return location.files_of_run(database_at(store.uri), run_id, recorded)
