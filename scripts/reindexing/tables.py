"""`beside.chunks`: the same chunks as those that answer, with another model's vectors.

It is made like `public.chunks` from the catalogue, whatever migrations have made of that. Triggers
keep what is live the same on both sides and note the chunks that are published meanwhile; they are
there only as long as there is something beside (docs/adr/0023-embedding-model-change.md).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import DictRow

from app.errors import Conflict, InvalidRequest

Owner = psycopg.AsyncConnection[DictRow]
#: Held by whoever changes what stands beside, to the end of its process; any number ours alone.
_LOCK = 0x7265696E646578
#: Searches wait for the switch so long at most; it tries again later.
LOCK_TIMEOUT_MS = 200

_MAKE = """
    CREATE SCHEMA beside;
    GRANT USAGE ON SCHEMA beside TO docent_app;
    CREATE TABLE beside.chunks (LIKE public.chunks INCLUDING ALL EXCLUDING INDEXES);
    ALTER TABLE beside.chunks ALTER COLUMN embedding TYPE halfvec({dimension});
    ALTER TABLE beside.chunks ALTER COLUMN embedding SET STORAGE PLAIN;
    ALTER TABLE beside.chunks ENABLE ROW LEVEL SECURITY;
    GRANT SELECT, INSERT, UPDATE ON beside.chunks TO docent_app;
    DO $$
    DECLARE
        made text;
    BEGIN
        FOR made IN
            SELECT format('ALTER TABLE beside.chunks ADD CONSTRAINT %I %s', conname,
                          pg_get_constraintdef(oid))
            FROM pg_constraint
            WHERE conrelid = 'public.chunks'::regclass AND contype IN ('p', 'u', 'f')
            UNION ALL
            SELECT format('CREATE POLICY %I ON beside.chunks TO docent_app USING (%s)'
                          ' WITH CHECK (%s)', policyname, qual, with_check)
            FROM pg_policies WHERE schemaname = 'public' AND tablename = 'chunks'
            UNION ALL
            -- Vectors that are known already are looked for by it while the table is filled.
            SELECT replace(indexdef, ' ON public.', ' ON beside.') FROM pg_indexes
            WHERE schemaname = 'public' AND indexname = 'chunks_digest'
        LOOP
            EXECUTE made;
        END LOOP;
    END $$;
    -- Chunks that have no vector here yet.
    CREATE TABLE beside.missing (id text PRIMARY KEY);
    CREATE FUNCTION beside.follow() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            INSERT INTO beside.missing SELECT id FROM changed;
        ELSIF TG_OP = 'UPDATE' THEN
            UPDATE beside.chunks b SET live = c.live, valid_to = c.valid_to
            FROM changed c WHERE b.id = c.id;
        ELSE
            DELETE FROM beside.missing WHERE id IN (SELECT id FROM changed);
            DELETE FROM beside.chunks WHERE id IN (SELECT id FROM changed);
        END IF;
        RETURN NULL;
    END $$;"""
_TRIGGERS = """
    CREATE TRIGGER beside_added AFTER INSERT ON public.chunks REFERENCING NEW TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION beside.follow();
    CREATE TRIGGER beside_changed AFTER UPDATE ON public.chunks REFERENCING NEW TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION beside.follow();
    CREATE TRIGGER beside_removed AFTER DELETE ON public.chunks REFERENCING OLD TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION beside.follow();"""
# The indexes move with their tables, so that both sides' have the same names at all times.
_SWITCH = """
    DROP TRIGGER beside_added ON public.chunks;
    DROP TRIGGER beside_changed ON public.chunks;
    DROP TRIGGER beside_removed ON public.chunks;
    CREATE SCHEMA leaving;
    ALTER TABLE public.chunks SET SCHEMA leaving;
    ALTER TABLE beside.chunks SET SCHEMA public;
    ALTER TABLE leaving.chunks SET SCHEMA beside;
    DROP SCHEMA leaving;
    UPDATE tenants SET corpus_revision = corpus_revision + 1;"""
_STANDING = """
    SELECT embedding_model, dimension, chunk_table = 'public.chunks'::regclass AS current
    FROM index_info ORDER BY current DESC"""
_INDEXES = """
    SELECT p.indexname AS name, p.indexdef AS definition, coalesce(b.indisvalid, false) AS whole,
           b.indexrelid IS NOT NULL AS there
    FROM pg_indexes p LEFT JOIN (
        pg_class c JOIN pg_index b ON b.indexrelid = c.oid
            AND b.indrelid = to_regclass('beside.chunks')) ON c.relname = p.indexname
    WHERE p.schemaname = 'public' AND p.tablename = 'chunks' ORDER BY p.indexname"""
_UNLIKE = """
    SELECT count(*) AS columns FROM (
        SELECT attname, attgenerated, attnotnull, count(*) FROM pg_attribute
        WHERE attrelid IN ('public.chunks'::regclass, 'beside.chunks'::regclass)
          AND attnum > 0 AND NOT attisdropped
        GROUP BY attname, attgenerated, attnotnull HAVING count(*) <> 2) AS unlike"""


@dataclass(frozen=True)
class Standing:
    """Which models there are vectors of, and how far those beside have come."""

    current: str
    dimension: int
    beside: str | None = None
    beside_dimension: int | None = None
    chunks: int = 0
    missing: int = 0
    #: Whether every index that the current side has is there and valid beside.
    indexed: bool = False

    @property
    def ready(self) -> bool:
        """Whether it can be switched at once."""
        return self.beside is not None and self.missing == 0 and self.indexed


async def standing(owner: Owner) -> Standing:
    """How things stand."""
    rows = await (await owner.execute(_STANDING)).fetchall()
    current = rows[0]
    if len(rows) == 1:
        return Standing(current["embedding_model"], current["dimension"])
    counted = await (
        await owner.execute(
            "SELECT (SELECT count(*) FROM public.chunks) AS chunks,"
            " (SELECT count(*) FROM beside.missing) AS missing"
        )
    ).fetchone()
    indexes = await (await owner.execute(_INDEXES)).fetchall()
    assert counted is not None  # noqa: S101 - a count has a row
    return Standing(
        current["embedding_model"],
        current["dimension"],
        rows[1]["embedding_model"],
        rows[1]["dimension"],
        counted["chunks"],
        counted["missing"],
        all(index["whole"] for index in indexes),
    )


async def alone(owner: Owner) -> None:
    """Be the only one who changes what stands beside, until the connection is closed.

    Raises:
        Conflict: somebody is at it already.
    """
    try:
        async with owner.transaction():  # the lock outlives it; a command that ends lets go soon
            await owner.execute("SET LOCAL lock_timeout = '2s'")
            await owner.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    except psycopg.errors.LockNotAvailable as error:
        raise Conflict("Another scripts.reindex is at work on this database.") from error


async def make_beside(owner: Owner, model: str, dimension: int) -> None:
    """Make an empty table beside, for ``model``; does nothing when it is there.

    Those who publish wait for as long as it takes to list the chunks; nobody else does.

    Raises:
        InvalidRequest: the model answers already, or another one's vectors stand there.
    """
    found = await standing(owner)
    if found.current == model:
        raise InvalidRequest(f"The index answers with {model} already.")
    if found.beside is not None:
        if (found.beside, found.beside_dimension) != (model, dimension):
            raise InvalidRequest(
                f"Vectors of {found.beside} ({found.beside_dimension}) stand beside; drop them"
                " first: `python -m scripts.reindex drop`."
            )
        return
    async with owner.transaction():
        await owner.execute(sql.SQL(_MAKE.replace("{dimension}", str(dimension))))
        await owner.execute(_TRIGGERS)
        await owner.execute("INSERT INTO beside.missing SELECT id FROM public.chunks")
        await owner.execute(
            "INSERT INTO index_info (embedding_model, dimension, chunk_table)"
            " VALUES (%s, %s, 'beside.chunks')",
            (model, dimension),
        )


async def make_indexes(owner: Owner) -> None:
    """Give the table beside every index of the current one, and the planner its statistics.

    Concurrently, because deleting and restoring documents writes there too; what an interrupted
    attempt left is made anew.
    """
    for index in await (await owner.execute(_INDEXES)).fetchall():
        if index["whole"]:
            continue
        name = sql.Identifier("beside", index["name"])
        if index["there"]:
            await owner.execute(sql.SQL("DROP INDEX CONCURRENTLY {}").format(name))
        definition = index["definition"].replace(" INDEX ", " INDEX CONCURRENTLY ", 1)
        await owner.execute(definition.replace(" ON public.", " ON beside.", 1).encode())
    await owner.execute("VACUUM (ANALYZE) beside.chunks")


async def switch(owner: Owner) -> bool:
    """Let the two tables change places; False when it could not be done at this moment.

    It takes a few milliseconds, once no transaction uses the chunks; who searches or
    publishes meanwhile waits at most `LOCK_TIMEOUT_MS`.

    Raises:
        InvalidRequest: a migration changed one of the tables.
    """
    return await _briefly_alone(owner, "public.chunks, beside.chunks", _switch)


async def _switch(owner: Owner) -> bool:
    row = await (await owner.execute(_UNLIKE)).fetchone()
    if row is None or row["columns"]:
        raise InvalidRequest("A migration changed the chunks: drop, and prepare again.")
    missing = await owner.execute("SELECT FROM beside.missing LIMIT 1")
    if await missing.fetchone() is not None:
        return False
    await owner.execute(_SWITCH)
    await owner.execute(_TRIGGERS)
    return True


async def drop_beside(owner: Owner) -> bool:
    """Remove the vectors that are not answered with, for good; False when not at this moment.

    The lock on the chunks that answer comes first: a search that has begun finds all of the others,
    and one that begins later none.
    """
    return await _briefly_alone(owner, "public.chunks", _drop)


async def _drop(owner: Owner) -> bool:
    await owner.execute("DELETE FROM index_info WHERE chunk_table <> 'public.chunks'::regclass")
    await owner.execute("DROP SCHEMA IF EXISTS beside CASCADE")
    return True


async def _briefly_alone(
    owner: Owner, tables: str, change: Callable[[Owner], Awaitable[bool]]
) -> bool:
    """Run ``change`` with nobody else in ``tables``; False when somebody stays there too long."""
    try:
        async with owner.transaction():
            await owner.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
            await owner.execute(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")
            return await change(owner)
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
        return False


async def rebuild_index(owner: Owner) -> None:
    """Build the vector index anew while the old one goes on answering."""
    leftovers = await owner.execute(
        "SELECT c.relname AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " WHERE i.indrelid = 'public.chunks'::regclass AND NOT i.indisvalid"
        " AND c.relname LIKE '%\\_ccnew%'"
    )
    for row in await leftovers.fetchall():
        await owner.execute(
            sql.SQL("DROP INDEX CONCURRENTLY {}").format(sql.Identifier("public", row["name"]))
        )
    await owner.execute("REINDEX INDEX CONCURRENTLY public.chunks_embedding")
