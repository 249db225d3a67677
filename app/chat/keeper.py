"""What is kept of an answer: its quotes' places, its turn in the session, its record."""

from contextlib import suppress

from app.auth.caller import Caller
from app.chat.answer import Answer, Question
from app.chat.answer_log import AnswerLog
from app.chat.cache import AnswerCache
from app.chat.memory import Memory
from app.chat.record import record_of
from app.chat.turn import Turn
from app.infra.redis import Guarded, RedisAway
from app.retrieval.cited import Quoted, entries_of
from app.retrieval.search import Retrieved


class Keeper:
    """Keeps all of it in one round trip to Redis; what Redis misses is not kept."""

    def __init__(
        self, redis: Guarded, memory: Memory, answers: AnswerLog, cache: AnswerCache
    ) -> None:
        self._redis = redis
        self._cache = cache
        self._memory = memory
        self._answers = answers

    async def recall(self, caller: Caller, session_id: str) -> tuple[Turn, ...]:
        """The turns of a session, oldest first; none without Redis.

        Raises:
            DatabaseUnavailable: nobody can tell what has become of the documents.
        """
        return await self._memory.recall(caller, session_id)

    async def forget_document(self, tenant_id: str, document_id: str) -> tuple[int, int]:
        """Forget a document that was deleted; cached answers and turns that went or were emptied.

        The cached answers cannot be found any more as it is: all of the tenant's are removed.
        """
        with suppress(RedisAway):
            entries = await self._cache.forget(tenant_id)
            return entries, await self._memory.forget_document(tenant_id, document_id)
        return 0, 0

    async def admit_document(self, tenant_id: str, document_id: str) -> None:
        """Let turns that cite a document keep their text again, as it was restored."""
        await self._memory.admit_document(tenant_id, document_id)

    async def keep(
        self, caller: Caller, question: Question, retrieved: Retrieved, answer: Answer
    ) -> None:
        """Keep how the answer came about and what it quoted, and in a session what was said."""
        quotes = [Quoted(c.document_id, c.version, c.page, c.boxes) for c in answer.citations]
        entries = entries_of(caller.tenant_id, answer.answer_id, quotes)
        entries.append(self._answers.note(record_of(caller, question, retrieved, answer)))
        if question.remembered:
            turn = Turn.of(question, answer)
            took_s = answer.timings.total_ms / 1e3
            await self._memory.remember(caller, question.session_id, turn, entries, took_s=took_s)
        else:
            with suppress(RedisAway):
                await self._redis.keep(entries)
