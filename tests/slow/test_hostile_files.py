"""Hostile files that are not PDFs: each ends in pages or a reason, and the next file is fine."""

import io
import zipfile
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.ingestion.formats import CSV, DOCX, EPUB, HTML, MARKDOWN, TEXT, Format
from app.ingestion.parse import ParseError, ParseLimits, parse_file
from tests.unit.ingestion import files

LAUGHS = "<!DOCTYPE w [<!ENTITY a 'ha'>" + "".join(
    f"<!ENTITY {after} '{f'&{before};' * 10}'>" for before, after in pairwise("abcdefghi")
) + "]>"  # fmt: skip
XXE = '<!DOCTYPE w [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
GOOD = files.docx()
#: Enough on a machine that is busy with other tests.
PATIENT = ParseLimits(timeout_s=20)
#: For what may run into its deadline anyway.
SHORT = ParseLimits(timeout_s=3)


def body(text: str, prolog: str = "") -> bytes:
    document = f"{prolog}<w:document {files.W}><w:body>{text}</w:body></w:document>"
    return files.archive({"word/document.xml": document})


def crowded() -> bytes:
    """The directory names one member 10^5 times; making as many members takes many seconds."""
    data = files.archive({"word/document.xml": ""})
    at, end = data.rfind(b"PK\x01\x02"), data.rfind(b"PK\x05\x06")
    entries = data[at:end] * 100_000
    size = len(entries).to_bytes(4, "little")
    return data[:at] + entries + data[end : end + 12] + size + data[end + 16 :]


def lying() -> bytes:
    """A member that unpacks to 300 MB and says it has 100 bytes."""
    data = bytearray(files.archive({"word/document.xml": b" " * 300_000_000}))
    at = data.rfind(b"PK\x01\x02")
    data[at + 24 : at + 28] = (100).to_bytes(4, "little")
    return bytes(data)


def linked() -> bytes:
    """Names that climb out, and a symbolic link to a file of the machine."""
    out = io.BytesIO(GOOD)
    with zipfile.ZipFile(out, "a") as file:
        file.writestr("../../etc/passwd", "x")
        link = zipfile.ZipInfo("word/footnotes.xml")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "/etc/passwd")
    return out.getvalue()


FILES = {
    "10^5 entries": (crowded, DOCX, {"too_many_entries"}),
    "1 GB": (
        lambda: files.archive({"word/document.xml": bytes(10**9)}), DOCX, {"too_large_unpacked"},
    ),
    "lying sizes": (lying, DOCX, {"damaged", "too_large_unpacked"}),
    "nested zips": (lambda: files.archive({"word/document.xml": GOOD}), DOCX, {"damaged"}),
    "XXE": (lambda: body(files.paragraph("&x;"), XXE), DOCX, {"damaged"}),
    "billion laughs": (lambda: body(files.paragraph("&i;"), LAUGHS), DOCX, {"damaged"}),
    "laughs in a book": (
        lambda: files.epub(f"{LAUGHS}<html><p>x&i;</p></html>"), EPUB, {"ready", "no_text"},
    ),
    "deep XML": (lambda: body("<w:p>" * 100_000), DOCX, {"damaged"}),
    "deep HTML": (lambda: b"<div>" * 100_000 + b"text", HTML, {"ready", "no_text"}),
    "nested tables": (lambda: b"<table><tr><td>" * 20_000 + b"x", HTML, {"ready", "no_text"}),
    "wide spans": (
        lambda: b"<table>" + b"<tr><td colspan=9999 rowspan=9999>x<td>y" * 3000, HTML,
        {"ready", "too_large_text", "memory", "timeout"},
    ),
    "deep Markdown": (
        lambda: b">" * 100_000 + b"[" * 50_000, MARKDOWN, {"no_text", "ready", "timeout"},
    ),
    "links and climbing names": (linked, DOCX, {"damaged"}),
    "one line": (lambda: b"x" * 1_000_000, TEXT, {"ready"}),
    "spaces": (lambda: b"a" + b" " * 1_000_000 + b"b", TEXT, {"ready"}),
    "NULs": (lambda: b"a\0b" * 1000, TEXT, {"ready"}),
    "lone surrogates": (lambda: b"a\xed\xa0\x80b", HTML, {"ready"}),
    "an open quote": (lambda: b'a,"' + b"b,\n" * 100_000, CSV, {"ready"}),
    "truncated": (lambda: GOOD[:-40], DOCX, {"damaged"}),
}  # fmt: skip


async def outcome(data: bytes, format: Format, limits: ParseLimits = PATIENT) -> str:
    try:
        parsed = await parse_file(data, format, limits=limits)
    except ParseError as error:
        return error.reason
    for page in parsed.pages:
        assert "root:" not in page.text
        assert not {"\0", "\r", "\ud800"} & set(page.text)
    return "ready"


@pytest.mark.parametrize("name", FILES)
async def test_a_hostile_file_ends_as_expected_and_the_next_is_fine(name: str) -> None:
    make, format, outcomes = FILES[name]
    limits = SHORT if "timeout" in outcomes else PATIENT
    assert await outcome(make(), format, limits) in outcomes
    assert await outcome(GOOD, DOCX) == "ready"


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=8))
async def test_a_mutated_document_is_read_or_refused(changes: list[tuple[int, int]]) -> None:
    data = bytearray(GOOD)
    for at, byte in changes:
        data[at] = byte
    assert await outcome(bytes(data), DOCX) != "crashed"
