"""Opaque, unguessable identifiers with a prefix that says what they name."""

import base64
import secrets
import time
from typing import Literal

Prefix = Literal[
    "doc",
    "ver",
    "chk",
    "job",
    "ses",
    "ans",
    "key",
    "usr",
    "ten",
    "whk",
    "dlv",
    "inv",
    "cli",
    "fam",
    "sig",
]

#: 130 bits: above the 128 that guessing is measured by, and whole base32 letters.
_BYTES = 17


def new_id(prefix: Prefix) -> str:
    """A fresh id such as ``doc_4kq…``: 26 lower-case letters and digits, 130 random bits."""
    letters = base64.b32encode(secrets.token_bytes(_BYTES)).decode().rstrip("=").lower()
    return f"{prefix}_{letters[:26]}"


def new_event_id() -> str:
    """A fresh id such as ``aud_0195…`` that sorts by the time of its making, to the millisecond."""
    return f"aud_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"
