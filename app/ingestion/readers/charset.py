"""Bytes of unknown encoding to text: what they say, else UTF-8, else the likeliest of old ones."""

from __future__ import annotations

import codecs
import re

from charset_normalizer import from_bytes

from app.ingestion.readers.alphabets import ENCODINGS, latin_encoding
from app.ingestion.readers.utf16 import utf16_of

UTF16 = ("utf-16-le", "utf-16-be")
#: Old encodings that files still come in, and what is assumed when none of them fits.
OLD = ("cp1252", "cp1251", "cp1250", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r", "koi8_u",
       "cp866", "cp874", "shift_jis", "euc_jp", "gb18030", "big5", "euc_kr")  # fmt: skip
FALLBACK = "cp1252"
#: Bytes that the guess looks at.
SAMPLE = 32_768
#: A shorter text with few other letters is taken for Western if it spells no language: a guess
#: would be a dice.
ENOUGH, MOSTLY_LATIN, ASCII_END = 256, 0.25, 0x80
#: HTML 13.2.3.2: the encoding is named within the first 1,024 bytes.
DECLARED = re.compile(rb"(?:charset|encoding)\s{0,9}=\s{0,9}[\"']?([-\w]{2,40})", re.IGNORECASE)
DECLARED_WITHIN = 1024
#: The encodings that browsers read (Encoding Standard, 4.2) beside those, as Python calls them.
DECLARABLE = (
    "iso8859-3", "iso8859-4", "iso8859-5", "iso8859-6", "iso8859-7", "iso8859-8", "iso8859-10",
    "iso8859-13", "iso8859-14", "iso8859-15", "iso8859-16", "mac-cyrillic", "cp1258", "cp932",
    "cp949", "big5hkscs",
)  # fmt: skip
#: A page that declares these means the superset that browsers read.
BROWSERS = {"iso8859-1": "cp1252", "ascii": "cp1252", "iso8859-9": "cp1254", "gb2312": "gb18030",
            "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "big5": "big5hkscs",
            "tis-620": "cp874", "iso8859-11": "cp874"}  # fmt: skip
#: Names of the standard that Python does not know.
LABELS = {"windows-874": "cp874", "x-mac-ukrainian": "mac-cyrillic", "iso-8859-8-i": "iso8859-8"}
#: How ISO-2022-JP, which is all ASCII bytes, goes over to Japanese.
TO_JAPANESE = re.compile(rb"\x1b\$[@B]")

# Codecs are files, and the child opens none once it is confined.
KNOWN = {
    codecs.lookup(one).name
    for one in (*OLD, *ENCODINGS, *DECLARABLE, "utf-8", *UTF16, *BROWSERS, "iso2022_jp")
}


def decode(data: bytes, *, declared: bool = False) -> str:
    """Return the text; what cannot be decoded becomes U+FFFD.

    Args:
        data: The whole file.
        declared: Whether the format can name its own encoding, as HTML does.
    """
    if data.startswith(codecs.BOM_UTF8):
        return data[len(codecs.BOM_UTF8) :].decode("utf-8", "replace")
    if codec := utf16_of(data):
        return data.decode(codec, "replace").removeprefix("\ufeff")
    for encoding in ("iso2022_jp", "utf-8") if TO_JAPANESE.search(data) else ("utf-8",):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    named = declared_encoding(data) if declared else None
    return data.decode(named or guess(data), "replace")


def declared_encoding(data: bytes) -> str | None:
    """Return the encoding the file names, if it is one we know."""
    match = DECLARED.search(data[:DECLARED_WITHIN])
    if match is None:
        return None
    label = match[1].decode("ascii").lower()
    for name in (LABELS.get(label, label), label.removeprefix("x-")):
        try:
            found = codecs.lookup(name).name
        except (LookupError, OSError, ImportError):
            continue
        found = BROWSERS.get(found, found)
        return found if found in KNOWN and not found.startswith("utf") else None
    return None


def guess(data: bytes) -> str:
    """Return the likeliest encoding of a text that is not UTF-8."""
    if latin := latin_encoding(data[:SAMPLE]):
        return latin
    foreign = sum(byte >= ASCII_END for byte in data[:SAMPLE])
    if len(data) < ENOUGH and foreign < len(data) * MOSTLY_LATIN:
        return FALLBACK
    best = from_bytes(data[:SAMPLE], steps=3, chunk_size=2048, cp_isolation=list(OLD)).best()
    return best.encoding if best else FALLBACK
