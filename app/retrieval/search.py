"""From a question to passages: embed it, search the tenant's chunks, keep what each part cost."""

import time
from dataclasses import dataclass
from typing import Any, Literal, cast

from llama_index.core import VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.indices.vector_store import VectorIndexRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, QueryType
from llama_index.core.vector_stores.types import VectorStoreQueryMode
from pydantic import PrivateAttr

from app.infra.metrics import Metrics
from app.infra.postgres import Pool
from app.infra.tracing import Value, begin_span, masked
from app.retrieval.chunk_store import ChunkNode, ChunkStore
from app.retrieval.embedding import Embedder
from app.retrieval.following import settled
from app.retrieval.passage import Passage, Scope
from app.retrieval.reading import Reading, read_document
from app.retrieval.recall import RecallProbe
from app.retrieval.reranker import Reranker


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Passages, best first, and the wall time of finding them."""

    passages: tuple[Passage, ...]
    embedding_ms: float
    search_ms: float


class EmbedderModel(BaseEmbedding):
    """Our embedder as a LlamaIndex embedding model; asynchronous calls only."""

    _embedder: Embedder = PrivateAttr()

    def __init__(self, embedder: Embedder) -> None:
        super().__init__(model_name=embedder.name)
        self._embedder = embedder

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return list(map(float, await self._embedder.embed_query(query)))

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return [list(map(float, row)) for row in await self._embedder.embed_passages(texts)]

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return (await self._aget_text_embeddings([text]))[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        raise NotImplementedError("Docent embeds off the event loop: use the asynchronous call")

    def _get_text_embedding(self, text: str) -> list[float]:
        raise NotImplementedError("Docent embeds off the event loop: use the asynchronous call")


class Retriever:
    """Hybrid search over a LlamaIndex ``VectorStoreIndex`` on the chunk table."""

    def __init__(
        self,
        pool: Pool,
        embedder: Embedder,
        *,
        metrics: Metrics | None = None,
        reranker: Reranker | None = None,
    ) -> None:
        """``reranker`` has the last word on the order; None leaves it to the search."""
        self._pool = pool
        self._reranker = reranker
        self._embedder = embedder
        self._metrics = metrics or Metrics()
        self.probe = RecallProbe(pool)
        self._indexes: dict[str, VectorStoreIndex] = {}

    @property
    def index(self) -> VectorStoreIndex:
        """The chunks with the vectors of the model that is current."""
        return self._index_of(settled(self._embedder))

    def _index_of(self, embedder: Embedder) -> VectorStoreIndex:
        if embedder.name not in self._indexes:
            model = EmbedderModel(embedder)
            self._indexes[embedder.name] = VectorStoreIndex.from_vector_store(
                ChunkStore(self._pool, model=embedder.name, dimension=embedder.dimension),
                embed_model=model,
                transformations=[model],  # or it makes a splitter, with a tokenizer of 6 MB
            )
        return self._indexes[embedder.name]

    async def retrieve(self, question: str, scope: Scope, *, top_k: int) -> Retrieved:
        """The ``top_k`` best passages within ``scope``.

        Raises:
            DatabaseUnavailable: when the database does not answer.
            AppError: when the embedding model does not.
            IndexMismatch: the index holds no vectors of the model.
        """
        asked: dict[str, Value] = {
            "gen_ai.operation.name": "retrieval",
            "gen_ai.retrieval.top_k": top_k,
        }
        with begin_span("retrieval chunks", asked) as span:
            span.quote("gen_ai.retrieval.query.text", lambda: masked(question), len(question))
            retrieved = await self._retrieve(question, scope, top_k=top_k)
            passages = retrieved.passages
            span.note(
                {
                    "docent.retrieval.passages": len(passages),
                    "docent.retrieval.chunk_ids": [passage.id for passage in passages],
                    "docent.retrieval.document_ids": [p.document_id for p in passages],
                }
            )
        return retrieved

    async def _retrieve(self, question: str, scope: Scope, *, top_k: int) -> Retrieved:
        started = time.perf_counter()
        embedder = settled(self._embedder)  # question and chunks by the same model
        embeds = {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": embedder.name}
        with begin_span(f"embeddings {embedder.name}", embeds):
            vector = await embedder.embed_query(question)
        embedded = time.perf_counter()
        self.probe.note(scope, vector)
        retriever = ChunkRetriever(
            self._index_of(embedder),
            similarity_top_k=max(top_k, self._reranker.candidates if self._reranker else 0),
            vector_store_query_mode=VectorStoreQueryMode.HYBRID,
            vector_store_kwargs={"scope": scope},
        )
        # An array where LlamaIndex's type says list: it is handed on untouched, never copied.
        embedding: Any = vector
        status: Literal["ok", "error"] = "error"
        try:
            nodes = await retriever.find(QueryBundle(question, embedding=embedding))
            status = "ok"
        finally:
            found = time.perf_counter()
            self._metrics.search(embedder.name, status, found - embedded)
        passages = [_passage(node) for node in nodes]
        if self._reranker is not None:
            passages = (await self._reranker.reranked(question, passages))[:top_k]
            found = time.perf_counter()
        return Retrieved(tuple(passages), (embedded - started) * 1e3, (found - embedded) * 1e3)

    async def read(
        self, scope: Scope, *, names: tuple[str, ...] | None, most: int
    ) -> Reading | None:
        """See :func:`app.retrieval.reading.read_document`."""
        return await read_document(self._pool, scope, names=names, most=most)


class ChunkRetriever(VectorIndexRetriever):
    """LlamaIndex's retriever without what only other stores need.

    Left out: the look-up of nodes that are not text, which hashes every node found and formats a
    log line of them all for a docstore that is empty (half of the 0.9 ms of CPU that this class
    saves a search), and the callbacks and events of LlamaIndex's older tracing.
    """

    async def aretrieve(self, str_or_query_bundle: QueryType) -> list[NodeWithScore]:
        bundle = str_or_query_bundle
        if isinstance(bundle, str):
            bundle = QueryBundle(bundle)
        if bundle.embedding is None and self._needs_embedding():
            embedding = await self._embed_model.aget_query_embedding(bundle.query_str)
            bundle = QueryBundle(bundle.query_str, embedding=embedding)
        return await self.find(bundle)

    async def find(self, bundle: QueryBundle) -> list[NodeWithScore]:
        """Search for an embedded question; `aretrieve` without LlamaIndex's span (0.06 ms)."""
        query = self._build_vector_store_query(bundle)
        found = await self._vector_store.aquery(query, **self._kwargs)
        return self._convert_nodes_to_scored_nodes(found)


def _passage(found: NodeWithScore) -> Passage:
    return cast(ChunkNode, found.node).passage
