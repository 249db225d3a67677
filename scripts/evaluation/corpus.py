"""Filling a throw-away house with a corpus, through the product's own ingestion.

PDFs go the whole way, from the folder through the job queue. Passages have no file to parse, so
they enter behind the parser: each article becomes a document and each of its passages a page, which
is what a user of such texts would have, and what makes a passage a place that can be cited.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress

import numpy as np

from app.documents.document import Claimed, NewFile
from app.documents.job_store import claim_version, report_progress
from app.documents.page_store import NewPage, replace_pages
from app.documents.store import Listing, list_documents
from app.documents.version_store import add_document, add_version, publish_version
from app.errors import AppError
from app.infra.postgres import Connection, tenant_transaction
from app.ingestion.chunk import chunk_pages
from app.ingestion.folder import find_files, take_in, watch
from app.ingestion.new_chunk import embedded_text, new_chunks
from app.ingestion.page import Page
from app.retrieval.chunk_table import NewChunk, replace_chunks
from app.retrieval.embedding import Vector
from app.wiring import House
from scripts.evaluation.dataset import Corpus, Text, page_place

#: (document id, 1-based page) → the place by which the data's questions name it.
Places = Mapping[tuple[str, int], str]


async def fill(house: House, tenant_id: str, corpus: Corpus) -> Places:
    """Make ``corpus`` searchable for the tenant.

    Raises:
        AppError: a PDF could not be ingested.
    """
    if corpus.pdf_folder is not None:
        return await _ingest(house, tenant_id, corpus)
    chunks = [_chunked(text, house.settings.chunk_words) for text in corpus.texts]
    # All at once: one article's chunks would not keep every core busy.
    vectors = await house.embedder.embed_passages(
        [embedded_text(chunk) for of_text in chunks for chunk in of_text]
    )
    rows = iter(vectors)
    places: dict[tuple[str, int], str] = {}
    for text, of_text in zip(corpus.texts, chunks, strict=True):
        document_id = await _store(house, tenant_id, text, [(c, next(rows)) for c in of_text])
        for number, (place, _) in enumerate(text.pages, start=1):
            places[document_id, number] = place
    return places


async def _ingest(house: House, tenant_id: str, corpus: Corpus) -> Places:
    assert corpus.pdf_folder is not None  # noqa: S101 - the caller looked
    versions = []
    files = find_files(corpus.pdf_folder)
    async for batch in take_in(house.pool, house.intake, tenant_id, files):
        for item in batch:
            if item.document_id is None or item.version is None:
                raise AppError(f"{item.path.name} was not accepted: {item.reason}.")
            versions.append((item.document_id, item.version))
    await _work(house, tenant_id, versions)
    async with tenant_transaction(house.pool, tenant_id) as connection:
        documents = await list_documents(connection, tenant_id, Listing(limit=len(versions)))
    return {
        (document.id, page): page_place(document.filename.removesuffix(".pdf"), page)
        for document in documents
        for page in range(1, (document.page_count or 0) + 1)
    }


async def _work(house: House, tenant_id: str, versions: list[tuple[str, int]]) -> None:
    working = asyncio.create_task(house.worker.run())
    try:
        async for progress in watch(house.pool, tenant_id, versions):
            if progress.failures:
                raise AppError(f"A PDF failed: {'; '.join(progress.failures.values())}.")
            if working.done():
                working.result()  # a worker that ended early ended with an error
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working


def _chunked(text: Text, max_words: int) -> list[NewChunk]:
    return new_chunks(chunk_pages(_pages(text), max_words=max_words), text.title)


def _pages(text: Text) -> list[Page]:
    nowhere = np.empty((0, 6), dtype=np.float32)
    return [Page(number, body, 0, 0, nowhere) for number, (_, body) in enumerate(text.pages, 1)]


async def _store(
    house: House, tenant_id: str, text: Text, chunks: Sequence[tuple[NewChunk, Vector]]
) -> str:
    """Publish one article as ``app/ingestion/pipeline.py`` publishes a parsed file; its id."""
    pages = _pages(text)
    content = "\f".join(page.text for page in pages).encode()
    file = NewFile(
        filename=f"{text.title}.txt",
        title=text.title,
        media_type="text/plain",
        size_bytes=len(content),
        sha256=hashlib.sha256(content).digest(),
    )
    async with tenant_transaction(house.pool, tenant_id) as connection:
        document_id = await add_document(connection, tenant_id, file)
        version, _ = await add_version(connection, tenant_id, document_id, file)
        claimed = await claim_version(connection, document_id, version)
        assert claimed is not None  # noqa: S101 - nobody else knows of it yet
        await report_progress(
            connection, claimed, step="index", pages_done=0, page_count=len(pages)
        )
        await _publish(connection, tenant_id, claimed, chunks)
        await replace_pages(
            connection,
            tenant_id=tenant_id,
            document_id=document_id,
            version=version,
            pages=[NewPage(page.number, page.text, page.sha256, 0, 0) for page in pages],
        )
    return document_id


async def _publish(
    connection: Connection,
    tenant_id: str,
    claimed: Claimed,
    chunks: Sequence[tuple[NewChunk, Vector]],
) -> None:
    await publish_version(
        connection,
        claimed,
        title=claimed.title,
        author=None,
        chunks_embedded=len(chunks),
        chunks_reused=0,
    )
    await replace_chunks(
        connection,
        tenant_id=tenant_id,
        document_id=claimed.document_id,
        version=claimed.version,
        outdated=(),
        chunks=chunks,
    )
