"""Boards to run on: a virtual one to start here, what a board's numbers are worth, a board's own side.

    python -m dlas.board start target=aarch64_virtual [port=<number>]    installed on its first start
                              [runtimes=onnxruntime,ncnn]
    python -m dlas.board stop target=aarch64_virtual
    python -m dlas.board list                                            the virtual boards that run
    python -m dlas.board check [target=host] [bundle=<folder or file>]   what a board's numbers are worth
    python -m dlas.board serve [port=9090] [key=<word>]                  on a real board: answer to clients

    artifacts=<folder>    of start, stop and list: where virtual boards are kept
    runtimes=<names>      of start: compilers whose runtimes the board is to have beside TVM's, none that
                          imports PyTorch, each of the version that is installed here; it keeps them from
                          then on

    deployments=20        of check: how often one library is deployed, each time by timing=default: that of
                          a bundle, or a small one made for the purpose
    signers=<file>        of check: refuse a bundle that none of these signed, as dlas.redeploy does

    tracker=<host:port>   of serve: register with a tracker, announce=<address> for clients to come to
    listen=<address>      of serve: 127.0.0.1 unless told otherwise. Whoever can connect can run any code here

    target.<setting>=, --config-dir <folder>
                          of start and check: single settings of the target, and where one of your own is
                          (<folder>/target/<name>.yaml), as for dlas.run; of check, timing= likewise

docs/boards.md tells what a board needs, and how to reach it by an ssh tunnel.

Exit status: 0 done; 1 it could not be done; 2 a mistake in the arguments; 130 stopped by Ctrl-C, 143
by SIGTERM; 3 of check: more than 5 % false alarms.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dlas import command_line, config
from dlas.command_line import Work
from dlas.errors import UserError
from dlas.hardware.boards import board_server, virtual_board
from dlas.hardware.sessions import runners
from dlas.hardware.sessions.session import keep_torch_out
from dlas.interfaces.targets.reach import require_port
from dlas.plugins.registry import NETWORK_COMPILERS

DANGER = """\
TVM RPC has no password and no encryption: whoever reaches {address} can read and write this user's
files and run any program as this user. Unless every machine of that network is trusted, serve on 127.0.0.1
and come through an ssh tunnel (docs/boards.md)."""


@dataclass(frozen=True)
class Options:
    """Options of start, stop and list."""

    target: str = "aarch64_virtual"
    port: int | None = None
    runtimes: str | None = None
    """Names of compilers whose runtimes the board is to have, separated by commas."""
    artifacts: str | None = None

    def __post_init__(self) -> None:
        known = [name for name in NETWORK_COMPILERS.names() if "torch" not in runners.named(name).PACKAGES]
        unknown = next((name for name in command_line.listed(self.runtimes) if name not in known), None)
        problem = f"'{unknown}' is no compiler with a runtime that needs no PyTorch"
        config.require(unknown is None, "runtimes", problem, f"of these: {', '.join(known)}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the `dlas-board` command; returns its exit status."""
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    commands = {"start": _start, "stop": _stop, "list": _list, "check": _check, "serve": _serve}
    return command_line.run(__doc__, arguments, command_line.subcommand(commands))


def _start(given: list[str]) -> Work:
    typed, others = config.layer_arguments(given, "target")
    options = config.options(Options, others)
    declared = _declared(options, typed)
    return lambda: start(options, declared)


def _stop(given: list[str]) -> Work:
    options = config.options(Options, given)
    return lambda: stop(options)


def _list(given: list[str]) -> Work:
    options = config.options(Options, given)
    return lambda: list_boards(options)


def _check(given: list[str]) -> Work:
    keep_torch_out()
    from dlas import board_check

    typed, others = config.layer_arguments(given, "target", "timing")
    options = config.options(board_check.Options, others)
    protocol = config.declared_timing(options.timing, typed)
    board_check.require_enough_sessions(options.timing, protocol)
    if options.target is None and options.bundle is not None:
        typed.require_none_of("target")
        return lambda: board_check.check(options, None, protocol)
    declared = config.declared_target(options.target or "host", typed)
    return lambda: board_check.check(options, declared, protocol)


def _serve(given: list[str]) -> Work:
    settings = config.options(board_server.Settings, given)
    require_port("port", settings.port)
    return lambda: serve(settings)


def start(options: Options, declared: config.Target) -> None:
    """Start a virtual board, installed if it is not yet."""
    from dlas.hardware.targets.resolving import resolve

    runtimes = command_line.listed(options.runtimes)
    board = virtual_board.start(_folder(options), resolve(declared), runtimes)
    elsewhere = "" if options.port is None else f" target.rpc.port={board.port}"
    print(
        f"{board.name} listens at {board.host}:{board.port}\n\n"
        f"    python -m dlas.run target={board.name}{elsewhere} tuner=none\n\n"
        f"its times are emulated; it is ended by: python -m dlas.board stop target={board.name}"
    )


def stop(options: Options) -> None:
    """End a virtual board."""
    board = virtual_board.stop(_folder(options))
    print(f"{board.name} is stopped" if board else f"{options.target} is not running")


def list_boards(options: Options) -> None:
    """Tell which virtual boards run."""
    folders = sorted(path for path in _home(options).glob("*") if path.is_dir())
    boards = [board for folder in folders if (board := virtual_board.running(folder)) is not None]
    for board in boards:
        print(f"{board.name}  {board.host}:{board.port}  key={board.key}  process {board.pid}")
    if not boards:
        print("no virtual board is running")


def serve(settings: board_server.Settings) -> None:
    """Answer to clients until stopped."""
    if settings.listen not in (board_server.LOOPBACK, "localhost"):
        print(DANGER.format(address=f"{settings.listen}:{settings.port}"), file=sys.stderr)
    board_server.serve(settings)


def _declared(options: Options, typed: config.LayerArguments) -> config.Target:
    declared = config.declared_target(options.target, typed)
    if options.port is not None:
        declared = replace(declared, rpc=replace(declared.rpc, port=options.port))
    if not declared.emulated:
        raise UserError(
            f"{options.target} is a real board",
            key="target",
            remedy=f"There: python -m dlas.board serve port={declared.rpc.port} key={declared.rpc.key}",
        )
    return declared


def _folder(options: Options) -> Path:
    return _home(options) / options.target


def _home(options: Options) -> Path:
    return command_line.artifacts_folder(options.artifacts) / "boards"


if __name__ == "__main__":
    sys.exit(main())
