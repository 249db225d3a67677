"""Giving every chunk a vector of the other model, a batch at a time.

A batch is one transaction: what was committed is never embedded again, whoever was killed. What is
listed in `beside.missing` is all that is left to do, chunks that were published meanwhile included.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from app.ingestion.new_chunk import text_to_embed
from app.retrieval.embedding import Embedder, written
from scripts.reindexing.tables import Owner, make_indexes, switch

#: Chunks of one transaction: a few seconds of work for the built-in model, a few MB.
BATCH = 128
#: Attempts to switch, and how often publishing may come between: half a minute at least.
ATTEMPTS = 60
PAUSE_S = 0.5

# The same text has the same vector, in whichever version or document of the tenant it stands.
_NEXT = """
    SELECT c.id, c.digest, c.title, c.heading, c.text,
           (SELECT b.embedding::text FROM beside.chunks b
            WHERE b.tenant_id = c.tenant_id AND b.digest = c.digest LIMIT 1) AS known
    FROM (SELECT id FROM beside.missing WHERE id > %s ORDER BY id LIMIT %s) m
    JOIN public.chunks c ON c.id = m.id ORDER BY c.id"""
_COLUMNS = """
    SELECT string_agg(quote_ident(attname), ', ') AS names FROM pg_attribute
    WHERE attrelid = 'public.chunks'::regclass AND attnum > 0 AND NOT attisdropped
      AND attgenerated = '' AND attname <> 'embedding'"""
# FOR SHARE: a chunk that is being switched off at this moment is waited for. Then either its row
# has the new state, or the trigger of whoever changes it finds ours.
_STORE = """
    INSERT INTO beside.chunks ({names}, embedding)
    SELECT {chunk}, v.embedding::halfvec
    FROM unnest(%s::text[], %s::text[]) AS v (of_chunk, embedding)
    JOIN public.chunks ON id = v.of_chunk
    FOR SHARE OF chunks
    ON CONFLICT (id) DO NOTHING"""


async def fill(owner: Owner, embedder: Embedder, tell: Callable[[int], None]) -> None:
    """Embed what is missing; ``tell`` is called with the number of chunks of each batch.

    Raises:
        AppError: the model does not answer; what was done stays.
    """
    row = await (await owner.execute(_COLUMNS)).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has a row
    columns = ", ".join(f"chunks.{name}" for name in row["names"].split(", "))
    store = _STORE.format(names=row["names"], chunk=columns)
    last = ""
    while True:
        rows = await (await owner.execute(_NEXT, (last, BATCH))).fetchall()
        if not rows and not last:
            return
        if not rows:  # to the beginning, for what came meanwhile
            last = ""
            continue
        vectors = await _vectors(embedder, rows)
        last, ids = rows[-1]["id"], [row["id"] for row in rows]
        async with owner.transaction():
            await owner.execute(store.encode(), (ids, vectors))
            await owner.execute("DELETE FROM beside.missing WHERE id = ANY (%s)", (ids,))
        tell(len(ids))


async def _vectors(embedder: Embedder, rows: list[dict[str, Any]]) -> list[str]:
    """A vector in PostgreSQL's words for each of ``rows``, each text embedded once."""
    known = {row["digest"]: row["known"] for row in rows if row["known"] is not None}
    new = {row["digest"]: row for row in rows if row["digest"] not in known}
    embedded = await embedder.embed_passages(
        [text_to_embed(row["title"], row["heading"], row["text"]) for row in new.values()]
    )
    known.update(zip(new, map(written, embedded), strict=True))
    return [known[row["digest"]] for row in rows]


async def catch_up_and_switch(
    owner: Owner, embedder: Embedder, tell: Callable[[int], None]
) -> bool:
    """Fill what is missing and switch, again and again until nothing comes between.

    Returns:
        False when the chunks are in use without end: nothing has been switched then.
    """
    await fill(owner, embedder, tell)
    await make_indexes(owner)

    async def caught_up() -> bool:
        await fill(owner, embedder, tell)
        return await switch(owner)

    return await insist(caught_up)


async def insist(step: Callable[[], Awaitable[bool]]) -> bool:
    """Try ``step`` until it says that it is done; False after `ATTEMPTS`."""
    for attempt in range(ATTEMPTS):
        if attempt:
            await asyncio.sleep(PAUSE_S)
        if await step():
            return True
    return False
