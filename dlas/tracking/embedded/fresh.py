"""A database that is not there yet. MLflow makes its tables in 68 steps, which take seconds: a thread may go
through them while its process waits for something else."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dlas.files import folders
from dlas.processes import identity
from dlas.tracking.embedded.address import address_of

Make = Callable[[Path], None]
"""Makes a database at a path where none is."""

log = logging.getLogger("dlas.tracking")


def make(database: Path) -> None:
    """Make the tables elsewhere, then rename: MLflow never mends a database that was left half made."""
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

    unfinished = database.with_name(f"{database.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    engine = create_sqlalchemy_engine(address_of(unfinished))
    try:
        _initialize_tables(engine)
    except Exception:
        unfinished.unlink(missing_ok=True)
        raise
    finally:
        engine.dispose()
    unfinished.rename(database)


@contextmanager
def made_ahead(artifacts: Path, make: Make) -> Iterator[Make]:
    """Have a thread make a database on the disk of the artifacts; yields what puts it into its place.

    If none is asked for, it is gone afterwards. Where the thread fails, the database is made, and the error
    raised, once it is asked for.
    """
    with folders.scratch_folder(artifacts, f"store-{identity.this().pid}") as folder:
        ready, over = folder / "mlflow.db", threading.Event()

        def work() -> None:
            try:
                make(ready)
            except Exception as error:
                log.debug("no database was made ahead: %s", error)
            if over.is_set():  # the folder was cleared while this wrote to it
                shutil.rmtree(folder, ignore_errors=True)

        def put(database: Path) -> None:
            thread.join()
            if ready.exists():
                ready.rename(database)
            else:
                make(database)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield put
        finally:
            over.set()
