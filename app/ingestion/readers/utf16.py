"""Whether bytes are UTF-16, with a byte order mark or without one."""

from __future__ import annotations

import codecs

#: Without a mark, at least this share of the characters has a byte of zero: spaces, line breaks and
#: figures have one in any language, and it is on the same side of all of them.
LEAST_ZEROS = 0.02


def utf16_of(data: bytes) -> str | None:
    """Return the codec that reads the bytes of a file as UTF-16, or None when they are not that.

    A mark is the first character of what it decodes.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16-le" if data.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"
    if len(data) % 2 or b"\0" not in data:
        return None
    first, second = data[::2].count(0), data[1::2].count(0)
    if min(first, second) or max(first, second) < LEAST_ZEROS * len(data) / 2:
        return None
    codec = "utf-16-be" if first else "utf-16-le"
    try:
        data.decode(codec)
    except UnicodeDecodeError:
        return None
    return codec
