"""Ten thousand chunks of one tenant, two hundred of another: the indexes are used and nobody leaks.

The plans are those of the search functions' own statements, taken from the database and explained
as the application's role, with the tenant set as the function sets it. Vectors are clustered and
words rare and common, as real ones are; nothing is timed.
"""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest
from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode
from numpy.typing import NDArray

from app.infra.postgres import Connection, Pool, open_pool, tenant_transaction
from app.retrieval.chunk_store import ChunkStore, HalfVector
from app.retrieval.embedding import Vector, Vectors
from app.retrieval.passage import Passage, Scope
from app.retrieval.search import ChunkRetriever, Retriever
from tests.conftest import FreshDatabase

BIG, SMALL = "ten_big", "ten_small"
CHUNKS, SMALL_CHUNKS, DOCUMENTS = 10_000, 200, 50
OLD, NEW = datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
#: Documents with this number and up have the tag; one of them is O'Brien's too.
TAGGED_FROM = 45
DANGEROUS = ["x' OR '1'='1", "O'Brien", "'; DROP TABLE chunks; --", "%", "{}", "\\", '"', ""]

_FILL = """
    INSERT INTO tenants (id, name) VALUES (%(tenant)s, %(tenant)s);
    INSERT INTO documents (id, tenant_id, title, filename, media_type, tags, current_version)
    SELECT %(tenant)s || '_doc_' || n, %(tenant)s, 'Report ' || n, 'report.pdf', 'application/pdf',
           CASE WHEN n >= %(tagged_from)s THEN '{policy}'::text[] ELSE '{}' END, 2
    FROM generate_series(0, %(documents)s - 1) n;
    INSERT INTO document_versions
        (tenant_id, document_id, number, job_id, filename, media_type, sha256, size_bytes, status,
         published_at)
    SELECT tenant_id, id, v.number, id || v.number, '', '', ''::bytea, 1, 'ready', v.published_at
    FROM documents, (VALUES (1, %(old)s::timestamptz), (2, %(new)s)) AS v (number, published_at)
    WHERE tenant_id = %(tenant)s;
    INSERT INTO activations (tenant_id, document_id, version, activated_at)
    SELECT tenant_id, document_id, number, published_at FROM document_versions
    WHERE tenant_id = %(tenant)s"""
# Every tenth chunk was in the first version only, and its successor is in the second only.
_CHUNKS = """
    INSERT INTO chunks (id, tenant_id, document_id, page, start_offset, end_offset, valid_from,
                        valid_to, live, digest, title, heading, text, boxes, embedding)
    SELECT %(tenant)s || '_chk_' || n || side, %(tenant)s,
           %(tenant)s || '_doc_' || n %% %(documents)s, n + 1, 0, 9,
           CASE side WHEN 'new' THEN 2 ELSE 1 END, CASE side WHEN 'old' THEN 2 END,
           side <> 'old',
           sha256(n::text::bytea), 'Report', '',
           'common weather ' || 'often' || n %% 7 || ' rare' || n %% 2000 || ' only' || n || side,
           '', vector::halfvec
    FROM incoming, unnest(CASE WHEN n %% 10 = 0 THEN '{old,new}'::text[] ELSE '{both}' END) side;
    INSERT INTO lexemes (tenant_id, lexeme, chunk_count)
    SELECT %(tenant)s, l, count(*) FROM chunks, unnest(tsvector_to_array(tsv)) l
    WHERE tenant_id = %(tenant)s AND live GROUP BY l;
    UPDATE tenants t SET chunk_count = c.n, lexeme_total = c.lexemes
    FROM (SELECT count(*) AS n, sum(length(tsv)) AS lexemes FROM chunks
          WHERE tenant_id = %(tenant)s AND live) c
    WHERE t.id = %(tenant)s"""


@dataclass(frozen=True)
class Library:
    """The filled database and what was put into it."""

    url: str
    vectors: dict[str, Vectors]


class Oracle:
    """Knows the vector of ``n``: a question that is a number is that chunk's."""

    name, dimension = "oracle", 384

    def __init__(self, vectors: Vectors) -> None:
        self.vectors = vectors

    async def embed_query(self, text: str) -> Vector:
        row: Vector = self.vectors[int(re.sub(r"\D", "", text) or 0) % len(self.vectors)]
        return row

    async def embed_passages(self, texts: Any) -> Vectors:
        raise NotImplementedError

    async def close(self) -> None: ...


