"""Answers that were given before, for the same question over the same state of the documents.

The tenant's corpus revision is part of the key: after any visible change of a document nothing that
was kept before is found again, on any worker, and nobody has to look for it. While Redis is away
each worker keeps some answers for itself under the same keys.

The same question asked by many at once is answered once (``flights.py``); over all workers a lease
in Redis says who answers it, and the others wait for what it keeps.
"""

import asyncio
import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any, NamedTuple

import orjson
from redis.asyncio import Redis

from app.auth.caller import Caller
from app.chat.answer import Answer, Question
from app.chat.cache_scripts import FINISH, FORGET, LOOK, RENEW
from app.chat.events import Answered, Begun, ChatEvent, Produce
from app.chat.kept_answer import encoded, events_of
from app.infra.metrics import Metrics
from app.infra.redis import Guarded, RedisAway
from app.retrieval.search import Retrieved

#: A leader that is gone is noticed after this.
LEASE_MS = 3000
_RENEWED_S = 1.0
#: Between two looks at what a leader elsewhere keeps.
_LOOKED_S = 0.05
#: How long what must not be cached is there for those that waited for it.
SHARED_MS = 3000
#: Answers that a worker keeps while Redis is away.
_MOST_LOCAL = 500
_HIT, _SHARED, _LED = b"hit", b"shared", b"led"


class CacheKey(NamedTuple):
    """Under what a tenant's answer is kept."""

    tenant_id: str
    name: str


class AnswerCache:
    """The cached answers of all tenants."""

    def __init__(self, redis: Guarded, *, ttl_s: int, metrics: Metrics | None = None) -> None:
        """Keep answers for ``ttl_s``; 0 keeps none."""
        self._redis = redis
        self._ttl_s = ttl_s
        self._metrics = metrics or Metrics()
        self._scripts: dict[str, Any] = {}
        #: While Redis is away: key → when it lapses, and the answer.
        self._local: OrderedDict[CacheKey, tuple[float, bytes]] = OrderedDict()

    def key(self, caller: Caller, question: Question) -> CacheKey | None:
        """Under what the answer is kept; None when it is this caller's alone.

        That is an answer within a conversation, one of another time, and one that was paid with a
        key of the caller's. Callers share answers while all of them see the same documents; once
        any of their tenant's is restricted, those share who reach as far.
        """
        if not self._ttl_s or question.history or question.as_of or question.keys:
            return None
        asked = [
            " ".join(question.text.split()).casefold(),
            sorted(question.document_ids or ()),
            sorted(question.tags or ()),
            question.model,
            question.temperature,
            question.max_tokens,
            question.top_k,
            caller.reach if caller.restricted else None,
        ]
        digest = hashlib.sha256(orjson.dumps(asked)).hexdigest()
        return CacheKey(caller.tenant_id, f"{caller.corpus_revision}:{digest}")

    async def answered(self, key: CacheKey, produce: Produce) -> AsyncGenerator[ChatEvent]:
        """The events of the kept answer, or those that ``produce`` gives, kept for the next."""
        token, waited = secrets.token_bytes(16), False
        while True:
            try:
                state, kept = await self._run(
                    "look", LOOK, [_answer(key)], [token, LEASE_MS, int(waited)]
                )
            except RedisAway:
                async for event in self._answered_here(key, produce):
                    yield event
                return
            if state in (_HIT, _SHARED):
                self._metrics.cache("answer", "hit")
                for event in events_of(kept):
                    yield event
                return
            if state == _LED:
                self._metrics.cache("answer", "miss")
                async for event in self._led(key, token, produce):
                    yield event
                return
            waited = True
            await asyncio.sleep(_LOOKED_S)

    async def _led(
        self, key: CacheKey, token: bytes, produce: Produce
    ) -> AsyncGenerator[ChatEvent]:
        """Produce, while the lease lasts, and keep what came of it."""
        renewing = asyncio.create_task(self._renew(key, token))
        kept, ttl_ms = b"", 0
        watch = _Watch()
        try:
            async with aclosing(produce()) as events:
                async for event in events:
                    if answer := watch.ended(event):
                        # Before its reader has the end, and may leave.
                        kept, ttl_ms = watch.encoded(answer), self._ttl_ms(answer)
                        await self._finish(key, token, kept, ttl_ms)
                    yield event
        finally:
            renewing.cancel()
            if not kept:
                await asyncio.shield(self._finish(key, token, b"", 0))

    async def _answered_here(self, key: CacheKey, produce: Produce) -> AsyncGenerator[ChatEvent]:
        """The same in this process alone."""
        lapses, kept = self._local.get(key, (0.0, b""))
        if lapses > time.monotonic():
            self._metrics.cache("answer", "hit")
            for event in events_of(kept):
                yield event
            return
        self._metrics.cache("answer", "miss")
        watch = _Watch()
        async with aclosing(produce()) as events:
            async for event in events:
                answer = watch.ended(event)
                if answer and _lasting(answer):
                    self._local[key] = time.monotonic() + self._ttl_s, watch.encoded(answer)
                    if len(self._local) > _MOST_LOCAL:
                        self._local.popitem(last=False)
                yield event

    def _ttl_ms(self, answer: Answer) -> int:
        return self._ttl_s * 1000 if _lasting(answer) else SHARED_MS

    async def forget(self, tenant_id: str) -> int:
        """Forget a tenant's answers; how many there were.

        Raises:
            RedisAway: Redis is away; this worker's own are forgotten.
        """
        self._local.clear()
        return int(await self._run("forget", FORGET, [_index(tenant_id)], []))

    async def _renew(self, key: CacheKey, token: bytes) -> None:
        while True:
            await asyncio.sleep(_RENEWED_S)
            with suppress(RedisAway):
                await self._run("renew", RENEW, [_answer(key)], [token, LEASE_MS])

    async def _finish(self, key: CacheKey, token: bytes, kept: bytes, ttl_ms: int) -> None:
        lasting = int(ttl_ms != SHARED_MS)
        with suppress(RedisAway):
            values = [token, kept, ttl_ms, lasting, int(time.time() * 1000)]
            await self._run("finish", FINISH, [_answer(key), _index(key.tenant_id)], values)

    async def _run(self, name: str, text: str, keys: list[str], values: list[Any]) -> Any:  # noqa: ANN401 - a script's reply
        async def command(redis: Redis) -> Any:  # noqa: ANN401
            if name not in self._scripts:
                self._scripts[name] = redis.register_script(text)
            return await self._scripts[name](keys=keys, args=values)

        return await self._redis.run(command)


class _Watch:
    """Looks at an answer's events for what is to be kept."""

    def __init__(self) -> None:
        self._retrieved = Retrieved((), 0.0, 0.0)

    def ended(self, event: ChatEvent) -> Answer | None:
        """The answer, when this is its last event."""
        if isinstance(event, Begun):
            self._retrieved = event.retrieved
        return event.answer if isinstance(event, Answered) else None

    def encoded(self, answer: Answer) -> bytes:
        """The answer as it is kept."""
        return encoded(self._retrieved, answer)


def _lasting(answer: Answer) -> bool:
    """Whether the next one may get the same answer: it is whole, and nothing went wrong."""
    return answer.status == "complete" and all(a.outcome == "ok" for a in answer.attempts)


def _answer(key: CacheKey) -> str:
    return f"cached:{key.tenant_id}:{key.name}"


def _index(tenant_id: str) -> str:
    return f"cached:{tenant_id}"
