"""A corpus that is changed, interrupted and asked in any order answers as a plain model says.

Hypothesis draws the operations. A run that is killed or frozen is a task on a pipeline of its own
that is held up at one step: killed, it is cancelled there; frozen, it goes on whenever Hypothesis
likes, as a worker does that was rescued meanwhile.
"""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.documents.corpus import check_corpus
from app.documents.job import Job
from app.documents.service import DocumentNotFound, VersionNotFound
from app.documents.sharing import SourceTaken
from app.errors import Unavailable
from app.infra.blobs import PostgresBlobs
from app.infra.postgres import Connection
from app.ingestion.announcer import Announcer
from app.ingestion.board import JobFinished, JobNotRetryable
from app.ingestion.intake import Upload
from app.ingestion.ocr import OcrLimits
from app.ingestion.parse import ParseLimits
from app.ingestion.pipeline import FileLimits, Pipeline
from app.retrieval.embedding import Vectors
from app.retrieval.passage import Scope
from tests.conftest import FreshDatabase
from tests.fakes import CountingEmbedder
from tests.integration.workshop import Workshop, open_workshop
from tests.pdfs import make_pdf
from tests.slow.corpus_model import Corpus, Document, Version

#: Files by the words of their pages; None cannot be read. They share pages, in and out of place.
FILES: tuple[tuple[str, ...] | None, ...] = (
    ("amber", "birch"),
    ("amber", "cedar"),
    ("amber", "birch", "dune"),
    ("cedar",),
    ("elm", "amber"),
    None,
)
QUESTION = "what does the page say"
#: More than any example holds: a search for so many finds everything that is visible.
EVERYTHING = 200
STEPS = ("parse", "chunk", "embed", "index", "publish", "done")
#: A worker frozen in its transaction holds its locks; PostgreSQL ends that, not another worker.
FREEZABLE = ("parse", "chunk", "embed", "index")
TENANTS = itertools.count()


def text_of(word: str) -> str:
    return f"The page says {word} and no more."


def content_of(file: int) -> bytes:
    words = FILES[file]
    return b"%PDF-1.7 broken" if words is None else make_pdf([[text_of(w)] for w in words])


class Failing(CountingEmbedder):
    """Fails once with ``error``, when it has one."""

    error: BaseException | None = None

    async def embed_passages(self, texts: Sequence[str]) -> Vectors:
        error, self.error = self.error, None
        if error is not None:
            raise error
        return await super().embed_passages(texts)


class Run:
    """A version on its way through a pipeline of its own, held up when it comes to ``step``."""

    def __init__(self, shop: Workshop, version: Version, step: str) -> None:
        self.version = version
        self._step = step
        self._reached, self._go_on = asyncio.Event(), asyncio.Event()
        pipeline = Pipeline(
            shop.pool,
            HeldBlobs(shop, self),
            CountingEmbedder(),
            HeldAnnouncer(shop, self),
            limits=FileLimits(ParseLimits(), OcrLimits(), 60),
        )
        self._way = pipeline.process(shop.tenant_id, version.document.id, version.number)

    async def hold(self, step: str) -> None:
        """Called at every step, by the parts the pipeline was given."""
        if step == self._step and not self._reached.is_set():
            self._reached.set()
            await self._go_on.wait()

    async def begin(self) -> bool:
        """Go as far as the step; False when the run ended before."""
        self._task = asyncio.create_task(self._way)
        reached = asyncio.create_task(self._reached.wait())
        await asyncio.wait({self._task, reached}, return_when=asyncio.FIRST_COMPLETED)
        reached.cancel()
        if self._reached.is_set():
            return True
        await self._task
        return False

    async def kill(self) -> None:
        self._task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self._task

    async def go_on(self) -> None:
        self._go_on.set()
        await self._task


class HeldBlobs(PostgresBlobs):
    def __init__(self, shop: Workshop, run: Run) -> None:
        super().__init__(shop.pool)
        self._run = run

    async def get(self, tenant_id: str, sha256: bytes) -> bytes:
        await self._run.hold("parse")
        return await super().get(tenant_id, sha256)


