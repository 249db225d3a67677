"""The tables of workspaces and of who belongs to them.

Every function runs in the caller's tenant transaction; row-level security shows it the workspaces
that the task reaches, and no others.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import psycopg

from app.errors import Conflict, NotFound
from app.infra.ids import new_id
from app.infra.postgres import Connection

_WORKSPACES: LiteralString = """
    SELECT w.id, w.name, w.created_at,
           (SELECT count(*) FROM workspace_members m
            WHERE m.tenant_id = w.tenant_id AND m.workspace_id = w.id) AS members
    FROM workspaces w WHERE w.tenant_id = %(tenant_id)s"""


class WorkspaceNotFound(NotFound):
    """There is no such workspace."""

    code = "workspace_not_found"


class NameTaken(Conflict):
    """The tenant has a workspace of this name, in whatever letters."""

    code = "workspace_name_taken"


class WorkspaceInUse(Conflict):
    """The workspace holds documents, deleted ones perhaps: move them first."""

    code = "workspace_in_use"


@dataclass(frozen=True, slots=True)
class Workspace:
    """A part of a tenant that shares documents; ``members`` is how many belong to it."""

    id: str
    name: str
    created_at: datetime
    members: int


@dataclass(frozen=True, slots=True)
class Colleague:
    """A user who belongs to a workspace; a ``manager`` says who else does."""

    user_id: str
    name: str
    email: str
    manager: bool
    added_at: datetime


async def list_workspaces(
    connection: Connection, tenant_id: str, *, after: str | None, limit: int
) -> list[Workspace]:
    """In the order of their ids; one more than ``limit`` when there are more."""
    cursor = await connection.execute(
        f"{_WORKSPACES} AND w.id > %(after)s ORDER BY w.id LIMIT %(limit)s + 1",
        {"tenant_id": tenant_id, "after": after or "", "limit": limit},
    )
    return [Workspace(**row) for row in await cursor.fetchall()]


async def get_workspace(connection: Connection, tenant_id: str, workspace_id: str) -> Workspace:
    """One workspace.

    Raises:
        WorkspaceNotFound: there is none that the task reaches.
    """
    cursor = await connection.execute(
        f"{_WORKSPACES} AND w.id = %(id)s", {"tenant_id": tenant_id, "id": workspace_id}
    )
    row = await cursor.fetchone()
    if row is None:
        raise WorkspaceNotFound
    return Workspace(**row)


async def hold_workspace(connection: Connection, tenant_id: str, workspace_id: str) -> None:
    """See that a workspace stays until the transaction ends, for a document to be put into it.

    Raises:
        WorkspaceNotFound: there is none that the task reaches.
    """
    cursor = await connection.execute(
        "SELECT FROM workspaces WHERE tenant_id = %s AND id = %s FOR KEY SHARE",
        (tenant_id, workspace_id),
    )
    if await cursor.fetchone() is None:
        raise WorkspaceNotFound


async def add_workspace(
    connection: Connection, tenant_id: str, name: str, *, manager_id: str | None
) -> str:
    """Record a workspace, and the user who manages it, if any; its id.

    Raises:
        NameTaken: the tenant has one that is called so.
    """
    workspace_id = new_id("wsp")
    try:
        await connection.execute(
            "INSERT INTO workspaces (id, tenant_id, name) VALUES (%s, %s, %s)",
            (workspace_id, tenant_id, name),
        )
    except psycopg.errors.UniqueViolation as error:
        raise NameTaken from error
    if manager_id is not None:
        # Not `put_member`: to update a row on conflict one has to see it, and nobody does yet.
        await connection.execute(
            "INSERT INTO workspace_members (tenant_id, workspace_id, user_id, manager)"
            " VALUES (%s, %s, %s, true)",
            (tenant_id, workspace_id, manager_id),
        )
    return workspace_id


async def rename_workspace(connection: Connection, workspace_id: str, name: str) -> None:
    """Call a workspace something else.

    Raises:
        NameTaken: another one is called so.
    """
    try:
        await connection.execute(
            "UPDATE workspaces SET name = %s"
            " WHERE tenant_id = current_setting('app.tenant') AND id = %s",
            (name, workspace_id),
        )
    except psycopg.errors.UniqueViolation as error:
        raise NameTaken from error


async def remove_workspace(connection: Connection, workspace_id: str) -> None:
    """Remove a workspace, and who belongs to it.

    Raises:
        WorkspaceInUse: it holds documents.
    """
    try:
        await connection.execute(
            "DELETE FROM workspaces WHERE tenant_id = current_setting('app.tenant') AND id = %s",
            (workspace_id,),
        )
    except psycopg.errors.ForeignKeyViolation as error:
        raise WorkspaceInUse from error


async def is_manager(connection: Connection, workspace_id: str, user_id: str | None) -> bool:
    """Whether a user manages the workspace."""
    cursor = await connection.execute(
        "SELECT FROM workspace_members WHERE tenant_id = current_setting('app.tenant')"
        " AND workspace_id = %s AND user_id = %s AND manager",
        (workspace_id, user_id),
    )
    return await cursor.fetchone() is not None


async def list_colleagues(
    connection: Connection, workspace_id: str, *, after: str | None, limit: int
) -> list[Colleague]:
    """In the order of their ids; one more than ``limit`` when there are more."""
    cursor = await connection.execute(
        "SELECT m.user_id, u.name, u.email, m.manager, m.added_at FROM workspace_members m"
        " JOIN users u ON u.tenant_id = m.tenant_id AND u.id = m.user_id"
        " WHERE m.tenant_id = current_setting('app.tenant')"
        " AND m.workspace_id = %s AND m.user_id > %s"
        " ORDER BY m.user_id LIMIT %s + 1",
        (workspace_id, after or "", limit),
    )
    return [Colleague(**row) for row in await cursor.fetchall()]


async def find_colleague(
    connection: Connection, workspace_id: str, user_id: str
) -> Colleague | None:
    """A user who belongs to the workspace, or None."""
    cursor = await connection.execute(
        "SELECT m.user_id, u.name, u.email, m.manager, m.added_at FROM workspace_members m"
        " JOIN users u ON u.tenant_id = m.tenant_id AND u.id = m.user_id"
        " WHERE m.tenant_id = current_setting('app.tenant')"
        " AND m.workspace_id = %s AND m.user_id = %s",
        (workspace_id, user_id),
    )
    row: dict[str, Any] | None = await cursor.fetchone()
    return None if row is None else Colleague(**row)


async def put_member(
    connection: Connection, tenant_id: str, workspace_id: str, user_id: str, *, manager: bool
) -> None:
    """Let a user belong to the workspace, as a manager or not."""
    await connection.execute(
        "INSERT INTO workspace_members (tenant_id, workspace_id, user_id, manager)"
        " VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (workspace_id, user_id) DO UPDATE SET manager = excluded.manager",
        (tenant_id, workspace_id, user_id, manager),
    )


async def remove_member(connection: Connection, workspace_id: str, user_id: str) -> bool:
    """Let a user belong to the workspace no more; False when they did not."""
    cursor = await connection.execute(
        "DELETE FROM workspace_members WHERE tenant_id = current_setting('app.tenant')"
        " AND workspace_id = %s AND user_id = %s",
        (workspace_id, user_id),
    )
    return cursor.rowcount == 1
