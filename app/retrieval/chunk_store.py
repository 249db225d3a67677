"""The chunk table as a LlamaIndex vector store: hybrid search in one round trip.

The stock class builds SQL out of filter strings and takes five statements a search (ADR 0002).
This one keeps the interface and replaces what it does. Only searching goes through it: rows are
written by ``app/retrieval/chunk_table.py`` inside the transaction that publishes a version, so the
inherited write paths refuse.
"""

from typing import Any, NoReturn

import numpy as np
import psycopg
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import (
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from llama_index.vector_stores.postgres import PGVectorStore
from numpy.typing import NDArray
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format
from pydantic import Field, PrivateAttr, SkipValidation

from app.infra.postgres import Pool, fetch_all
from app.infra.reach import current_reach
from app.retrieval.index_info import IndexMismatch
from app.retrieval.passage import Passage, Scope
from app.retrieval.rerank import Ranking, Rankings

#: Chunks each ranking brings to the fusion.
CANDIDATES = 40
#: The constant of the reciprocal ranks, in the middle of a plateau (docs/benchmarks/retrieval.md).
RANK_CONSTANT = 20.0
#: The weights where there is nothing but a rank.
RANK_ALONE = [1.0]

#: Its columns are the fields of `Passage`, in their order.
_SEARCH = """SELECT id, document_id, version, title, filename, tags, url, page,
    start_offset AS start, end_offset AS "end", heading, text, boxes, score, similarity, dense_rank,
    text_rank FROM search_chunks(
    %(tenant_id)s, %(embedding)s, %(question)s, %(top_k)s::integer, %(candidates)s::integer,
    %(document_ids)s, %(tags)s, %(as_of)s, %(text_weight)s::real, %(rank_constant)s::real,
    %(language)s, %(weights)s::real[], %(reach)s, %(model)s)"""


class HalfVector(bytes):
    """A pgvector ``halfvec`` in its wire format: int16 dimension, int16 zero, float16 values."""

    @classmethod
    def of(cls, vector: NDArray[np.float32]) -> "HalfVector":
        """Encode ``vector``, shape (dimension,)."""
        head = len(vector).to_bytes(2, "big") + b"\0\0"
        return cls(head + vector.astype(">f2").tobytes())


class _HalfVectorDumper(Dumper):
    # No oid: the server takes the type from the function's signature, so nothing is looked up.
    format = Format.BINARY

    def dump(self, obj: Any) -> Buffer | None:  # noqa: ANN401 - psycopg's signature
        return bytes(obj)


psycopg.adapters.register_dumper(HalfVector, _HalfVectorDumper)


class ChunkNode(TextNode):
    """A found chunk as LlamaIndex sees it, and as the rest of Docent does.

    The metadata is what a prompt of a LlamaIndex engine should show, not the row: there it would be
    rendered and hashed with every box (1.6 of 2.6 ms a search).
    """

    passage: SkipValidation[Passage] = Field(exclude=True, repr=False)

    @classmethod
    def of(cls, row: dict[str, Any]) -> "ChunkNode":
        """The node of one row of `_SEARCH`."""
        row["tags"] = tuple(row["tags"])
        passage = Passage(*row.values())  # by name takes twice as long: 33 us a search
        shown = {
            "title": passage.title,
            "filename": passage.filename,
            "page": passage.page,
            "heading": passage.heading,
        }
        return cls(id_=passage.id, text=passage.text, metadata=shown, passage=passage)


class ChunkStore(PGVectorStore):
    """Searches the current chunks of one tenant; the scope is a :class:`Scope` in ``kwargs``.

    Modes: DEFAULT ranks by vector, TEXT_SEARCH and SPARSE by text, HYBRID by both and by what else
    speaks for a chunk; a :class:`Ranking` in ``kwargs`` takes the place of the question's own.
    LlamaIndex's own metadata filters are refused: they would be strings in SQL.
    """

    _pool: Pool = PrivateAttr()
    _rankings: Rankings = PrivateAttr()
    _model: str = PrivateAttr()

    def __init__(self, pool: Pool, *, model: str, dimension: int) -> None:
        """``model`` names whose vectors are searched, and embedded the questions."""
        super().__init__(
            connection_string="unused:",
            async_connection_string="unused:",
            table_name="chunks",
            hybrid_search=True,
            embed_dim=dimension,
            perform_setup=False,
            use_halfvec=True,
        )
        self._pool = pool
        self._rankings = Rankings(model=model)
        self._model = model

    @classmethod
    def class_name(cls) -> str:
        return "ChunkStore"

    def _initialize(self) -> NoReturn:
        # Every inherited path that would build its own SQL starts here.
        raise NotImplementedError("ChunkStore only searches, and only asynchronously")

    async def aquery(
        self,
        query: VectorStoreQuery,
        **kwargs: Any,  # noqa: ANN401 - LlamaIndex's signature
    ) -> VectorStoreQueryResult:
        """Run one search; ``kwargs["scope"]`` says whose chunks.

        Raises:
            DatabaseUnavailable: when the database does not answer.
            IndexMismatch: the index holds no vectors of the model.
        """
        if query.filters is not None or query.doc_ids or query.node_ids:
            raise NotImplementedError("restrict a search by its Scope")
        scope: Scope = kwargs["scope"]
        by_vector = query.mode in (VectorStoreQueryMode.DEFAULT, VectorStoreQueryMode.HYBRID)
        by_text = query.mode != VectorStoreQueryMode.DEFAULT
        question = query.query_str or "" if by_text else ""
        ranking: Ranking = kwargs.get("ranking") or self._rankings.for_question(question)
        values = {
            "tenant_id": scope.tenant_id,
            "embedding": _encoded(query.query_embedding) if by_vector else None,
            "question": question,
            "top_k": query.similarity_top_k,
            "candidates": max(CANDIDATES if by_text else 0, query.similarity_top_k),
            "document_ids": None if scope.document_ids is None else list(scope.document_ids),
            "tags": None if scope.tags is None else list(scope.tags),
            "as_of": scope.as_of,
            "text_weight": ranking.text_weight,
            "rank_constant": RANK_CONSTANT,
            "language": ranking.language,
            "weights": list(ranking.weights) if by_text and by_vector else RANK_ALONE,
            "reach": current_reach(),
            "model": self._model,
        }
        try:
            rows = await fetch_all(self._pool, _SEARCH, values)
        except psycopg.errors.NoDataFound as error:
            raise IndexMismatch(f"The index holds no vectors of {self._model}.") from error
        return VectorStoreQueryResult(
            nodes=[ChunkNode.of(row) for row in rows],
            similarities=[row["score"] for row in rows],
            ids=[row["id"] for row in rows],
        )


def _encoded(embedding: Any) -> HalfVector:  # noqa: ANN401 - list[float], or our array untouched
    return HalfVector.of(np.asarray(embedding, dtype=np.float32))