class HeldAnnouncer(Announcer):
    def __init__(self, shop: Workshop, run: Run) -> None:
        self._told, self._run = shop.announcer, run

    async def progress(self, tenant_id: str, job: Job | None) -> None:
        if job is not None and job.error_code != "overtaken":  # that ends before it begins
            await self._run.hold("done" if job.finished else job.step or "")
        await self._told.progress(tenant_id, job)

    async def finished(self, connection: Connection, tenant_id: str, job: Job) -> None:
        if job.error_code != "overtaken":
            await self._run.hold("publish")  # in the middle of the transaction
        await self._told.finished(connection, tenant_id, job)


class CorpusMachine(RuleBasedStateMachine):
    """Every rule does one thing to the product and to the model; the invariants compare them."""

    def __init__(self, database: FreshDatabase) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.embedder = Failing()
        self.model = Corpus(FILES)
        self.frozen: list[Run] = []
        self.shop: Workshop = self.run(
            self.stack.enter_async_context(
                open_workshop(
                    database, f"machine {next(TENANTS)}", embedder=self.embedder, attempts=99
                )
            )
        )

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run(coroutine)

    def document(self, number: int) -> Document:
        return self.model.documents[number % len(self.model.documents)]

    def version(self, number: int, likely: Callable[[Version], bool] = lambda _: True) -> Version:
        """Any version, but three times in four one that is ``likely``, if there is one."""
        versions = [v for document in self.model.documents for v in document.versions]
        some = [v for v in versions if likely(v)] if number % 4 else versions
        return (some or versions)[number // 4 % len(some or versions)]

    def expect(self, refusal: type[Exception] | None, call: Coroutine[Any, Any, Any]) -> Any:
        """Run ``call``, which is refused when the model says so."""
        if refusal is None:
            return self.run(call)
        with pytest.raises(refusal):
            self.run(call)
        return None

    @initialize()
    def begin_with_something(self) -> None:
        """Two documents; both have a version that waits, one has one that was cancelled."""
        self.upload(0, None)
        self.work()
        self.replace(0, 1)
        self.upload(2, "mem:a")
        self.work()
        self.replace(1, 4)
        self.cancel(1)
        self.replace(1, 0)

    # What callers do.

    @rule(file=st.integers(0, len(FILES) - 1), source=st.sampled_from([None, "mem:a"]))
    def upload(self, file: int, source: str | None) -> None:
        taken = self.run(
            self.shop.intake.add(
                self.shop.tenant_id, Upload("book.pdf", content_of(file), source=source)
            )
        )
        candidates = self.model.known(file, source)
        if candidates:
            document = next(d for d in candidates if d.id == taken.document_id)
        else:
            document = self.model.add(taken.document_id, source)
        assert (taken.version, taken.job_id is not None) == self.model.take(document, file)
        self.remember_job(document, taken.version, taken.job_id)

    @precondition(lambda self: self.model.documents)
    @rule(number=st.integers(0, 99), file=st.integers(0, len(FILES) - 1))
    def replace(self, number: int, file: int) -> None:
        document = self.document(number)
        call = self.shop.intake.replace(
            self.shop.tenant_id, document.id, Upload("book.pdf", content_of(file))
        )
        taken = self.expect(DocumentNotFound if document.deleted else None, call)
        if taken is not None:
            assert (taken.version, taken.job_id is not None) == self.model.take(document, file)
            self.remember_job(document, taken.version, taken.job_id)
        else:  # the bytes came before the refusal, and purge takes them away
            self.model.orphan_possible = True

    def remember_job(self, document: Document, number: int, job_id: str | None) -> None:
        version = document.versions[number - 1]
        if job_id is not None:
            assert version.job_id in (None, job_id), "a version keeps its job"
            version.job_id = job_id

    @precondition(lambda self: self.model.documents)
    @rule(number=st.integers(0, 99))
    def activate(self, number: int) -> None:
        version = self.version(number)
        document = version.document
        refusal: type[Exception] | None = None
        if document.deleted:
            refusal = DocumentNotFound
        elif version.status != "ready":
            refusal = VersionNotFound
        call = self.shop.archive.activate(self.shop.tenant_id, document.id, version.number)
        self.expect(refusal, call)
        if refusal is None:
            document.current = version.number

    @precondition(lambda self: self.model.documents)
    @rule(number=st.integers(0, 99))
    def delete(self, number: int) -> None:
        document = self.document(number)
        refusal = DocumentNotFound if document.deleted else None
        live = len(document.words)
        removed = self.expect(refusal, self.shop.archive.delete(self.shop.tenant_id, document.id))
        if refusal is None:
            assert (removed.chunks, removed.vectors) == (live, live)
            self.model.delete(document)

    @precondition(lambda self: any(d.deleted for d in self.model.documents))
    @rule(number=st.integers(0, 99))
    def restore(self, number: int) -> None:
        deleted = [d for d in self.model.documents if d.deleted]
        document = deleted[number % len(deleted)]
        refusal = SourceTaken if self.model.is_taken(document.source) else None
        self.expect(refusal, self.shop.archive.restore(self.shop.tenant_id, document.id))
        document.deleted = refusal is not None

    @precondition(lambda self: self.model.documents)
    @rule(number=st.integers(0, 99))
    def cancel(self, number: int) -> None:
        version = self.version(number, lambda version: version.unfinished)
        refusal = None if version.unfinished else JobFinished
        assert version.job_id is not None
        self.expect(refusal, self.shop.board.cancel(self.shop.tenant_id, version.job_id))
        if refusal is None:
            version.end("cancelled")

    @precondition(lambda self: self.model.documents)
    @rule(number=st.integers(0, 99))
    def retry(self, number: int) -> None:
        version = self.version(number, self.model.may_be_retried)
        refusal = None if self.model.may_be_retried(version) else JobNotRetryable
        assert version.job_id is not None
        self.expect(refusal, self.shop.board.retry(self.shop.tenant_id, version.job_id))
        if refusal is None:
            self.model.queue_version(version)

    # What workers do, and what happens to them.

    @precondition(lambda self: self.model.queue)
    @rule()
    def work(self) -> None:
        before = len(self.embedder.passages)
        known = {text_of(word) for word in self.model.stored}
        self.work_off()
        self.model.work()
        embedded = [text.rpartition("\n")[2] for text in self.embedder.passages[before:]]
        assert len(set(embedded)) == len(embedded)
        assert not known & set(embedded), "what is known is not embedded again"

    def work_off(self) -> None:
        self.shop.rows("UPDATE jobs.procrastinate_jobs SET scheduled_at = now()")
        self.run(self.shop.worker.run(until_empty=True))

    @precondition(lambda self: self.model.queue)
    @rule(stopped=st.booleans())
    def work_with_a_failure(self, stopped: bool) -> None:
        """The first embedding fails for a while, or is cut off because the worker has to stop."""
        self.embedder.error = asyncio.CancelledError() if stopped else Unavailable()
        self.work_off()
        self.embedder.error = None
        self.model.work(first_embedding="stopped" if stopped else "failed")

    @precondition(lambda self: self.model.queue)
    @rule(number=st.integers(0, 99), step=st.sampled_from(STEPS))
    def kill_a_worker(self, number: int, step: str) -> None:
        run = self.run_of_next_job(number, step)
        if self.begin(run):
            self.run(run.kill())
            if step == "done":
                self.model.finish(run.version)

    @precondition(lambda self: self.model.queue and len(self.frozen) < 3)
    @rule(number=st.integers(0, 99), step=st.sampled_from(FREEZABLE))
    def freeze_a_worker(self, number: int, step: str) -> None:
        run = self.run_of_next_job(number, step)
        if self.begin(run):
            self.frozen.append(run)

    @precondition(lambda self: self.frozen)
    @rule(number=st.integers(0, 99))
    def wake_a_worker(self, number: int) -> None:
        """It does its work if nobody took that away from it, and changes nothing otherwise."""
        run = self.frozen.pop(number % len(self.frozen))
        self.run(run.go_on())
        if run.version.claim is run:
            self.model.finish(run.version)

    def run_of_next_job(self, number: int, step: str) -> Run:
        """Jobs of a document run one after the other, so only its first may be in hand."""
        heads = self.model.heads()
        heads = [version for version in heads if version.unfinished] or heads

        async def make() -> Run:
            return Run(self.shop, heads[number % len(heads)], step)

        run: Run = self.run(make())
        return run

    def begin(self, run: Run) -> bool:
        held: bool = self.run(run.begin())
        claimed = self.model.claim(run.version, run)
        assert claimed or not held, "nobody works on what is finished"
        if claimed and not held:
            self.model.finish(run.version)
        return held

    # What must hold whatever was done.

    @invariant()
    def current_versions_are_found_and_nothing_else(self) -> None:
        assert self.found() == self.model.visible()
        self.model.moments.append((datetime.now(UTC), self.model.answering()))

    @precondition(lambda self: self.model.moments)
    @rule(number=st.integers(0, 99))
    def ask_as_of_a_moment(self, number: int) -> None:
        moment, versions = self.model.moments[number % len(self.model.moments)]
        assert self.found(as_of=moment) == self.model.visible(versions)

    @precondition(lambda self: self.model.documents)
    @rule(number=st.integers(0, 99))
    def ask_one_document(self, number: int) -> None:
        document = self.document(number)
        expected = {place for place in self.model.visible() if place[0] == document.id}
        assert self.found(document_ids=(document.id,)) == expected

    def found(self, **scope: Any) -> set[tuple[str, int, int, str]]:
        """(document, version, page, text) of everything that a search can find."""
        retrieved = self.run(
            self.shop.retriever.retrieve(
                QUESTION, Scope(self.shop.tenant_id, **scope), top_k=EVERYTHING
            )
        )
        places = [(p.document_id, p.version, p.page, p.text) for p in retrieved.passages]
        assert len(set(places)) == len(places)
        return {(*place, text) for *place, text in places}  # type: ignore[misc]

    @invariant()
    def rows_are_those_of_the_model(self) -> None:
        tenant = self.shop.tenant_id
        rows = self.shop.rows(
            "SELECT d.id, d.current_version, d.deleted_at IS NOT NULL AS deleted,"
            " array_agg(v.status ORDER BY v.number) AS statuses,"
            " (SELECT count(*) FROM chunks c WHERE c.document_id = d.id) AS chunks,"
            " (SELECT count(*) FROM pages p WHERE p.document_id = d.id) AS pages"
            " FROM documents d JOIN document_versions v ON v.document_id = d.id"
            " WHERE d.tenant_id = %s GROUP BY d.id",
            tenant,
        )
        assert {row.pop("id"): row for row in rows} == {
            document.id: {
                "current_version": document.current,
                "deleted": document.deleted,
                "statuses": [version.status for version in document.versions],
                "chunks": document.rows,
                "pages": document.rows,
            }
            for document in self.model.documents
        }

    @invariant()
    def the_corpus_is_whole(self) -> None:
        shop = self.shop
        findings = self.run(
            check_corpus(
                shop.pool, shop.blobs, shop.tenant_id, quoted=shop.quoted, memory=shop.memory
            )
        )
        wrong = {finding.name for finding in findings if finding.found}
        if self.model.orphan_possible:
            wrong -= {"bytes_without_a_version"}
        assert wrong == set()

    def teardown(self) -> None:
        try:
            while self.frozen:
                self.wake_a_worker(0)
            self.work()
            self.current_versions_are_found_and_nothing_else()
            self.rows_are_those_of_the_model()
            self.the_corpus_is_whole()
            assert not [v for d in self.model.documents for v in d.versions if v.unfinished]
            assert self.jobs() == []
        finally:
            self.shop.rows("DELETE FROM jobs.procrastinate_jobs")
            self.run(self.stack.aclose())
            self.loop.close()

    def jobs(self) -> list[dict[str, Any]]:
        return self.shop.rows(
            "SELECT status FROM jobs.procrastinate_jobs WHERE args->>'tenant_id' = %s",
            self.shop.tenant_id,
        )


def test_the_corpus_answers_as_the_model_says(database: FreshDatabase) -> None:
    machine: Callable[[], RuleBasedStateMachine] = lambda: CorpusMachine(database)  # noqa: E731
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=20,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
