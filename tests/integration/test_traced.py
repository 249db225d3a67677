"""A search and an ingestion job as traces, over a real database."""

from pathlib import Path

from app.infra.tracing import Tracer
from tests.conftest import FreshDatabase
from tests.fakes import KeptSpans
from tests.integration.workshop import open_workshop, write_book

STEPS = ["parse", "chunk", "compare", "embed", "index"]


async def test_jobs_and_searches_are_told_by_ids_and_counts(
    database: FreshDatabase, tmp_path: Path
) -> None:
    spans = KeptSpans()
    tracer = Tracer([spans])
    book, broken = write_book(tmp_path / "book.pdf"), tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7 and no more")
    async with open_workshop(database, "traced", tracer=tracer) as shop:
        await shop.ingest(book)
        job = spans.named("ingest")
        assert [span.name for span in spans.spans] == [*STEPS, "ingest"]
        assert {span.parent_id for span in spans.spans} == {job.span_id, ""}
        assert (job.kind, job.trace.about, job.error) == ("consumer", "job", None)
        assert job.attributes == {
            "docent.document.version": 1,
            "docent.job.attempt": 1,
            "docent.job.outcome": "succeeded",
        }
        [document] = await shop.documents()
        assert job.trace.shared == {
            "docent.tenant.id": shop.tenant_id,
            "docent.document.id": document.id,
        }

        spans.spans.clear()
        await shop.ingest(broken)
        assert spans.named("parse").error == "unreadable_document"
        assert spans.named("ingest").attributes["docent.job.outcome"] == "failed"

        spans.spans.clear()
        with tracer.begin("root", kind="server"):
            found = await shop.search("disk limit of the recorder")
        search, embedding = (
            spans.named("retrieval chunks"),
            spans.named(f"embeddings {shop.embedder.name}"),
        )
        assert embedding.parent_id == search.span_id
        assert search.attributes == {
            "gen_ai.operation.name": "retrieval",
            "gen_ai.retrieval.top_k": 5,
            "docent.retrieval.passages": len(found),
            "docent.retrieval.chunk_ids": [passage.id for passage in found],
            "docent.retrieval.document_ids": [document.id] * len(found),
        }
        assert "recorder" not in str([span.attributes for span in spans.spans])
