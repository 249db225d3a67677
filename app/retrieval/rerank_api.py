"""A hosted reranking model: Cohere's, Jina's, vLLM's and others' ``POST /rerank``.

They agree on ``{model, query, documents, top_n}`` and ``results[{index, relevance_score}]``. The
key travels in a header and appears in no message, nor does what the endpoint says in an error.
"""

import math
from collections.abc import Sequence

import aiohttp
import orjson

from app.retrieval.cross_encoder import RerankingFailed
from app.retrieval.embedding import well_formed

#: An answer is an index and a number for each text, and perhaps the texts again.
MAX_RESPONSE_BYTES = 4 * 2**20


class RerankApi:
    """One remote model; implements `RelevanceModel`. Nothing is opened before it is asked."""

    def __init__(self, base_url: str, api_key: str, model: str) -> None:
        """``base_url`` is up to and including the version, such as ``https://api.jina.ai/v1``."""
        self._url = base_url.rstrip("/") + "/rerank"
        self._model = model
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._session: aiohttp.ClientSession | None = None

    async def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """See `RelevanceModel`; one request, whose time whoever asks limits.

        Raises:
            RerankingFailed: no usable answer.
        """
        body = {
            "model": self._model,
            "query": well_formed(question),
            "documents": [well_formed(text) for text in texts],
            "top_n": len(texts),
        }
        return _scores(await self._post(orjson.dumps(body)), len(texts))

    async def close(self) -> None:
        """Closes the connections, if any were opened."""
        if self._session is not None:
            await self._session.close()

    async def _post(self, body: bytes) -> bytes:
        """The bytes of a 200; redirects are not followed, the key goes to one host only."""
        if self._session is None:
            self._session = aiohttp.ClientSession(headers=self._headers)
        try:
            async with self._session.post(self._url, data=body, allow_redirects=False) as response:
                if response.status != 200:  # noqa: PLR2004 - HTTP OK
                    raise RerankingFailed(f"The API answered with HTTP status {response.status}.")
                answer = bytearray()
                async for piece in response.content.iter_any():
                    answer += piece
                    if len(answer) > MAX_RESPONSE_BYTES:
                        raise RerankingFailed("The API's answer is too long.")
                return bytes(answer)
        except aiohttp.ClientError as error:
            raise RerankingFailed("The API cannot be reached.") from error


def _scores(answer: bytes, count: int) -> list[float]:
    """The score of each text, in the order of the texts, 0..1.

    Raises:
        RerankingFailed: not JSON of the dialect, or not one finite number for each text.
    """
    found: dict[int, float] = {}
    try:
        for result in orjson.loads(answer)["results"]:
            found[result["index"]] = min(max(float(result["relevance_score"]), 0.0), 1.0)
    except (ValueError, KeyError, TypeError) as error:
        raise RerankingFailed("The API's answer is not readable.") from error
    scores = [found.get(index, math.nan) for index in range(count)]
    if len(found) != count or not all(map(math.isfinite, scores)):
        raise RerankingFailed("The API did not score every text.")
    return scores
