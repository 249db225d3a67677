"""Answers are told again only while everything that they name can still be seen.

What was sent once is kept as it was sent: the answer of an ``Idempotency-Key`` for a day, the
events of a stream for ten minutes. Meanwhile a document may be deleted, or be shared with others
only.
"""

import re

from app.infra.postgres import Pool
from app.retrieval.standing import current_versions

#: As both dialects write it. What documents say cannot look so: quotes in a text are escaped.
_NAMED = re.compile(rb'"(?:document_id|file_id)":"([^"]*)"')


async def still_stands(pool: Pool, tenant_id: str, told: bytes) -> bool:
    """Whether the caller sees every document that ``told``, JSON or events, names.

    Raises:
        DatabaseUnavailable: nobody can tell.
    """
    named = {name.decode() for name in _NAMED.findall(told)}
    return named == set(await current_versions(pool, tenant_id, named))
