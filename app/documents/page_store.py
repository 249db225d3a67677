"""The pages table: the swap of one version's pages for the next, in the publisher's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.infra.postgres import Connection, copy_rows

_COLUMNS = (
    "tenant_id",
    "document_id",
    "number",
    "valid_from",
    "sha256",
    "text",
    "width",
    "height",
)


@dataclass(frozen=True, slots=True)
class NewPage:
    """A page to be stored; ``number`` 1-based, sizes in PDF points."""

    number: int
    text: str
    sha256: bytes
    width: float
    height: float


async def newest_pages(connection: Connection, document_id: str) -> dict[int, bytes]:
    """Page number → SHA-256 of its text, in the document's newest published version."""
    cursor = await connection.execute(
        "SELECT number, sha256 FROM pages"
        " WHERE tenant_id = current_setting('app.tenant') AND document_id = %s"
        " AND valid_to IS NULL",
        (document_id,),
    )
    return {row["number"]: row["sha256"] for row in await cursor.fetchall()}


async def replace_pages(
    connection: Connection,
    *,
    tenant_id: str,
    document_id: str,
    version: int,
    pages: Sequence[NewPage],
) -> None:
    """Make ``pages`` the whole of ``version``; a page that did not change keeps its row."""
    current = await newest_pages(connection, document_id)
    kept = {page.number for page in pages if current.get(page.number) == page.sha256}
    await connection.execute(
        "UPDATE pages SET valid_to = %s"
        " WHERE tenant_id = %s AND document_id = %s AND valid_to IS NULL AND number <> ALL (%s)",
        (version, tenant_id, document_id, list(kept)),
    )
    rows = (
        (
            tenant_id,
            document_id,
            page.number,
            version,
            page.sha256,
            page.text,
            page.width,
            page.height,
        )
        for page in pages
        if page.number not in kept
    )
    await copy_rows(connection, "pages", _COLUMNS, rows)
