"""Who makes workspaces, and who says who belongs to them."""

from collections.abc import Sequence

from app.auth.audit import AuditEvent, Origin, record
from app.auth.caller import Caller
from app.auth.people.roster import UserNotFound
from app.auth.user_store import find_member
from app.auth.workspaces import store
from app.auth.workspaces.store import Colleague, Workspace, get_workspace
from app.errors import NotAllowed, NotFound
from app.infra.postgres import Connection, Pool, tenant_transaction


class MemberNotFound(NotFound):
    """This user does not belong to the workspace."""

    code = "member_not_found"


class Workspaces:
    """The workspaces that a caller sees: all of the tenant's for administrators, else their own.

    Administrators and a workspace's managers change it. Every method raises WorkspaceNotFound for
    what the caller does not see, NotAllowed for what it may not do, and DatabaseUnavailable.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def list(
        self, caller: Caller, *, after: str | None, limit: int
    ) -> tuple[Sequence[Workspace], bool]:
        """Workspaces, and whether more follow."""
        async with tenant_transaction(self._pool, caller.tenant_id) as connection:
            found = await store.list_workspaces(
                connection, caller.tenant_id, after=after, limit=limit
            )
        return found[:limit], len(found) > limit

    async def get(self, caller: Caller, workspace_id: str) -> Workspace:
        """One workspace."""
        async with tenant_transaction(self._pool, caller.tenant_id) as connection:
            return await get_workspace(connection, caller.tenant_id, workspace_id)

    async def make(self, caller: Caller, name: str, by: Origin) -> Workspace:
        """A new workspace, managed by its maker.

        Raises:
            NameTaken: the tenant has one that is called so, whether the caller sees it or not.
        """
        if caller.user_id is None and "admin" not in caller.scopes:
            raise NotAllowed("A key of nobody's makes no workspaces: it would not see them.")
        tenant_id = caller.tenant_id
        async with tenant_transaction(self._pool, tenant_id) as connection:
            workspace_id = await store.add_workspace(
                connection, tenant_id, name, manager_id=caller.user_id
            )
            await record(connection, AuditEvent(tenant_id, "workspace.create", by, workspace_id))
            return await get_workspace(connection, tenant_id, workspace_id)

    async def rename(self, caller: Caller, workspace_id: str, name: str, by: Origin) -> Workspace:
        """Call a workspace something else.

        Raises:
            NameTaken: another one is called so.
        """
        tenant_id = caller.tenant_id
        async with tenant_transaction(self._pool, tenant_id) as connection:
            await _managed(connection, caller, workspace_id)
            await store.rename_workspace(connection, workspace_id, name)
            await record(connection, AuditEvent(tenant_id, "workspace.rename", by, workspace_id))
            return await get_workspace(connection, tenant_id, workspace_id)

    async def remove(self, caller: Caller, workspace_id: str, by: Origin) -> None:
        """Remove a workspace that holds no documents.

        Raises:
            WorkspaceInUse: it holds some; who is to see them is not for us to say.
        """
        async with tenant_transaction(self._pool, caller.tenant_id) as connection:
            await _managed(connection, caller, workspace_id)
            await store.remove_workspace(connection, workspace_id)
            event = AuditEvent(caller.tenant_id, "workspace.delete", by, workspace_id)
            await record(connection, event)

    async def members(
        self, caller: Caller, workspace_id: str, *, after: str | None, limit: int
    ) -> tuple[Sequence[Colleague], bool]:
        """Who belongs to a workspace, and whether more follow."""
        async with tenant_transaction(self._pool, caller.tenant_id) as connection:
            await get_workspace(connection, caller.tenant_id, workspace_id)
            found = await store.list_colleagues(connection, workspace_id, after=after, limit=limit)
        return found[:limit], len(found) > limit

    async def put_member(
        self, caller: Caller, workspace_id: str, user_id: str, *, manager: bool, by: Origin
    ) -> Colleague:
        """Let a user of the tenant belong to a workspace, from their next request on.

        Raises:
            UserNotFound: the tenant has no such user.
        """
        tenant_id = caller.tenant_id
        async with tenant_transaction(self._pool, tenant_id) as connection:
            await _managed(connection, caller, workspace_id)
            if await find_member(connection, tenant_id, user_id) is None:
                raise UserNotFound
            await store.put_member(connection, tenant_id, workspace_id, user_id, manager=manager)
            details = {"workspace_id": workspace_id, "manager": manager}
            await record(
                connection, AuditEvent(tenant_id, "workspace.member", by, user_id, details=details)
            )
            found = await store.find_colleague(connection, workspace_id, user_id)
        assert found is not None  # noqa: S101 - it was just written
        return found

    async def remove_member(
        self, caller: Caller, workspace_id: str, user_id: str, by: Origin
    ) -> None:
        """Let a user belong to a workspace no more, from their next request on; oneself, too.

        Raises:
            MemberNotFound: they did not.
        """
        async with tenant_transaction(self._pool, caller.tenant_id) as connection:
            if user_id == caller.user_id:
                await get_workspace(connection, caller.tenant_id, workspace_id)
            else:
                await _managed(connection, caller, workspace_id)
            if not await store.remove_member(connection, workspace_id, user_id):
                raise MemberNotFound
            details = {"workspace_id": workspace_id}
            event = AuditEvent(caller.tenant_id, "workspace.leave", by, user_id, details=details)
            await record(connection, event)


async def _managed(connection: Connection, caller: Caller, workspace_id: str) -> None:
    """See that the caller may change a workspace."""
    await get_workspace(connection, caller.tenant_id, workspace_id)
    if "admin" in caller.scopes:
        return
    if not await store.is_manager(connection, workspace_id, caller.user_id):
        raise NotAllowed("Only its managers, and administrators, change a workspace.")
