"""API keys: minted once, shown once, stored as a keyed hash, found by it.

The hash is HMAC-SHA256 under ``SECRET_KEY``: keys are 256 random bits, so nothing slower is needed,
and a copy of the table alone lets nobody test guesses. The key is looked up by its hash, so timing
tells about the hash only, and the row is compared once more in constant time.
"""

import hmac
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from app.auth.api_keys.uses import KeyUses
from app.auth.audit import OPERATOR, AuditEvent, record_as_owner
from app.auth.caller import ALL_SCOPES, Caller
from app.errors import ConfigurationError, InvalidRequest, NotAuthenticated
from app.infra.ids import new_id
from app.infra.postgres import Pool, fetch_all, translated
from app.settings import MAX_BUDGET_USD, Settings

_MAX_KEY_CHARS = 128


class KeyRing:
    """Checks keys against the database, on every request, so that revoking works at once."""

    def __init__(self, pool: Pool, secret: bytes, uses: KeyUses | None = None) -> None:
        """Tell ``uses`` of every key that is let in."""
        self._pool = pool
        self._secret = secret
        self._uses = uses

    async def caller(self, key: str) -> Caller:
        """Who holds ``key``.

        Raises:
            NotAuthenticated: unknown, revoked or expired; the message does not say which.
            DatabaseUnavailable: when it cannot be checked; nobody is let in then.
        """
        if not key.isascii() or len(key) > _MAX_KEY_CHARS:
            raise NotAuthenticated
        digest = hash_key(key, self._secret)
        rows = await fetch_all(
            self._pool, "SELECT * FROM find_api_key(%(key_hash)s)", {"key_hash": digest}
        )
        if not rows or not hmac.compare_digest(rows[0]["key_hash"], digest):
            raise NotAuthenticated
        [row] = rows
        if self._uses is not None:
            self._uses.note(row["id"])
        return Caller(
            row["tenant_id"],
            row["id"],
            frozenset(row["scopes"]),
            tenant_budget_usd=row["tenant_budget_usd"],
            key_budget_usd=row["key_budget_usd"],
            corpus_revision=row["corpus_revision"],
            restricted=row["restricted"],
            user_id=row["user_id"],
            role=row["role"],
            requests_per_minute=row["requests_per_minute"],
        )


def hash_key(key: str, secret: bytes) -> bytes:
    """The 32 bytes stored for ``key``."""
    return hmac.digest(secret, key.encode(), "sha256")


def create_key(
    owner_url: str,
    secret: bytes,
    *,
    tenant: str,
    name: str,
    scopes: Sequence[str] = ALL_SCOPES,
    budget_usd: float | None = None,
) -> str:
    """Mint a key for the tenant called ``tenant``, making the tenant if it is new; blocks.

    Runs as the owner of the tables: the application's own role cannot write keys or make tenants.
    The key may spend ``budget_usd`` a month; None leaves it to the settings.

    Raises:
        InvalidRequest: for an empty or overlong name, a scope that does not exist, or a budget that
            is no sum of money.
        DatabaseUnavailable: when the database cannot be reached.
    """
    unknown = set(scopes) - set(ALL_SCOPES)
    if unknown or not scopes:
        raise InvalidRequest(
            f"Unknown scope {', '.join(sorted(unknown)) or '(none given)'}; "
            f"there are {', '.join(ALL_SCOPES)}."
        )
    _check_name("tenant", tenant)
    _check_name("name", name)
    _check_budget(budget_usd)
    key = new_key()
    digest = hash_key(key, secret)
    _store(owner_url, digest, tenant=tenant, name=name, scopes=scopes, budget_usd=budget_usd)
    return key


def set_tenant_budget(owner_url: str, tenant: str, budget_usd: float | None) -> None:
    """Let the tenant called ``tenant`` spend ``budget_usd`` a month; blocks, as the owner.

    None leaves it to the settings. The tenant is made if it is new.

    Raises:
        InvalidRequest: the budget is no sum of money, or an empty or overlong name.
        DatabaseUnavailable: when the database cannot be reached.
    """
    _check_name("tenant", tenant)
    _check_budget(budget_usd)
    with translated(), psycopg.connect(owner_url, connect_timeout=5) as connection:
        connection.execute(
            "UPDATE tenants SET budget_usd = %s WHERE id = %s",
            (budget_usd, _tenant(connection, tenant)),
        )


