"""The credentials a request may carry: API keys and access tokens, by whichever header."""

from app.auth.caller import Caller
from app.auth.keys import KeyRing
from app.auth.tokens import Tokens


class Credentials:
    """Tells the two kinds apart by their form; what follows is the same for both."""

    def __init__(self, key_ring: KeyRing, tokens: Tokens) -> None:
        self._key_ring = key_ring
        self._tokens = tokens

    async def caller(self, credential: str) -> Caller:
        """Who holds ``credential``.

        Raises:
            NotAuthenticated: unknown, void or malformed; the message does not say which.
            DatabaseUnavailable: when it cannot be checked; nobody is let in then.
        """
        # A JWT has three parts, with dots between them, which no key has.
        kind = self._tokens if credential.count(".") == 2 else self._key_ring  # noqa: PLR2004
        return await kind.caller(credential)
