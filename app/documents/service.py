"""The archive: what callers may ask of a tenant's documents, and do to them."""

import builtins
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from app.auth.audit import OPERATOR, AuditEvent, Origin, record
from app.documents import store
from app.documents.document import Document, Removed, StoredPage, Version
from app.documents.job import Job
from app.documents.job_store import cancel_jobs
from app.documents.page_image import NoPageImage, render_page
from app.documents.sharing import SourceTaken, share
from app.documents.store import Edit, Listing
from app.documents.version_store import activate_version, list_versions, record_activation
from app.errors import NotFound, PlaceGone
from app.infra.blobs import BlobStore
from app.infra.postgres import LONG_S, Connection, Pool, tenant_transaction
from app.retrieval.chunk_table import NO_VERSION, show_version
from app.retrieval.cited import QuotedPlaces

#: Formats whose pages can be drawn.
DRAWN = frozenset({"application/pdf", "image/png", "image/jpeg", "image/tiff"})


class DocumentNotFound(NotFound):
    """There is no such document."""

    code = "document_not_found"


class VersionNotFound(NotFound):
    """The document has no such version that was ever ready."""

    code = "version_not_found"


class PageNotFound(NotFound):
    """The document has no such page in that version."""

    code = "page_not_found"


class Announces(Protocol):
    """Tells those who wait for a job that it has ended."""

    async def finished(self, connection: Connection, tenant_id: str, job: Job) -> None:
        """Tell webhooks, if the transaction of ``connection`` commits."""

    async def progress(self, tenant_id: str, job: Job | None) -> None:
        """Tell listeners, once it has committed."""


class Remembers(Protocol):
    """What is kept of answers."""

    async def forget_document(self, tenant_id: str, document_id: str) -> tuple[int, int]:
        """Forget what was answered from it; how many cached answers and turns that concerned."""

    async def admit_document(self, tenant_id: str, document_id: str) -> None:
        """Keep again what is answered from a document."""


