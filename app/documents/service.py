"""The archive: what callers may ask of a tenant's documents."""

from collections.abc import Sequence

from app.documents.document import Document, StoredPage
from app.documents.store import Listing, find_document, find_page, list_documents
from app.errors import NotFound
from app.infra.postgres import Pool, tenant_transaction


class DocumentNotFound(NotFound):
    """There is no such document."""

    code = "document_not_found"


class PageNotFound(NotFound):
    """The document has no such page in that version."""

    code = "page_not_found"


class Archive:
    """Reads the documents of one tenant at a time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def list(self, tenant_id: str, listing: Listing) -> tuple[Sequence[Document], bool]:
        """Documents, newest first, and whether there are more."""
        async with tenant_transaction(self._pool, tenant_id) as connection:
            found = await list_documents(connection, tenant_id, listing)
        return found[: listing.limit], len(found) > listing.limit

    async def get(self, tenant_id: str, document_id: str) -> Document:
        """One document; a deleted one is gone here.

        Raises:
            DocumentNotFound: also when it is another tenant's.
        """
        if "\0" in document_id:
            raise DocumentNotFound  # nothing stored can hold one, and asking for it is an error
        async with tenant_transaction(self._pool, tenant_id) as connection:
            found = await find_document(connection, tenant_id, document_id)
        if found is None or found.status == "deleted":
            raise DocumentNotFound
        return found

    async def page(
        self, tenant_id: str, document_id: str, number: int, version: int | None
    ) -> StoredPage:
        """A page of ``version``, or of the current one.

        Raises:
            DocumentNotFound: also when it is another tenant's.
            PageNotFound: when that version has no such page.
        """
        document = await self.get(tenant_id, document_id)
        async with tenant_transaction(self._pool, tenant_id) as connection:
            found = await find_page(
                connection, document_id, number, document.version if version is None else version
            )
        if found is None:
            raise PageNotFound
        return found
