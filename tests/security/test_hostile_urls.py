"""No URL makes us connect to where its sender could not go: a canary on loopback counts visits."""

import asyncio
import gzip
import ipaddress
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from app.errors import TooLarge
from app.infra.fetch import FetchFailed, FetchLimits, UrlRefused, checked_url, fetch, is_public

LIMITS = FetchLimits(max_bytes=100_000, timeout_s=5)
#: {port} is the canary's, so that whoever is let through is also counted.
REFUSED = [
    # loopback, in every spelling
    "http://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}",
    "HTTP://127.0.0.1:{port}/",
    "http://127.1.2.3:{port}/",
    "http://127.1:{port}/",
    "http://127.0.1:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://0x7f.0x0.0x0.0x1:{port}/",
    "http://0x7F.1:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://017700000001:{port}/",
    "http://0000127.0.0.1:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://127.0.0.1..:{port}/",
    "http://0:{port}/",
    "http://0.0.0.0:{port}/",
    "http://1:{port}/",
    "http://4294967296:{port}/",
    "http://127.0.0.257:{port}/",
    "http://localhost:{port}/",
    "http://LOCALHOST:{port}/",
    "http://localhost.:{port}/",
    "http://a.localhost:{port}/",
    "http://localhost.localdomain.local:{port}/",
    "http://１２７.0.0.1:{port}/",  # noqa: RUF001
    "http://①②⑦.⓪.⓪.①:{port}/",
    "http://127。0。0。1:{port}/",
    "http://ℓocalhost:{port}/",  # noqa: RUF001
    "http://127%2e0%2e0%2e1:{port}/",
    "http://%31%32%37.0.0.1:{port}/",
    "http://[::1]:{port}/",
    "http://[0:0:0:0:0:0:0:1]:{port}/",
    "http://[::]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[64:ff9b::127.0.0.1]:{port}/",
    "http://[64:ff9b:1::7f00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[2001:0:7f00:1::]:{port}/",
    "http://[fe80::1%25lo]:{port}/",
    "http://[::1%25lo]:{port}/",
    "http://[fe80::1%lo]:{port}/",
    # other places inside
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[::ffff:169.254.169.254]/",
    "http://2852039166/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://192.0.0.192/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://metadata/",
    "http://postgres:5432/",
    "http://printer.local/",
    "http://router.home.arpa/",
    "http://100.64.0.1/",
    "http://198.18.0.1/",
    "http://192.88.99.1/",
    "http://203.0.113.9/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://[fc00::1]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[2001:db8::1]/",
    "http://[3fff::1]/",
    # what two programs may read differently
    "http://user:secret@127.0.0.1:{port}/",
    "http://example.com@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}@example.com/",
    "http://@127.0.0.1:{port}/",
    "http://example.com\\@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\.example.com/",
    "http:\\\\127.0.0.1:{port}\\",
    "http://127.0.0.1:{port}\t/",
    "http://127.0.0.1\n:{port}/",
    " http://127.0.0.1:{port}/",
    "ht\ntp://127.0.0.1:{port}/",
    "http://127.0.0.1\x00.example.com:{port}/",
    "http://127.0.0.1:{port}/\r\nHost: x",
    "http:127.0.0.1:{port}/",
    "http:/127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "http://[::1]example.com:{port}/",
    "http://[::1:{port}/",
    "http://127.0.0.1:{port}:80/",
    "http://:{port}/",
    "http://\ud800:{port}/",
    "http://" + "a" * 3000,
    "http://example.com/" + "a" * 3000,
    # other schemes and ports
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}/_PING",
    "ftp://127.0.0.1:{port}/",
    "dict://127.0.0.1:{port}/info",
    "unix:///run/redis.sock",
    "http+unix://%2frun%2fredis.sock/",
    "data:text/plain,hello",
    "jar:http://127.0.0.1:{port}!/",
    "ws://127.0.0.1:{port}/",
    "javascript:alert(1)",
    "http://example.com:22/",
    "http://example.com:25/",
    "http://example.com:0/",
    "http://example.com:65536/",
    "http://example.com:-1/",
    "",
    "http://",
    "127.0.0.1:{port}",
]


