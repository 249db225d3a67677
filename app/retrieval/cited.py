"""What each answer quoted and where, so that the picture of a page can show it.

Kept in Redis, because it is a convenience: when Redis is away answers are given all the same, and
pages are shown without marks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import orjson
from redis.asyncio import Redis

from app.errors import Unavailable
from app.infra.redis import Entry, Guarded, RedisAway

#: As long as a conversation is remembered (design: issue "Conversation and trust").
KEPT_S = 30 * 86_400
#: Keys looked at in one step of a scan.
_STEP = 1000


@dataclass(frozen=True, slots=True)
class Quoted:
    """One quote on one page; boxes in PDF points, ``[x0, y0, x1, y1]``, origin top-left."""

    document_id: str
    version: int
    page: int
    boxes: Sequence[Sequence[float]]


def entries_of(tenant_id: str, answer_id: str, quotes: Sequence[Quoted]) -> list[Entry]:
    """How an answer's quotes are kept; empty when none has a place on its page."""
    rows = [[q.document_id, q.version, q.page, q.boxes] for q in quotes if q.boxes]
    return [Entry(_key(tenant_id, answer_id), orjson.dumps(rows), KEPT_S)] if rows else []


class QuotedPlaces:
    """The quotes of answers, by tenant and answer."""

    def __init__(self, redis: Guarded) -> None:
        self._redis = redis

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

    async def cited(self, tenant_id: str) -> dict[str, set[tuple[str, int]]]:
        """Of all answers whose quotes are kept: the versions (document id, number) they cite.

        Raises:
            Unavailable: Redis is away.
        """
        found: dict[str, set[tuple[str, int]]] = {}
        start, cursor = len(_key(tenant_id, "")), -1
        try:
            while cursor:
                cursor, keys = await self._redis.run(partial(_scan, tenant_id, max(cursor, 0)))
                values = await self._redis.run(partial(_get, keys)) if keys else []
                for key, value in zip(keys, values, strict=True):
                    rows = orjson.loads(value) if value else []
                    found[key.decode()[start:]] = {(row[0], row[1]) for row in rows}
        except RedisAway as error:
            raise Unavailable("Redis is not answering; try again shortly.") from error
        return found

    async def forget(self, tenant_id: str, answer_ids: Sequence[str]) -> None:
        """Remove the quotes of answers.

        Raises:
            Unavailable: Redis is away.
        """
        keys = [_key(tenant_id, answer_id) for answer_id in answer_ids]
        try:
            for first in range(0, len(keys), _STEP):
                some = keys[first : first + _STEP]
                await self._redis.run(lambda redis, some=some: redis.delete(*some))  # type: ignore[misc]
        except RedisAway as error:
            raise Unavailable("Redis is not answering; try again shortly.") from error


async def _scan(tenant_id: str, cursor: int, redis: Redis) -> tuple[int, list[bytes]]:
    found = await redis.scan(cursor, match=_key(tenant_id, "*"), count=_STEP)
    return cast("tuple[int, list[bytes]]", found)


async def _get(keys: Sequence[bytes], redis: Redis) -> list[bytes | None]:
    return cast("list[bytes | None]", await redis.mget(keys))


def _key(tenant_id: str, answer_id: str) -> str:
    return f"quoted:{tenant_id}:{answer_id}"
