"""Bytes of unknown encoding to text: what they say, else UTF-8, else the likeliest of old ones."""

from __future__ import annotations

import codecs
import re

from charset_normalizer import from_bytes

MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
#: Old encodings that files still come in, and what is assumed when none of them fits.
OLD = ("cp1252", "cp1251", "cp1250", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r", "shift_jis",
       "euc_jp", "gb18030", "big5", "euc_kr")  # fmt: skip
FALLBACK = "cp1252"
#: Bytes that the guess looks at.
SAMPLE = 32_768
#: A text shorter than this with few other letters is taken for Western: a guess would be a dice.
ENOUGH, MOSTLY_LATIN, ASCII_END = 256, 0.25, 0x80
#: HTML 13.2.3.2: the encoding is named within the first 1,024 bytes.
DECLARED = re.compile(rb"(?:charset|encoding)\s{0,9}=\s{0,9}[\"']?([-\w]{2,40})", re.IGNORECASE)
DECLARED_WITHIN = 1024
#: A page that declares these means the superset that browsers read (Encoding Standard, 4.2).
BROWSERS = {"iso8859-1": "cp1252", "ascii": "cp1252", "iso8859-9": "cp1254", "gb2312": "gb18030"}

# Codecs are files, and the child opens none once it is confined.
for _name in (*OLD, *MARKS.values(), "iso8859-1", "ascii"):
    codecs.lookup(_name)


def decode(data: bytes, *, declared: bool = False) -> str:
    """Return the text; what cannot be decoded becomes U+FFFD.

    Args:
        data: The whole file.
        declared: Whether the format can name its own encoding, as HTML does.
    """
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        named = declared_encoding(data) if declared else None
        return data.decode(named or guess(data), "replace")


def declared_encoding(data: bytes) -> str | None:
    """Return the encoding the file names, if it is one we know."""
    match = DECLARED.search(data[:DECLARED_WITHIN])
    if match is None:
        return None
    try:
        name = codecs.lookup(match[1].decode("ascii")).name
    except (LookupError, OSError, ImportError):
        return None
    name = BROWSERS.get(name, name)
    return name if name in {codecs.lookup(old).name for old in OLD} else None


def guess(data: bytes) -> str:
    """Return the likeliest encoding of a text that is not UTF-8."""
    foreign = sum(byte >= ASCII_END for byte in data[:SAMPLE])
    if len(data) < ENOUGH and foreign < len(data) * MOSTLY_LATIN:
        return FALLBACK
    best = from_bytes(data[:SAMPLE], steps=3, chunk_size=2048, cp_isolation=list(OLD)).best()
    return best.encoding if best else FALLBACK
