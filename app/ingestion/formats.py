"""What kind of file the bytes are, told by magic numbers and structure; headers are not believed.

Runs in the API process on whole uploads: one pass, nothing unpacked, nothing parsed.
"""

import codecs
import re
import struct
from dataclasses import dataclass
from typing import Final

from app.ingestion.readers.utf16 import utf16_of

OPEN_XML = "application/vnd.openxmlformats-officedocument."


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file that can be read, or is known well enough to say why not."""

    name: str
    media_type: str


PDF: Final = Format("pdf", "application/pdf")
DOCX: Final = Format("docx", OPEN_XML + "wordprocessingml.document")
PPTX: Final = Format("pptx", OPEN_XML + "presentationml.presentation")
XLSX: Final = Format("xlsx", OPEN_XML + "spreadsheetml.sheet")
ODT: Final = Format("odt", "application/vnd.oasis.opendocument.text")
EPUB: Final = Format("epub", "application/epub+zip")
HTML: Final = Format("html", "text/html")
CSV: Final = Format("csv", "text/csv")
MARKDOWN: Final = Format("markdown", "text/markdown")
TEXT: Final = Format("text", "text/plain")
PNG: Final = Format("png", "image/png")
JPEG: Final = Format("jpeg", "image/jpeg")
TIFF: Final = Format("tiff", "image/tiff")
#: A password-protected DOCX, PPTX or XLSX (MS-OFFCRYPTO); ``parse_file`` says "encrypted".
LOCKED: Final = Format("locked_office", "application/x-ole-storage")
IMAGES: Final = frozenset((PNG, JPEG, TIFF))
#: Formats read by ``reader_child.py``, in ``app/ingestion/readers``.
READ: Final = frozenset((DOCX, PPTX, XLSX, ODT, EPUB, HTML, CSV, MARKDOWN, TEXT))

MAGIC = {
    b"\x89PNG\r\n\x1a\n": PNG, b"\xff\xd8\xff": JPEG, b"II*\0": TIFF, b"MM\0*": TIFF,
}  # fmt: skip
#: PDF 2.0, annex I: readers accept the header anywhere in the first 1,024 bytes.
PDF_HEADER, PDF_WITHIN = b"%PDF-", 1_029
ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
#: Of a zip's first member when it is stored as EPUB and ODF demand: name at 30, then its content.
MIMETYPE, MIMETYPE_AT = b"mimetype", 30
PARTS = {"word/document": DOCX, "ppt/presentation.xml": PPTX, "xl/workbook.xml": XLSX}
#: Spreadsheets, presentations, drawings: their members have the names of a text's.
OTHER_OPENDOCUMENT = b"application/vnd.oasis.opendocument."
#: Directory entries looked at; the parts above stand among the first.
MAX_ENTRIES = 5_000
#: End of central directory and the header of its entries (APPNOTE.TXT 4.3.12, 4.3.16).
END, END_WITHIN = b"PK\x05\x06", 65_557
DIRECTORY = struct.Struct("<I")
ENTRY = struct.Struct("<4s24xHHH12x")
ENTRY_MAGIC = b"PK\x01\x02"
#: Files of text that are not prose: Rich Text, PostScript, XML that is not a page.
NOT_PROSE = (b"{\\rtf", b"%!PS", b"<?xml")
#: Control characters no text holds; NUL is told too. Vertical tabs are Office's breaks.
CONTROLS = bytes([*range(8), *range(14, 27), *range(28, 32), 127])
#: A stray one in so many bytes is forgiven; NULs are not.
FORGIVEN = 2_000
PAGE_START = re.compile(rb"<(?:!doctype\s+html|html|head|body)[\s>]", re.IGNORECASE)
#: WHATWG MIME Sniffing 7.1, the tags that Markdown does not often begin with among them or not.
FRAGMENT = re.compile(
    rb"<(?:h[1-6]|div|font|table|a|style|title|b|br|p|ul|ol|script|iframe|!--)[\s>]", re.IGNORECASE
)
SUFFIXES = {"csv": CSV, "tsv": CSV, "md": MARKDOWN, "markdown": MARKDOWN, "txt": TEXT, "text": TEXT}
MARKDOWN_SIGN = re.compile(r"^(?:#{1,6} \S|```|\|[ :-]+\|)", re.MULTILINE)
SAMPLE = 4_096
MIN_ROWS = 3


def detect(data: bytes, filename: str = "") -> Format | None:
    """Return the format, or None for what cannot be read: no bytes, archives, programs, old Office.

    Args:
        data: The whole file.
        filename: Chooses between kinds of text, which have no magic; nothing else.
    """
    for magic, format in MAGIC.items():
        if data.startswith(magic):
            return format
    if PDF_HEADER in data[:PDF_WITHIN]:
        return PDF
    if data.startswith(ZIP):
        return of_zip(data)
    if data.startswith(OLE):
        return LOCKED if ENCRYPTED_PACKAGE in data else None
    return of_text(data, filename.rpartition(".")[2].lower() if "." in filename else "")


def of_zip(data: bytes) -> Format | None:
    """Return the format of a zip archive by its first member, or by the names of its members."""
    if data[MIMETYPE_AT:].startswith(MIMETYPE):
        declared = data[MIMETYPE_AT + len(MIMETYPE) :]
        for format in (EPUB, ODT):
            if declared.startswith(format.media_type.encode()):
                return format
        if declared.startswith(OTHER_OPENDOCUMENT):
            return None
    names = member_names(data)
    for part, format in PARTS.items():
        if any(name.startswith(part) for name in names):
            return format
    if "meta-inf/container.xml" in names:
        return EPUB
    return ODT if {"content.xml", "meta-inf/manifest.xml"} <= names else None


def member_names(data: bytes) -> set[str]:
    """Return the names in a zip's directory in lower case, as far as it makes sense."""
    end = data.rfind(END, max(0, len(data) - END_WITHIN))
    if end < 0 or end + 20 > len(data):
        return set()
    size, at = (DIRECTORY.unpack_from(data, end + offset)[0] for offset in (12, 16))
    if data[at : at + 4] != ENTRY_MAGIC:
        at = end - size  # something stands before the archive
    names: set[str] = set()
    for _ in range(MAX_ENTRIES):
        if at < 0 or at + 46 > len(data):
            break
        magic, name, extra, comment = ENTRY.unpack_from(data, at)
        if magic != ENTRY_MAGIC:
            break
        names.add(data[at + 46 : at + 46 + name].decode("cp437").replace("\\", "/").lower())
        at += 46 + name + extra + comment
    return names