class Archive:
    """The documents of one tenant at a time; every method raises DocumentNotFound for others'."""

    def __init__(
        self,
        pool: Pool,
        blobs: BlobStore,
        quoted: QuotedPlaces,
        announcer: Announces,
        answers: Remembers,
    ) -> None:
        self._answers = answers
        self._pool = pool
        self._blobs = blobs
        self._quoted = quoted
        self._announcer = announcer

    async def list(self, tenant_id: str, listing: Listing) -> tuple[Sequence[Document], bool]:
        """Documents, newest first, and whether there are more.

        Raises:
            PlaceGone: the one that the page before ended with is not there any more.
        """
        after = listing.after
        async with tenant_transaction(self._pool, tenant_id) as connection:
            found = await store.list_documents(connection, tenant_id, listing)
            if not found and after is not None:
                place = await store.find_document(connection, tenant_id, after)
                if place is None:
                    raise PlaceGone
        return found[: listing.limit], len(found) > listing.limit

    async def get(self, tenant_id: str, document_id: str) -> Document:
        """One document; a deleted one is gone here."""
        async with tenant_transaction(self._pool, tenant_id) as connection:
            return await _present(connection, tenant_id, document_id)

    async def edit(
        self, tenant_id: str, document_id: str, edit: Edit, *, by: Origin = OPERATOR
    ) -> Document:
        """Change what is said of a document, and who sees it; its text and index stay as they are.

        Raises:
            NotAllowed: who sees it is to change, and the caller neither owns it nor administrates.
            WorkspaceNotFound: it is to be a workspace's that the caller does not see.
            NoOwner: it is to be its owner's alone, and has none.
            SourceTaken: those who are to see it have another one from the same place.
        """
        async with tenant_transaction(self._pool, tenant_id) as connection:
            document = await _locked(connection, tenant_id, document_id)
            if edit.sharing is not None:
                sharing = replace(edit.sharing, owner_id=document.owner_id)
                await share(connection, tenant_id, document, sharing)
                said = {"visibility": sharing.visibility, "workspace_id": sharing.workspace_id}
                event = AuditEvent(tenant_id, "document.share", by, document_id, details=said)
                await record(connection, event)
            await store.edit_document(connection, document_id, edit)
            await record(connection, AuditEvent(tenant_id, "document.edit", by, document_id))
            return await _present(connection, tenant_id, document_id)

    async def delete(self, tenant_id: str, document_id: str, *, by: Origin = OPERATOR) -> Removed:
        """Delete softly: when this returns, nothing is answered from the document any more."""
        async with tenant_transaction(self._pool, tenant_id, allow_s=LONG_S) as connection:
            await _locked(connection, tenant_id, document_id)
            cancelled = await cancel_jobs(connection, document_id)
            for job in cancelled:
                await self._announcer.finished(connection, tenant_id, job)
            await store.mark_deleted(connection, document_id)
            chunks = await show_version(
                connection, tenant_id=tenant_id, document_id=document_id, version=NO_VERSION
            )
            await record(connection, AuditEvent(tenant_id, "document.delete", by, document_id))
        for job in cancelled:
            await self._announcer.progress(tenant_id, job)
        entries, turns = await self._answers.forget_document(tenant_id, document_id)
        return Removed(chunks, chunks, cache_entries=entries, memory_turns=turns)

    async def restore(self, tenant_id: str, document_id: str, *, by: Origin = OPERATOR) -> Document:
        """Take a deletion back; a document that is not deleted stays as it is.

        Raises:
            SourceTaken: its place was taken by another document meanwhile.
        """
        async with tenant_transaction(self._pool, tenant_id, allow_s=LONG_S) as connection:
            document = await store.lock_document(connection, tenant_id, _id(document_id))
            if document is None:
                raise DocumentNotFound
            if document.status != "deleted":
                return document
            if not await store.unmark_deleted(connection, document_id):
                raise SourceTaken
            restored = await _present(connection, tenant_id, document_id)
            if restored.status == "ready":
                await show_version(
                    connection,
                    tenant_id=tenant_id,
                    document_id=document_id,
                    version=restored.version,
                )
            await record(connection, AuditEvent(tenant_id, "document.restore", by, document_id))
        await self._answers.admit_document(tenant_id, document_id)
        return restored

    async def versions(
        self, tenant_id: str, document_id: str, *, after: int | None, limit: int
    ) -> tuple[builtins.list[Version], bool]:
        """Versions, newest first, and whether there are more."""
        async with tenant_transaction(self._pool, tenant_id) as connection:
            await _present(connection, tenant_id, document_id)
            found = await list_versions(connection, document_id, after=after, limit=limit)
        return found[:limit], len(found) > limit

    async def activate(
        self, tenant_id: str, document_id: str, version: int, *, by: Origin = OPERATOR
    ) -> Document:
        """Answer from ``version`` from now on, an older one or a newer one again.

        Raises:
            VersionNotFound: there is none, or it never was ready.
        """
        async with tenant_transaction(self._pool, tenant_id, allow_s=LONG_S) as connection:
            document = await _locked(connection, tenant_id, document_id)
            if document.status == "ready" and document.version == version:
                return document
            if not await activate_version(connection, document_id, version):
                raise VersionNotFound
            await show_version(
                connection, tenant_id=tenant_id, document_id=document_id, version=version
            )
            await record_activation(connection, tenant_id, document_id, version)
            event = AuditEvent(
                tenant_id, "document.activate", by, document_id, details={"version": version}
            )
            await record(connection, event)
            return await _present(connection, tenant_id, document_id)

    async def content(
        self, tenant_id: str, document_id: str, version: int | None
    ) -> tuple[Version, bytes]:
        """The bytes of ``version``, or of the current one, as they were uploaded.

        Raises:
            VersionNotFound: there is no such version.
            AppError: the blob store is away, or the bytes are damaged.
        """
        async with tenant_transaction(self._pool, tenant_id) as connection:
            document = await _present(connection, tenant_id, document_id)
            number = document.version if version is None else version
            found = await list_versions(connection, document_id, after=number + 1, limit=1)
        if not found or found[0].number != number:
            raise VersionNotFound
        return found[0], await self._blobs.get(tenant_id, found[0].sha256)

    async def page(
        self, tenant_id: str, document_id: str, number: int, version: int | None
    ) -> StoredPage:
        """A page of ``version``, or of the current one.

        Raises:
            PageNotFound: when that version has no such page.
        """
        async with tenant_transaction(self._pool, tenant_id) as connection:
            document = await _present(connection, tenant_id, document_id)
            found = await store.find_page(
                connection, document_id, number, document.version if version is None else version
            )
        if found is None:
            raise PageNotFound
        return found

    async def page_image(
        self,
        tenant_id: str,
        document_id: str,
        number: int,
        *,
        version: int | None,
        answer_id: str | None,
    ) -> bytes:
        """A page as a PNG, with what ``answer_id`` quoted from it marked.

        Raises:
            NoPageImage: the format has no pages to draw, or the version no such page.
            ImageUnavailable: the page cannot be drawn.
        """
        found, content = await self.content(tenant_id, document_id, version)
        if found.media_type not in DRAWN:
            raise NoPageImage("Documents of this format have no page images.")
        boxes: builtins.list[builtins.list[float]] = []
        if answer_id is not None:
            boxes = await self._quoted.boxes(
                tenant_id, answer_id, document_id=document_id, version=found.number, page=number
            )
        return await render_page(content, number, highlights=boxes)

    async def tags(self, tenant_id: str) -> dict[str, int]:
        """Tag → documents that carry it."""
        async with tenant_transaction(self._pool, tenant_id) as connection:
            return await store.list_tags(connection, tenant_id)

    async def replace_tag(
        self, tenant_id: str, tag: str, new_tag: str | None, *, by: Origin = OPERATOR
    ) -> int:
        """Rename a tag everywhere, or take it away (None); how many documents carried it."""
        async with tenant_transaction(self._pool, tenant_id) as connection:
            changed = await store.replace_tag(connection, tenant_id, tag, new_tag)
            details = {"documents": changed}
            event = AuditEvent(tenant_id, "tag.replace", by, tag, details=details)
            await record(connection, event)
            return changed


def _id(document_id: str) -> str:
    """``document_id``, unless it holds what cannot be stored and is an error to ask for."""
    if "\0" in document_id:
        raise DocumentNotFound
    return document_id


async def _present(connection: Connection, tenant_id: str, document_id: str) -> Document:
    found = await store.find_document(connection, tenant_id, _id(document_id))
    if found is None or found.status == "deleted":
        raise DocumentNotFound
    return found


async def _locked(connection: Connection, tenant_id: str, document_id: str) -> Document:
    found = await store.lock_document(connection, tenant_id, _id(document_id))
    if found is None or found.status == "deleted":
        raise DocumentNotFound
    return found
