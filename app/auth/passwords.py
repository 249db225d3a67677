"""Passwords: argon2id, in a thread, a few at once.

Lengths and the missing rules about digits and capitals are those of NIST SP 800-63B, 5.1.1.2; the
costs are above what the OWASP Password Storage Cheat Sheet asks for.
"""

import asyncio
import secrets
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.errors import InvalidRequest, Unavailable

MIN_CHARS, MAX_CHARS = 12, 128
#: What comes after so many is not looked at; longer than any that is accepted.
_MOST_CHARS = 1024
#: Each takes 46 MiB and a core for some 50 ms.
_AT_ONCE = 2
#: How long a password waits for its turn before it is refused.
_TURN_S = 5.0
#: Fewer different characters are a pattern.
_FEWEST_DIFFERENT = 4
#: The commonest of those that are long enough, in lower case.
_COMMON = frozenset(
    {
        "000000000000", "012345678910", "0123456789012", "123123123123", "123456123456",
        "123456654321", "1234567890-=", "123456789000", "123456789012", "1234567890123",
        "12345678901234", "123456789123", "1234567891011", "123456789abc", "123456789qwe",
        "1q2w3e4r5t6y", "1q2w3e4r5t6y7u", "1qaz2wsx3edc", "1qaz2wsx3edc4rfv", "abcdefghijkl",
        "administrator", "administrator1", "asdfghjkl123", "asdfghjkl;'", "changeme1234",
        "changemenow1", "computer1234", "correcthorsebatterystaple", "football1234",
        "iloveyou1234", "iloveyouforever", "letmein12345", "letmeinplease", "liverpool123",
        "manchesterunited", "mypassword123", "p@ssw0rd1234", "p@ssword1234", "passw0rd1234",
        "password!234", "password1234", "password12345", "password123456", "password123!",
        "password1234!", "password2024", "password2025", "password2026", "passwordpassword",
        "princess1234", "q1w2e3r4t5y6", "qazwsxedcrfv", "qwerty123456", "qwerty1234567",
        "qwertyqwerty", "qwertyuiop12", "qwertyuiop123", "qwertyuiop[]", "qwertyuiopasdfghjkl",
        "secret123456", "superman1234", "temporary123", "test12345678", "testtesttest",
        "trustno1trustno1", "unknown12345", "welcome12345", "welcome2024!", "welcome2025!",
        "welcome2026!", "whatever1234", "zaq12wsxcde3", "zxcvbnm12345", "zxcvbnmasdfgh",
    }
)  # fmt: skip


class WeakPassword(InvalidRequest):
    """A password has 12 to 128 characters and is none that is tried first."""

    code = "weak_password"


class PasswordsBusy(Unavailable):
    """Too many passwords are being checked; try again shortly."""

    code = "passwords_busy"


class Passwords:
    """Hashes and checks passwords for this process."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        """``hasher`` says what a hash costs; hashes of other costs are checked all the same."""
        self._hasher = hasher or PasswordHasher(time_cost=2, memory_cost=47_104, parallelism=1)
        self._turns = asyncio.Semaphore(_AT_ONCE)

    @cached_property
    def _nobodys(self) -> str:
        """Of a password nobody knows, for users there are none of; made when first needed."""
        return self._hasher.hash(secrets.token_urlsafe(32))

    async def hash(self, password: str) -> str:
        """What is stored for ``password``.

        Raises:
            PasswordsBusy: too many others are before it.
        """
        async with self._turn():
            return await asyncio.to_thread(self._hasher.hash, _typed(password))

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether ``stored`` was made from ``password``; with None it is not, and takes as long.

        Raises:
            PasswordsBusy: too many others are before it.
        """
        async with self._turn():
            right = await asyncio.to_thread(self._matches, _typed(password), stored)
        return right and stored is not None

    def outdated(self, stored: str) -> bool:
        """Whether ``stored`` was made at other costs than hashes are made now."""
        return self._hasher.check_needs_rehash(stored)

    def _matches(self, password: bytes, stored: str | None) -> bool:
        try:
            return self._hasher.verify(stored or self._nobodys, password)
        except (VerificationError, InvalidHashError):
            return False

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(_TURN_S):
                await self._turns.acquire()
        except TimeoutError:
            raise PasswordsBusy from None
        try:
            yield
        finally:
            self._turns.release()


def check_strength(password: str, *, email: str) -> None:
    """Accept a new password of the user with that e-mail address.

    Raises:
        WeakPassword: it is too short, too long, a common one, a pattern, or the address.
    """
    typed = _typed(password).decode()
    folded = typed.lower()
    if not MIN_CHARS <= len(typed) <= MAX_CHARS:
        raise WeakPassword(f"A password has {MIN_CHARS} to {MAX_CHARS} characters.")
    if folded in _COMMON or len(set(folded)) < _FEWEST_DIFFERENT:
        raise WeakPassword("This password is one of the first that are tried.")
    if folded in (email, email.partition("@")[0]):
        raise WeakPassword("A password is not the e-mail address.")


def temporary_password() -> str:
    """A password nobody has: 120 random bits."""
    return secrets.token_urlsafe(15)


def _typed(password: str) -> bytes:
    """The bytes that are hashed: the same characters from another keyboard are the same."""
    return unicodedata.normalize("NFKC", password[:_MOST_CHARS]).encode("utf-8", "replace")
