"""Answers that were given before, for the same question over the same state of the documents.

The tenant's corpus revision is part of the key: after any visible change of a document nothing that
was kept before is found again, on any worker, and nobody has to look for it. So a worker may keep
what it read for itself (``recent.py``), under the same keys; and what it made, while Redis is away.

A question that was not asked yet may have been in other words (``neighbours.py``): then its answer
is that one's.

The same question asked by many at once is answered once (``flights.py``); over all workers a lease
in Redis says who answers it, and the others wait for what it keeps.
"""

import asyncio
import hashlib
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from typing import Any, NamedTuple

import orjson
from redis.asyncio import Redis

from app.auth.caller import Caller
from app.chat.answer import Answer, Question
from app.chat.cache_scripts import FINISH, FORGET, LOOK, RENEW
from app.chat.events import Answered, Begun, ChatEvent, Produce
from app.chat.kept_answer import encoded, events_of, question_of
from app.chat.neighbours import MOST, Neighbours, interchangeable
from app.chat.recent import RECENT_S, RecentAnswers
from app.errors import AppError
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
_HIT, _SHARED, _LED, _AWAY = b"hit", b"shared", b"led", b"away"


class CacheKey(NamedTuple):
    """Under what a tenant's answer is kept."""

    tenant_id: str
    revision: int
    #: Of all that was asked.
    digest: str
    #: What is asked with the same filters, model and reach, in whatever words.
    group: str


class Look(NamedTuple):
    """What was found under a key."""

    state: bytes
    #: Those of the answer.
    events: Sequence[ChatEvent] = ()
    #: Of whoever is to make it, and the neighbours.
    token: bytes = b""
    entries: bytes = b""


