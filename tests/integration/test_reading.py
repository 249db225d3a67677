"""A whole document out of the database: one, in its order, as far as its reader reaches."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.retrieval.passage import Scope
from app.retrieval.reading import Reading
from tests.conftest import FreshDatabase
from tests.integration.workshop import BOOK, Workshop, changed, open_workshop, write_book


@pytest.fixture
async def shop(database: FreshDatabase, tmp_path: Path) -> AsyncIterator[Workshop]:
    async with open_workshop(database, tmp_path.name) as opened:
        yield opened


async def read(shop: Workshop, *names: str, most: int = 99, **scope: object) -> Reading | None:
    where = Scope(shop.tenant_id, **scope)  # type: ignore[arg-type]
    return await shop.retriever.read(where, names=names or None, most=most)


def pages(reading: Reading | None) -> list[int]:
    assert reading is not None
    return [passage.page for passage in reading.passages]


async def test_its_passages_come_in_order_with_their_places(shop: Workshop, tmp_path: Path) -> None:
    [book] = await shop.ingest(write_book(tmp_path / "Pump_Guide.pdf"))
    reading = await read(shop)
    assert reading is not None
    assert (reading.document_id, reading.version, reading.total) == (book.document_id, 1, 3)
    assert pages(reading) == [1, 2, 3]
    searched = {one.id: one for one in await shop.search("disk heater downlink limit")}
    for passage in reading.passages:
        found = searched[passage.id]
        assert (passage.text, passage.start, passage.end) == (found.text, found.start, found.end)
        assert (passage.boxes, passage.heading, passage.title, passage.filename) == (
            found.boxes,
            found.heading,
            found.title,
            found.filename,
        )
        assert passage.similarity is None
        assert 0 <= passage.score <= 1


async def test_no_more_is_read_than_may_be_and_all_is_counted(
    shop: Workshop, tmp_path: Path
) -> None:
    await shop.ingest(write_book(tmp_path / "book.pdf"))
    reading = await read(shop, most=2)
    assert reading is not None
    assert (pages(reading), reading.total) == ([1, 2], 3)


async def test_it_has_to_be_one_document(shop: Workshop, tmp_path: Path) -> None:
    assert await read(shop) is None
    one, other = await shop.ingest(
        write_book(tmp_path / "Pump_Guide.pdf"),
        write_book(tmp_path / "valve.pdf", [("Valve", "The valve is shut.")]),
    )
    assert await read(shop) is None
    for name in ("pump guide", "pump guide.pdf"):
        found = await read(shop, "nothing", name)
        assert found is not None
        assert found.document_id == one.document_id
    assert await read(shop, "pump") is None
    assert await read(shop, "%") is None
    assert await read(shop, "pump guide", "valve") is None
    found = await read(shop, document_ids=(other.document_id,))
    assert found is not None
    assert found.document_id == other.document_id
    assert await read(shop, "pump guide", document_ids=(other.document_id,)) is None
    assert await read(shop, tags=("safety",)) is None


async def test_it_is_read_as_it_is_or_was(shop: Workshop, tmp_path: Path) -> None:
    path = tmp_path / "book.pdf"
    before = datetime.now(UTC)
    [book] = await shop.ingest(write_book(path))
    between = datetime.now(UTC)
    await shop.ingest(write_book(path, changed(BOOK, 2, "Radio", "The radio sends at night.")))
    now = await read(shop)
    assert now is not None
    assert now.version == 2
    assert [("radio" in one.text) for one in now.passages] == [False, True, False]
    then = await read(shop, as_of=between)
    assert then is not None
    assert then.version == 1
    assert [("downlink" in one.text) for one in then.passages] == [False, True, False]
    assert {one.version for one in then.passages} == {1}
    assert await read(shop, as_of=before) is None
    assert book.document_id is not None
    await shop.archive.delete(shop.tenant_id, book.document_id)
    assert await read(shop) is None
    assert await read(shop, as_of=between) is None


async def test_another_tenant_reads_nothing(
    shop: Workshop, database: FreshDatabase, tmp_path: Path
) -> None:
    await shop.ingest(write_book(tmp_path / "book.pdf"))
    mine = await read(shop)
    assert mine is not None
    async with open_workshop(database, tmp_path.name + "-other") as other:
        assert await read(other, document_ids=(mine.document_id,)) is None
        assert await read(other, "book") is None
