"""Opaque, unguessable identifiers with a prefix that says what they name."""

import os
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
    "wsp",
]

#: 26 letters of five random bits are 130 bits: above the 128 that guessing is measured by.
_LENGTH = 26
#: What each random byte becomes; 256 is a multiple of 32, so all letters are equally likely.
_LETTERS = bytes(b"abcdefghijklmnopqrstuvwxyz234567"[byte % 32] for byte in range(256))


def new_id(prefix: Prefix) -> str:
    """A fresh id such as ``doc_4kq…``: 26 lower-case letters and digits, 130 random bits."""
    return f"{prefix}_{os.urandom(_LENGTH).translate(_LETTERS).decode()}"


def new_event_id() -> str:
    """A fresh id such as ``aud_0195…`` that sorts by the time of its making, to the millisecond."""
    return f"aud_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"
