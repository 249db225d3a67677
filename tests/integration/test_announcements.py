"""Whoever follows a document, or has its webhooks called, hears of every job's end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.documents.webhooks import add_webhook
from app.infra.events import EventHub, Subscription
from app.infra.postgres import tenant_transaction
from app.infra.redis import open_redis
from app.ingestion.intake import Upload
from tests.conftest import FreshDatabase
from tests.integration.workshop import BOOK, Workshop, changed, open_workshop
from tests.pdfs import make_pdf

NINE = Upload("a.pdf", make_pdf(BOOK))
TWENTY = Upload("a.pdf", make_pdf(changed(BOOK, 2, "The downlink sends twenty packets.")))
THIRTY = Upload("a.pdf", make_pdf(changed(BOOK, 2, "The downlink sends thirty packets.")))


@asynccontextmanager
async def following(
    database: FreshDatabase, shop: Workshop, document_id: str
) -> AsyncIterator[Subscription]:
    """What another process hears of the document."""
    async with open_redis(database.redis_url, timeout_s=1) as redis:
        events = EventHub(redis)
        async with events.subscribe(shop.tenant_id, [document_id]) as subscription:
            yield subscription
        await events.close()


async def heard(
    subscription: Subscription, last: tuple[int, str, str | None]
) -> list[tuple[int, str, str | None]]:
    """(version, status, step or reason) of everything up to ``last``."""
    found: list[tuple[int, str, str | None]] = []
    while last not in found:
        taken = await subscription.take(10)
        assert taken, found
        for event in taken:
            job = event.payload["job"]
            said = job["error"]["code"] if job["error"] else job["step"]
            found.append((job["version"], job["status"], said))
    return found


async def call_webhooks(shop: Workshop) -> None:
    async with tenant_transaction(shop.pool, shop.tenant_id) as connection:
        await add_webhook(
            connection,
            shop.tenant_id,
            url="http://127.0.0.1:9/",
            secret="s",
            events=["document.ready", "document.failed"],
        )


def called(shop: Workshop) -> list[tuple[int, str]]:
    """(version, event) of every call that was recorded."""
    rows = shop.rows(
        "SELECT event, (payload->'job'->>'version')::int AS version FROM webhook_deliveries"
        " WHERE tenant_id = %s ORDER BY created_at",
        shop.tenant_id,
    )
    return [(row["version"], row["event"]) for row in rows]


async def test_every_step_is_heard_of(database: FreshDatabase) -> None:
    """Parsing may take minutes, and was not announced: a follower saw a job that waits."""
    async with open_workshop(database, "steps") as shop:
        taken = await shop.intake.add(shop.tenant_id, NINE)
        async with following(database, shop, taken.document_id) as subscription:
            await shop.pipeline.process(shop.tenant_id, taken.document_id, 1)
            assert await heard(subscription, (1, "succeeded", "index")) == [
                (1, "running", "parse"),
                (1, "running", "chunk"),
                (1, "running", "embed"),
                (1, "running", "index"),
                (1, "succeeded", "index"),
            ]


async def test_a_deletion_that_ends_a_job_is_heard_of(database: FreshDatabase) -> None:
    async with open_workshop(database, "deleted job") as shop:
        taken = await shop.intake.add(shop.tenant_id, NINE)
        await call_webhooks(shop)
        async with following(database, shop, taken.document_id) as subscription:
            await shop.archive.delete(shop.tenant_id, taken.document_id)
            await heard(subscription, (1, "cancelled", "cancelled"))
        assert called(shop) == [(1, "document.failed")]


async def test_a_job_that_was_overtaken_is_heard_of(database: FreshDatabase) -> None:
    async with open_workshop(database, "overtaken") as shop:
        taken = await shop.intake.add(shop.tenant_id, NINE)
        for upload in (TWENTY, THIRTY):
            await shop.intake.replace(shop.tenant_id, taken.document_id, upload)
        await shop.pipeline.process(shop.tenant_id, taken.document_id, 3)
        await call_webhooks(shop)
        async with following(database, shop, taken.document_id) as subscription:
            for _ in range(2):
                await shop.pipeline.process(shop.tenant_id, taken.document_id, 2)
            await heard(subscription, (2, "failed", "overtaken"))
        assert called(shop) == [(2, "document.failed")], "once"
