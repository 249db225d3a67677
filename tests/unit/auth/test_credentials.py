"""What looks like a JWT is one, and everything else is a key."""

import pytest

from app.auth.caller import Caller
from app.auth.credentials import Credentials


class Kind:
    """Says which of the two it is."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def caller(self, credential: str) -> Caller:
        return Caller(self.name, credential, frozenset())


@pytest.mark.parametrize(
    ("credential", "kind"),
    [
        ("dk_x", "keys"), ("dr_x", "keys"), ("", "keys"), ("a.b", "keys"), ("a.b.c.d", "keys"),
        ("a.b.c", "tokens"), ("..", "tokens"),
    ],
)  # fmt: skip
async def test_the_form_tells(credential: str, kind: str) -> None:
    both = Credentials(Kind("keys"), Kind("tokens"))  # type: ignore[arg-type]
    assert await both.caller(credential) == Caller(kind, credential, frozenset())
