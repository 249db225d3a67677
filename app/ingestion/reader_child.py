"""The process that reads one file that is not a PDF, and dies.

It starts like ``pdf_child.py``, but may import libraries: those its one format needs, all before it
is confined, since no file can be opened afterwards. Standard output is a sequence of frames
(``confinement.py``), ended by its ``E`` or ``Z``:

- ``M`` UTF-8 title and author with NUL between, once, first;
- ``H`` how many characters of the file no reader sees, last;
- ``S`` one page: ``SECTION`` header; UTF-8 text; for each heading a ``HEADING`` and its UTF-8 path.
"""

from __future__ import annotations

import struct
from importlib import import_module
from typing import TYPE_CHECKING

from app.infra.confinement import Refused, settings_of, work_confined
from app.ingestion.readers.content import one_line, tidy
from app.ingestion.readers.sections import paginate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from app.ingestion.readers.content import Content
    from app.ingestion.readers.sections import Section

    Read = Callable[[bytes, Mapping[str, int]], Content]

#: Bytes of text; number of headings.
SECTION = struct.Struct("<II")
#: Start, end in the text; bytes of the path.
HEADING = struct.Struct("<III")
#: Hidden characters of the whole file.
HIDDEN = struct.Struct("<I")
#: A number of headings that says they are not known.
UNKNOWN = 2**32 - 1
MAX_META = 500


def main(name: str, *settings: str) -> None:
    """Read standard input, a file of the format ``name``, to standard output, confined."""
    read: Read = import_module(f"app.ingestion.readers.{name}").read
    limits = settings_of(settings)
    work_confined(lambda data: frames(read, data, limits), limits)


def frames(read: Read, data: bytes, limits: Mapping[str, int]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the tagged payloads that describe the file.

    Raises:
        Refused: With the reason slug, when a limit is met or nothing can be read.
    """
    try:
        content = read(data, limits)
        title, author = (one_line(tidy(text))[:MAX_META] for text in content[1:3])
        yield b"M", f"{title}\0{author}".encode()
        bounds = {key: limits[key] for key in ("max_pages", "max_text_bytes")}
        for section in paginate(content, **bounds):
            yield b"S", payload_of(section)
        if content.hidden is not None:
            yield b"H", HIDDEN.pack(content.hidden.chars)
    except RecursionError as error:
        raise Refused("damaged") from error


def payload_of(section: Section) -> bytes:
    """Return the payload of one ``S`` frame."""
    text = section.text.encode()
    if section.headings is None:
        return SECTION.pack(len(text), UNKNOWN) + text
    parts = [SECTION.pack(len(text), len(section.headings)), text]
    for start, end, path in section.headings:
        encoded = path.encode()
        parts += (HEADING.pack(start, end, len(encoded)), encoded)
    return b"".join(parts)
