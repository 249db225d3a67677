"""``GET /api/v1/rate-limit/status``: how far the caller's limits are used up."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from app.auth.caller import Caller
from app.auth.gate import authenticated
from app.http.problems import documented_problems
from app.limits.middleware import STATUS_PATH, subject_of
from app.limits.rates import RateLimiter, Use

router = APIRouter(tags=["limits"])


class LimitOut(BaseModel):
    """One limit, and what is left of it."""

    name: str = Field(examples=["chat_per_minute_and_key"])
    per: str = Field(description="What is counted apart: each ip, key or tenant.")
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
    request: Request, caller: Annotated[Caller, Depends(authenticated)]
) -> RateLimitStatus:
    """Tell the caller's limits; asking costs no request from any of them."""
    state = request.app.state
    limiter: RateLimiter = state.house.limiter
    subject = subject_of(request.scope, caller, state.house.settings.trusted_proxies)
    verdict = await limiter.take(subject, counted=False)
    now = datetime.now(UTC)
    return RateLimitStatus(limits=[LimitOut.of(use, now) for use in verdict.uses])
