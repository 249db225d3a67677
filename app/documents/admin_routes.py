"""``/api/v1/admin/corpus``: whether the corpus is whole, and how large it is."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from app.auth.caller import Caller
from app.auth.gate import require
from app.documents.corpus import check_corpus, corpus_stats
from app.http.problems import documented_problems

router = APIRouter(prefix="/api/v1/admin/corpus", tags=["admin"])

Admin = Annotated[Caller, Depends(require("admin"))]


class FindingOut(BaseModel):
    """What one check found."""

    name: str
    found: int
    samples: list[str]


class CorpusCheck(BaseModel):
    """Every check with what it found; `healthy` when none found anything."""

    healthy: bool
    checks: list[FindingOut]


class Counts(BaseModel):
    """How much there is; `chunks` of all versions, `vectors` of those that are searched."""

    documents: int
    deleted_documents: int
    versions: int
    bytes: int
    vectors: int
    chunks: int


class IndexFacts(BaseModel):
    """The index of the whole database, and the tenant's corpus revision."""

    vector_index_bytes: int
    text_index_bytes: int
    chunk_table_bytes: int
    healthy: bool
    corpus_revision: int
    embedding_model: str
    dimension: int


class CorpusStats(BaseModel):
    """The tenant's documents, in all, by tag and by format."""

    totals: Counts
    by_tag: dict[str, Counts]
    by_media_type: dict[str, Counts]
    index: IndexFacts


@router.get("/check", operation_id="check_corpus", responses=documented_problems(401, 403, 503))
async def check(request: Request, caller: Admin) -> CorpusCheck:
    """Look for anything that should not be there: chunks of dead versions, bytes without a row."""
    house = request.app.state.house
    found = await check_corpus(
        house.pool, house.blobs, caller.tenant_id, quoted=house.quoted, memory=house.memory
    )
    checks = [FindingOut(name=f.name, found=f.found, samples=list(f.samples)) for f in found]
    return CorpusCheck(healthy=not any(item.found for item in checks), checks=checks)


@router.get("/stats", operation_id="corpus_stats", responses=documented_problems(401, 403, 503))
async def stats(request: Request, caller: Admin) -> CorpusStats:
    """Count documents, versions, chunks, vectors and bytes."""
    return CorpusStats.model_validate(
        await corpus_stats(request.app.state.house.pool, caller.tenant_id)
    )
