"""Whose address a request comes from: the connection's, unless a proxy of ours says more."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.types import Scope

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
#: One customer of a provider has a whole /64; counting single addresses would count nothing.
_IPV6_PREFIX = 64
UNKNOWN = "unknown"
#: With the zone of a link of its own.
_LONGEST_CHARS = 64
#: Addresses that need not be read again.
_KNOWN = 4096


def client_ip(scope: Scope, trusted_proxies: Sequence[Network]) -> str:
    """The address that limits count, an IPv6 one by its /64.

    ``X-Forwarded-For`` is believed only as far as it was written by ``trusted_proxies``: read from
    its end, the first address that is none of them is the client.
    """
    address = _parsed((scope.get("client") or (UNKNOWN, 0))[0])
    if address is None:
        return UNKNOWN  # a unix socket
    if _is_trusted(address, trusted_proxies):
        for said in reversed(_forwarded(scope)):
            claimed = _parsed(said)
            if claimed is None:
                break  # nonsense was written before our proxies; what they saw is all we know
            address = claimed
            if not _is_trusted(address, trusted_proxies):
                break
    return _counted(address)


def _forwarded(scope: Scope) -> list[str]:
    values = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return [part.strip() for value in values for part in value.decode("latin-1").split(",")]


@lru_cache(_KNOWN)
def _counted(address: Address) -> str:
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, _IPV6_PREFIX), strict=False))
    return str(address)


def _parsed(text: str) -> Address | None:
    # What is longer is none, and would be kept.
    return None if len(text) > _LONGEST_CHARS else _read(text)


@lru_cache(_KNOWN)
def _read(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _is_trusted(address: Address, trusted_proxies: Sequence[Network]) -> bool:
    return any(address in network for network in trusted_proxies)
