"""``/api/v1/admin/cache``: forgetting the answers that were kept."""

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from app.auth.audit import AuditEvent, AuditLog, Origin
from app.auth.caller import Caller
from app.auth.gate import origin, require
from app.chat.cache import AnswerCache
from app.http.problems import documented_problems
from app.infra.redis import RedisAway
from app.retrieval.standing import begin_revision

router = APIRouter(prefix="/api/v1/admin/cache", tags=["admin"])


class CacheCleared(BaseModel):
    """What was removed."""

    removed: int


@router.delete("", operation_id="clear_cache", responses=documented_problems(401, 403, 503))
async def clear_cache(
    request: Request,
    caller: Annotated[Caller, Depends(require("admin"))],
    by: Annotated[Origin, Depends(origin)],
) -> CacheCleared:
    """Forget every cached answer of the tenant; nothing has to be cleared after a change."""
    cache: AnswerCache = request.app.state.house.cache
    audit: AuditLog = request.app.state.house.audit
    # With it no worker finds an answer of before again, Redis or no Redis; the rest makes room.
    await begin_revision(request.app.state.house.pool, caller.tenant_id)
    removed = 0
    with suppress(RedisAway):
        removed = await cache.forget(caller.tenant_id)
    await audit.record(
        AuditEvent(caller.tenant_id, "cache.clear", by, details={"removed": removed})
    )
    return CacheCleared(removed=removed)
