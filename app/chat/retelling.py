"""Answers are told again only while everything that they name can still be seen.

What was sent once is kept as it was sent: the answer of an ``Idempotency-Key`` for a day, the
events of a stream for ten minutes. Meanwhile a document may be deleted, or be shared with others
only.
"""

import re
from collections.abc import Collection

from app.chat.answer import Answer, Question
from app.infra.postgres import Pool
from app.llm.extractive import Extractive
from app.retrieval.search import Retrieved
from app.retrieval.standing import current_versions

#: In events; what documents say cannot look so, because quotes in a text are escaped.
_NAMED = re.compile(rb'"document_id":"([^"]*)"')


def rests_on(question: Question, retrieved: Retrieved, answer: Answer) -> tuple[str, ...]:
    """The documents that an answer may tell of.

    A model says what it likes of all that it was shown, in the passages and in what was said
    before; what it cites, if anything, is its own word.
    """
    documents = {citation.document_id for citation in answer.citations}
    if answer.status != "abstained" and answer.provider != Extractive.name:
        documents |= {passage.document_id for passage in retrieved.passages}
        documents |= question.history_rests_on
        if answer.whole_document is not None:
            documents.add(answer.whole_document.document_id)
    return tuple(sorted(documents))


def named_in(told: bytes) -> set[str]:
    """The documents that events name, their sources among them."""
    return {name.decode() for name in _NAMED.findall(told)}


async def still_stands(pool: Pool, tenant_id: str, documents: Collection[str]) -> bool:
    """Whether the caller sees all of ``documents``.

    Raises:
        DatabaseUnavailable: nobody can tell.
    """
    return set(documents) == set(await current_versions(pool, tenant_id, documents))