@dataclass
class Canary:
    """A server on loopback that only counts who comes."""

    port: int = 0
    visits: int = 0


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    found = Canary()

    async def visited(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.visits += 1
        writer.close()

    server = await asyncio.start_server(visited, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    async with server:
        yield found


@dataclass
class Names(AbstractResolver):
    """A name server: for each name, the addresses of one look-up after the other."""

    answers: Mapping[str, Sequence[Sequence[str]]]
    asked: list[str] = field(default_factory=list)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        turns = self.answers[host]
        addresses = turns[min(self.asked.count(host), len(turns) - 1)]
        self.asked.append(host)
        return [
            ResolveResult(
                hostname=host, host=address, port=port, proto=0, flags=0,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
            )
            for address in addresses
        ]  # fmt: skip

    async def close(self) -> None:
        """Holds nothing."""


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def site(handler: Handler, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """A web server on loopback; its address."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, 0).start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def test_there_are_at_least_sixty() -> None:
    assert len(set(REFUSED)) >= 60


@pytest.mark.parametrize("url", REFUSED)
async def test_hostile_urls_are_refused_without_a_visit(url: str, canary: Canary) -> None:
    names = Names({})
    with pytest.raises(UrlRefused) as caught:
        await fetch(url.replace("{port}", str(canary.port)), limits=LIMITS, resolver=names)
    assert caught.value.status == 422
    assert (canary.visits, names.asked) == (0, []), "nothing is looked up either"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "0.0.0.0", "10.1.2.3", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fe80::1",
     "64:ff9b::7f00:1", "fd00::1", "not an address"],
)  # fmt: skip
async def test_a_name_that_leads_inside_is_refused_and_the_answer_does_not_say_where(
    address: str, canary: Canary
) -> None:
    names = Names({"inside.example.com": [[address]]})
    url = f"http://inside.example.com:{canary.port}/"
    with pytest.raises(UrlRefused) as caught:
        await fetch(url, limits=LIMITS, resolver=names)
    assert caught.value.detail == "This URL does not lead to a public address."
    assert canary.visits == 0


async def test_the_same_error_whether_anything_listens_there(canary: Canary) -> None:
    details = set()
    for port in (canary.port, 1024):
        names = Names({"inside.example.com": [["127.0.0.1"]]})
        with pytest.raises(UrlRefused) as caught:
            await fetch(f"http://inside.example.com:{port}/", limits=LIMITS, resolver=names)
        details.add(str(caught.value))
    assert len(details) == 1


async def test_a_name_server_that_answers_differently_each_time_is_asked_once(
    canary: Canary,
) -> None:
    """Checked and connected to is one look-up: there is no second answer to swap in."""
    # 192.0.2.1 is refused, so no packet leaves; were the check a look-up of its own, the canary
    # would be reached through the second answer.
    names = Names({"rebind.example.com": [["192.0.2.1"], ["127.0.0.1"]]})
    with pytest.raises(UrlRefused):
        await fetch(f"http://rebind.example.com:{canary.port}/", limits=LIMITS, resolver=names)
    assert (names.asked, canary.visits) == (["rebind.example.com"], 0)


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "http://user@example.com/", "gopher://x.example.com/", "http://[::1",
     "http://example.com:25/", "//user:pw@example.com/", "http://127%2e0%2e0%2e1/"],
)  # fmt: skip
async def test_redirects_are_checked_like_urls(location: str) -> None:
    async def away(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": location})

    async with site(away) as address:
        with pytest.raises(UrlRefused):
            await fetch(address, limits=LIMITS, allow_private=True)


@pytest.mark.parametrize("second", ["inside", "public"], ids=["redirected", "rebound"])
async def test_a_public_site_that_sends_us_inside_is_refused(
    second: str, canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one public address that a test can have is loopback called public."""
    monkeypatch.setattr("app.infra.fetch.is_public", lambda found: str(found) == "127.0.0.2")

    async def inside(request: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect(f"http://{second}.example.com:{canary.port}/")

    names = Names(
        {
            "public.example.com": [["127.0.0.2"], ["127.0.0.1"]],
            "inside.example.com": [["127.0.0.1"]],
        }
    )
    async with site(inside, "127.0.0.2") as address:
        with pytest.raises(UrlRefused):
            await fetch(
                f"http://public.example.com:{URL(address).port}/", limits=LIMITS, resolver=names
            )
    assert names.asked == ["public.example.com", f"{second}.example.com"]
    assert canary.visits == 0


async def test_redirect_loops_end() -> None:
    visits = 0

    async def around(request: web.Request) -> web.Response:
        nonlocal visits
        visits += 1
        raise web.HTTPFound("/again")

    async with site(around) as address:
        with pytest.raises(FetchFailed, match="too often"):
            await fetch(address, limits=LIMITS, allow_private=True)
    assert visits == 6


async def test_the_proxy_of_the_environment_is_not_asked(
    canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")

    async def hello(request: web.Request) -> web.Response:
        return web.Response(text="hello")

    async with site(hello) as address:
        assert (await fetch(address, limits=LIMITS, allow_private=True)).content == b"hello"
    assert canary.visits == 0


async def test_what_is_fetched_and_what_its_server_learns_of_us() -> None:
    seen: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request)
        if request.path == "/start":
            response = web.Response(status=303, headers={"Location": "/files/a%20guide.pdf"})
            response.set_cookie("session", "canary")
            return response
        return web.Response(body=b"%PDF-1.7", content_type="application/pdf")

    async with site(answer) as address:
        found = await fetch(f"{address}/start", limits=LIMITS, allow_private=True)
    assert found.content == b"%PDF-1.7"
    assert (found.media_type, found.filename) == ("application/pdf", "a guide.pdf")
    assert found.final_url == f"{address}/files/a%20guide.pdf"
    for request in seen:
        assert request.headers["User-Agent"].startswith("Docent")
        assert not {"Cookie", "Authorization", "X-API-Key", "Referer"} & set(request.headers)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="report.pdf"', "report.pdf"),
        ("attachment; filename*=UTF-8''r%C3%A9sum%C3%A9.pdf", "résumé.pdf"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename="C:\\\\temp\\\\x.pdf"', "x.pdf"),
        ('attachment; filename=".."', "fallback.pdf"),
        ("attachment; filename*=utf-8''a%7f%0db.pdf", "ab.pdf"),
        ("attachment; filename*=utf-8''%00%0a%ff", "\ufffd"),
        ("filename", "fallback.pdf"),
        (";;;=", "fallback.pdf"),
        (f'attachment; filename="{"n" * 999}.pdf"', "n" * 196 + ".pdf"),
    ],
)
async def test_the_filename_is_a_plain_one(header: str, name: str) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=b"x", headers={"Content-Disposition": header})

    async with site(answer) as address:
        found = await fetch(f"{address}/x/fallback.pdf", limits=LIMITS, allow_private=True)
    assert found.filename == name


async def test_sizes_are_capped_announced_or_not() -> None:
    sent = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        if request.path == "/announced":
            return web.Response(body=b"x" * 100_001)
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(10_000):
            await response.write(b"x" * 10_000)
            sent += 10_000
        return response

    async with site(answer) as address:
        for path in ("/announced", "/endless"):
            with pytest.raises(TooLarge):
                await fetch(address + path, limits=LIMITS, allow_private=True)
        at_the_limit = FetchLimits(100_001, 5)
        found = await fetch(f"{address}/announced", limits=at_the_limit, allow_private=True)
        assert len(found.content) == 100_001
    assert sent < 10_000_000, "it hung up long before the end"


@pytest.mark.parametrize(
    "packed", [gzip.compress(bytes(10**8), mtime=0), gzip.compress(b"x" * 100_001, mtime=0)]
)
async def test_a_gzip_bomb_is_too_large(packed: bytes) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    limits = FetchLimits(max_bytes=100_000, timeout_s=5)
    async with site(answer) as address:
        with pytest.raises(TooLarge):
            await fetch(address, limits=limits, allow_private=True)


async def test_a_packed_answer_is_unpacked() -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.headers["Accept-Encoding"] == "gzip"
        return web.Response(
            body=gzip.compress(b"words " * 1000) + b"trailing",
            headers={"Content-Encoding": "gzip"},
        )

    async with site(answer) as address:
        found = await fetch(address, limits=LIMITS, allow_private=True)
    assert found.content == b"words " * 1000


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("gzip", b"not gzip"), ("gzip", gzip.compress(b"words", mtime=0)[:-4]), ("br", b"x"),
     ("gzip", b""),
     ("gzip", b"\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\x03" + b"n" * 99_000)],
)  # fmt: skip
async def test_a_damaged_packing_is_a_failure(encoding: str, body: bytes) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Encoding": encoding})

    async with site(answer) as address:
        with pytest.raises(FetchFailed):
            await fetch(address, limits=LIMITS, allow_private=True)


