"""The way to a board: the reader's own, and never taken from a file that somebody else may have written."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from dlas.errors import UserError, require


def require_port(key: str, port: int) -> None:
    """UserError where the number that this option gives is no port: a socket would take what it is modulo
    65536."""
    require(0 < port < 1 << 16, key, f"{port} is no port", "1 to 65535")


@dataclass(frozen=True)
class Address:
    """Present address of a board; a null stands for what its target says."""

    host: str | None = None
    port: int | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        if self.port is not None:
            require_port("rpc.port", self.port)


@dataclass(frozen=True)
class Reach:
    """Way to a board. For this machine, which has no address, all but `way` keep their defaults."""

    way: str = "local"
    """local: this machine; rpc: a board that listens at the address; tracker: any board of `key` there."""
    host: str = "127.0.0.1"
    port: int = 9090
    key: str = ""

    @property
    def is_local(self) -> bool:
        """Whether the board is this machine."""
        return self.way == "local"

    @property
    def is_tracker(self) -> bool:
        """Whether the address is that of a tracker, which knows where the board is."""
        return self.way == "tracker"

    def moved(self, address: Address) -> Reach:
        """The way to the same board at another address; UserError (rpc) where it is this machine."""
        told = {part: value for part, value in asdict(address).items() if value is not None}
        if told and self.is_local:
            raise UserError(
                "the target is this machine, which has no address",
                key=f"rpc.{next(iter(told))}",
                remedy="target=<name> for a board that is reached by rpc, or leave it out",
            )
        return replace(self, **told)