def _check_budget(budget_usd: float | None) -> None:
    if budget_usd is not None and not 0 <= budget_usd <= MAX_BUDGET_USD:
        raise InvalidRequest(f"A budget is 0 to {MAX_BUDGET_USD} US dollars a month.")


def new_key() -> str:
    """A key nobody has: 256 random bits."""
    return f"dk_{secrets.token_urlsafe(32)}"


def ensure_dev_key(owner_url: str, secret: bytes, home: Path, *, tenant: str) -> None:
    """Keep a development key in ``home/dev.key`` (mode 600) and see that the database knows it.

    The same key goes on working when only the database was thrown away.
    """
    path = home / "dev.key"
    write_private(path, new_key())
    key = path.read_text().strip()
    _store(owner_url, hash_key(key, secret), tenant=tenant, name="development", scopes=ALL_SCOPES)


def _store(
    owner_url: str,
    digest: bytes,
    *,
    tenant: str,
    name: str,
    scopes: Sequence[str],
    budget_usd: float | None = None,
) -> None:
    """Store the hash of a key, unless it is stored already."""
    with translated(), psycopg.connect(owner_url, connect_timeout=5) as connection:
        found = connection.execute("SELECT FROM api_keys WHERE key_hash = %s", (digest,))
        if found.fetchone() is not None:
            return
        key_id, tenant_id = new_id("key"), _tenant(connection, tenant)
        connection.execute(
            "INSERT INTO api_keys (id, tenant_id, name, key_hash, scopes, budget_usd)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            (key_id, tenant_id, name.strip(), digest, list(scopes), budget_usd),
        )
        details = {"scopes": sorted(scopes)}
        record_as_owner(
            connection, AuditEvent(tenant_id, "key.create", OPERATOR, key_id, details=details)
        )


def tenant_named(owner_url: str, tenant: str) -> str:
    """The id of the tenant called ``tenant``, which is made if it is new; blocks, as the owner.

    Raises:
        InvalidRequest: an empty or overlong name.
        DatabaseUnavailable: when the database cannot be reached.
    """
    _check_name("tenant", tenant)
    with translated(), psycopg.connect(owner_url, connect_timeout=5) as connection:
        return _tenant(connection, tenant)


def _check_name(what: str, text: str) -> None:
    if not 1 <= len(text.strip()) <= 128 or not text.isprintable():  # noqa: PLR2004
        raise InvalidRequest(f"The {what} must have 1 to 128 printable characters.")


def _tenant(connection: psycopg.Connection[Any], tenant: str) -> str:
    found = connection.execute("SELECT id FROM tenants WHERE name = %s", (tenant.strip(),))
    row = found.fetchone()
    if row is None:
        row = connection.execute(
            "INSERT INTO tenants (id, name) VALUES (%s, %s)"
            " ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id",
            (new_id("ten"), tenant.strip()),
        ).fetchone()
    assert row is not None  # noqa: S101 - an upsert returns its row
    return str(row[0])


def secret_of(settings: Settings) -> bytes:
    """The secret that keys the hashes of API keys."""
    configured = settings.secret_key.get_secret_value() if settings.secret_key else None
    return load_secret(configured, settings.docent_home)


def load_secret(configured: str | None, home: Path) -> bytes:
    """The secret that keys the hashes: the configured one, or one minted once into ``home``.

    Raises:
        ConfigurationError: when the file cannot be made or read, or holds too little.
    """
    if configured is not None:
        return configured.encode()
    path = home / "secret.key"
    try:
        home.mkdir(parents=True, exist_ok=True)
        write_private(path, secrets.token_urlsafe(48))
        secret = path.read_bytes().strip()
    except OSError as error:
        raise ConfigurationError(
            f"The secret key file {path} cannot be read or made: {error.strerror}."
        ) from error
    if len(secret) < 32 or not secret.isascii():  # noqa: PLR2004 - what SECRET_KEY asks for as well
        raise ConfigurationError(f"The secret key file {path} is damaged; restore it.")
    return secret


def write_private(path: Path, text: str) -> bool:
    """Write ``text`` to a new file of mode 600; False, and nothing written, when it exists.

    The name appears only with its whole content behind it, whichever process is killed when.
    """
    if path.exists():
        return False
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True
