"""Embeddings from any endpoint that speaks OpenAI's dialect: OpenAI, Gemini, a local server.

Reference: the `POST /embeddings` page of OpenAI's API reference. The key travels in a header and
appears in no message; what the endpoint says in an error is not repeated, since some echo keys.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import aiohttp
import numpy as np
import orjson

from app.errors import AppError
from app.retrieval.embedding import QueryCache, Vector, Vectors, well_formed

#: Texts per request; OpenAI allows 2,048, Gemini's endpoint 100 to 250 by model, others less.
BATCH_SIZE = 100
#: A full batch of 4,096 dimensions is about 9 MB of JSON; more is not an answer.
MAX_RESPONSE_BYTES = 32 * 2**20
#: Pause before the one retry: long enough for a restarted connection, short for a question.
RETRY_PAUSE_S = 0.2


class EmbeddingUnavailable(AppError):
    """The embedding service does not answer as it should; try again shortly."""

    status, code, retryable = 503, "embedding_unavailable", True


class _Transient(EmbeddingUnavailable):
    """A failure that a second attempt may not meet."""


class OpenAiEmbedder:
    """One remote embedding model; implements `Embedder`.

    Nothing is opened before the first text. Every failure, a wrong key included, is an
    `EmbeddingUnavailable`: documents wait for the repair instead of being given up.
    """

    def __init__(
        self, base_url: str, api_key: str, model: str, dimension: int, *, timeout_s: float = 10.0
    ) -> None:
        """Remembers the endpoint.

        Args:
            base_url: up to and including the version, such as `https://api.openai.com/v1`.
            api_key: sent as a bearer token.
            model: as the endpoint names it.
            dimension: what the model returns; anything else is refused.
            timeout_s: for one batch, retry included.
        """
        self.name = model
        self.dimension = dimension
        self._url = base_url.rstrip("/") + "/embeddings"
        self._headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
        self._timeout_s = timeout_s
        self._cache = QueryCache()
        self._session: aiohttp.ClientSession | None = None

    async def embed_query(self, text: str) -> Vector:
        """See `Embedder`; one request, none for a repeated question.

        Raises:
            EmbeddingUnavailable: no usable answer within `timeout_s`.
            ValueError: `text` is not a string.
        """
        known = self._cache.get(text)
        if known is not None:
            return known
        rows = await self._embed([well_formed(text)])
        return self._cache.keep(text, rows[0])

    async def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder`; one request per `BATCH_SIZE` texts, one after the other.

        Raises:
            EmbeddingUnavailable: no usable answer within `timeout_s` for some batch.
            ValueError: one of `texts` is not a string; nothing has been sent then.
        """
        clean = [well_formed(text) for text in texts]
        rows = np.empty((len(clean), self.dimension), dtype=np.float32)
        for start in range(0, len(clean), BATCH_SIZE):
            batch = clean[start : start + BATCH_SIZE]
            rows[start : start + len(batch)] = await self._embed(batch)
        return rows

    async def close(self) -> None:
        """Closes the connections, if any were opened."""
        if self._session is not None:
            await self._session.close()

    async def _embed(self, texts: list[str]) -> Vectors:
        """One batch within one deadline, tried twice at most."""
        body = orjson.dumps({"model": self.name, "input": texts, "encoding_format": "float"})
        try:
            async with asyncio.timeout(self._timeout_s):
                try:
                    answer = await self._post(body)
                except _Transient:
                    await asyncio.sleep(RETRY_PAUSE_S)
                    answer = await self._post(body)
        except TimeoutError as error:
            raise EmbeddingUnavailable(
                f"The embedding service did not answer within {self._timeout_s:g} s."
            ) from error
        # Megabytes of numbers for a full batch: off the event loop.
        return await asyncio.to_thread(_vectors, answer, len(texts), self.dimension)

    async def _post(self, body: bytes) -> bytes:
        """The bytes of a 200; redirects are not followed, the key goes to one host only."""
        if self._session is None:
            self._session = aiohttp.ClientSession(headers=self._headers)
        try:
            async with self._session.post(self._url, data=body, allow_redirects=False) as response:
                _check_status(response.status)
                return await _read(response)
        except aiohttp.ClientConnectionError as error:
            raise _Transient("The embedding service cannot be reached.") from error
        except aiohttp.ClientError as error:
            raise EmbeddingUnavailable("The embedding service broke off its answer.") from error


def _check_status(status: int) -> None:
    if status == 200:  # noqa: PLR2004 - HTTP OK
        return
    kind = _Transient if status == 429 or status >= 500 else EmbeddingUnavailable  # noqa: PLR2004
    raise kind(f"The embedding service answered with HTTP status {status}.")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > MAX_RESPONSE_BYTES:
            raise EmbeddingUnavailable("The embedding service's answer is too long.")
    return bytes(body)


def _vectors(answer: bytes, count: int, dimension: int) -> Vectors:
    """The answer's rows in the order of the texts, float32 (count, dimension), L2-normalised.

    Raises:
        EmbeddingUnavailable: not JSON of the dialect, or not `count` rows of `dimension` finite
            numbers that are not all zero.
    """
    try:
        entries: list[dict[str, Any]] = orjson.loads(answer)["data"]
        ordered = sorted(entries, key=lambda entry: int(entry["index"]))
        indexes = [entry["index"] for entry in ordered]
        rows = np.array([entry["embedding"] for entry in ordered], dtype=np.float64)
    except (ValueError, KeyError, TypeError) as error:
        raise EmbeddingUnavailable("The embedding service's answer is not readable.") from error
    if indexes != list(range(count)) or rows.shape != (count, dimension):
        raise EmbeddingUnavailable(
            f"The embedding service returned {rows.shape} numbers for {count} texts "
            f"of {dimension} dimensions."
        )
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and lengths.all()):
        raise EmbeddingUnavailable("The embedding service returned numbers that are not vectors.")
    unit: Vectors = (rows / lengths).astype(np.float32)
    return unit
