"""A file's bytes in, a ``ParsedFile`` out, by a process that can be killed.

One process serves one file: ``pdf_child.py`` says why it starts fast enough (35 ms of CPU) that
keeping a warm one is not worth letting one tenant's file run where another's has been.
``app/infra/sandbox.py`` runs it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

from app.errors import AppError
from app.infra.sandbox import (
    ChildFailed,
    SandboxLimits,
    child_command,
    find_pdfium,
    run_confined,
)
from app.ingestion.formats import IMAGES, LOCKED, PDF, READ, Format
from app.ingestion.ocr import OcrLimits, read_image, read_scanned_pages
from app.ingestion.page import Page, ParsedFile
from app.ingestion.pdf_result import read_result
from app.ingestion.reader_result import read_sections

#: PDF 2.0, annex I: readers accept the header anywhere in the first 1,024 bytes.
HEADER, HEADER_WITHIN = b"%PDF-", 1024
#: A word takes 40 bytes beside its text and is rarely shorter than three characters.
RESULT_PER_TEXT = 16
#: Scanned pages read by one child: a minute of work.
OCR_BATCH = 20
#: Of those that have a stamp's text, and how much longer OCR's must be to take its place: on a
#: slide before a photograph it reads the same once more.
STAMPED_BATCH, GAIN = 5, 2
CHILD = child_command("app.ingestion.pdf_child")
READER = child_command("app.ingestion.reader_child", libraries=True)
DETAILS = {
    "encrypted": "The file is encrypted and needs a password.",
    "not_a_pdf": "The file is not a PDF.",
    "unsupported_format": "Files of this kind cannot be read.",
    "empty_file": "The file is empty.",
    "no_pages": "The document has no pages.",
    "no_text": "The document has no text; it may be a scan.",
    "too_many_pages": "The document has too many pages.",
    "too_many_entries": "The archive holds too many files.",
    "too_large_file": "The file is too large.",
    "too_large_text": "The document holds too much text.",
    "too_large_unpacked": "The file is too large when unpacked.",
    "too_many_pixels": "The picture has too many pixels.",
    "timeout": "Reading the file took too long.",
    "memory": "Reading the file took too much memory.",
    "crashed": "The reader crashed on this file.",
    "damaged": "The file is damaged and cannot be read.",
}


class ParseError(AppError):
    """The file cannot be parsed."""

    status, code = 422, "unreadable_document"

    def __init__(self, reason: str) -> None:
        """``reason`` is a stable slug, one of ``DETAILS``; it is also a member of the problem."""
        super().__init__(DETAILS[reason], reason=reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ParseLimits:
    """What one file may cost."""

    max_bytes: int = 10_000_000
    max_pages: int = 2_000
    #: UTF-8 bytes of all pages together; a book of 1,000 dense pages has 4 MB.
    max_text_bytes: int = 20_000_000
    #: Wall clock; the CPU time is limited to the same number.
    timeout_s: float = 60.0
    #: Address space of the child.
    memory_bytes: int = 512 * 1024 * 1024
    #: Members of an archive (DOCX, EPUB …), and what they may unpack to.
    max_entries: int = 10_000
    max_unpacked_bytes: int = 200_000_000


async def parse_file(
    data: bytes,
    format: Format | None,
    *,
    limits: ParseLimits | None = None,
    ocr: OcrLimits | None = None,
) -> ParsedFile:
    """Return the pages of a file of any format that is read.

    Cancelling kills the child at once.

    Args:
        data: The whole file.
        format: What ``detect`` says it is.
        limits: What it may cost.
        ocr: What reading its pictures may cost.

    Raises:
        ParseError: With the ``reason``; nothing else is raised because of the file.
        ConfigurationError: PDFium, or the networks of OCR, are not installed.
    """
    if not data.strip():
        raise ParseError("empty_file")
    if format == PDF:
        return await parse_pdf(data, limits=limits, ocr=ocr)
    if format in IMAGES:
        return with_text(await read_picture(data, ocr or OcrLimits()))
    if format == LOCKED:
        raise ParseError("encrypted")
    if format is None or format not in READ:
        raise ParseError("unsupported_format")
    return await parse_sections(data, format, limits=limits or ParseLimits())


async def parse_sections(
    data: bytes, format: Format, *, limits: ParseLimits, child: Sequence[str] = READER
) -> ParsedFile:
    """Return the pages of a file that ``reader_child`` reads: slides, sheets, chapters, sections.

    Raises:
        ParseError: With the ``reason``.
    """
    settings = [
        f"{name}={getattr(limits, name)}"
        for name in ("max_pages", "max_text_bytes", "max_entries", "max_unpacked_bytes")
    ]
    result = await run_child(child, data, limits, format.name, *settings)
    return with_text(await checked(read_sections, result))


async def parse_pdf(
    data: bytes,
    *,
    limits: ParseLimits | None = None,
    ocr: OcrLimits | None = None,
    child: Sequence[str] = CHILD,
) -> ParsedFile:
    """Return the pages of a PDF with the box of every word; those that are scans by OCR.

    Cancelling kills the child at once. A page that cannot be loaded comes back empty, so that the
    others keep their numbers.

    Args:
        data: The whole file.
        limits: What it may cost.
        ocr: What reading its pictures may cost.
        child: What to run instead of ``pdf_child``; for tests of children that misbehave.

    Raises:
        ParseError: With the ``reason``; nothing else is raised because of the file.
        ConfigurationError: PDFium is not installed.
    """
    parsed = await read_pdf(data, limits or ParseLimits(), child)
    return with_text(await read_scans(data, parsed, ocr or OcrLimits()))


async def read_pdf(data: bytes, limits: ParseLimits, child: Sequence[str]) -> ParsedFile:
    """Return the pages of a PDF that may have no text at all.

    Raises:
        ParseError: With the ``reason``.
    """
    if len(data) > limits.max_bytes:
        raise ParseError("too_large_file")
    if HEADER not in data[: HEADER_WITHIN + len(HEADER)]:
        raise ParseError("not_a_pdf")
    settings = (f"max_pages={limits.max_pages}", f"max_text_bytes={limits.max_text_bytes}")
    result = await run_child(child, data, limits, find_pdfium(), *settings)
    return await checked(read_result, result)


async def read_scans(data: bytes, parsed: ParsedFile, limits: OcrLimits) -> ParsedFile:
    """Return ``parsed`` with the text of its scanned pages, the first ``limits.max_pages`` of them.

    Pages that have a stamp's text come last; what goes wrong with these leaves them as they are.

    Raises:
        ParseError: With the ``reason``.
    """
    scanned = [page for page in parsed.pages if page.scanned]
    bare = [page for page in scanned if not page.text][: limits.max_pages]
    stamped = [page for page in scanned if page.text][: limits.max_pages - len(bare)]
    found: dict[int, Page] = {}
    needed = True
    try:
        async with asyncio.timeout(limits.timeout_s):
            async for batch in read_by_ocr(data, bare, OCR_BATCH, limits):
                found |= batch
            needed = False
            async for batch in read_by_ocr(data, stamped, STAMPED_BATCH, limits):
                found |= batch
                if not batch:  # these are pictures, and the others will be
                    break
    except (TimeoutError, ChildFailed) as error:
        if needed:
            raise ParseError(reason_of(error)) from error
    pages = tuple(found.get(page.number, page) for page in parsed.pages)
    return replace(parsed, pages=pages)


async def read_by_ocr(
    data: bytes, pages: Sequence[Page], size: int, limits: OcrLimits
) -> AsyncIterator[dict[int, Page]]:
    """Yield those pages of which OCR reads more than their text, in batches.

    A batch of pages is one child, so that what one page does to it costs few others.

    Raises:
        ChildFailed: With the reason.
    """
    for start in range(0, len(pages), size):
        batch = {page.number: page for page in pages[start : start + size]}
        read = await read_scanned_pages(data, list(batch), limits=limits)
        yield {
            number: replace(page, hidden=batch[number].hidden)
            for number, page in read.items()
            if len(page.text) > GAIN * len(batch[number].text)
        }


async def read_picture(data: bytes, limits: OcrLimits) -> ParsedFile:
    """Return the text of a PNG, JPEG or TIFF.

    Raises:
        ParseError: With the ``reason``.
    """
    try:
        return await read_image(data, limits=limits)
    except ChildFailed as error:
        raise ParseError(reason_of(error)) from error


def with_text(parsed: ParsedFile) -> ParsedFile:
    """Return ``parsed``, if anything can be quoted from it.

    Raises:
        ParseError: ``no_text``.
    """
    if not any(page.text for page in parsed.pages):
        raise ParseError("no_text")
    return parsed


async def run_child(
    child: Sequence[str], data: bytes, limits: ParseLimits, *arguments: str
) -> bytearray:
    """Return what the child wrote about the file.

    Raises:
        ParseError: ``too_large_file``, ``too_large_text``, ``timeout``, ``memory``, ``crashed``.
    """
    if len(data) > limits.max_bytes:
        raise ParseError("too_large_file")
    costs = SandboxLimits(
        limits.timeout_s, limits.memory_bytes, RESULT_PER_TEXT * limits.max_text_bytes
    )
    try:
        return await run_confined(child, data, costs, *arguments)
    except ChildFailed as error:
        raise ParseError(reason_of(error)) from error


async def checked(read: Callable[[bytearray], ParsedFile], result: bytearray) -> ParsedFile:
    """Return what a child's answer says.

    Raises:
        ParseError: The child's own reason; ``crashed`` when it makes no sense.
    """
    try:
        return await asyncio.to_thread(read, result)
    except ChildFailed as error:
        raise ParseError(reason_of(error)) from error


def reason_of(error: ChildFailed | TimeoutError) -> str:
    """Return our slug for what went wrong; a reason the child may not give is a crash."""
    if isinstance(error, TimeoutError):
        return "timeout"
    reason = {"too_large_output": "too_large_text"}.get(error.reason, error.reason)
    return reason if reason in DETAILS else "crashed"
