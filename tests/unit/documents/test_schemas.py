"""How documents and pages are spelled, and what a list may be narrowed by."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from app.documents.document import Document, FileWarning, StoredPage
from app.documents.schemas import DocumentOut, ListQuery, PageOut

AT = datetime(2026, 11, 21, 10, 0, 0, 123_456, tzinfo=timezone(timedelta(hours=2)))


def document(**changes) -> Document:
    values = {
        "id": "doc_1", "title": "Guide", "filename": "guide.pdf", "media_type": "application/pdf",
        "author": None, "tags": ("a",), "metadata": {"k": "v"},
        "warnings": (FileWarning("hidden_text", 2, 40),),
        "version": 2, "page_count": 12, "size_bytes": 48211,
        "sha256": bytes(32), "status": "ready", "error_code": None, "error_detail": None,
        "url": None, "visibility": "tenant", "workspace_id": None, "owner_id": None,
        "created_at": AT, "updated_at": AT.astimezone(UTC),
    }  # fmt: skip
    return Document(**{**values, **changes})


def test_a_document_has_every_member_of_the_contract() -> None:
    body = DocumentOut.of(document()).model_dump(mode="json")
    assert body == {
        "id": "doc_1", "title": "Guide", "filename": "guide.pdf", "media_type": "application/pdf",
        "author": None, "tags": ["a"], "metadata": {"k": "v"},
        "warnings": [{"code": "hidden_text", "page": 2, "characters": 40}],
        "version": 2, "page_count": 12, "size_bytes": 48211,
        "content_hash": "sha256:" + "0" * 64, "status": "ready", "error": None, "url": None,
        "visibility": "tenant", "workspace_id": None, "owner_id": None,
        "uploaded_at": "2026-11-21T08:00:00.123Z", "updated_at": "2026-11-21T08:00:00.123Z",
    }  # fmt: skip
    example = DocumentOut.model_config["json_schema_extra"]["example"]  # type: ignore[index,call-overload]
    assert set(example) == set(body)
    DocumentOut.model_validate(example)


def test_a_failed_document_says_why() -> None:
    out = DocumentOut.of(document(status="failed", error_code="encrypted", error_detail=None))
    assert out.model_dump()["error"] == {"code": "encrypted", "detail": ""}


def test_a_page() -> None:
    body = PageOut.of(StoredPage("doc_1", 3, 12, "text", b"\xab" * 32, 612.0, 792.0)).model_dump()
    assert body == {
        "document_id": "doc_1", "version": 3, "page": 12, "text": "text",
        "content_hash": "sha256:" + "ab" * 32, "width": 612.0, "height": 792.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    "query",
    [{"limit": 0}, {"limit": 101}, {"limit": "x"}, {"status": "lost"}, {"q": "a\0"},
     {"after": "\0"},
     {"tag": "x" * 201}, {"order": "title"}, {"q": "\ud800"}],
)  # fmt: skip
def test_a_list_is_narrowed_only_by_what_is_known(query: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ListQuery(**query)


def test_a_list_needs_nothing() -> None:
    assert ListQuery().model_dump() == {
        "limit": 50, "after": None, "tag": None, "status": None, "q": None,
        "include_deleted": False, "visibility": None, "workspace_id": None,
    }  # fmt: skip
