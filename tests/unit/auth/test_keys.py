"""Keys are kept as keyed hashes, and secrets in files nobody else reads."""

import base64
import hashlib
import hmac
import math
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.auth.keys import (
    KeyRing,
    create_key,
    hash_key,
    load_secret,
    new_key,
    set_tenant_budget,
    write_private,
)
from app.errors import ConfigurationError, InvalidRequest, NotAuthenticated


def test_a_key_is_not_guessed() -> None:
    keys = {new_key() for _ in range(1000)}
    assert len(keys) == 1000
    for key in keys:
        assert len(base64.urlsafe_b64decode(key.removeprefix("dk_") + "==")) * 8 >= 128


def test_the_hash_is_keyed() -> None:
    expected = hmac.new(b"secret", b"key", hashlib.sha256).digest()
    assert hash_key("key", b"secret") == expected
    assert hash_key("key", b"other") != expected
    assert hashlib.sha256(b"key").digest() != expected


@pytest.mark.parametrize("key", ["ké", "k" * 129, "\ud800"])
async def test_what_cannot_be_a_key_is_refused_without_asking_the_database(key: str) -> None:
    no_pool = None
    with pytest.raises(NotAuthenticated):
        await KeyRing(no_pool, b"s").caller(key)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tenant", "name", "scopes"),
    [
        ("", "n", ["chat"]), ("  ", "n", ["chat"]), ("t" * 129, "n", ["chat"]),
        ("t", "", ["chat"]), ("t", "a\nb", ["chat"]), ("t\0", "n", ["chat"]), ("\ud800", "n",
        ["chat"]),
        ("t", "n", []), ("t", "n", ["chat", "root"]), ("t", "n", ["Chat"]),
    ],
)  # fmt: skip
def test_a_key_needs_names_and_known_scopes(tenant: str, name: str, scopes: list[str]) -> None:
    with pytest.raises(InvalidRequest):
        create_key("postgresql://nowhere.invalid", b"s", tenant=tenant, name=name, scopes=scopes)


@pytest.mark.parametrize("budget_usd", [-0.01, 100_000_000, math.nan, math.inf])
def test_a_budget_is_a_sum_of_money(budget_usd: float) -> None:
    nowhere = "postgresql://nowhere.invalid"
    with pytest.raises(InvalidRequest, match="budget"):
        create_key(nowhere, b"s", tenant="t", name="n", budget_usd=budget_usd)
    with pytest.raises(InvalidRequest, match="budget"):
        set_tenant_budget(nowhere, "t", budget_usd)


def test_a_private_file_is_whole_private_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "dev.key"
    before = os.umask(0)
    try:
        assert write_private(path, "first")
    finally:
        os.umask(before)
    assert not write_private(path, "second")
    assert path.read_text() == "first\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["dev.key"]


def test_many_writers_one_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        secrets = set(pool.map(lambda _: load_secret(None, tmp_path), range(64)))
    assert len(secrets) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret.key"]


def test_a_secret_is_minted_once(tmp_path: Path) -> None:
    home = tmp_path / "deep" / "home"
    secret = load_secret(None, home)
    assert len(secret) >= 32
    assert load_secret(None, home) == secret
    assert load_secret(None, tmp_path) != secret
    assert load_secret("configured" * 4, home) == b"configured" * 4


@pytest.mark.parametrize("content", ["", "\n", "short"])
def test_a_damaged_secret_is_said_and_not_replaced(tmp_path: Path, content: str) -> None:
    """A new secret would make every key invalid; restoring the file makes them valid again."""
    path = tmp_path / "secret.key"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"secret\.key is damaged"):
        load_secret(None, tmp_path)
    assert path.read_text() == content


def test_a_binary_secret_is_damaged_too(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_bytes(b"\xff" * 64)
    with pytest.raises(ConfigurationError, match="damaged"):
        load_secret(None, tmp_path)


def test_an_impossible_home_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"cannot be read or made: ") as caught:
        load_secret(None, tmp_path / "file")
    assert isinstance(caught.value.__cause__, OSError)
