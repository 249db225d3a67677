"""A document's whole journey: claim → parse → chunk → embed → index and publish.

Everything slow happens before the one short transaction that makes the version current; until it
commits the old version answers, and when it fails nothing has changed. Each step is a plain
function; only this file knows their order.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from app.documents.document import Claimed
from app.documents.page_store import NewPage, replace_pages
from app.documents.store import claim_version, fail_version, publish_version, report_progress
from app.infra.postgres import Pool, tenant_transaction
from app.ingestion.chunk import chunk_pages
from app.ingestion.page import Chunk, ParsedFile
from app.ingestion.parse import ParseError, ParseLimits, parse_pdf
from app.retrieval.chunk_table import (
    ChunkKey,
    NewChunk,
    current_chunks,
    known_vectors,
    lock_corpus,
    replace_chunks,
)
from app.retrieval.embedding import Embedder, Vector

log = structlog.get_logger(__name__)
#: Chunks embedded between two progress reports: a second or two of work.
EMBED_BATCH = 64


@dataclass(frozen=True, slots=True)
class _Difference:
    """What has to change to get from the current version's chunks to the new one's."""

    outdated: list[str]
    missing: list[NewChunk]
    vectors: dict[bytes, Vector]
    kept: int


class Pipeline:
    """Turns accepted files into searchable versions."""

    def __init__(
        self, pool: Pool, embedder: Embedder, *, limits: ParseLimits, chunk_words: int
    ) -> None:
        self._pool = pool
        self._embedder = embedder
        self._limits = limits
        self._chunk_words = chunk_words

    async def process(self, tenant_id: str, document_id: str, version: int) -> None:
        """Ingest one version; does nothing when it is finished or was overtaken.

        A file that cannot be parsed marks the version failed, with the reason, and is not an error
        here: trying again would end the same.

        Raises:
            AppError: when a dependency is away; the version stays claimed and may be tried again.
        """
        async with tenant_transaction(self._pool, tenant_id) as connection:
            claimed = await claim_version(connection, tenant_id, document_id, version)
        if claimed is None:
            return
        try:
            parsed = await parse_pdf(claimed.content, limits=self._limits)
        except ParseError as error:
            await self.give_up(tenant_id, claimed, error.reason, error.detail)
            return
        title = (claimed.base_version is None and parsed.title) or claimed.title
        chunks = await self._chunk(tenant_id, claimed, parsed, title)
        difference = await self._compare(tenant_id, document_id, chunks)
        embedded = await self._embed(tenant_id, claimed, parsed, difference)
        await self._publish(tenant_id, claimed, parsed, title, difference, embedded)

    async def give_up(self, tenant_id: str, claimed: Claimed, code: str, detail: str) -> None:
        """Record that this version will not become current."""
        async with tenant_transaction(self._pool, tenant_id) as connection:
            await fail_version(connection, claimed, code=code, detail=detail)
        log.info("ingestion_failed", document_id=claimed.document_id, code=code)

    async def _chunk(
        self, tenant_id: str, claimed: Claimed, parsed: ParsedFile, title: str
    ) -> list[NewChunk]:
        await self._report(tenant_id, claimed, parsed, step="chunk", pages_done=0)
        chunks = await asyncio.to_thread(chunk_pages, parsed.pages, max_words=self._chunk_words)
        return [new_chunk(chunk, title) for chunk in chunks]

    async def _compare(
        self, tenant_id: str, document_id: str, chunks: Sequence[NewChunk]
    ) -> _Difference:
        async with tenant_transaction(self._pool, tenant_id) as connection:
            current: dict[ChunkKey, str] = await current_chunks(connection, document_id)
            missing = [chunk for chunk in chunks if chunk.key not in current]
            vectors = await known_vectors(connection, {chunk.digest for chunk in missing})
        wanted = {chunk.key for chunk in chunks}
        outdated = [chunk_id for key, chunk_id in current.items() if key not in wanted]
        return _Difference(outdated, missing, vectors, len(chunks) - len(missing))

    async def _embed(
        self, tenant_id: str, claimed: Claimed, parsed: ParsedFile, difference: _Difference
    ) -> int:
        """Fill in the vectors nobody has computed before; how many those were."""
        texts = {
            chunk.digest: embedded_text(chunk)
            for chunk in difference.missing
            if chunk.digest not in difference.vectors
        }
        pages = {chunk.digest: chunk.page for chunk in difference.missing}
        digests = list(texts)
        for start in range(0, len(digests), EMBED_BATCH):
            await self._report(
                tenant_id, claimed, parsed, step="embed", pages_done=pages[digests[start]] - 1
            )
            batch = digests[start : start + EMBED_BATCH]
            rows = await self._embedder.embed_passages([texts[digest] for digest in batch])
            difference.vectors.update(zip(batch, rows, strict=True))
        return len(digests)

    async def _publish(
        self,
        tenant_id: str,
        claimed: Claimed,
        parsed: ParsedFile,
        title: str,
        difference: _Difference,
        embedded: int,
    ) -> None:
        await self._report(tenant_id, claimed, parsed, step="index", pages_done=len(parsed.pages))
        async with tenant_transaction(self._pool, tenant_id) as connection:
            await lock_corpus(connection, tenant_id)
            reused = len(difference.missing) - embedded + difference.kept
            if not await publish_version(
                connection,
                claimed,
                title=title,
                author=parsed.author,
                chunks_embedded=embedded,
                chunks_reused=max(reused, 0),
            ):
                log.warning("claim_lost", document_id=claimed.document_id, version=claimed.version)
                return
            await replace_chunks(
                connection,
                tenant_id=tenant_id,
                document_id=claimed.document_id,
                version=claimed.version,
                outdated=difference.outdated,
                chunks=[(chunk, difference.vectors[chunk.digest]) for chunk in difference.missing],
            )
            await replace_pages(
                connection,
                tenant_id=tenant_id,
                document_id=claimed.document_id,
                version=claimed.version,
                pages=[
                    NewPage(page.number, page.text, page.sha256, page.width, page.height)
                    for page in parsed.pages
                ],
            )
        log.info(
            "version_published",
            document_id=claimed.document_id,
            version=claimed.version,
            chunks_embedded=embedded,
        )

    async def _report(
        self, tenant_id: str, claimed: Claimed, parsed: ParsedFile, *, step: str, pages_done: int
    ) -> None:
        async with tenant_transaction(self._pool, tenant_id) as connection:
            await report_progress(
                connection,
                claimed,
                step=step,
                pages_done=pages_done,
                page_count=len(parsed.pages),
            )


def new_chunk(chunk: Chunk, title: str) -> NewChunk:
    """The stored form of ``chunk``; its digest covers exactly what is embedded."""
    boxes = chunk.words.astype("<f4", copy=False).tobytes()
    unhashed = NewChunk(
        chunk.page, chunk.start, chunk.end, b"", title, chunk.heading, chunk.text, boxes
    )
    digest = hashlib.sha256(embedded_text(unhashed).encode()).digest()
    return NewChunk(
        chunk.page, chunk.start, chunk.end, digest, title, chunk.heading, chunk.text, boxes
    )


def embedded_text(chunk: NewChunk) -> str:
    """What the model reads: title and heading stand before the text, so that they are found too."""
    return f"{chunk.title}\n{chunk.heading}\n{chunk.text}"
