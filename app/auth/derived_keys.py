"""Keys derived from ``SECRET_KEY``, one for each purpose, so that none serves for another."""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def derived_key(secret: bytes, purpose: str) -> bytes:
    """32 bytes that nobody works out without ``secret`` (HKDF-SHA256, RFC 5869)."""
    return HKDF(SHA256(), length=32, salt=None, info=f"docent {purpose}".encode()).derive(secret)
