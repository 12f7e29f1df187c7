"""Decide how long the answer to a wrong token is delayed, by the client's address."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

from attrs import define, field

Network: TypeAlias = IPv4Network | IPv6Network
_Address: TypeAlias = IPv4Address | IPv6Address

FREE: Final = 3
"""How many wrong tokens are answered at once, as the token of a system may have just changed."""

FIRST_SECONDS: Final = 0.5
"""The delay of the answer after those; each further delay is twice as long …"""

LONGEST_SECONDS: Final = 8.0
"""… up to this."""

FORGOTTEN_SECONDS: Final = 900.0
"""After this time without another wrong token, the count of an address starts again."""

MOST_ADDRESSES: Final = 1_000
"""How many addresses are remembered; beyond that, the least recent one is forgotten."""

_ONE_CUSTOMER: Final = 64
"""The leading bits of an IPv6 address that identify a customer, who has all addresses with these bits."""


@define
class WrongTokens:
    """Count the wrong tokens of each address."""

    _seen: "OrderedDict[str, tuple[int, float]]" = field(factory=OrderedDict, init=False)

    def delay(self, address: str, now: float) -> float:
        """Count one more wrong token, and return the delay of its answer in seconds; `now` is on a monotonic clock."""
        count, last = self._seen.pop(address, (0, now))
        count = 1 if now - last > FORGOTTEN_SECONDS else count + 1
        self._seen[address] = count, now
        if len(self._seen) > MOST_ADDRESSES:
            self._seen.popitem(last=False)
        doublings = count - FREE - 1
        return 0.0 if doublings < 0 else min(FIRST_SECONDS * 2.0 ** min(doublings, 10), LONGEST_SECONDS)


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return addresses and networks as they are written: `127.0.0.1`, `10.0.0.0/8`.

    Raises:
        ValueError: One of the texts is neither.
    """
    return tuple(ip_network(text) for text in texts)


def client_address(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """Return the address of the client that sent a request; for IPv6, the network of the customer.

    A proxy appends the address from which it got the request. So the addresses are read from the end, as long as the
    sender of each is a trusted proxy: what an untrusted client has written before them is ignored.

    Args:
        peer: the address of the connection.
        forwarded: the values of all `X-Forwarded-For` headers, in their order.
        trusted: the proxies whose headers are believed.
    """
    hops = [hop.strip() for value in forwarded for hop in value.split(",")]
    client = _address(peer)
    while client is not None and hops and any(client in network for network in trusted):
        hop = _address(_without_port(hops.pop()))
        if hop is None:
            break
        client = hop
    if client is None:
        return peer
    return f"{client}" if client.version == 4 else f"{ip_network((client, _ONE_CUSTOMER), strict=False)}"


def _address(text: str) -> _Address | None:
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def _without_port(hop: str) -> str:
    """Return a hop without the port that some proxies append: `192.0.2.1:4711`, `[2001:db8::1]:4711`."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
