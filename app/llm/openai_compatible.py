"""Providers that speak the OpenAI dialect: OpenRouter, Groq, OpenAI and local servers.

Plain aiohttp, one JSON body out and raw bytes in: the vendors' packages build models for every
request and chunk, which costs more CPU than the whole of a question may (ADR 0005).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass
from hashlib import sha256
from math import inf
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson
from yarl import URL

from app.infra.strangers import BoundedConnector
from app.llm.answer import Answer
from app.llm.body import drain, left_to_the_kernel, pieces
from app.llm.clock import Clock, Timeouts
from app.llm.completion import (
    Completion,
    CompletionRequest,
    Delta,
    Event,
    ModelInfo,
    Price,
    Usage,
)
from app.llm.failures import Fault, ProviderFailed, refused
from app.llm.fit import prompt_tokens

#: A refusal's body is read for its error code only; this much of it, in bytes.
_REFUSAL_BYTES = 8192
#: How long to wait for the body of a refusal, whose status says enough.
_REFUSAL_S = 1.0


@dataclass(frozen=True, slots=True)
class Model:
    """A model of a provider, and what is known of it."""

    id: str
    context_tokens: int | None = None
    price: Price | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where servers that speak the OpenAI dialect differ."""

    max_tokens_field: str = "max_tokens"
    #: Members added to every request.
    extra: tuple[tuple[str, Any], ...] = ()


#: OpenAI's newer models refuse ``max_tokens``; OpenRouter reports cost when asked for usage.
DIALECTS = {
    "openai": Dialect(max_tokens_field="max_completion_tokens"),
    "openrouter": Dialect(extra=(("usage", {"include": True}),)),
}


