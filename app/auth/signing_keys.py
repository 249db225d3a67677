"""The keys that access tokens are signed with: made by whoever needs one first, then replaced.

They lie in PostgreSQL, sealed under ``SECRET_KEY``; every worker keeps them in memory and looks for
others once a minute. A key is known by its ``kid`` only if it comes from there.
"""

import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from jwt.algorithms import ECAlgorithm

from app.auth.access_token import ALGORITHM
from app.auth.derived_keys import derived_key
from app.errors import ConfigurationError
from app.infra.ids import new_id
from app.infra.postgres import Pool, fetch_all

#: How long what was read is believed; a new key is looked for at once when a token names it.
FRESH_S = 60.0
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair and when it signs."""

    kid: str
    private: EllipticCurvePrivateKey
    public: EllipticCurvePublicKey
    created_at: datetime
    retired_at: datetime | None


class SigningKeys:
    """The keys of this deployment. Every method raises DatabaseUnavailable."""

    def __init__(
        self, pool: Pool, secret: bytes, *, rotation_days: float, token_ttl_s: int
    ) -> None:
        """A key signs for ``rotation_days``, and verifies for as long as a token lives after."""
        self._pool = pool
        self._cipher = AESGCM(derived_key(secret, "signing keys"))
        self._under = derived_key(secret, "fingerprint")[:8]
        self._rotation = timedelta(days=rotation_days)
        # Whoever has not heard yet that a key is retired signs with it once more.
        self._kept_s = token_ttl_s + 2 * FRESH_S
        self._keys: dict[str, SigningKey] = {}
        self._signer: SigningKey | None = None
        self._stale_at = 0.0

    async def signer(self) -> SigningKey:
        """The key to sign with, made now if there is none or it has become old.

        However many workers come at once, one of them makes it.

        Raises:
            ConfigurationError: the newest key in the table is not one that was put there by us.
        """
        if self._signer is None or time.monotonic() > self._stale_at:
            await self._read()
        if self._signer is None:
            await self._make()
            await self._read()
        if self._signer is None:
            raise ConfigurationError("The newest signing key is damaged; delete it.")
        return self._signer

    async def find(self, kid: str) -> EllipticCurvePublicKey | None:
        """The public key called ``kid``, while a token signed with it can be valid."""
        if kid not in self._keys or time.monotonic() > self._stale_at:
            await self._read()
        key = self._keys.get(kid)
        return None if key is None else key.public

    async def published(self) -> list[dict[str, Any]]:
        """The public keys as JWKs (RFC 7517), the one that signs among them."""
        await self.signer()
        return [
            {
                **ECAlgorithm.to_jwk(key.public, as_dict=True),
                "kid": key.kid,
                "use": "sig",
                "alg": ALGORITHM,
            }
            for key in self._keys.values()
        ]

    async def _read(self) -> None:
        rows = await fetch_all(
            self._pool,
            "SELECT kid, sealed, created_at, retired_at, now() - created_at AS age"
            " FROM signing_keys WHERE sealed_under = %(under)s AND (retired_at IS NULL"
            " OR retired_at > now() - make_interval(secs => %(kept_s)s)) ORDER BY created_at",
            {"under": self._under, "kept_s": self._kept_s},
        )
        keys = {}
        for row in rows:
            with suppress(InvalidTag):  # somebody else put it there
                keys[row["kid"]] = self._opened(row)
        self._keys = keys
        young = [row for row in rows if row["retired_at"] is None and row["age"] < self._rotation]
        self._signer = self._keys.get(young[-1]["kid"]) if young else None
        self._stale_at = time.monotonic() + FRESH_S

    def _opened(self, row: dict[str, Any]) -> SigningKey:
        if (known := self._keys.get(row["kid"])) and known.retired_at == row["retired_at"]:
            return known
        nonce, sealed = row["sealed"][:_NONCE_BYTES], row["sealed"][_NONCE_BYTES:]
        private = load_der_private_key(
            self._cipher.decrypt(nonce, sealed, row["kid"].encode()), password=None
        )
        assert isinstance(private, EllipticCurvePrivateKey)  # noqa: S101 - as it was sealed
        return SigningKey(
            row["kid"], private, private.public_key(), row["created_at"], row["retired_at"]
        )

    async def _make(self) -> None:
        kid, nonce = new_id("sig"), secrets.token_bytes(_NONCE_BYTES)
        private = generate_private_key(SECP256R1()).private_bytes(
            Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
        )
        # Not only read, but as harmless to run twice.
        await fetch_all(
            self._pool,
            "SELECT add_signing_key(%(kid)s, %(sealed)s, %(under)s, %(max_age_s)s)",
            {
                "kid": kid,
                "sealed": nonce + self._cipher.encrypt(nonce, private, kid.encode()),
                "under": self._under,
                "max_age_s": self._rotation.total_seconds(),
            },
        )
