"""What callers may ask of a tenant's documents: lists that page, filters that are only values."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.documents.service import DocumentNotFound, PageNotFound
from app.documents.store import Listing
from app.errors import PlaceGone
from tests.conftest import FreshDatabase
from tests.integration.workshop import Workshop, open_workshop, write_book

TAGS = {"a.pdf": ["red", "O'Brien"], "b.pdf": ["red", "7"], "c.pdf": ["007"], "d.pdf": []}


@pytest.fixture
async def shop(database: FreshDatabase, tmp_path: Path) -> AsyncIterator[Workshop]:
    async with open_workshop(database, "archive") as shop:
        if not await shop.documents():
            for name, tags in TAGS.items():
                await shop.ingest(write_book(tmp_path / name, [[f"Words of {name}."]]))
                shop.rows("UPDATE documents SET tags = %s WHERE filename = %s", tags, name)
            (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
            await shop.ingest(tmp_path / "broken.pdf")
            await shop.ingest(write_book(tmp_path / "gone.pdf", [["Words of a deleted file."]]))
            shop.rows("UPDATE documents SET deleted_at = now() WHERE filename = 'gone.pdf'")
        yield shop


async def names(shop: Workshop, **narrowed) -> list[str]:
    documents, more = await shop.archive.list(shop.tenant_id, Listing(100, **narrowed))
    assert not more
    return [document.filename for document in documents]


async def test_a_list_is_newest_first(shop: Workshop) -> None:
    assert await names(shop) == ["broken.pdf", "d.pdf", "c.pdf", "b.pdf", "a.pdf"]


async def test_deleted_ones_are_listed_when_asked_for(shop: Workshop) -> None:
    assert (await names(shop, include_deleted=True))[0] == "gone.pdf"
    assert await names(shop, status="deleted") == ["gone.pdf"]


@pytest.mark.parametrize(
    ("narrowed", "expected"),
    [
        ({"tag": "red"}, ["b.pdf", "a.pdf"]),
        ({"tag": "O'Brien"}, ["a.pdf"]),
        ({"tag": "7"}, ["b.pdf"]),
        ({"tag": "007"}, ["c.pdf"]),
        ({"tag": "7.0"}, []),
        ({"tag": "x' OR '1'='1"}, []),
        ({"tag": ""}, []),
        ({"status": "ready"}, ["d.pdf", "c.pdf", "b.pdf", "a.pdf"]),
        ({"status": "failed"}, ["broken.pdf"]),
        ({"status": "queued"}, []),
        ({"title_part": "A.PDF"}, ["a.pdf"]),
        ({"title_part": "%"}, []),
        ({"title_part": "_"}, []),
        ({"title_part": "' --"}, []),
        ({"title_part": "brok", "status": "failed"}, ["broken.pdf"]),
    ],
)
async def test_a_list_is_narrowed_by_values_only(
    shop: Workshop, narrowed: dict[str, str], expected: list[str]
) -> None:
    assert await names(shop, **narrowed) == expected


@pytest.mark.parametrize("size", [1, 2, 3])
async def test_pages_of_a_list_meet_every_document_once(shop: Workshop, size: int) -> None:
    seen: list[str] = []
    after, more = None, True
    while more:
        documents, more = await shop.archive.list(shop.tenant_id, Listing(size, after=after))
        assert len(documents) == size or not more
        seen += [document.filename for document in documents]
        after = documents[-1].id
    assert seen == await names(shop)


async def test_a_document_and_its_pages(shop: Workshop) -> None:
    ids = {document.filename: document.id for document in await shop.documents()}
    document = await shop.archive.get(shop.tenant_id, ids["a.pdf"])
    assert (document.filename, document.version, document.tags) == ("a.pdf", 1, ("red", "O'Brien"))
    page = await shop.archive.page(shop.tenant_id, document.id, 1, None)
    assert (page.text, page.version, page.width, page.height) == ("Words of a.pdf.", 1, 612, 792)
    for number, version in ((2, None), (1, 2), (1, 0), (0, None)):
        with pytest.raises(PageNotFound):
            await shop.archive.page(shop.tenant_id, document.id, number, version)
    with pytest.raises(DocumentNotFound):
        await shop.archive.get(shop.tenant_id, ids["gone.pdf"])
    with pytest.raises(DocumentNotFound):
        await shop.archive.page(shop.tenant_id, ids["gone.pdf"], 1, 1)


async def test_another_tenants_document_is_not_found(
    shop: Workshop, database: FreshDatabase
) -> None:
    async with open_workshop(database, "archive of another") as other:
        for document in await shop.documents():
            with pytest.raises(DocumentNotFound):
                await other.archive.get(other.tenant_id, document.id)
            with pytest.raises(DocumentNotFound):
                await other.archive.page(other.tenant_id, document.id, 1, 1)
            with pytest.raises(PlaceGone):
                await names(other, after=document.id)


async def test_a_list_ends_at_its_end_and_not_where_nothing_is(shop: Workshop) -> None:
    """A document that was purged is as one that never was."""
    last = (await shop.documents())[-1]
    job = await shop.board.of_document(shop.tenant_id, last.id)
    assert await names(shop, after=last.id) == []
    found = await shop.board.list(shop.tenant_id, status=None, after=job.id, limit=9)
    assert found == ([], False)
    for nobody in ("doc_nobody", ""):
        with pytest.raises(PlaceGone):
            await names(shop, after=nobody)
    with pytest.raises(PlaceGone):
        await shop.board.list(shop.tenant_id, status=None, after="job_nobody", limit=9)


async def test_a_search_is_narrowed_by_tag_and_document(shop: Workshop) -> None:
    ids = {document.filename: document.id for document in await shop.documents()}
    for scope, expected in (
        ({"tags": ("O'Brien",)}, {"a.pdf"}),
        ({"tags": ("7",)}, {"b.pdf"}),
        ({"tags": ("007", "red")}, {"a.pdf", "b.pdf", "c.pdf"}),
        ({"tags": ("x' OR '1'='1",)}, set()),
        ({"document_ids": (ids["d.pdf"],)}, {"d.pdf"}),
        ({"document_ids": (ids["d.pdf"], "' --")}, {"d.pdf"}),
        ({"document_ids": (ids["a.pdf"],), "tags": ("7",)}, set()),
        ({"document_ids": ()}, set()),
    ):
        found = await shop.search("words of", **scope)
        assert {passage.filename for passage in found} == expected, scope
