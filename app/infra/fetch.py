"""Requests to addresses that a caller chose, without lending them our place in the network (SSRF).

The text of a URL is checked before anything is looked up; the address it leads to is checked where
the socket is made, so that what was checked is what is connected to: another answer of the name
server changes nothing. Every hop of a redirect goes through both. Proxies of the environment,
cookies and credentials have no part in it.

Ports: 80, 443 and those from 1024 on. The others below 1024 speak protocols (SSH, SMTP, ...) that
are not ours to poke.
"""

import asyncio
import ipaddress
import re
import socket
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import Message
from urllib.parse import unquote

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from app.errors import AppError, TooLarge
from app.infra.strangers import BoundedConnector, ThreadedNames

USER_AGENT = "Docent (+document fetcher)"
MAX_URL_CHARS = 2048
_PIECE_BYTES = 65_536
#: Of an answer, beside its body: heads and framing, many times what they are.
_AROUND_BYTES = 1_048_576
_FIRST_FREE_PORT = 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: No white space, control characters or backslashes anywhere, and no userinfo or escapes in the
#: authority: what programs read differently is not read at all.
_PLAIN = re.compile(r"(?i:https?)://[^/?#@%\\\s\x00-\x20\x7f]+([/?#][^\\\s\x00-\x20\x7f]*)?")
#: Host names that are numbers to some programs: 2130706433, 0x7f.1, 0177.0.0.1.
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
#: Names that only mean something inside a network: RFC 6761, 6762, 8375; .internal by ICANN.
_INSIDE = ("localhost", "local", "internal", "home.arpa")
#: Refused beside what Python 3.11 knows as not global: IANA's special-purpose registries, 6to4
#: relays, and Azure's metadata server, whose address looks public.
_SPECIAL_IPV4 = tuple(
    map(ipaddress.IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32"))
)
#: Public IPv6 is 2000::/3 without what carries an IPv4 address (Teredo, 6to4) or documents.
#: Mapped, translated (NAT64) and compatible addresses lie outside of it.
_PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")
_SPECIAL_IPV6 = tuple(
    map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))
)


class UrlRefused(AppError):
    """This URL does not lead to a public address."""

    status, code = 422, "url_not_allowed"


class FetchFailed(AppError):
    """The server of this URL could not be reached."""

    status, code = 422, "url_unreachable"

    def __init__(self, detail: str | None = None, *, retryable: bool = False) -> None:
        super().__init__(detail)
        self.retryable = retryable


class _NotPublic(OSError):
    """The address is not public. An OSError, because aiohttp then tries the name's next one."""


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What one document from the web may cost; ``timeout_s`` is for all hops together."""

    max_bytes: int
    timeout_s: float
    max_redirects: int = 5


@dataclass(frozen=True, slots=True)
class Fetched:
    """A document from the web; media type and filename are what its server claims."""

    content: bytes
    media_type: str
    filename: str
    final_url: str


async def fetch(
    url: str,
    *,
    limits: FetchLimits,
    allow_private: bool = False,
    resolver: AbstractResolver | None = None,
    user_agent: str = USER_AGENT,
) -> Fetched:
    """GET a document.

    ``allow_private`` lifts the check of addresses and nothing else. ``resolver`` stands in for the
    system's name server.

    Raises:
        UrlRefused: the URL, or one it redirects to, is not one we open.
        FetchFailed: nothing was received; ``retryable`` when that may change.
        TooLarge: more than ``limits.max_bytes``, packed or unpacked.
    """
    target = checked_url(url, allow_private=allow_private)
    async with _session(limits, allow_private, resolver, user_agent) as session:
        for _ in range(limits.max_redirects + 1):
            async with session.get(target, allow_redirects=False) as response:
                if response.status not in _REDIRECTS:
                    return await _received(response, limits.max_bytes)
                target = _next_hop(response, allow_private=allow_private)
    raise FetchFailed("The URL redirects too often.")


async def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    timeout_s: float,
    allow_private: bool = False,
) -> int:
    """POST ``body`` under the same guard; the status of the answer, whose body is not read.

    Raises:
        UrlRefused: the URL is not one we open.
        FetchFailed: no answer came; ``retryable`` when that may change.
    """
    target = checked_url(url, allow_private=allow_private)
    async with (
        _session(FetchLimits(0, timeout_s), allow_private, None, USER_AGENT) as session,
        session.post(target, data=body, headers=headers, allow_redirects=False) as response,
    ):
        return response.status


def checked_url(text: str, *, allow_private: bool = False) -> URL:
    """The one reading of ``text`` that is used from here on; nothing is looked up.

    Raises:
        UrlRefused: it is not a plain http(s) URL, or names an address that is not public.
    """
    if len(text) > MAX_URL_CHARS or not _PLAIN.fullmatch(text):
        raise UrlRefused("Only plain http and https URLs without credentials are opened.")
    try:
        url = URL(text)
        host, port = (url.raw_host or "").rstrip("."), url.port or 0
    except ValueError as error:
        raise UrlRefused("The URL cannot be read.") from error
    if port not in (80, 443) and port < _FIRST_FREE_PORT:
        raise UrlRefused("The URL names a port that is not opened.")
    if not host or not (allow_private or _may_be_public(host)):
        raise UrlRefused
    return url


def _may_be_public(host: str) -> bool:
    try:
        return is_public(ipaddress.ip_address(host))
    except ValueError:
        pass
    labels = host.lower().split(".")
    numeric = _NUMBER.fullmatch(labels[-1]) is not None
    inside = any(f".{host.lower()}".endswith(f".{name}") for name in _INSIDE)
    return len(labels) > 1 and all(labels) and not numeric and not inside and ":" not in host


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether ``address`` is one machine of the public internet, in its own notation."""
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _SPECIAL_IPV4)
    return address in _PUBLIC_IPV6 and not any(address in network for network in _SPECIAL_IPV6)


