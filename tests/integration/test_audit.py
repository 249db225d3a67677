"""The audit log: written with the action or not at all, and never changed."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from app.auth.audit import AuditEvent, AuditLog, Origin, record
from app.auth.audit_log.store import Wanted, list_events
from app.documents.service import DocumentNotFound
from app.documents.store import Edit
from app.infra.postgres import tenant_transaction
from app.ingestion.intake import Upload
from tests.conftest import FreshDatabase
from tests.integration.people import BY, Town, open_town
from tests.integration.workshop import BOOK, changed, open_workshop
from tests.pdfs import make_pdf


class Undone(Exception):
    """What an action fails with."""


ANN = Origin("key_ann", "usr_ann", "192.0.2.7", "r7")


@pytest.fixture
async def town(database: FreshDatabase) -> AsyncIterator[Town]:
    async with open_town(database) as town:
        yield town


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit_events SET outcome = 'ok'", "DELETE FROM audit_events",
     "UPDATE audit_events SET details = '{}' WHERE false", "DELETE FROM audit_events WHERE false",
     "TRUNCATE audit_events", "TRUNCATE audit_events CASCADE"],
)  # fmt: skip
async def test_nobody_changes_what_is_written_down(town: Town, statement: str) -> None:
    tenant_id = (await town.operator("fixed")).tenant_id
    await AuditLog(town.pool).record(AuditEvent(tenant_id, "test", BY))
    with psycopg.connect(town.url) as owner, pytest.raises(psycopg.errors.RaiseException):
        owner.execute(statement)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await as_the_application(town, tenant_id, statement)


async def as_the_application(town: Town, tenant_id: str, statement: str) -> None:
    async with town.pool.connection() as connection, connection.transaction():
        await connection.execute("SELECT set_config('app.tenant', %s, true)", (tenant_id,))
        await connection.execute(statement)


async def test_an_event_is_there_when_its_action_is_and_not_otherwise(town: Town) -> None:
    tenant_id = (await town.operator("together")).tenant_id

    async def fail() -> None:
        async with tenant_transaction(town.pool, tenant_id) as connection:
            await record(connection, AuditEvent(tenant_id, "test", BY))
            raise Undone

    with pytest.raises(Undone):
        await fail()
    assert [action for action, _, _ in town.events(tenant_id)] == ["key.create"], "the operator's"


async def test_an_event_of_another_tenant_cannot_be_written(town: Town) -> None:
    mine, theirs = (await town.operator("mine")), (await town.operator("theirs"))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await record_in(town, mine.tenant_id, AuditEvent(theirs.tenant_id, "test", BY))


async def record_in(town: Town, tenant_id: str, event: AuditEvent) -> None:
    async with town.pool.connection() as connection, connection.transaction():
        await connection.execute("SELECT set_config('app.tenant', %s, true)", (tenant_id,))
        await record(connection, event)


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * 10_000, "' OR true --", "😀"])
async def test_whatever_it_was_done_to_can_be_written(town: Town, text: str) -> None:
    tenant_id = (await town.operator("hostile")).tenant_id
    event = AuditEvent(tenant_id, "test", BY, text, "failed", {"said": text, "count": 3})
    await AuditLog(town.pool).record(event)
    row = town.rows("SELECT * FROM audit_events WHERE tenant_id = %s ORDER BY id", tenant_id)[-1]
    assert len(row["target"]) <= 200
    assert row["details"] == {"said": row["target"], "count": 3}


async def test_a_list_is_newest_first_and_narrowed(town: Town) -> None:
    tenant_id = (await town.operator("narrow")).tenant_id
    log = AuditLog(town.pool)
    for number in range(5):
        by = ANN if number % 2 else Origin(f"key_{number}")
        outcome = "refused" if number == 4 else "ok"
        await log.record(AuditEvent(tenant_id, f"act.{number}", by, "doc_1", outcome))  # type: ignore[arg-type]
    rows = town.rows(
        "SELECT id, at FROM audit_events WHERE tenant_id = %s AND action <> 'key.create'"
        " ORDER BY at",
        tenant_id,
    )
    middle = rows[2]["at"]

    async def actions(
        wanted: Wanted, *, after: str | None = None, limit: int = 9, of: str = tenant_id
    ) -> list[str]:
        async with tenant_transaction(town.pool, of) as connection:
            found = await list_events(connection, of, wanted, after=after, limit=limit)
        return [e.action.removeprefix("act.") for e in found if e.action != "key.create"]

    assert await actions(Wanted()) == ["4", "3", "2", "1", "0"]
    assert await actions(Wanted(), limit=2) == ["4", "3"]
    assert await actions(Wanted(), after=rows[3]["id"], limit=2) == ["2", "1"]
    assert await actions(Wanted(actor="usr_ann")) == ["3", "1"], "by any key of theirs"
    assert await actions(Wanted(actor="key_ann", action="act.3")) == ["3"]
    assert await actions(Wanted(outcome="refused")) == ["4"]
    assert await actions(Wanted(target="doc_2")) == []
    assert await actions(Wanted(since=middle)) == ["4", "3", "2"]
    assert await actions(Wanted(until=middle)) == ["1", "0"]
    assert await actions(Wanted(since=middle, until=middle + timedelta(microseconds=1))) == ["2"]
    assert await actions(Wanted(), of=(await town.operator("wide")).tenant_id) == []


async def test_what_is_done_to_documents_is_written_down(
    town: Town, database: FreshDatabase, tmp_path: Path
) -> None:
    async with open_workshop(database, "archive") as shop:
        tenant_id, first = shop.tenant_id, Upload("a.pdf", make_pdf(BOOK), title="Secret plans")
        taken = await shop.intake.add(tenant_id, first, by=ANN)
        await shop.intake.add(tenant_id, first, by=ANN)
        await shop.worker.run(until_empty=True)
        document_id = taken.document_id
        second = Upload("a.pdf", make_pdf(changed(BOOK, 1, "Other", "words")))
        await shop.intake.replace(tenant_id, document_id, second, by=ANN)
        await shop.worker.run(until_empty=True)
        await shop.archive.activate(tenant_id, document_id, 1, by=ANN)
        await shop.archive.edit(tenant_id, document_id, Edit(title="Canary"), by=ANN)
        await shop.archive.delete(tenant_id, document_id, by=ANN)
        for work in (
            shop.archive.delete(tenant_id, document_id, by=ANN),
            shop.archive.edit(tenant_id, document_id, Edit(title="x"), by=ANN),
        ):
            with pytest.raises(DocumentNotFound):
                await work
        await shop.archive.restore(tenant_id, document_id, by=ANN)
        await shop.archive.replace_tag(tenant_id, "a", "b", by=ANN)
    assert town.events(tenant_id) == [
        ("document.upload", "ok", document_id),
        ("document.replace", "ok", document_id),
        ("document.activate", "ok", document_id),
        ("document.edit", "ok", document_id),
        ("document.delete", "ok", document_id),
        ("document.restore", "ok", document_id),
        ("tag.replace", "ok", "a"),
    ]
    rows = town.rows("SELECT * FROM audit_events WHERE tenant_id = %s", tenant_id)
    assert {(row["actor"], row["user_id"], row["ip"], row["request_id"]) for row in rows} == {
        ("key_ann", "usr_ann", "192.0.2.7", "r7")
    }
    for secret in ("Secret plans", "Canary", "disk limit"):
        assert secret not in str(rows)
