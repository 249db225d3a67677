"""What each answer quoted and where, so that the picture of a page can show it.

Kept in Redis, because it is a convenience: when Redis is away answers are given all the same, and
pages are shown without marks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)
#: As long as a conversation is remembered (design: issue "Conversation and trust").
KEPT_S = 30 * 86_400
_AWAY = (RedisError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Quoted:
    """One quote on one page; boxes in PDF points, ``[x0, y0, x1, y1]``, origin top-left."""

    document_id: str
    version: int
    page: int
    boxes: Sequence[Sequence[float]]


class QuotedPlaces:
    """The quotes of answers, by tenant and answer."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def remember(self, tenant_id: str, answer_id: str, quotes: Sequence[Quoted]) -> None:
        """Keep an answer's quotes; a Redis that is away is logged and nothing else."""
        rows = [[q.document_id, q.version, q.page, q.boxes] for q in quotes if q.boxes]
        if not rows:
            return
        try:
            await self._redis.set(_key(tenant_id, answer_id), orjson.dumps(rows), ex=KEPT_S)
        except _AWAY as error:
            log.warning("quotes_not_kept", error=type(error).__name__)

    async def boxes(
        self, tenant_id: str, answer_id: str, *, document_id: str, version: int, page: int
    ) -> list[list[float]]:
        """The boxes an answer quoted on one page; none when unknown, or when Redis is away."""
        try:
            found = await self._redis.get(_key(tenant_id, answer_id))
        except _AWAY as error:
            log.warning("quotes_not_found", error=type(error).__name__)
            return []
        rows = orjson.loads(found) if found else []
        return [
            box
            for known_id, known_version, known_page, boxes in rows
            if (known_id, known_version, known_page) == (document_id, version, page)
            for box in boxes
        ]


def _key(tenant_id: str, answer_id: str) -> str:
    return f"quoted:{tenant_id}:{answer_id}"
