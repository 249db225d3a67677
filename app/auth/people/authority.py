"""What an administrator may do to people, read anew in the transaction that does it."""

from dataclasses import dataclass

from app.auth.caller import Caller
from app.auth.user_store import find_member, lock_members
from app.errors import NotAllowed
from app.infra.postgres import Connection


@dataclass(frozen=True, slots=True)
class Authority:
    """An administrator's; only owners change owners, or make them."""

    is_owner: bool


async def authority(connection: Connection, caller: Caller) -> Authority:
    """What ``caller`` may do; nobody's role in the tenant changes before the transaction ends.

    The gate has let it in before, but an administrator who was demoted just now decides nothing.

    Raises:
        NotAllowed: it is an administrator no more.
    """
    await lock_members(connection, caller.tenant_id)
    if caller.user_id is None:
        return Authority(caller.acts_as_owner)
    member = await find_member(connection, caller.tenant_id, caller.user_id)
    if member is None or member.user.suspended or "admin" not in member.user.scopes:
        raise NotAllowed("This needs the scope 'admin'.", required_scope="admin")
    # A client has what was consented to, and an owner's powers are in no scope.
    return Authority(member.user.role == "owner" and caller.client_id is None)
