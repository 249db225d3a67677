"""Text from pictures of pages: scanned pages of a PDF, and PNG, JPEG and TIFF files.

One confined process reads one file (``ocr_child``); a page takes one to three seconds of CPU.
"""

import asyncio
import importlib.util
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.errors import ConfigurationError
from app.infra.sandbox import (
    ChildFailed,
    SandboxLimits,
    child_command,
    find_pdfium,
    read_frames,
    run_confined,
)
from app.ingestion.page import Page, ParsedFile
from app.ingestion.pdf_result import read_page

CHILD = child_command("app.ingestion.ocr_child", libraries=True)
NUMBER = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class OcrLimits:
    """What reading one file's pictures may cost."""

    #: Pages of one document that are read by OCR.
    max_pages: int = 200
    #: Wall clock; the CPU time is limited to the same number.
    timeout_s: float = 300.0
    #: Address space of the child: the libraries and networks, and what the largest picture takes.
    memory_bytes: int = 1536 * 1024 * 1024
    #: What the child may write: a dense page has 40 kB with its words' boxes.
    max_output_bytes: int = 64_000_000


async def read_image(data: bytes, *, limits: OcrLimits | None = None) -> ParsedFile:
    """Return the text of a PNG, JPEG or TIFF (each of its directories a page), with word boxes.

    A page in which nothing is found comes back empty. Points are by the file's own resolution, 96
    dpi where it gives none. Cancelling kills the child at once.

    Raises:
        ChildFailed: ``damaged``, ``too_many_pixels`` (50 million, none of them decoded),
            ``too_many_pages``, ``timeout``, ``memory`` or ``crashed``.
    """
    pages = await read(data, (), limits or OcrLimits())
    return ParsedFile(None, None, tuple(pages[number] for number in sorted(pages)))


async def read_scanned_pages(
    pdf: bytes, numbers: Sequence[int], *, limits: OcrLimits | None = None
) -> dict[int, Page]:
    """Return the pages (1-based) of a PDF as OCR reads them; those that cannot be drawn are absent.

    Cancelling kills the child at once.

    Raises:
        ChildFailed: ``encrypted``, ``damaged``, ``too_many_pages``, ``timeout``, ``memory`` or
            ``crashed``.
    """
    limits = limits or OcrLimits()
    if len(numbers) > limits.max_pages:
        raise ChildFailed("too_many_pages")
    if not numbers:
        return {}
    pages = await read(pdf, numbers, limits)
    if not pages.keys() <= set(numbers):
        raise ChildFailed("crashed")
    return pages


async def read(data: bytes, numbers: Sequence[int], limits: OcrLimits) -> dict[int, Page]:
    """Run the child, and return the pages it found by number."""
    costs = SandboxLimits(limits.timeout_s, limits.memory_bytes, limits.max_output_bytes)
    result = await run_confined(
        CHILD,
        data,
        costs,
        find_models(),
        find_pdfium(),
        ",".join(map(str, numbers)),
        f"max_pages={limits.max_pages}",
    )
    return await asyncio.to_thread(read_result, result)


def read_result(result: bytearray) -> dict[int, Page]:
    """Return the pages that the frames describe.

    Raises:
        ChildFailed: With the child's own reason; ``crashed`` when the frames make no sense.
    """
    pages: dict[int, Page] = {}
    for tag, payload in read_frames(result):
        if tag != b"P" or len(payload) < NUMBER.size:
            raise ChildFailed("crashed")
        (number,) = NUMBER.unpack_from(payload)
        pages[number] = read_page(payload[NUMBER.size :], number)
    return pages


def find_models() -> str:
    """Return the folder of the networks in rapidocr's wheel, without importing it.

    Raises:
        ConfigurationError: There is none.
    """
    spec = importlib.util.find_spec("rapidocr")
    for folder in (spec and spec.submodule_search_locations) or ():
        models = Path(folder) / "models"
        if any(models.glob("*rec*.onnx")):
            return str(models)
    raise ConfigurationError("The OCR networks are missing: install rapidocr from its wheel.")
