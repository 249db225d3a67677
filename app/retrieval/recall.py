"""How many of the nearest chunks the index finds, looked at now and then beside all requests.

The HNSW index is approximate: filters, deletions and growth can make it worse without any error. So
the last question that was asked is searched for once more, by the index and exactly, and the share
that the index found is a metric.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psycopg
import structlog

from app.errors import Unavailable
from app.infra.metrics import Metrics
from app.infra.postgres import Connection, Pool, tenant_transaction
from app.infra.reach import current_reach, reaching
from app.retrieval.chunk_store import HalfVector
from app.retrieval.embedding import Vector
from app.retrieval.passage import Scope

log = structlog.get_logger(__name__)
#: Between two looks of one process.
LOOK_S = 300.0
#: Nearest chunks that are compared.
K = 10
#: An exact search of more would take a core for seconds.
MOST_CHUNKS = 500_000
#: Rounding of half-precision vectors; chunks that are as near as the K-th count as found.
_TIE = 1e-4
_NEAREST = "SELECT id, similarity FROM rank_by_vector(%(vector)s, %(k)s, NULL, NULL)"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it was searched for."""

    tenant_id: str
    reach: str
    vector: Vector


class RecallProbe:
    """Remembers one question of this process, and measures with it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._asked: Asked | None = None

    def note(self, scope: Scope, vector: Vector) -> None:
        """Remember a question that goes to a tenant's whole present corpus; costs nothing."""
        if scope == Scope(scope.tenant_id):
            self._asked = Asked(scope.tenant_id, current_reach(), vector)

    async def measure(self) -> float | None:
        """The share of the ``K`` nearest chunks found; None without a new question or chunks.

        Raises:
            DatabaseUnavailable: the database is away, or takes too long.
        """
        asked, self._asked = self._asked, None
        if asked is None:
            return None
        with reaching(asked.reach):
            async with tenant_transaction(self._pool, asked.tenant_id) as connection:
                cursor = await connection.execute(
                    "SELECT chunk_count FROM tenants WHERE id = %s", (asked.tenant_id,)
                )
                tenant = await cursor.fetchone()
                if tenant is None or not 0 < tenant["chunk_count"] <= MOST_CHUNKS:
                    return None
                vector = HalfVector.of(asked.vector)
                found = await _nearest(connection, vector)
                await connection.execute("SET LOCAL enable_indexscan = off")
                exact = await _nearest(connection, vector)
        if not exact:
            return None
        farthest = exact[-1] - _TIE
        return min(1.0, sum(similarity >= farthest for similarity in found) / len(exact))


async def _nearest(connection: Connection, vector: HalfVector) -> list[float]:
    cursor = await connection.execute(_NEAREST, {"vector": vector, "k": K})
    return [row["similarity"] for row in await cursor.fetchall()]


@asynccontextmanager
async def watching_recall(
    metrics: Metrics, probe: RecallProbe, *, every_s: float = LOOK_S
) -> AsyncIterator[None]:
    """Measure now and then, as long as questions come and the database answers."""
    watching = asyncio.create_task(_watch(metrics, probe, every_s))
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait({watching})


async def _watch(metrics: Metrics, probe: RecallProbe, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        try:
            recall = await probe.measure()
        except (Unavailable, psycopg.DataError):  # away, or with vectors of another model by now
            log.info("recall_not_measured")
        else:
            if recall is not None:
                metrics.recall(K, recall)