@asynccontextmanager
async def raw(*pieces: bytes, pause_s: float = 0) -> AsyncIterator[str]:
    """A server that says the same to everyone; then keeps silent when there is a pause."""
    talking: set[asyncio.Task[None] | None] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talking.add(asyncio.current_task())
        try:
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause_s)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for task in talking:
            if task is not None:
                task.cancel()
        await asyncio.gather(*filter(None, talking), return_exceptions=True)


async def test_a_slow_drip_ends_in_time() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    async with raw(head, *[b"x"] * 1000, pause_s=0.02) as url:
        began = asyncio.get_running_loop().time()
        with pytest.raises(FetchFailed, match="too long") as caught:
            await fetch(url, limits=FetchLimits(10_000, timeout_s=0.3), allow_private=True)
        assert asyncio.get_running_loop().time() - began < 2
    assert caught.value.retryable


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"",
    ],
)
async def test_answers_that_are_wrong_are_failures(said: bytes) -> None:
    async with raw(said) as url:
        with pytest.raises(FetchFailed):
            await fetch(url, limits=LIMITS, allow_private=True)


@pytest.mark.parametrize(
    ("status", "retryable"), [(404, False), (403, False), (429, True), (503, True), (304, False)]
)
async def test_an_answer_that_is_no_document(status: int, retryable: bool) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status)

    async with site(answer) as address:
        with pytest.raises(FetchFailed) as caught:
            await fetch(address, limits=LIMITS, allow_private=True)
    assert (caught.value.status, caught.value.code) == (422, "url_unreachable")
    assert caught.value.retryable is retryable


