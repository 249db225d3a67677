"""Only proxies of ours are believed about whom they speak for."""

from ipaddress import ip_network

import pytest

from app.limits.addresses import client_ip

OURS = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


def seen(peer: str | None, *forwarded: str) -> str:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    client = None if peer is None else (peer, 1234)
    return client_ip({"type": "http", "client": client, "headers": headers}, OURS)


@pytest.mark.parametrize("claim", ["1.1.1.1", "10.0.0.9", "nonsense", "", "1.1.1.1, 2.2.2.2"])
def test_a_stranger_is_who_it_is_whatever_it_claims(claim: str) -> None:
    assert seen("203.0.113.7", claim) == "203.0.113.7"


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (("198.51.100.4",), "198.51.100.4"),
        (("6.6.6.6, 198.51.100.4",), "198.51.100.4"),
        (("6.6.6.6", "198.51.100.4, 10.0.0.2"), "198.51.100.4"),
        (("nonsense, 10.0.0.2",), "10.0.0.2"),
        (("nonsense",), "10.0.0.1"),
        ((), "10.0.0.1"),
        (("10.0.0.3, 10.0.0.2",), "10.0.0.3"),
    ],
)
def test_a_proxy_of_ours_is_believed_as_far_as_it_wrote(
    forwarded: tuple[str, ...], client: str
) -> None:
    assert seen("10.0.0.1", *forwarded) == client


def test_an_ipv6_customer_is_its_network() -> None:
    assert seen("2001:db8:1:2:3:4:5:6") == seen("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert seen("::ffff:203.0.113.7") == "203.0.113.7"


def test_a_unix_socket_has_no_address() -> None:
    assert seen(None) == "unknown"
