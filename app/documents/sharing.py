"""Who sees a document: said by its owner or an administrator, and by nobody else."""

from app.auth.workspaces.store import hold_workspace
from app.documents import store
from app.documents.document import Document, Sharing
from app.errors import Conflict, NotAllowed
from app.infra.postgres import Connection
from app.infra.reach import EVERYTHING, current_reach


class NoOwner(Conflict):
    """The document was uploaded by no user, so it cannot be private."""

    code = "no_owner"


class SourceTaken(Conflict):
    """Another document has been ingested from the same place since."""

    code = "source_taken"


async def share(
    connection: Connection, tenant_id: str, document: Document, sharing: Sharing
) -> None:
    """Let those of ``sharing`` see a document from now on, and no others.

    Raises:
        NotAllowed, WorkspaceNotFound, NoOwner, SourceTaken: as for the archive's ``edit``.
    """
    if current_reach() not in (EVERYTHING, document.owner_id):
        raise NotAllowed("Only a document's owner, and administrators, say who sees it.")
    if sharing.visibility == "private" and sharing.owner_id is None:
        raise NoOwner
    if sharing.workspace_id is not None:
        await hold_workspace(connection, tenant_id, sharing.workspace_id)
    if not await store.share_document(connection, document.id, sharing):
        raise SourceTaken
