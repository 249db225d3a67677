"""When keys were last used: kept in memory, and written down once a minute for all of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import structlog

from app.errors import Unavailable
from app.infra.postgres import Pool, fetch_all

log = structlog.get_logger(__name__)
#: What a request costs here is one assignment; what a minute costs is one statement a process.
FLUSH_S = 60.0
#: How long the end waits for the last one.
_END_S = 1.0


class KeyUses:
    """The keys this process let in since it last wrote them down."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._used: dict[str, datetime] = {}

    def note(self, key_id: str) -> None:
        """A key was used now."""
        self._used[key_id] = datetime.now(UTC)

    async def flush(self) -> None:
        """Write down what was noted; it is kept when the database does not answer.

        Raises:
            DatabaseUnavailable: it does not.
        """
        if not self._used:
            return
        used, self._used = self._used, {}
        try:
            # Not only read, but as harmless to run twice.
            await fetch_all(
                self._pool,
                "SELECT note_key_uses(%(ids)s, %(times)s)",
                {"ids": list(used), "times": list(used.values())},
            )
        except Unavailable:
            self._used = used | self._used
            raise


@asynccontextmanager
async def noting_key_uses(pool: Pool) -> AsyncIterator[KeyUses]:
    """What keys are used while this is open is written down every minute, and at the end."""
    uses = KeyUses(pool)
    task = asyncio.create_task(_keep_flushing(uses))
    try:
        yield uses
    finally:
        task.cancel()
        await asyncio.wait({asyncio.create_task(_try_flush(uses))}, timeout=_END_S)


async def _keep_flushing(uses: KeyUses) -> None:
    while True:
        await asyncio.sleep(FLUSH_S)
        await _try_flush(uses)


async def _try_flush(uses: KeyUses) -> None:
    try:
        await uses.flush()
    except Unavailable:
        log.info("key_uses_kept")  # the next time
