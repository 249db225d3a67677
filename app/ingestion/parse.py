"""A PDF's bytes in, a ``ParsedFile`` out, by a process that can be killed.

One process serves one file: ``pdf_child.py`` says why it starts fast enough (35 ms of CPU) that
keeping a warm one is not worth letting one tenant's file run where another's has been. The child
limits itself; nothing here relies on that. This side bounds the wall clock and the size of the
answer, believes no number in it, kills the whole process group whatever happens, and always reaps.
"""

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from asyncio import StreamReader, StreamReaderProtocol
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.errors import AppError, ConfigurationError
from app.ingestion.confinement import MEMORY, TIMEOUT
from app.ingestion.page import ParsedFile
from app.ingestion.pdf_result import Malformed, read_result

#: PDF 2.0, annex I: readers accept the header anywhere in the first 1,024 bytes.
HEADER, HEADER_WITHIN = b"%PDF-", 1024
#: A word takes 40 bytes beside its text and is rarely shorter than three characters.
RESULT_PER_TEXT = 16
#: What the child's interpreter runs: this package, found without site-packages.
CHILD = (
    "-c",
    "import sys; sys.path.append(sys.argv[1]); from app.ingestion.pdf_child import main; "
    "main(*sys.argv[2:])",
    str(Path(__file__).parents[2]),
)
DETAILS = {
    "encrypted": "The PDF is encrypted and needs a password.",
    "not_a_pdf": "The file is not a PDF.",
    "no_pages": "The PDF has no pages.",
    "no_text": "The PDF has no text; it may be a scan.",
    "too_many_pages": "The PDF has too many pages.",
    "too_large_file": "The file is too large.",
    "too_large_text": "The PDF holds too much text.",
    "timeout": "Reading the PDF took too long.",
    "memory": "Reading the PDF took too much memory.",
    "crashed": "The PDF reader crashed on this file.",
    "damaged": "The PDF is damaged and cannot be read.",
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


async def parse_pdf(
    data: bytes, *, limits: ParseLimits | None = None, child: Sequence[str] = CHILD
) -> ParsedFile:
    """Return the pages of a PDF with the box of every word.

    Cancelling kills the child at once. A page that cannot be loaded comes back empty, so that the
    others keep their numbers.

    Args:
        data: The whole file.
        limits: What it may cost.
        child: What to run instead of ``pdf_child``; for tests of children that misbehave.

    Raises:
        ParseError: With the ``reason``; nothing else is raised because of the file.
        ConfigurationError: PDFium is not installed.
    """
    limits = limits or ParseLimits()
    if len(data) > limits.max_bytes:
        raise ParseError("too_large_file")
    if HEADER not in data[: HEADER_WITHIN + len(HEADER)]:
        raise ParseError("not_a_pdf")
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        result = await run(file, limits, child)
    try:
        parsed = await asyncio.to_thread(read_result, result)
    except Malformed as error:
        raise ParseError(error.reason) from error
    if not any(page.text for page in parsed.pages):
        raise ParseError("no_text")
    return parsed


async def run(file: BinaryIO, limits: ParseLimits, child: Sequence[str]) -> bytearray:
    """Return what the child wrote about the file.

    Raises:
        ParseError: ``timeout``, ``too_large_text``, ``memory`` or ``crashed``.
    """
    process = start(file, limits, child)
    try:
        async with asyncio.timeout(limits.timeout_s):
            result = await read_all(process, RESULT_PER_TEXT * limits.max_text_bytes)
    except TimeoutError as error:
        raise ParseError("timeout") from error
    finally:
        # The child closes its output only by ending, so what is killed here has failed already.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        status = await asyncio.shield(asyncio.to_thread(reap, process))
    if status:
        raise ParseError({MEMORY: "memory", TIMEOUT: "timeout"}.get(status, "crashed"))
    return result


def start(file: BinaryIO, limits: ParseLimits, child: Sequence[str]) -> "subprocess.Popen[bytes]":
    """Start the child in a session, and so a process group, of its own, with no environment."""
    settings = (
        f"max_pages={limits.max_pages}",
        f"max_text_bytes={limits.max_text_bytes}",
        f"cpu_s={max(1, round(limits.timeout_s))}",
        f"memory_bytes={limits.memory_bytes}",
    )
    return subprocess.Popen(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-I", "-S", *child, find_library(), *settings],
        stdin=file,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        start_new_session=True,
    )


def find_library() -> str:
    """Return the path of the PDFium library in pypdfium2's wheel, without loading it here.

    Raises:
        ConfigurationError: There is none.
    """
    spec = importlib.util.find_spec("pypdfium2_raw")
    for folder in (spec and spec.submodule_search_locations) or ():
        for path in sorted(Path(folder).glob("*pdfium.*")):
            if path.suffix in {".so", ".dylib", ".dll"}:
                return str(path)
    raise ConfigurationError("PDFium is missing: install pypdfium2 from its wheel.")


async def read_all(process: "subprocess.Popen[bytes]", max_bytes: int) -> bytearray:
    """Return the child's output once it has ended.

    Raises:
        ParseError: ``too_large_text`` when there is more than ``max_bytes``.
    """
    loop = asyncio.get_running_loop()
    reader = StreamReader(limit=1 << 20)
    pipe, _ = await loop.connect_read_pipe(lambda: StreamReaderProtocol(reader), process.stdout)
    result = bytearray()
    try:
        while chunk := await reader.read(1 << 20):
            result += chunk
            if len(result) > max_bytes:
                raise ParseError("too_large_text")
    finally:
        pipe.close()
    return result


def reap(process: "subprocess.Popen[bytes]") -> int:
    """Wait for the dead or dying child, close our end of its pipe, and return its exit status."""
    status = process.wait()
    if process.stdout:
        process.stdout.close()
    return status