class AnswerCache:
    """The cached answers of all tenants."""

    def __init__(
        self,
        redis: Guarded,
        *,
        ttl_s: int,
        neighbours: Neighbours | None = None,
        metrics: Metrics | None = None,
        made_by: Sequence[str] = (),
    ) -> None:
        """Keep answers for ``ttl_s``; 0 keeps none; by ``neighbours`` also for other words.

        ``made_by`` says what made them: answers from before an upgrade, or a new model, are left.
        """
        self._made_by = _digest(list(made_by))
        self._neighbours = neighbours
        self._redis = redis
        self._ttl_s = ttl_s
        self._metrics = metrics or Metrics()
        self._scripts: dict[str, Any] = {}
        self._recent = RecentAnswers()

    def key(self, caller: Caller, question: Question) -> CacheKey | None:
        """Under what the answer is kept; None when it is this caller's alone.

        That is an answer within a conversation, one of another time, and one that was paid with a
        key of the caller's. Callers share answers while all of them see the same documents; once
        any of their tenant's is restricted, those share who reach as far.
        """
        if not self._ttl_s or question.history or question.as_of or question.keys:
            return None
        how = [
            self._made_by,
            sorted(question.document_ids or ()),
            sorted(question.tags or ()),
            question.model,
            question.temperature,
            question.max_tokens,
            question.top_k,
            caller.reach if caller.restricted else None,
        ]
        group = _digest(how)
        digest = _digest([" ".join(question.text.split()).casefold(), group])
        return CacheKey(caller.tenant_id, caller.corpus_revision, digest, group)

    async def look(self, key: CacheKey, *, waited: bool = False) -> Look:
        """What there is under ``key``; when there is nothing, this one may be to make it."""
        if events := self._recent.events(key):
            return Look(_HIT, events)
        token = secrets.token_bytes(16)
        keys, values = [_answer(key), _near(key)], [token, LEASE_MS, int(waited)]
        try:
            state, kept, left_ms = await self._run("look", LOOK, keys, values)
        except RedisAway:  # which may have taken longer to find out than another's answer did
            events = self._recent.events(key)
            return Look(_HIT if events else _AWAY, events)
        except asyncio.CancelledError:  # it may be to make it already, and nobody would know
            await asyncio.shield(self._finish(key, token))
            raise
        if state not in (_HIT, _SHARED):
            return Look(state, (), token, kept)
        # What is there for those that waited has no time left: it is for nobody else.
        return Look(state, self._recent.keep(key, kept, min(left_ms / 1000, RECENT_S)))

    def events(self, found: Look) -> Sequence[ChatEvent]:
        """The events of the kept answer that was found; none if there was none."""
        if found.events:
            self._metrics.cache("answer", "hit")
        return found.events

    async def let_go(self, key: CacheKey, found: Look) -> None:
        """Let another make what was not found."""
        if found.state == _LED:
            await self._finish(key, found.token)

    async def answered(
        self, key: CacheKey, question: str, produce: Produce, found: Look | None = None
    ) -> AsyncGenerator[ChatEvent]:
        """The events of the kept answer, or those that ``produce`` gives, kept for the next.

        ``found`` is what a look under the key has told just now.
        """
        found = found or await self.look(key)
        while found.state not in (_LED, _AWAY):
            if events := self.events(found):
                for event in events:
                    yield event
                return
            await asyncio.sleep(_LOOKED_S)
            found = await self.look(key, waited=True)
        if found.state == _AWAY:
            made = self._answered_here(key, produce)
        else:
            self._metrics.cache("answer", "miss")
            made = self._led(key, found.token, question, found.entries, produce)
        async with aclosing(made):
            async for event in made:
                yield event

    async def _led(
        self, key: CacheKey, token: bytes, question: str, entries: bytes, produce: Produce
    ) -> AsyncGenerator[ChatEvent]:
        """Tell a neighbour's answer, or produce, while the lease lasts, and keep what comes."""
        renewing = asyncio.create_task(self._renew(key, token))
        kept, watch = b"", _Watch()
        try:
            if told := await self._told_before(key, question, entries):
                for event in told:
                    yield event
                return
            async with aclosing(produce()) as events:
                async for event in events:
                    if answer := watch.ended(event):
                        # Before its reader has the end, and may leave.
                        kept = watch.encoded(answer)
                        await self._keep(key, token, question, kept, lasting=_lasting(answer))
                    yield event
        finally:
            renewing.cancel()
            if not kept:
                await asyncio.shield(self._finish(key, token))

    async def _told_before(self, key: CacheKey, question: str, entries: bytes) -> list[ChatEvent]:
        """The events of the answer to the same question in other words; none if there is none.

        Nor while Redis is away, or the embedding model.
        """
        if self._neighbours is None or not entries:
            return []
        with suppress(AppError, RedisAway):
            digests = await self._neighbours.near(question, entries)
            keys = [_answer(key._replace(digest=digest)) for digest in digests]
            found: list[Any] = await self._redis.run(lambda redis: redis.mget(keys)) if keys else []
            for kept in found:
                if kept and interchangeable(question, question_of(kept)):
                    self._metrics.cache("semantic", "hit")
                    return events_of(kept, asked=question)
        self._metrics.cache("semantic", "miss")
        return []

    async def _answered_here(self, key: CacheKey, produce: Produce) -> AsyncGenerator[ChatEvent]:
        """Produce, and keep what comes in this process alone."""
        self._metrics.cache("answer", "miss")
        watch = _Watch()
        async with aclosing(produce()) as events:
            async for event in events:
                answer = watch.ended(event)
                if answer and _lasting(answer):
                    self._recent.keep(key, watch.encoded(answer), self._ttl_s)
                yield event

    async def forget(self, tenant_id: str) -> int:
        """Remove a tenant's answers, which are those of an earlier revision; how many there were.

        Raises:
            RedisAway: Redis is away; they lapse there.
        """
        return int(await self._run("forget", FORGET, [_index(tenant_id)], []))

    async def _renew(self, key: CacheKey, token: bytes) -> None:
        while True:
            await asyncio.sleep(_RENEWED_S)
            with suppress(RedisAway):
                await self._run("renew", RENEW, [_answer(key)], [token, LEASE_MS])

    async def _keep(
        self, key: CacheKey, token: bytes, question: str, kept: bytes, *, lasting: bool
    ) -> None:
        entry = b""
        if lasting and self._neighbours is not None:
            with suppress(AppError):  # without the embedding model the answer is kept all the same
                entry = await self._neighbours.entry(question, key.digest)
        ttl_ms = self._ttl_s * 1000 if lasting else SHARED_MS
        await self._finish(
            key, token, kept, ttl_ms, int(lasting), int(time.time() * 1000), entry, MOST
        )

    async def _finish(self, key: CacheKey, token: bytes, kept: bytes = b"", *more: Any) -> None:  # noqa: ANN401 - as Redis takes it
        keys = [_answer(key), _index(key.tenant_id), _near(key)]
        with suppress(RedisAway):
            await self._run("finish", FINISH, keys, [token, kept, *more])

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
    return f"cached:{key.tenant_id}:{key.revision}:{key.digest}"


def _near(key: CacheKey) -> str:
    return f"cached:{key.tenant_id}:{key.revision}:{key.group}:near"


def _digest(what: list[Any]) -> str:
    return hashlib.sha256(orjson.dumps(what)).hexdigest()


def _index(tenant_id: str) -> str:
    return f"cached:{tenant_id}"