def _public_socket(info: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
    """Make the socket that is about to be connected to ``info``, if that is public."""
    family, kind, protocol, _, address = info
    try:
        public = is_public(ipaddress.ip_address(str(address[0])))
    except ValueError:
        public = False
    if not public:
        raise _NotPublic
    return socket.socket(family, kind, protocol)


@asynccontextmanager
async def _session(
    limits: FetchLimits, allow_private: bool, resolver: AbstractResolver | None, user_agent: str
) -> AsyncIterator[aiohttp.ClientSession]:
    """One request's session, whose errors are ours; it ends within ``limits``."""
    connector = BoundedConnector(
        most_bytes=limits.max_bytes + _AROUND_BYTES,
        # As the system does (hosts file, search list).
        resolver=resolver or ThreadedNames(),
        socket_factory=None if allow_private else _public_socket,
        use_dns_cache=False,
        force_close=True,
    )
    try:
        async with (
            asyncio.timeout(limits.timeout_s),
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None),
                headers={"User-Agent": user_agent, "Accept-Encoding": "gzip"},
            ) as session,
        ):
            yield session
    except TimeoutError as error:
        raise FetchFailed("The server of this URL took too long.", retryable=True) from error
    except aiohttp.ClientConnectorError as error:
        if isinstance(error.os_error, _NotPublic):
            raise UrlRefused from error
        raise FetchFailed(retryable=True) from error
    except (aiohttp.InvalidURL, ValueError) as error:
        raise UrlRefused("The URL cannot be read.") from error
    except (aiohttp.ClientError, OSError) as error:
        raise FetchFailed(
            "The server of this URL did not answer properly.", retryable=True
        ) from error


def _next_hop(response: aiohttp.ClientResponse, *, allow_private: bool) -> URL:
    here = response.url
    there = str(here.join(URL(response.headers.get("Location", ""))))
    url = checked_url(there, allow_private=allow_private)
    if here.scheme == "https" and url.scheme != "https":
        raise UrlRefused("The URL redirects from https to http.")
    return url


async def _received(response: aiohttp.ClientResponse, max_bytes: int) -> Fetched:
    if response.status != 200:  # noqa: PLR2004
        raise FetchFailed(
            f"The server of this URL answered {response.status}.",
            retryable=response.status in (408, 429) or response.status >= 500,  # noqa: PLR2004
        )
    too_large = TooLarge(f"The document is larger than {max_bytes} bytes.", limit_bytes=max_bytes)
    if (response.content_length or 0) > max_bytes:
        raise too_large
    content = bytearray()
    async for piece in _unpacked(response, max_bytes):
        content += piece
        if len(content) > max_bytes:
            raise too_large
    return Fetched(bytes(content), response.content_type, _filename(response), str(response.url))


async def _unpacked(response: aiohttp.ClientResponse, max_bytes: int) -> AsyncIterator[bytes]:
    """The body, unpacked if it was sent packed; no piece is larger than one byte over the limit."""
    pieces = response.content.iter_chunked(_PIECE_BYTES)
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        async for piece in pieces:
            yield piece
        return
    if encoding not in ("gzip", "x-gzip"):
        raise FetchFailed("The server of this URL packs its answers in a way that is not read.")
    gzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
    packed_bytes = 0
    try:
        async for piece in pieces:
            packed_bytes += len(piece)
            if gzip.eof or packed_bytes > max_bytes + _PIECE_BYTES:
                break  # what follows the end, or a head that has none, is not read for ever
            yield gzip.decompress(piece, max_bytes + 1)
    except zlib.error as error:
        raise FetchFailed("The document arrived damaged.") from error
    if not gzip.eof:
        raise FetchFailed("The document arrived cut off.", retryable=True)


def _filename(response: aiohttp.ClientResponse) -> str:
    """A name without folders or control characters, of 1 to 200 characters."""
    header = Message()
    header["Content-Disposition"] = response.headers.get("Content-Disposition", "")
    for name in (header.get_filename(), unquote(response.url.raw_path), response.url.raw_host):
        last = re.split(r"[/\\]", name or "")[-1].encode("utf-8", "replace").decode()
        plain = "".join(letter for letter in last if letter.isprintable()).strip(" .")
        if plain:
            return plain[-200:]
    return "document"
