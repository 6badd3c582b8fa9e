"""A SLURM cluster of two nodes on this machine, with daemons, ports, keys and accounts of its own.

Its programs are those of Debian's packages slurmctld, slurmd, slurmdbd, slurm-wlm-mysql-plugin, slurm-client,
munge and mariadb-server. The nodes are two daemons of this machine, each with every core.
"""

from __future__ import annotations

import getpass
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import which

from servers import HOST, STARTS_WITHIN_SECONDS, free_ports, running

SBIN = "/usr/sbin"
"""Folder of the daemons, which is not on the path of every user."""

PROGRAMS = ("munged", "slurmctld", "slurmd", "slurmdbd", "sbatch", "srun", "mariadbd", "mariadb-install-db")
NODES = ("one", "two")


def missing() -> list[str]:
    """The programs that this machine lacks."""
    return [name for name in PROGRAMS if _program(name) is None]


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """The cluster, until it is left: every job of it is ended then. Gives the environment in which SLURM's
    commands, and what starts them, find it."""
    folder.mkdir(mode=0o755)
    sql, accounts, control, *ports = free_ports(3 + len(NODES))
    munge = folder / "munge.socket"
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o600)
    user = getpass.getuser()
    common = f"AuthType=auth/munge\nAuthInfo=socket={munge}\nSlurmUser={user}\n"
    (folder / "slurmdbd.conf").write_text(
        f"{common}DbdHost=localhost\nDbdPort={accounts}\nStorageType=accounting_storage/mysql\n"
        f"StorageHost={HOST}\nStoragePort={sql}\nStorageUser=root\nStorageLoc=accounts\n"
        f"LogFile={folder}/slurmdbd.log\nPidFile={folder}/slurmdbd.pid\n"
    )
    (folder / "slurmdbd.conf").chmod(0o600)
    cores = len(os.sched_getaffinity(0))
    nodes = [
        f"NodeName={name} NodeHostname={socket.gethostname()} NodeAddr={HOST} Port={port} CPUs={cores}"
        for name, port in zip(NODES, ports, strict=True)
    ]
    (folder / "slurm.conf").write_text(
        f"{common}ClusterName=tests\nSlurmctldHost={socket.gethostname()}({HOST})\nSlurmctldPort={control}\n"
        f"SlurmdUser={user}\nStateSaveLocation={folder}/state\nSlurmdSpoolDir={folder}/spool-%n\n"
        f"SlurmctldLogFile={folder}/slurmctld.log\nSlurmdLogFile={folder}/slurmd-%n.log\n"
        f"SlurmctldPidFile={folder}/slurmctld.pid\nSlurmdPidFile={folder}/slurmd-%n.pid\n"
        "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nMpiDefault=none\n"
        "SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\nReturnToService=2\n"
        "SchedulerParameters=sched_interval=2\nKillWait=5\n"
        "AccountingStorageType=accounting_storage/slurmdbd\nAccountingStorageHost=localhost\n"
        f"AccountingStoragePort={accounts}\nAccountingStoragePass={munge}\nJobAcctGatherType=jobacct_gather/none\n"
        + "\n".join(nodes)
        + f"\nPartitionName=cpu Nodes={','.join(NODES)} Default=YES MaxTime=INFINITE State=UP\n"
    )
    env = {"SLURM_CONF": str(folder / "slurm.conf")}
    with ExitStack() as started:
        own = {**os.environ, **env}

        def start(name: str, *options: str, ready: Sequence[str | Path]) -> None:
            program, log = _program(name), folder / f"{name}.out"
            asked = lambda: subprocess.run(ready, env=own, check=True, capture_output=True)  # noqa: E731
            started.enter_context(
                running([program, *options], asked, log, signal.SIGTERM, env=own, cwd=folder)
            )

        start(
            *("munged", "--foreground", "--force", f"--key-file={folder}/munge.key", f"--socket={munge}"),
            *(f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log"),
            f"--seed-file={folder}/munged.seed",
            ready=("munge", f"--socket={munge}", "--no-input"),
        )
        data = folder / "sql"
        install = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", f"--user={user}"]
        subprocess.run([*install, "--skip-test-db"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
        socket_ = folder / "sql.socket"
        start(
            *("mariadbd", "--no-defaults", f"--datadir={data}", f"--user={user}", f"--port={sql}"),
            *(
                f"--socket={socket_}",
                f"--bind-address={HOST}",
                f"--pid-file={folder}/sql.pid",
                "--skip-grant-tables",
            ),
            ready=("mariadb", "--no-defaults", f"--socket={socket_}", "-e", "SELECT 1"),
        )
        start("slurmdbd", "-D", ready=("sacctmgr", "--noheader", "list", "cluster"))
        start("slurmctld", "-D", "-i", ready=("scontrol", "ping"))
        for name in NODES:
            start("slurmd", "-D", "-N", name, ready=("srun", "--immediate=5", f"--nodelist={name}", "true"))
        try:
            yield env
        finally:
            subprocess.run(["scancel", f"--user={user}"], env=own, check=True)
            begun = time.monotonic()
            while queued(env):
                assert time.monotonic() - begun < STARTS_WITHIN_SECONDS, "jobs are left"
                time.sleep(0.5)


def queued(env: Mapping[str, str]) -> list[str]:
    """The ids of the jobs that wait or run."""
    asked = ["squeue", "--noheader", "--array", "--format=%i"]
    return subprocess.run(
        asked, env={**os.environ, **env}, capture_output=True, text=True, check=True
    ).stdout.split()


def _program(name: str) -> str | None:
    return which(name, path=os.pathsep.join((os.environ.get("PATH", ""), SBIN)))
