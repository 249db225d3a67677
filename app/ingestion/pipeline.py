"""A document's whole journey: claim → parse → chunk → embed → index and publish.

Everything slow happens before the one short transaction that makes the version current; until it
commits the old version answers, and when it fails nothing has changed. Each step is a plain
function; only this file knows their order.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from app.documents.document import Claimed
from app.documents.job import Job, JobStatus
from app.documents.job_store import (
    claim_version,
    end_overtaken,
    fail_version,
    holds_claim,
    report_progress,
)
from app.documents.page_store import NewPage, replace_pages
from app.documents.version_store import publish_version, record_activation, set_warnings
from app.infra.blobs import BlobStore
from app.infra.metrics import Metrics
from app.infra.postgres import Pool, tenant_transaction
from app.infra.reach import reaching
from app.infra.tracing import current_span
from app.ingestion.announcer import Announcer
from app.ingestion.chunk import chunk_pages
from app.ingestion.formats import detect
from app.ingestion.hidden_text import warnings_of
from app.ingestion.new_chunk import embedded_text, new_chunks
from app.ingestion.ocr import OcrLimits
from app.ingestion.page import ParsedFile
from app.ingestion.parse import ParseError, ParseLimits, parse_file
from app.ingestion.traced import step
from app.retrieval.chunk_table import (
    ChunkKey,
    NewChunk,
    known_vectors,
    newest_chunks,
    replace_chunks,
)
from app.retrieval.embedding import Embedder, Vector
from app.retrieval.following import settled
from app.retrieval.index_info import hold_model

log = structlog.get_logger(__name__)
#: Chunks embedded between two progress reports: a second or two of work.
EMBED_BATCH = 64
#: Seconds between two looks whether the job was cancelled, while a file is parsed.
CLAIM_CHECK_S = 1.0


@dataclass(frozen=True, slots=True)
class FileLimits:
    """What one file may cost, and how it is cut."""

    parse: ParseLimits
    ocr: OcrLimits
    #: Most words of a chunk.
    chunk_words: int


class ClaimLost(Exception):
    """The job was cancelled, or another worker has it: nothing more may be written."""


@dataclass(frozen=True, slots=True)
class _Difference:
    """What has to change to get from the current version's chunks to the new one's."""

    outdated: list[str]
    missing: list[NewChunk]
    vectors: dict[bytes, Vector]
    kept: int
    #: Whose vectors they are, to the end of the job.
    embedder: Embedder


class Pipeline:
    """Turns accepted files into searchable versions."""

    def __init__(
        self,
        pool: Pool,
        blobs: BlobStore,
        embedder: Embedder,
        announcer: Announcer,
        *,
        limits: FileLimits,
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = metrics or Metrics()
        self._pool = pool
        self._blobs = blobs
        self._embedder = embedder
        self._announcer = announcer
        self._limits = limits

    async def process(self, tenant_id: str, document_id: str, version: int) -> None:
        """Ingest one version; does nothing when it is finished, cancelled or was overtaken.

        A file that cannot be parsed marks the version failed, with the reason, and is not an error
        here: trying again would end the same.

        Raises:
            AppError: when a dependency is away; the version stays claimed and may be tried again.
        """
        claimed = await self._claim(tenant_id, document_id, version)
        if claimed is None:
            return
        started, outcome = time.perf_counter(), "interrupted"
        try:
            await self._ingest(tenant_id, claimed)
            outcome = "succeeded"
        except ParseError as error:
            await self._end(tenant_id, claimed, "failed", error.reason, error.detail)
            outcome = "failed"
        except ClaimLost:
            log.warning("claim_lost", document_id=document_id, version=version)
            outcome = "claim_lost"
        finally:
            self._metrics.job(outcome, time.perf_counter() - started)
            current_span().note({"docent.job.outcome": outcome})

    async def give_up(
        self, tenant_id: str, document_id: str, version: int, *, code: str, detail: str
    ) -> None:
        """End a job that was tried often enough as ``dead``, whoever tried it."""
        claimed = await self._claim(tenant_id, document_id, version)
        if claimed is not None:
            await self._end(tenant_id, claimed, "dead", code, detail)
            self._metrics.job("dead")

    async def _claim(self, tenant_id: str, document_id: str, version: int) -> Claimed | None:
        """Take a version, or end it when it was overtaken."""
        ended: Job | None = None
        async with tenant_transaction(self._pool, tenant_id) as connection:
            claimed = await claim_version(connection, document_id, version)
            if claimed is None:
                ended = await end_overtaken(connection, document_id, version)
            if ended is not None:
                await self._announcer.finished(connection, tenant_id, ended)
        await self._announcer.progress(tenant_id, ended)
        return claimed

    async def _end(
        self, tenant_id: str, claimed: Claimed, status: JobStatus, code: str, detail: str
    ) -> None:
        async with tenant_transaction(self._pool, tenant_id) as connection:
            job = await fail_version(connection, claimed, status=status, code=code, detail=detail)
            if job is not None:
                await self._announcer.finished(connection, tenant_id, job)
        log.info("ingestion_failed", document_id=claimed.document_id, code=code)
        await self._announcer.progress(tenant_id, job)

    async def _ingest(self, tenant_id: str, claimed: Claimed) -> None:
        parsed = await step("parse", self._parse(tenant_id, claimed))
        title = claimed.index_title or parsed.title or claimed.title
        chunks = await step("chunk", self._chunk(tenant_id, claimed, parsed, title))
        difference = await step("compare", self._compare(tenant_id, claimed, chunks))
        embedded = await step("embed", self._embed(tenant_id, claimed, parsed, difference))
        await step("index", self._publish(tenant_id, claimed, parsed, title, difference, embedded))

    async def _parse(self, tenant_id: str, claimed: Claimed) -> ParsedFile:
        """Parse the file, unless the job is cancelled meanwhile."""
        await self._report(tenant_id, claimed, None, step="parse", pages_done=0)
        content = await self._blobs.get(tenant_id, claimed.sha256)
        kind = detect(content, claimed.filename)
        if kind is None:
            raise ParseError("unsupported_format")
        parsing = asyncio.create_task(
            parse_file(content, kind, limits=self._limits.parse, ocr=self._limits.ocr)
        )
        try:
            while not (await asyncio.wait({parsing}, timeout=CLAIM_CHECK_S))[0]:
                async with tenant_transaction(self._pool, tenant_id) as connection:
                    if not await holds_claim(connection, claimed):
                        raise ClaimLost
            return parsing.result()
        finally:
            parsing.cancel()

    async def _chunk(
        self, tenant_id: str, claimed: Claimed, parsed: ParsedFile, title: str
    ) -> list[NewChunk]:
        await self._report(tenant_id, claimed, parsed, step="chunk", pages_done=0)
        chunks = await asyncio.to_thread(
            chunk_pages, parsed.pages, max_words=self._limits.chunk_words
        )
        return await asyncio.to_thread(new_chunks, chunks, title)

    async def _compare(
        self, tenant_id: str, claimed: Claimed, chunks: Sequence[NewChunk]
    ) -> _Difference:
        async with tenant_transaction(self._pool, tenant_id) as connection:
            current: dict[ChunkKey, str] = await newest_chunks(connection, claimed.document_id)
        missing = [chunk for chunk in chunks if chunk.key not in current]
        embedder, digests = settled(self._embedder), {chunk.digest for chunk in missing}
        with reaching(claimed.space):  # how many were known is told, so none of what others keep
            async with tenant_transaction(self._pool, tenant_id) as connection:
                vectors = await known_vectors(connection, digests, model=embedder.name)
        wanted = {chunk.key for chunk in chunks}
        outdated = [chunk_id for key, chunk_id in current.items() if key not in wanted]
        return _Difference(outdated, missing, vectors, len(chunks) - len(missing), embedder)

    async def _embed(
        self, tenant_id: str, claimed: Claimed, parsed: ParsedFile, difference: _Difference
    ) -> int:
        """Fill in the vectors nobody has computed before; how many those were."""
        missing = (c for c in difference.missing if c.digest not in difference.vectors)
        new = list({chunk.digest: chunk for chunk in missing}.values())
        for start in range(0, len(new), EMBED_BATCH):
            await self._report(
                tenant_id, claimed, parsed, step="embed", pages_done=new[start].page - 1
            )
            batch = new[start : start + EMBED_BATCH]
            rows = await difference.embedder.embed_passages([embedded_text(c) for c in batch])
            difference.vectors.update(zip((c.digest for c in batch), rows, strict=True))
        return len(new)

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
        reused = len(difference.missing) - embedded + difference.kept
        async with tenant_transaction(self._pool, tenant_id) as connection:
            job = await publish_version(
                connection,
                claimed,
                title=title,
                author=parsed.author,
                chunks_embedded=embedded,
                chunks_reused=max(reused, 0),
            )
            if job is None:
                raise ClaimLost
            if warnings := warnings_of(parsed):
                await set_warnings(connection, claimed.document_id, claimed.version, warnings)
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
            await self._announcer.finished(connection, tenant_id, job)
            await hold_model(connection, difference.embedder.name)
            await replace_chunks(
                connection,
                tenant_id=tenant_id,
                document_id=claimed.document_id,
                version=claimed.version,
                outdated=difference.outdated,
                chunks=[(chunk, difference.vectors[chunk.digest]) for chunk in difference.missing],
            )
            # Last, so that its time is the nearest to the moment the version begins to answer.
            await record_activation(connection, tenant_id, claimed.document_id, claimed.version)
        published = {"document_id": claimed.document_id, "version": claimed.version}
        log.info("version_published", **published, chunks_embedded=embedded)
        await self._announcer.progress(tenant_id, job)

    async def _report(
        self,
        tenant_id: str,
        claimed: Claimed,
        parsed: ParsedFile | None,
        *,
        step: str,
        pages_done: int,
    ) -> None:
        """Write down and announce how far the work has come; ``parsed`` is None before it is.

        Raises:
            ClaimLost: when it is not ours any more.
        """
        async with tenant_transaction(self._pool, tenant_id) as connection:
            job: Job | None = await report_progress(
                connection,
                claimed,
                step=step,
                pages_done=pages_done,
                page_count=None if parsed is None else len(parsed.pages),
            )
        if job is None:
            raise ClaimLost
        await self._announcer.progress(tenant_id, job)