@pytest.fixture(scope="module")
def library(database: FreshDatabase) -> Library:
    """Filled by COPY; the indexes are made after the rows, which takes a third of the time."""
    axes = np.random.default_rng(1).normal(size=(32, 384))
    vectors = {BIG: clustered(axes, CHUNKS, 2), SMALL: clustered(axes, SMALL_CHUNKS, 3)}
    with psycopg.connect(database.database_url, autocommit=True) as owner:
        owner.execute("SET maintenance_work_mem = '256MB'")
        indexes = [take_index(owner, name) for name in ("chunks_embedding", "chunks_tsv")]
        for tenant in (BIG, SMALL):
            fill(owner, tenant, vectors[tenant])
        for definition in indexes:
            owner.execute(definition)
        owner.execute("UPDATE index_info SET embedding_model = 'oracle'")
        owner.execute("VACUUM ANALYZE")
    return Library(database.database_url, vectors)


def clustered(axes: NDArray[np.float64], count: int, seed: int) -> Vectors:
    rng = np.random.default_rng(seed)
    middles = rng.normal(size=(max(2, count // 50), len(axes)))
    rows = (
        middles[rng.integers(len(middles), size=count)] + 0.5 * rng.normal(size=(count, len(axes)))
    ) @ axes
    unit: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def take_index(owner: psycopg.Connection[Any], name: str) -> str:
    [(definition,)] = owner.execute(
        "SELECT indexdef FROM pg_indexes WHERE indexname = %s", (name,)
    ).fetchall()
    owner.execute(f"DROP INDEX {name}")
    return str(definition)


def fill(owner: psycopg.Connection[Any], tenant: str, vectors: Vectors) -> None:
    values = {
        "tenant": tenant,
        "documents": DOCUMENTS,
        "tagged_from": TAGGED_FROM,
        "old": OLD,
        "new": NEW,
    }
    with psycopg.ClientCursor(owner) as cursor:  # it sends several statements with values at once
        cursor.execute(_FILL, values)
        cursor.execute("CREATE TEMP TABLE incoming (n integer, vector text)")
        with cursor.copy("COPY incoming FROM STDIN") as copy:
            for n, vector in enumerate(vectors):
                copy.write_row((n, json.dumps([round(float(x), 4) for x in vector])))
        cursor.execute(_CHUNKS, values)
        cursor.execute("DROP TABLE incoming")


@pytest.fixture
async def pool(library: Library) -> AsyncIterator[Pool]:
    async with open_pool(library.url, size=2, timeout_s=5) as opened:
        yield opened


async def ask(
    library: Library, pool: Pool, question: str, scope: Scope, *, top_k: int = 10
) -> tuple[Passage, ...]:
    # A scope may name a tenant that is not there; its questions still need vectors.
    searcher = Retriever(pool, Oracle(library.vectors.get(scope.tenant_id, library.vectors[SMALL])))
    return (await searcher.retrieve(question, scope, top_k=top_k)).passages


def nearest(library: Library, tenant: str, n: int) -> set[int]:
    stored = library.vectors[tenant].astype(np.float16).astype(np.float32)
    return set(np.argsort(-(stored @ library.vectors[tenant][n]))[:10].tolist())


def number_of(passage_id: str) -> int:
    return int(re.findall(r"_chk_(\d+)", passage_id)[0])


async def plan_of(
    connection: Connection, function: str, tenant: str, values: dict[str, str]
) -> str:
    """EXPLAIN of the one large statement inside ``function``, with literals for its variables."""
    cursor = await connection.execute("SELECT prosrc FROM pg_proc WHERE proname = %s", (function,))
    row = await cursor.fetchone()
    assert row is not None
    statement = row["prosrc"].rpartition("RETURN QUERY")[2].partition(";")[0]
    literals = {"v_tenant": f"'{tenant}'", **values}
    names = re.compile(rf"\b({'|'.join(literals)})\b")
    statement = names.sub(lambda found: literals[found[0]], statement)
    cursor = await connection.execute(f"EXPLAIN {statement}".encode())
    return "\n".join(line["QUERY PLAN"] for line in await cursor.fetchall())


CURRENT = {
    "p_candidates": "40",
    "p_documents": "NULL::text[]",
    "p_versions": "NULL::integer[]",
}
BY_TEXT = {
    **CURRENT,
    "p_queries": "ARRAY['rare7'::tsquery]",
    "p_weights": "ARRAY[7::float8]",
    "p_match": "'rare7'::tsquery",
    "p_mean_length": "6",
    "v_hidden": "'{}'::text[]",
}
#: The call of `rank_by_text` for words that every chunk has.
COMMON = "rank_by_text(ARRAY['common'::tsquery], ARRAY[1::float8], 'common', 6, 500, {}, NULL)"


def by_vector(library: Library, tenant: str) -> dict[str, str]:
    numbers = ",".join(f"{x:.4f}" for x in library.vectors[tenant][7])
    return {**CURRENT, "p_embedding": f"'[{numbers}]'::halfvec"}


async def test_a_large_tenant_is_searched_by_the_vector_index(library: Library, pool: Pool) -> None:
    async with tenant_transaction(pool, BIG) as connection:
        plan = await plan_of(connection, "rank_by_vector", BIG, by_vector(library, BIG))
    assert "Index Scan using chunks_embedding on chunks" in plan
    assert "Order By: (embedding <=>" in plan
    assert "ANY (document_id = (hashed SubPlan" in plan, "who sees what is asked once, not per row"


async def test_a_small_tenant_is_searched_exactly(library: Library, pool: Pool) -> None:
    async with tenant_transaction(pool, SMALL) as connection:
        plan = await plan_of(connection, "rank_by_vector", SMALL, by_vector(library, SMALL))
    assert "chunks_embedding" not in plan
    assert "Seq Scan on chunks" not in plan


async def test_words_are_searched_by_the_text_index(library: Library, pool: Pool) -> None:
    # As the function's owner, because that is who it runs as. Under the policy PostgreSQL refuses
    # the index, since @@ is not leakproof, and every hybrid search read the whole table.
    async with tenant_transaction(pool, BIG) as connection:
        [definer] = await (
            await connection.execute("SELECT prosecdef FROM pg_proc WHERE proname = 'rank_by_text'")
        ).fetchall()
        assert definer["prosecdef"]
        refused = await plan_of(connection, "rank_by_text", BIG, BY_TEXT)
        await connection.execute("RESET ROLE")
        plan = await plan_of(connection, "rank_by_text", BIG, BY_TEXT)
        await connection.execute("SET ROLE docent_app")
    assert "Bitmap Index Scan on chunks_tsv" in plan
    assert "chunks_tsv" not in refused, "PostgreSQL learned to: rank_by_text need not be a definer"


async def test_the_vector_ranking_agrees_with_an_exact_scan(library: Library, pool: Pool) -> None:
    store = ChunkStore(pool, model="oracle", dimension=384)
    hits = 0
    for n in range(0, 400, 20):
        embedding: Any = library.vectors[BIG][n]
        query = VectorStoreQuery(
            query_embedding=embedding, similarity_top_k=10, mode=VectorStoreQueryMode.DEFAULT
        )
        found = await store.aquery(query, scope=Scope(BIG))
        hits += len({number_of(id_) for id_ in found.ids or []} & nearest(library, BIG, n))
    assert hits >= 0.99 * 200


async def test_llamaindex_finds_text_nodes_by_a_plain_question(
    library: Library, pool: Pool
) -> None:
    index = Retriever(pool, Oracle(library.vectors[BIG])).index
    kwargs = {"scope": Scope(BIG)}
    ours = ChunkRetriever(index, similarity_top_k=3, vector_store_kwargs=kwargs)
    theirs = index.as_retriever(similarity_top_k=3, vector_store_kwargs=kwargs)
    for retriever in (ours, theirs):
        found = await retriever.aretrieve("7")
        assert number_of(found[0].node.node_id) == 7
        assert "only7both" in found[0].text
        shown = {"title": "Report 7", "filename": "report.pdf", "page": 8, "heading": ""}
        assert found[0].node.metadata == shown


async def test_a_small_tenant_gets_all_it_asks_for(library: Library, pool: Pool) -> None:
    for n in range(0, 100, 10):
        found = await ask(library, pool, str(n), Scope(SMALL))
        assert {number_of(passage.id) for passage in found} == nearest(library, SMALL, n)


async def test_words_find_the_chunk_that_has_them(library: Library, pool: Pool) -> None:
    found = await ask(library, pool, "common weather only4321both", Scope(BIG))
    assert number_of(found[0].id) == 4321
    assert found[0].text_rank == 1


async def test_an_earlier_time_is_searched_as_it_was(library: Library, pool: Pool) -> None:
    between = OLD + timedelta(days=1)
    then = await ask(library, pool, "120 only120old", Scope(BIG, as_of=between))
    now = await ask(library, pool, "120 only120new", Scope(BIG))
    assert then[0].id == f"{BIG}_chk_120old"
    assert then[0].version == 1
    assert not any(passage.id.endswith("new") for passage in then)
    assert now[0].id == f"{BIG}_chk_120new"
    assert now[0].version == 2
    assert not any(passage.id.endswith("old") for passage in now)
    assert await ask(library, pool, "120", Scope(BIG, as_of=OLD - timedelta(days=1))) == ()


async def test_a_tag_and_documents_restrict_both_rankings(library: Library, pool: Pool) -> None:
    tagged = {f"{BIG}_doc_{n}" for n in range(TAGGED_FROM, DOCUMENTS)}
    found = await ask(library, pool, "7 common weather rare7", Scope(BIG, tags=("policy", "none")))
    assert len(found) == 10
    assert {passage.document_id for passage in found} <= tagged
    one = Scope(BIG, tags=("policy",), document_ids=(f"{BIG}_doc_47", f"{BIG}_doc_1"))
    found = await ask(library, pool, "7 common weather rare7", one)
    assert {passage.document_id for passage in found} == {f"{BIG}_doc_47"}
    between = OLD + timedelta(days=1)
    found = await ask(library, pool, "7 common", Scope(BIG, tags=("policy",), as_of=between))
    assert len(found) == 10
    assert {passage.document_id for passage in found} <= tagged


@pytest.mark.parametrize("value", DANGEROUS)
async def test_no_filter_value_is_more_than_a_value(
    library: Library, pool: Pool, value: str
) -> None:
    for scope in (Scope(BIG, tags=(value,)), Scope(BIG, document_ids=(value,)), Scope(value)):
        assert await ask(library, pool, "7 common weather", scope) == ()


@pytest.mark.parametrize(
    "question", [*DANGEROUS, "a & | ! ( :* <-> 'b", "\N{GREEK SMALL LETTER ALPHA}" * 5_000]
)
async def test_no_question_is_more_than_words(library: Library, pool: Pool, question: str) -> None:
    assert len(await ask(library, pool, question, Scope(BIG))) == 10


async def test_tenants_never_see_each_other(library: Library, pool: Pool) -> None:
    for tenant, other in ((BIG, SMALL), (SMALL, BIG)):
        found = await ask(library, pool, "7 common weather rare7", Scope(tenant), top_k=50)
        assert len(found) == 50
        assert {passage.id.partition("_chk")[0] for passage in found} == {tenant}
        assert (
            await ask(library, pool, "7 common", Scope(tenant, document_ids=(f"{other}_doc_1",)))
            == ()
        )


@pytest.mark.parametrize("tenant", [None, "", "nobody", SMALL])
async def test_the_rankings_show_the_transactions_tenant_only(
    library: Library, pool: Pool, tenant: str | None
) -> None:
    # rank_by_text runs past the policy, so its own condition is all there is in front of the ids.
    vector = HalfVector.of(library.vectors[BIG][7])
    async with pool.connection() as connection, connection.transaction():
        if tenant is not None:
            await connection.execute("SELECT set_config('app.tenant', %s, true)", (tenant,))
        for call, values in (
            (COMMON.format("NULL"), ()),
            (COMMON.format("'{ten_big_doc_1}'"), ()),
            ("rank_by_vector(%s, 500, NULL, NULL)", (vector,)),
        ):
            rows = await (await connection.execute(f"SELECT id FROM {call}", values)).fetchall()
            assert all(row["id"].startswith(SMALL) for row in rows), call
            assert bool(rows) == (tenant == SMALL and "doc" not in call), call
