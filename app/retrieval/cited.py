"""What each answer quoted and where, so that the picture of a page can show it.

Kept in Redis, because it is a convenience: when Redis is away answers are given all the same, and
pages are shown without marks.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import orjson

from app.infra.redis import Guarded, RedisAway

#: As long as a conversation is remembered (design: issue "Conversation and trust").
KEPT_S = 30 * 86_400


@dataclass(frozen=True, slots=True)
class Quoted:
    """One quote on one page; boxes in PDF points, ``[x0, y0, x1, y1]``, origin top-left."""

    document_id: str
    version: int
    page: int
    boxes: Sequence[Sequence[float]]


class QuotedPlaces:
    """The quotes of answers, by tenant and answer."""

    def __init__(self, redis: Guarded) -> None:
        self._redis = redis

    async def remember(self, tenant_id: str, answer_id: str, quotes: Sequence[Quoted]) -> None:
        """Keep an answer's quotes; without Redis they are not kept."""
        rows = [[q.document_id, q.version, q.page, q.boxes] for q in quotes if q.boxes]
        if not rows:
            return
        key, value = _key(tenant_id, answer_id), orjson.dumps(rows)
        with suppress(RedisAway):
            await self._redis.run(lambda redis: redis.set(key, value, ex=KEPT_S))

    async def boxes(
        self, tenant_id: str, answer_id: str, *, document_id: str, version: int, page: int
    ) -> list[list[float]]:
        """The boxes an answer quoted on one page; none when unknown, or when Redis is away."""
        key = _key(tenant_id, answer_id)
        try:
            found = await self._redis.run(lambda redis: redis.get(key))
        except RedisAway:
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
