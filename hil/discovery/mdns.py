"""The boards on the network: ``<hostname>.local`` to an address, all names at once.

The firmware announces a host name and no service, so browsing finds nothing: each expected name is
asked for. Also on the loopback interface, where the virtual boards answer.

A name is no proof: all boards of a model come with the same one, and of two that claim a name the
loser may say nothing. So the answer is compared with what the board itself says over serial
(:func:`verify_address`).
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..deadline import Deadline
from ..errors import BenchError

if TYPE_CHECKING:
    from zeroconf import InterfaceChoice
    from zeroconf.asyncio import AsyncZeroconf

# After the first answer to a name, for a second board that claims it. RFC 6762 section 6: who
# believes to own a name answers at once, who knows that it is shared within 120 ms.
_SETTLE_S = 0.15


@dataclass(frozen=True)
class Resolved:
    """What the network says of one name.

    :ivar addresses: the IPv4 addresses that answered, sorted; empty: nobody did
    """

    hostname: str
    addresses: tuple[str, ...]

    @property
    def address(self) -> str | None:
        """One address, or None if nobody answered. Of several, see :attr:`collision`, the first."""
        return self.addresses[0] if self.addresses else None

    @property
    def collision(self) -> bool:
        """Whether several addresses answer to the name: most likely several boards."""
        return len(self.addresses) > 1


class WrongAddressError(BenchError):
    """The name leads to another address than the board's own."""


class NameCollisionError(BenchError):
    """Several addresses answer to one name."""


def resolve(
    hostnames: Iterable[str], deadline: Deadline, interfaces: Sequence[str] | None = None
) -> dict[str, str | None]:
    """The address of each name; None if nobody answered before ``deadline``.

    Parameters and errors are those of :func:`lookup`, which also tells collisions.
    """
    found = lookup(hostnames, deadline, interfaces)
    return {name: answer.address for name, answer in found.items()}


def lookup(
    hostnames: Iterable[str], deadline: Deadline, interfaces: Sequence[str] | None = None
) -> dict[str, Resolved]:
    """Ask for all names at once. Returns when all have answered, at ``deadline`` at the latest.

    Not to be called where an asyncio loop runs; any thread without one will do.

    :param hostnames: with or without ``.local``; they are the keys of the result as they are given
    :param interfaces: addresses of the interfaces to ask on; None: all, loopback included
    :raises BenchError: no host name, or multicast DNS cannot be used here at all
    """
    names = {name: _query_name(name) for name in hostnames}
    if not names:
        return {}
    return asyncio.run(_lookup(names, deadline, interfaces))


def verify_address(
    resolved: Resolved | str, board_says: str | None, *, target: str | None = None
) -> BenchError | None:
    """Compare the network's answer with the address that the board reports over serial.

    A name that nobody answers for is no contradiction, and a board without a network no comparison.

    :param resolved: what :func:`lookup` found, or just the address that is in use
    :returns: :class:`WrongAddressError` if the name leads to another board, or to an address that
        the board has lost; :class:`NameCollisionError` if it leads to the board and elsewhere
    """
    addresses: tuple[str, ...]
    if isinstance(resolved, str):
        name, addresses = "its host name", (resolved,)
    else:
        name, addresses = _query_name(resolved.hostname).removesuffix("."), resolved.addresses
    if not board_says or not addresses or addresses == (board_says,):
        return None
    if board_says not in addresses:
        return WrongAddressError(
            f"{name} resolves to {', '.join(addresses)}, but the board says over serial that its"
            f" address is {board_says}",
            target=target,
            hint="another board has the same host name, or an old answer is cached somewhere: give"
            " each board its own 'hostname'",
        )
    others = ", ".join(other for other in addresses if other != board_says)
    return NameCollisionError(
        f"{name} is claimed by {others} as well as by this board ({board_says})",
        target=target,
        hint="give each board its own 'hostname'",
    )


async def _lookup(
    names: dict[str, str], deadline: Deadline, interfaces: Sequence[str] | None
) -> dict[str, Resolved]:
    from zeroconf import InterfaceChoice, IPVersion
    from zeroconf.asyncio import AsyncZeroconf

    where: list[str] | InterfaceChoice = list(interfaces) if interfaces else InterfaceChoice.All
    try:
        network = AsyncZeroconf(interfaces=where, ip_version=IPVersion.V4Only)
    except OSError as error:
        raise BenchError(
            f"multicast DNS cannot be used on this computer: {error.strerror or error}",
            hint="avahi-daemon needs 'disallow-other-stacks=no', if it runs",
        ) from error
    try:
        found = await asyncio.gather(*(_ask(network, name, deadline) for name in names.values()))
    finally:
        await network.async_close()
    return {
        hostname: Resolved(hostname, addresses)
        for hostname, addresses in zip(names, found, strict=True)
    }


async def _ask(network: AsyncZeroconf, name: str, deadline: Deadline) -> tuple[str, ...]:
    from zeroconf import (  # type: ignore[attr-defined]  # the resolver is in no __all__
        AddressResolverIPv4,
        DNSQuestionType,
        IPVersion,
    )

    resolver = AddressResolverIPv4(name)
    # Not "QU", zeroconf's default for the first question: the unicast answer to it goes to one of
    # the sockets on port 5353, and on loopback there are as many as there are runs.
    asked = resolver.async_request(
        network.zeroconf, deadline.remaining() * 1000, question_type=DNSQuestionType.QM
    )
    if not await asked:
        return ()
    network.zeroconf.async_add_listener(resolver, None)
    try:
        await asyncio.sleep(min(_SETTLE_S, deadline.remaining()))
    finally:
        network.zeroconf.async_remove_listener(resolver)
    addresses = map(ipaddress.IPv4Address, resolver.parsed_addresses(IPVersion.V4Only))
    return tuple(str(address) for address in sorted(set(addresses)))


def _query_name(hostname: str) -> str:
    """``porch`` → ``porch.local.``; RFC 1035 section 2.3.4 has the limits."""
    name = hostname.removesuffix(".").removesuffix(".local")
    sound = name.isascii() and name.isprintable() and " " not in name
    if not sound or not all(0 < len(label) <= 63 for label in name.split(".")) or len(name) > 240:
        raise BenchError(f"{hostname!a} is not a host name")
    return f"{name}.local."