async def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        with pytest.raises(FetchFailed) as caught:
            await fetch(url, limits=LIMITS, allow_private=True)
    assert caught.value.retryable


@given(st.ip_addresses(v=4))
def test_ipv4_that_is_public_is_no_more_than_what_python_says(
    address: ipaddress.IPv4Address,
) -> None:
    assert not is_public(address) or address.is_global


@given(st.ip_addresses(v=4))
def test_no_ipv6_spelling_of_an_ipv4_address_is_public(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for prefix in ("::ffff:0:0", "::", "64:ff9b::", "64:ff9b:1::", "::ffff:0:0:0"):
        assert not is_public(ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) + number))
    assert not is_public(ipaddress.IPv6Address((0x2002 << 112) + (number << 80)))


@given(st.text(max_size=60))
def test_any_text_is_refused_or_names_a_public_looking_host(text: str) -> None:
    for url in (text, f"http://{text}", f"http://{text}:80/x", f"https://a.example.com/{text}"):
        try:
            found = checked_url(url)
        except UrlRefused:
            pass
        else:
            assert found.scheme in ("http", "https")
            assert found.raw_user is None is found.raw_password
            assert found.raw_host


@pytest.mark.parametrize(
    "url",
    ["http://example.com", "https://example.com:8443/a?b=c#d", "http://8.8.8.8/", "https://[2606:4700::1]/",
     "https://bücher.example/ä?ö=ü", "http://EXAMPLE.com./", "https://example.com/a@b%20c",
     "https://xn--bcher-kva.example/"],
)  # fmt: skip
def test_ordinary_urls_are_opened(url: str) -> None:
    assert checked_url(url).raw_host