def of_text(data: bytes, suffix: str) -> Format | None:
    """Return which kind of text the bytes are; None when they are not text."""
    utf16 = utf16_of(data)
    if utf16:
        data = data[:SAMPLE].decode(utf16, "replace").removeprefix("\ufeff").encode()
    data = data.removeprefix(codecs.BOM_UTF8)
    head = data[:SAMPLE].lstrip()
    controls = len(data) - len(data.translate(None, CONTROLS))
    if not data or (not utf16 and b"\0" in data) or controls > len(data) // FORGIVEN:
        return None
    page = PAGE_START.search(head)
    if page and (page.start() == 0 or head.startswith((b"<?xml", b"<!--", b"<!DOCTYPE"))):
        return HTML
    if head.startswith(NOT_PROSE):
        return None
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    return HTML if FRAGMENT.match(head) else of_prose(head.decode("utf-8", "replace"), suffix)


def of_prose(head: str, suffix: str) -> Format:
    """Return the kind of a text whose name does not say it; one with another name is plain."""
    if suffix:
        return TEXT
    counts = {line.count(",") for line in head.splitlines()[:-1]}
    rows = len(head.splitlines()) - 1
    if rows >= MIN_ROWS and len(counts) == 1 and counts != {0}:
        return CSV
    return MARKDOWN if MARKDOWN_SIGN.search(head) else TEXT
