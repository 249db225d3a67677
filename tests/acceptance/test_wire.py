"""What no HTTP client sends, byte by byte: refused, bounded, never taken for two requests."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from tests.acceptance.conftest import Api

HOST = b"Host: x\r\n"
PROBE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
JSON = b"Content-Type: application/json\r\n"
#: Would be a request of its own for whoever stops reading the first one before its end.
SMUGGLED = b"GET /api/v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@contextmanager
def line(api: Api) -> Iterator[socket.socket]:
    place = urlsplit(api.url)
    with socket.create_connection((place.hostname, place.port), timeout=30) as wire:
        yield wire


def until_closed(wire: socket.socket) -> bytes:
    """What is said until the server hangs up."""
    said = b""
    try:
        while piece := wire.recv(65_536):
            said += piece
    except ConnectionResetError:
        pass
    return said


def ask(api: Api, *parts: bytes) -> bytes:
    with line(api) as wire:
        wire.sendall(b"".join(parts))
        return until_closed(wire)


def post(*headers: bytes, to: bytes = b"/oauth/token") -> bytes:
    return b"POST " + to + b" HTTP/1.1\r\n" + HOST + b"".join(headers) + b"\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"],
        [b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n"],
        [b"Content-Length: 5\r\n", b"Content-Length: 6\r\n"],
        [b"Content-Length: 5\r\n", b"Content-Length: 5\r\n"],
        [b"Content-Length: 5, 5\r\n"],
        [b"Content-Length: +5\r\n"],
        [b"Content-Length: 0x5\r\n"],
        [b"Content-Length: " + b"9" * 30 + b"\r\n"],
        [b"Content-Length: -1\r\n"],
        [b"Content-Length : 5\r\n"],
        [b"Transfer-Encoding: chunked, identity\r\n"],
        [b"Transfer-Encoding: xchunked\r\n"],
        [b"X: a\rb\r\n"],
        [b"X: a\0b\r\n"],
        [b"X: a\n b\r\n"],
        [b"X\0: a\r\n"],
        [b": a\r\n"],
    ],
    ids=repr,
)
def test_a_request_whose_end_is_unclear_is_refused_and_so_is_what_follows(
    api: Api, headers: list[bytes]
) -> None:
    said = ask(api, post(*headers), b"0\r\n\r\n", SMUGGLED)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert said.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "body",
    [b"-1\r\nx\r\n", b"0x1\r\nx\r\n", b"1 \r\nxx\r\n", b"f" * 17 + b"\r\n", b"1\nx\n0\n\n"],
    ids=repr,
)
def test_a_chunk_that_is_none_ends_the_connection(api: Api, body: bytes) -> None:
    said = ask(api, post(b"Transfer-Encoding: chunked\r\n"), body, SMUGGLED)
    assert b"smuggled" not in said
    assert said.count(b"HTTP/1.1 ") <= 1


@pytest.mark.parametrize(
    "path", [b"/%", b"/%zz", b"/%ff%fe", b"/a%00b", b"/%0d%0aX:%20y", b"/..%2f..%2fetc/passwd"]
)
def test_a_path_of_any_bytes_is_a_path(api: Api, path: bytes) -> None:
    said = ask(api, b"GET " + path + b" HTTP/1.1\r\nConnection: close\r\n", HOST, b"\r\n")
    assert said.startswith(b"HTTP/1.1 401 ")
    assert b"\r\nx: y" not in said.lower()


@pytest.mark.parametrize("path", [b"/\xff", b"/a b", b"*", b"http://[::1/", b"//", b""])
def test_what_is_no_path_is_refused(api: Api, path: bytes) -> None:
    said = ask(api, b"GET " + path + b" HTTP/1.1\r\nConnection: close\r\n", HOST, b"\r\n")
    assert said[9:12] in (b"400", b"401", b"404")


@pytest.mark.parametrize("hosts", [b"", HOST + HOST, HOST + b"Host: y\r\n"])
def test_a_request_is_for_one_host(api: Api, hosts: bytes) -> None:
    said = ask(api, b"GET /livez HTTP/1.1\r\nConnection: close\r\n", hosts, b"\r\n", SMUGGLED)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert said.count(b"HTTP/1.1 ") == 1


def test_headers_without_end_are_cut_off(api: Api) -> None:
    with line(api) as wire:
        wire.sendall(b"GET /livez HTTP/1.1\r\n" + HOST)
        with pytest.raises(ConnectionError):
            wire.sendall(b"X: " + b"y" * 50_000_000)


def test_requests_sent_ahead_are_answered_in_order(api: Api) -> None:
    with line(api) as wire:
        wire.sendall(
            PROBE * 99 + PROBE.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n")
        )
        assert until_closed(wire).count(b"HTTP/1.1 200 OK\r\n") == 100


@pytest.mark.parametrize("path", [b"/livez", b"/readyz", b"/health"])
def test_a_probe_may_be_asked_for_its_head(api: Api, path: bytes) -> None:
    """As monitors do."""
    said = ask(api, b"HEAD " + path + b" HTTP/1.1\r\nConnection: close\r\n", HOST, b"\r\n")
    assert said.startswith(b"HTTP/1.1 200 ")
    assert said.endswith(b"\r\n\r\n")


def test_ten_thousand_ranges_are_no_more_than_the_file(api: Api) -> None:
    """Of the one file that strangers get; each range costs a part of its own in the answer."""
    script = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nConnection: close\r\n" + HOST
    whole = ask(api, script, b"\r\n")
    ranges = b",".join(b"%d-%d" % (n * 3, n * 3) for n in range(8000))
    many = ask(api, script, b"Range: bytes=" + ranges + b"\r\n\r\n")
    assert len(many) <= len(whole)


def test_a_range_that_is_none_is_no_error(client: httpx.Client) -> None:
    """Starlette's own answer to it is plain text."""
    for wrong in ("bytes=", "-1", "bytes=9-1", "9" * 5000, "\x80"):
        headers = {"Range": wrong.encode("latin-1")}
        reply = client.get("/docs/swagger-ui.css", headers=headers)
        assert (reply.status_code, reply.headers["content-type"]) == (
            200,
            "text/css; charset=utf-8",
        )


