"""A file's first step: new, changed or unchanged, told by its SHA-256 alone.

The bytes go to the blob store first, then version and job are recorded in one transaction: what was
accepted is never forgotten, and what was not leaves at most bytes that nothing points to, which
``scripts/purge.py`` removes.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import unquote

from app.auth.audit import OPERATOR, AuditEvent, Origin, record
from app.auth.workspaces.store import hold_workspace
from app.documents.document import NewFile, Sharing
from app.documents.job_store import requeue_version
from app.documents.service import DocumentNotFound
from app.documents.store import Edit, current_file, edit_document, lock_document
from app.documents.version_store import (
    Newest,
    add_document,
    add_version,
    newest_by_source,
    newest_of,
    newest_with_bytes,
    take_turn,
)
from app.errors import InvalidRequest, TooLarge, WrongType
from app.infra.blobs import BlobStore
from app.infra.postgres import Connection, Pool, tenant_transaction
from app.ingestion.formats import detect

#: Records a job for (tenant, document, version) over the given connection.
Defer = Callable[[Connection, str, str, int], Awaitable[None]]
#: PostgreSQL's and every file system's idea of a long name.
MAX_FILENAME = 255
#: A name as it stands in a URL, in which a space is "%20".
_ESCAPED = re.compile("(?:[!-$&-~]|%[0-9A-Fa-f]{2})+")


class EmptyFile(InvalidRequest):
    """The file is empty."""

    code = "empty_file"


class UnsupportedFormat(WrongType):
    """The file is of no format that Docent reads."""

    code = "unsupported_format"


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a file; ``job_id`` is None when its bytes are answered from already."""

    document_id: str
    version: int
    job_id: str | None


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it arrived; the rest as in :class:`NewFile`."""

    filename: str
    content: bytes
    source: str | None = None
    url: str | None = None
    title: str | None = None
    author: str | None = None
    tags: tuple[str, ...] = ()
    sharing: Sharing = field(default_factory=Sharing)


class Intake:
    """Takes files in for one tenant at a time."""

    def __init__(self, pool: Pool, blobs: BlobStore, defer: Defer, *, max_bytes: int) -> None:
        self._pool = pool
        self._blobs = blobs
        self._defer = defer
        self.max_bytes = max_bytes

    async def add(self, tenant_id: str, upload: Upload, *, by: Origin = OPERATOR) -> Taken:
        """Take in a document, or the next version of the one at ``upload.source``.

        A file without a source whose bytes are the newest version of a document, of one that the
        same people see, is that document.

        Raises:
            WorkspaceNotFound: it is to be a workspace's that the caller does not see.
            EmptyFile, TooLarge, UnsupportedFormat: nothing is kept then.
            Unavailable: the database or the blob store is away; the same call may succeed later.
        """
        file = self._checked(upload)
        if file.sharing.workspace_id is not None:
            async with tenant_transaction(self._pool, tenant_id) as connection:
                await hold_workspace(connection, tenant_id, file.sharing.workspace_id)
        await self._blobs.put(tenant_id, file.sha256, upload.content)
        async with tenant_transaction(self._pool, tenant_id) as connection:
            space = file.sharing.space
            if file.sharing.workspace_id is not None:
                await hold_workspace(connection, tenant_id, file.sharing.workspace_id)
            # Whoever brings the same waits here, so that twenty at once become one document.
            if file.source is None:
                await take_turn(connection, tenant_id, f"{space}/{file.sha256.hex()}")
                newest = await newest_with_bytes(connection, tenant_id, file.sha256, space=space)
            else:
                await take_turn(connection, tenant_id, f"{space}/{file.source}")
                found = await newest_by_source(connection, tenant_id, [file.source], space=space)
                newest = found.get(file.source)
            return await self._accept(connection, tenant_id, newest, file, by)

    async def replace(
        self, tenant_id: str, document_id: str, upload: Upload, *, by: Origin = OPERATOR
    ) -> Taken:
        """Take in the next version of a document, and what is said of it from now on.

        Raises:
            DocumentNotFound: also when it is another tenant's, or deleted.
            EmptyFile, TooLarge, UnsupportedFormat, Unavailable: as in :meth:`add`.
        """
        file = self._checked(upload)
        async with tenant_transaction(self._pool, tenant_id) as connection:
            if await newest_of(connection, tenant_id, document_id) is None:
                raise DocumentNotFound  # before its bytes are kept for nobody
        await self._blobs.put(tenant_id, file.sha256, upload.content)
        async with tenant_transaction(self._pool, tenant_id) as connection:
            document = await lock_document(connection, tenant_id, document_id)
            newest = await newest_of(connection, tenant_id, document_id)
            if document is None or newest is None:
                raise DocumentNotFound
            taken = await self._accept(connection, tenant_id, newest, file, by)
            if file.title or file.author or file.tags:
                said = Edit(file.title, file.author or None, tags=file.tags or None)
                await edit_document(connection, document_id, said)
            return taken

    async def read_again(
        self, tenant_id: str, document_id: str, *, by: Origin = OPERATOR
    ) -> Taken | None:
        """Have the file that a document is answered from read by the readers there are now.

        It becomes the next version, of which only what reads otherwise is embedded. None when the
        document is not there or is being worked on already.

        Raises:
            DatabaseUnavailable: when the database does not answer.
        """
        async with tenant_transaction(self._pool, tenant_id) as connection:
            await lock_document(connection, tenant_id, document_id)
            newest = await newest_of(connection, tenant_id, document_id)
            file = await current_file(connection, document_id)
            if newest is None or newest.unfinished or file is None:
                return None
            return await self._add_version(
                connection, tenant_id, document_id, file, "document.reread", by
            )

    def _checked(self, upload: Upload) -> NewFile:
        """The file, if it is one that is taken in."""
        if not upload.content:
            raise EmptyFile
        if len(upload.content) > self.max_bytes:
            raise TooLarge(
                f"The file is larger than {self.max_bytes} bytes.", limit_bytes=self.max_bytes
            )
        filename = clean_filename(upload.filename)
        kind = detect(upload.content, filename)
        if kind is None:
            raise UnsupportedFormat
        sha256 = hashlib.sha256(upload.content).digest()
        return NewFile(
            filename=filename,
            media_type=kind.media_type,
            size_bytes=len(upload.content),
            sha256=sha256,
            source=upload.source,
            url=upload.url,
            title=upload.title,
            author=upload.author,
            tags=upload.tags,
            sharing=upload.sharing,
        )

    async def _accept(
        self,
        connection: Connection,
        tenant_id: str,
        newest: Newest | None,
        file: NewFile,
        by: Origin,
    ) -> Taken:
        """Record the file as a version, unless the newest is the same."""
        if newest is not None and newest.sha256 == file.sha256:
            if newest.is_current or newest.unfinished:
                job_id = newest.job_id if newest.unfinished else None
                return Taken(newest.document_id, newest.version, job_id)
            if await requeue_version(connection, newest.document_id, newest.version):
                await self._defer(connection, tenant_id, newest.document_id, newest.version)
                return Taken(newest.document_id, newest.version, newest.job_id)
        elif (
            newest is not None
            and not newest.unfinished
            and newest.current_version is not None
            and newest.current_sha256 == file.sha256
        ):
            return Taken(newest.document_id, newest.current_version, None)
        if newest is not None:
            return await self._add_version(
                connection, tenant_id, newest.document_id, file, "document.replace", by
            )
        document_id = await add_document(connection, tenant_id, file)
        return await self._add_version(
            connection, tenant_id, document_id, file, "document.upload", by
        )

    async def _add_version(
        self,
        connection: Connection,
        tenant_id: str,
        document_id: str,
        file: NewFile,
        action: str,
        by: Origin,
    ) -> Taken:
        """Record the file as a document's next version, and the job to make it ready."""
        version, job_id = await add_version(connection, tenant_id, document_id, file)
        details = {"version": version}
        await record(connection, AuditEvent(tenant_id, action, by, document_id, details=details))
        await self._defer(connection, tenant_id, document_id, version)
        return Taken(document_id, version, job_id)


def clean_filename(name: str) -> str:
    """The last part of ``name`` without control characters; names are shown, never opened.

    Clients that write it as in a URL are read so: aiohttp does, and browsers for quotation marks.
    """
    if _ESCAPED.fullmatch(name):
        with suppress(UnicodeDecodeError):
            name = unquote(name, errors="strict")
    base = name.replace("\\", "/").rpartition("/")[2]
    printable = "".join(c for c in base if c.isprintable()).strip()
    clean = printable.encode("utf-8", "replace").decode()
    if len(clean) > MAX_FILENAME:
        stem, dot, suffix = clean.rpartition(".")
        clean = f"{stem[: MAX_FILENAME - 16]}{dot}{suffix[:15]}" if dot else clean[:MAX_FILENAME]
    return clean if clean.strip(". ") else "unnamed"
