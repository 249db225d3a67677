"""``GET /api/v1/admin/analytics``: what was asked of a tenant's documents, and how it went."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from app.auth.caller import Caller
from app.auth.gate import require
from app.chat.analytics_store import figures_of
from app.http.problems import documented_problems
from app.http.wire import Time

router = APIRouter(prefix="/api/v1/admin/analytics", tags=["admin"])


class AnalyticsQuery(BaseModel):
    """How far back is counted."""

    model_config = ConfigDict(extra="forbid")

    days: int = Field(7, ge=1, le=90, description="Days in UTC, today included.")


class Totals(BaseModel):
    """The whole time together."""

    questions: int
    cached: int
    abstained: int
    incomplete: int
    cost_usd: float
    total_ms_p50: float | None
    total_ms_p95: float | None
    first_token_ms_p50: float | None
    groundedness: float | None
    liked: int
    disliked: int


class DayOut(BaseModel):
    """One day on which something was asked."""

    day: str = Field(examples=["2026-11-26"])
    questions: int
    answered: int
    abstained: int
    cached: int
    total_ms_p50: float | None
    cost_usd: float


class ProviderUse(BaseModel):
    """How one provider did."""

    provider: str
    attempts: int
    succeeded: int
    ms_p50: float | None = Field(description="Of attempts that succeeded.")
    cost_usd: float


class CitedDocument(BaseModel):
    """A document, and how many answers cite it."""

    document_id: str
    title: str | None = Field(description="null = it is gone for good")
    answers: int


class Unanswered(BaseModel):
    """A question that got an abstention, and how often."""

    question: str
    times: int
    last_asked_at: Time


class CommentOut(BaseModel):
    """What a reader wrote of an answer."""

    score: int
    comment: str
    question: str
    said_at: Time


class AnalyticsOut(BaseModel):
    """The figures; each list has its first twenty rows, days and providers all of them."""

    totals: Totals
    days: list[DayOut]
    providers: list[ProviderUse]
    cited: list[CitedDocument]
    unanswered: list[Unanswered]
    comments: list[CommentOut]


@router.get("", operation_id="analytics", responses=documented_problems(401, 403, 422, 503))
async def analytics(
    request: Request,
    caller: Annotated[Caller, Depends(require("admin"))],
    query: Annotated[AnalyticsQuery, Query()],
) -> AnalyticsOut:
    """Count questions, latency, cost, cache hits, providers, citations and feedback.

    From the query log: what it does not keep any more (`QUERY_LOG_DAYS`) is not counted.
    """
    pool = request.app.state.house.pool
    figures = await figures_of(pool, caller.tenant_id, days=query.days)
    return AnalyticsOut.model_validate(asdict(figures))