def test_a_packed_body_is_not_unpacked(api: Api) -> None:
    """So no few bytes become many."""
    key = b"X-API-Key: " + api.key.encode() + b"\r\nConnection: close\r\n"
    packed = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xabV*,M-.\xc9\xcc\xcfS\xb2R\xaaP\xaa\x05\0"
    head = post(
        key, JSON, b"Content-Encoding: gzip\r\nContent-Length: %d\r\n" % len(packed),
        to=b"/api/v1/chat",
    )  # fmt: skip
    said = ask(api, head, packed)
    assert said[9:12] in (b"415", b"422")


def test_a_slash_too_many_sends_nobody_elsewhere(api: Api) -> None:
    """Not to another host, and not from https to the http that is spoken behind a proxy."""
    key = b"X-API-Key: " + api.key.encode() + b"\r\nConnection: close\r\n"
    for path in (b"/api/v1/docs/", b"/v1/chat/completions/", b"/livez/"):
        said = ask(api, b"GET " + path + b" HTTP/1.1\r\nHost: elsewhere.example\r\n", key, b"\r\n")
        assert said.startswith(b"HTTP/1.1 404 ")
        assert b"elsewhere" not in said


@pytest.mark.parametrize("path", [b"/api/v1/docs", b"/api/v1/chat"])
@pytest.mark.parametrize("sent", [b"", b'--x\r\nContent-Disposition: form-data; name="file"'])
def test_who_leaves_in_the_middle_of_a_body_is_no_error_of_ours(
    api: Api, path: bytes, sent: bytes
) -> None:
    def counted(status: int) -> float:
        pattern = rf'http_requests_total{{handler="{path.decode()}",.*status="{status}"}} (\S+)'
        return sum(float(n) for n in re.findall(pattern, httpx.get(f"{api.url}/metrics").text))

    key = b"X-API-Key: " + api.key.encode() + b"\r\nContent-Length: 90000\r\n"
    kind = JSON if b"chat" in path else b"Content-Type: multipart/form-data; boundary=x\r\n"
    errors, left = counted(500), counted(499)
    with line(api) as wire:
        wire.sendall(post(key, kind, b"Expect: 100-continue\r\n", to=path))
        assert wire.recv(100).startswith(b"HTTP/1.1 100 ")  # the body is being read
        wire.sendall(sent)
    for _ in range(100):
        if counted(499) == left + 1 or counted(500) > errors:
            break
        time.sleep(0.05)
    assert (counted(499), counted(500)) == (left + 1, errors)
