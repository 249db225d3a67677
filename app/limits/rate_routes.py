"""``GET /api/v1/rate-limit/status``: how far the caller's limits are used up."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from app.auth.caller import Caller
from app.auth.gate import authenticated
from app.http.problems import documented_problems
from app.limits.middleware import STATUS_PATH
from app.limits.rates import Use, Verdict

router = APIRouter(tags=["limits"])


class LimitOut(BaseModel):
    """One limit, and what is left of it."""

    name: str = Field(examples=["questions_per_minute"])
    per: str = Field(description="What is counted apart: each ip, key, user or tenant.")
    limit: int
    remaining: int
    window_s: int
    reset_at: datetime = Field(description="When the window ends; now, if none has begun.")

    @classmethod
    def of(cls, use: Use, now: datetime) -> "LimitOut":
        """The wire shape of ``use``."""
        return cls(
            name=use.limit.name,
            per=use.limit.per,
            limit=use.limit.requests,
            remaining=use.remaining,
            window_s=use.limit.window_s,
            reset_at=now + timedelta(seconds=use.reset_s),
        )


class RateLimitStatus(BaseModel):
    """Every limit that concerns the caller."""

    limits: list[LimitOut]


@router.get(
    STATUS_PATH,
    operation_id="rate_limit_status",
    responses=documented_problems(401, 403, 503),
)
async def rate_limit_status(
    request: Request, _: Annotated[Caller, Depends(authenticated)]
) -> RateLimitStatus:
    """Tell the caller's limits; asking costs no request from any of them."""
    verdict: Verdict = request.scope["state"]["verdict"]  # of looking, on this path
    now = datetime.now(UTC)
    return RateLimitStatus(limits=[LimitOut.of(use, now) for use in verdict.uses])
