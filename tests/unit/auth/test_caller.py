"""Who counts as an owner: owners, and the keys that operators made."""

import pytest

from app.auth.caller import Caller, Role


@pytest.mark.parametrize(
    ("caller_id", "user_id", "role", "kind", "is_owner"),
    [
        ("key_1", None, None, "key", True),
        ("key_1", "usr_1", "owner", "key", True),
        ("key_1", "usr_1", "admin", "key", False),
        ("usr_1", "usr_1", "owner", "user", True),
        ("usr_1", "usr_1", "admin", "user", False),
        ("cli_1", None, None, "client", False),
        ("cli_1", None, "admin", "client", False),
    ],
)
def test_owners_and_kinds(
    caller_id: str, user_id: str | None, role: Role | None, kind: str, is_owner: bool
) -> None:
    caller = Caller("ten_1", caller_id, frozenset({"admin"}), user_id=user_id, role=role)
    assert (caller.kind, caller.acts_as_owner) == (kind, is_owner)
