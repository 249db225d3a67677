"""The peer that does the same: FastAPI, LlamaIndex's context chat engine, stock ``PGVectorStore``.

No credential, no tenant, no citations, no memory beyond the request. It is helped where the stock
defaults would only make it look bad: halfvec with the right operators, a plain memory buffer (the
default opens a database of its own for every conversation), clients that live as long as the
process, the product's embedding model with its cache of questions.
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from llama_index.core import VectorStoreIndex
from llama_index.core.chat_engine import ContextChatEngine
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.llms.openai_like import OpenAILike
from llama_index.vector_stores.postgres import PGVectorStore
from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse

from app.retrieval.minilm import MiniLmEmbedder
from app.retrieval.search import EmbedderModel
from scripts.chat_benchmark.corpus import STOCK_TABLE, stock_addresses
from scripts.search_benchmark.corpus import DIMENSION
from scripts.search_benchmark.tables import STOCK_HNSW

TOP_K = 5
router = APIRouter()


class Body(BaseModel):
    """A question."""

    question: str
    stream: bool = False


class Source(BaseModel):
    """Where an answer may come from."""

    id: str
    title: str
    page: int


class AnswerOut(BaseModel):
    """The answer."""

    answer: str
    sources: list[Source]


def engine(request: Request) -> ContextChatEngine:
    """A conversation of one question."""
    state = request.app.state
    return ContextChatEngine.from_defaults(
        retriever=state.index.as_retriever(similarity_top_k=TOP_K),
        llm=state.llm,
        memory=ChatMemoryBuffer.from_defaults(token_limit=8_000),
    )


@router.post("/chat", response_model=AnswerOut)
async def chat(request: Request, body: Body) -> AnswerOut | Response:
    """Answer, at once or as it comes."""
    if not body.stream:
        done = await engine(request).achat(body.question)
        sources = [
            Source(id=node.node_id, title=node.metadata["title"], page=int(node.metadata["page"]))
            for node in done.source_nodes
        ]
        return AnswerOut(answer=done.response, sources=sources)
    writing = await engine(request).astream_chat(body.question)

    async def events() -> AsyncIterator[str]:
        async for text in writing.async_response_gen():
            yield f"event: delta\ndata: {json.dumps({'text': text})}\n\n"
        yield "event: done\ndata: {}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


@router.get("/ready")
async def ready() -> str:
    """Answer once the application is open."""
    return "ok"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open what lives as long as the process."""
    embedder = MiniLmEmbedder(Path(os.environ["BENCHMARK_MODEL"]), threads=1)
    blocking, asynchronous = stock_addresses(os.environ["BENCHMARK_DATABASE"])
    store = PGVectorStore.from_params(
        connection_string=blocking,
        async_connection_string=asynchronous,
        table_name=STOCK_TABLE,
        embed_dim=DIMENSION,
        perform_setup=False,
        use_halfvec=True,
        hnsw_kwargs={**STOCK_HNSW, "hnsw_dist_method": "halfvec_cosine_ops"},
    )
    app.state.index = VectorStoreIndex.from_vector_store(store, embed_model=EmbedderModel(embedder))
    app.state.llm = OpenAILike(
        model="ok",
        api_base=os.environ["BENCHMARK_PROVIDER"],
        api_key="none",
        is_chat_model=True,
        context_window=32_000,
        max_retries=0,
    )
    yield
    await store.close()
    await embedder.close()


app = FastAPI(lifespan=lifespan)
app.include_router(router)