class OpenAiCompatible:
    """One provider that speaks the OpenAI dialect; safe for concurrent requests."""

    def __init__(
        self,
        name: str,
        *,
        base_url: str,
        api_key: str | None,
        models: Sequence[Model],
        timeouts: Timeouts | None = None,
        needs_key: bool = True,
    ) -> None:
        """Open nothing yet.

        Args:
            name: Of the provider; also chooses the dialect.
            base_url: Up to and without ``/chat/completions``.
            api_key: The server's own; None leaves a caller's, or none.
            models: The first is the default.
            timeouts: Limits of one attempt.
            needs_key: Whether there is no answer without one; local servers want none.
        """
        self.name = name
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._api_key = api_key or ""
        # Cut short, so that even a weak key could not be found by trying.
        self.upstream = sha256(f"{self._url} {self._api_key}".encode()).hexdigest()[:8]
        self._models = {model.id: model for model in models}
        self._default = models[0]
        self._is_available = bool(api_key) or not needs_key
        self._timeouts = timeouts or Timeouts()
        self._dialect = DIALECTS.get(name, Dialect())
        self._session: aiohttp.ClientSession | None = None

    def models(self) -> tuple[ModelInfo, ...]:
        """The configured models; whether one is cooling down is the router's knowledge."""
        return tuple(
            ModelInfo(
                model.id, self.name, self._is_available, None, model.context_tokens, model.price
            )
            for model in self._models.values()
        )

    async def close(self) -> None:
        """Close the connections; running streams end with ``cut``."""
        if self._session is not None:
            await self._session.close()

    async def stream(self, request: CompletionRequest) -> AsyncIterator[Event]:
        """Ask the server; yield the text as it comes, all tokens of one read as one delta.

        Closing the iterator, or cancelling the task that reads it, closes the connection.

        Raises:
            ProviderFailed: also after deltas, when the stream breaks.
        """
        clock = Clock(self._timeouts)
        key = request.keys.get(self.name, self._api_key)
        answer = Answer(secret=key)
        async with AsyncExitStack() as stack:
            response = await self._open(request, key, clock, stack)
            chunks = await stack.enter_async_context(aclosing(pieces(response.content)))
            while not answer.finished:
                chunk = await self._read(chunks, clock)
                text = answer.end() if chunk is None else answer.feed(chunk)
                clock.progressed(answer.tokens)
                if text:
                    with left_to_the_kernel(response):
                        yield Delta(text)
                        clock.resumed()
                        if not answer.finished:
                            await clock.pace()
            await drain(chunks)
        yield Completion(
            text=answer.text,
            provider=self.name,
            model=answer.model or request.model or self._default.id,
            usage=self._usage(request, answer),
            first_token_ms=clock.first_token_ms,
            abstained="refused" if answer.refused else None,
            truncated=answer.truncated,
        )

    def _usage(self, request: CompletionRequest, answer: Answer) -> Usage:
        """As the provider counted, its cost by the model's price where it names none."""
        usage = answer.usage
        prompt, said = usage.prompt_tokens, usage.completion_tokens
        if not (prompt or said):
            # Some servers never count. An estimate keeps budgets honest; a token a piece is close.
            prompt, said = prompt_tokens(request), answer.tokens
        model = self._models.get(request.model or "", self._default)
        cost = usage.cost_usd
        if cost is None and model.price is not None:
            cost = model.price.cost_usd(prompt, said)
        return Usage(prompt, said, cost)

    async def _open(
        self, request: CompletionRequest, key: str, clock: Clock, stack: AsyncExitStack
    ) -> aiohttp.ClientResponse:
        """Send the request and wait for the headers of a 200."""
        try:
            data = orjson.dumps(self._body(request))
        except orjson.JSONEncodeError:  # half a surrogate pair: no provider's fault
            raise ProviderFailed("rejected", "the prompt is no Unicode text") from None
        call = self._opened().post(
            self._url,
            data=data,
            headers={"Authorization": f"Bearer {key}"} if key else None,
            allow_redirects=False,
        )
        try:
            async with asyncio.timeout_at(clock.deadline()):
                response = await stack.enter_async_context(call)
                await _refuse(response, key)
        except ProviderFailed:
            raise
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # A TimeoutError is an OSError; aiohttp's own means connecting, the clock's does not.
            if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
                raise clock.expired() from None
            raise ProviderFailed(_fault(error), _kind(error)) from error
        return response

    def _opened(self) -> aiohttp.ClientSession:
        """The session; made at the first call, since it needs the loop it will run on."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # No limit: a request that waits for another one's connection would be taken for a
                # provider that is late.
                connector=BoundedConnector(most_bytes=inf, limit=0),
                # What is set for one caller, maybe with a key of theirs, is not sent for the next.
                cookie_jar=aiohttp.DummyCookieJar(),
                # The transport's own limit: connecting, names included; the rest is Clock's.
                timeout=aiohttp.ClientTimeout(total=None, connect=self._timeouts.connect_s),
                headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
                proxy=_proxy(URL(self._url)),
            )
        return self._session

    async def _read(self, chunks: AsyncIterator[bytes], clock: Clock) -> bytes | None:
        """The next bytes of the body; None at its end."""
        try:
            async with asyncio.timeout_at(clock.deadline()):
                return await anext(chunks, None)
        except TimeoutError:
            raise clock.expired() from None
        except ProviderFailed:
            raise
        except Exception as error:
            # Whatever the client's layers raise in mid-body (reset, bad framing, closed pool)
            # means one thing: the answer broke off. The router must survive all of it.
            raise ProviderFailed("cut", _kind(error)) from error

    def _body(self, request: CompletionRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": request.model or self._default.id,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.max_tokens is not None:
            body[self._dialect.max_tokens_field] = request.max_tokens
        body.update(self._dialect.extra)
        return body


async def _refuse(response: aiohttp.ClientResponse, key: str) -> None:
    """Turn every answer but a 200 into its failure, reading a bounded piece of the body."""
    if response.status == 200:  # noqa: PLR2004
        return
    body = b""
    with suppress(Exception):  # the status says enough; a body that cannot be read adds nothing
        async with asyncio.timeout(_REFUSAL_S):
            async for chunk in response.content.iter_any():
                body += chunk[:_REFUSAL_BYTES]
                if len(body) >= _REFUSAL_BYTES:
                    break
    raise refused(response.status, response.headers, body, key)


def _proxy(url: URL) -> str | None:
    """The proxy that the operator's environment names, if any.

    Not by aiohttp's ``trust_env``: that also looks for a ``.netrc`` before every call, and refuses
    the call if it finds credentials there beside the key.
    """
    return None if proxy_bypass(url.host or "") else getproxies().get(url.scheme)


def _fault(error: Exception) -> Fault:
    """Whether the connection was there and broke, or never came about, or speaks no HTTP."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return "connect_failed"
    if isinstance(error, aiohttp.ClientResponseError):
        return "not_an_api"
    broke = isinstance(
        error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | ConnectionResetError
    )
    return (
        "reset"
        if broke and not isinstance(error, aiohttp.ClientConnectorError)
        else ("connect_failed")
    )


def _kind(error: BaseException) -> str:
    """The innermost kind of error, without its message, which may hold URLs."""
    while error.__cause__ is not None:
        error = error.__cause__
    return type(error).__name__
