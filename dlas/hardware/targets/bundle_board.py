"""The board that a bundle's library runs on: the reader's own, and reached as the reader says."""

from __future__ import annotations

from dataclasses import replace

from dlas import config
from dlas.errors import UserError
from dlas.hardware.targets.fitting import on_board
from dlas.hardware.targets.resolving import resolve
from dlas.interfaces.targets.reach import Address
from dlas.interfaces.targets.target import Target
from dlas.printable import printable


def board(made_for: Target, declared: config.Target | None, address: Address) -> Target:
    """The target `made_for`, on the board of the declared target, or else on this machine or where `address`
    says.

    UserError where the declared board can't run its code; and where a library was timed on a board elsewhere
    and neither is given: what a bundle says of addresses is not used.
    """
    if declared is not None:
        return on_board(made_for, declared_board(declared, address))
    require_reached(made_for, address)
    return moved(made_for, address)


def declared_board(declared: config.Target, address: Address) -> Target:
    """The declared target, its board at another address where one is given."""
    return moved(resolve(declared), address)


def moved(target: Target, address: Address) -> Target:
    """The target, its board at another address."""
    return replace(target, reach=target.reach.moved(address))


def require_reached(made_for: Target, address: Address) -> None:
    """UserError where the target's board is elsewhere and `address` does not say where."""
    if not made_for.reach.is_local and address.host is None:
        raise UserError(
            f"the library was timed on a board elsewhere, {printable(made_for.name)}, and no address in a "
            "bundle is used",
            key="target",
            remedy="target=<name> for a target of yours that reaches it; or rpc.host=<address> and its like",
        )
