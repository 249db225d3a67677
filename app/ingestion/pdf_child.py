"""The process that opens one PDF and dies; the application imports only its frames' layout.

A PDF is hostile until parsed, PDFium is a large C++ library, and neither a crash nor a loop in it
may reach the worker. So one process serves one file, and gives up everything it does not need
before it reads the first byte. It starts in 35 ms of CPU because it runs with ``-I -S`` and calls
PDFium's C interface through the prototypes below; importing ``pypdfium2`` (whose library file this
is) costs 75-130 ms more, numpy 250 ms. Hence: nothing but the standard library here, and little.

``parse.CHILD`` says how it is called; the file is on standard input. Standard output is a sequence
of frames (``confinement.py``), ended by its ``E`` or ``Z``:

- ``M`` UTF-8 title and author with NUL between, once, first;
- ``P`` one page: ``PAGE`` header; UTF-8 text; per word u32 ``start, end`` in the text; per word
  float64 ``left, top, right, bottom`` in PDF user space (origin bottom-left, not rotated).
"""

from __future__ import annotations

import codecs
import ctypes
import struct
from array import array
from itertools import chain

from app.documents.pdf_fields import flattener
from app.infra.confinement import Refused, settings_of, work_confined
from app.ingestion.pdf_bidi import boxes_from_right, lines_from_right
from app.ingestion.pdf_hidden import Words, hidden_words
from app.ingestion.pdf_scan import is_scanned
from app.ingestion.pdf_text import JUNK, assemble, raw_text, with_tex_glyphs, without
from app.ingestion.pdf_typed import lines_with_fields, load_page

TYPE_CHECKING = False  # importing typing takes a tenth of the start
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from app.ingestion.pdf_hidden import Box
    from app.ingestion.pdf_text import Spans

#: width, height as displayed; left, bottom, right, top of the visible box; quarter turns clockwise;
#: whether it is a scan (``pdf_scan.py``); hidden characters; bytes of text; number of rows.
PAGE = struct.Struct("<6fBBIII")
#: The last integer that float32 counts to: offsets are stored in float32.
MAX_PAGE_CHARS = 1 << 24
#: FPDF_GetLastError (fpdfview.h): 4 password, 5 unsupported security handler.
ENCRYPTED_ERRORS = (4, 5)


class Pdfium:
    """The functions of PDFium's C interface that reading text needs."""

    def __init__(self, path: str) -> None:  # noqa: PLR0915 - a table
        """Load the library and start it without system fonts, so all machines read alike."""
        lib = ctypes.CDLL(path)
        handle, number, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t

        def bind(name: str, result: Any, *arguments: Any) -> Any:  # noqa: ANN401 - ctypes
            function = getattr(lib, name)
            function.restype, function.argtypes = result, arguments
            return function

        self.load = bind("FPDF_LoadMemDocument64", handle, handle, size, handle)
        self.last_error = bind("FPDF_GetLastError", ctypes.c_ulong)
        self.count_pages = bind("FPDF_GetPageCount", number, handle)
        self.meta = bind(
            "FPDF_GetMetaText", ctypes.c_ulong, handle, ctypes.c_char_p, handle, ctypes.c_ulong
        )
        self.load_page = bind("FPDF_LoadPage", handle, handle, number)
        self.close_page = bind("FPDF_ClosePage", None, handle)
        self.width = bind("FPDF_GetPageWidthF", ctypes.c_float, handle)
        self.height = bind("FPDF_GetPageHeightF", ctypes.c_float, handle)
        self.bounding_box = bind("FPDF_GetPageBoundingBox", number, handle, handle)
        self.rotation = bind("FPDFPage_GetRotation", number, handle)
        self.count_notes = bind("FPDFPage_GetAnnotCount", number, handle)
        self.note = bind("FPDFPage_GetAnnot", handle, handle, number)
        self.note_kind = bind("FPDFAnnot_GetSubtype", number, handle)
        self.close_note = bind("FPDFPage_CloseAnnot", None, handle)
        self.flatten = flattener(bind)
        self.load_text = bind("FPDFText_LoadPage", handle, handle)
        self.close_text = bind("FPDFText_ClosePage", None, handle)
        self.count_chars = bind("FPDFText_CountChars", number, handle)
        self.text = bind("FPDFText_GetText", number, handle, number, number, handle)
        self.unicode = bind("FPDFText_GetUnicode", ctypes.c_uint, handle, number)
        self.char_origin = bind("FPDFText_GetCharOrigin", number, handle, number, handle, handle)
        self.char_angle = bind("FPDFText_GetCharAngle", ctypes.c_float, handle, number)
        self.loose_box = bind("FPDFText_GetLooseCharBox", number, handle, number, handle)
        self.char_box = bind("FPDFText_GetCharBox", number, handle, number, *[handle] * 4)
        # Called for every word: without declared types, and given ctypes objects where C expects
        # pointers, a call costs half.
        self.count_rects, self.rect = lib["FPDFText_CountRects"], lib["FPDFText_GetRect"]
        self.count_objects = bind("FPDFPage_CountObjects", number, handle)
        self.page_object = bind("FPDFPage_GetObject", handle, handle, number)
        self.object_kind = bind("FPDFPageObj_GetType", number, handle)
        self.text_object = bind("FPDFText_GetTextObject", handle, handle, number)
        self.render_mode = bind("FPDFTextObj_GetTextRenderMode", number, handle)
        self.fill_color = bind("FPDFPageObj_GetFillColor", number, *[handle] * 5)
        self.bounds = bind("FPDFPageObj_GetBounds", number, *[handle] * 5)
        self.draw_mode = bind("FPDFPath_GetDrawMode", number, *[handle] * 3)
        self.count_segments = bind("FPDFPath_CountSegments", number, handle)
        self.has_transparency = bind("FPDFPageObj_HasTransparency", number, handle)
        self.clip = bind("FPDFPageObj_GetClipPath", handle, handle)
        self.count_clips = bind("FPDFClipPath_CountPaths", number, handle)
        self.form_type = bind("FPDF_GetFormType", number, handle)
        no_fonts = (ctypes.c_char_p * 1)(None)
        # FPDF_LIBRARY_CONFIG, version 2: version, font paths, isolate, V8 slot.
        config = struct.pack("@iPPI", 2, ctypes.addressof(no_fonts), 0, 0)
        bind("FPDF_InitLibraryWithConfig", None, ctypes.c_char_p)(config)


def boxes(pdfium: Pdfium, text_page: int, origins: Spans) -> bytes:
    """Return each word's box: float64 rows of left, top, right, bottom; zeros where none is known.

    PDFium unites the glyphs' exact boxes itself, so two foreign calls a word suffice. The box of
    every character would take seven times as many calls and halve the parser's speed.
    """
    rows = bytearray()
    box = (ctypes.c_double * 4)()
    left, top, right, bottom = [ctypes.byref(box, offset) for offset in (0, 8, 16, 24)]
    page = ctypes.c_void_p(text_page)
    count, get = pdfium.count_rects, pdfium.rect
    for start, end in origins:
        found = count(page, start, end - start)
        if found < 1:
            box[:] = [0.0, 0.0, 0.0, 0.0]
        elif not get(page, 0, left, top, right, bottom) or found > 1:
            box[:] = unite([rect_at(pdfium, page, index) for index in range(found)])
        rows += box
    return bytes(rows)


def rect_at(pdfium: Pdfium, page: ctypes.c_void_p, index: int) -> list[float]:
    """Return one of the rectangles that the last count found."""
    rect = (ctypes.c_double * 4)()
    pdfium.rect(page, index, *[ctypes.byref(rect, offset) for offset in (0, 8, 16, 24)])
    return list(rect)


def unite(rects: list[list[float]]) -> list[ctypes.c_double | float]:
    """Return the box around the rectangles of a word that is made of several text objects."""
    lefts, tops, rights, bottoms = zip(*rects, strict=True)
    return [min(lefts), max(tops), max(rights), min(bottoms)]


def read_page(
    pdfium: Pdfium, document: int, index: int, *, hyphenated: bool, typed: bool
) -> bytes | None:
    """Return the payload of one ``P`` frame; None when the page cannot be loaded.

    Raises:
        Refused: ``too_large_text`` when the page has more characters than offsets can count.
    """
    page, printed = load_page(pdfium, document, index, typed=typed)
    if not page:
        return None
    box = (ctypes.c_float * 4)(0, 792, 612, 0)
    pdfium.bounding_box(page, box)
    left, top, right, bottom = box
    size = (pdfium.width(page), pdfium.height(page), left, bottom, right, top)
    turns = pdfium.rotation(page) % 4
    visible = left, bottom, right, top
    text, rows, hidden = "", b"", 0
    text_page = pdfium.load_text(page)
    if text_page:
        text, rows, hidden = read_text(
            pdfium, page, text_page, visible, hyphenated=hyphenated, printed=printed
        )
        pdfium.close_text(text_page)
    scanned = is_scanned(pdfium, page, text, visible)
    pdfium.close_page(page)
    encoded = text.encode()
    header = PAGE.pack(*size, turns, scanned, hidden, len(encoded), len(rows) // 40)
    return header + encoded + rows


def read_text(
    pdfium: Pdfium,
    page: int,
    text_page: int,
    visible: Box,
    *,
    hyphenated: bool,
    printed: str | None,
) -> tuple[str, bytes, int]:
    """Return a page's text, the rows of its words, and how many characters nobody sees.

    Raises:
        Refused: ``too_large_text``.
    """
    count = pdfium.count_chars(text_page)
    if count >= MAX_PAGE_CHARS:
        raise Refused("too_large_text")
    if count <= 0:
        return "", b"", 0
    raw, hidden = raw_text(pdfium, text_page, count), 0
    fields = printed is not None and raw.startswith(printed)
    raw = with_tex_glyphs(raw)  # before lines are told apart: a code of theirs is a line's end
    text, spans, origins = assemble(raw, hyphenated=hyphenated)
    places = boxes(pdfium, text_page, origins)
    words = Words(raw, origins, array("d", places))
    if unseen := hidden_words(pdfium, page, text_page, words, visible):
        hidden = words.chars(unseen)
        raw = without(raw, [origins[index] for index in unseen])
        text, spans, origins = assemble(raw, hyphenated=hyphenated)
        places = boxes(pdfium, text_page, origins)
    ordered = lines_from_right(pdfium, text_page, raw)
    if fields and not ordered:
        ordered = lines_with_fields(pdfium, text_page, raw, len(printed or ""))
    if ordered:
        text, spans, origins = assemble(ordered[0], hyphenated=hyphenated)
        places = boxes_from_right(pdfium, text_page, origins, ordered[1])
    return text, array("I", chain.from_iterable(spans)).tobytes() + places, hidden


def metadata(pdfium: Pdfium, document: int, key: str) -> str:
    """Return an entry of the document's information dictionary, at most 500 characters."""
    buffer = ctypes.create_string_buffer(2048)
    size = pdfium.meta(document, key.encode(), buffer, len(buffer))
    text = buffer.raw[: max(0, min(size, len(buffer)) - 2)].decode("utf-16-le", "replace")
    return " ".join(JUNK.sub(" ", text).split())[:500]


def open_document(pdfium: Pdfium, data: bytes, max_pages: int) -> tuple[int, int]:
    """Return the document's handle and its number of pages.

    Raises:
        Refused: ``encrypted``, ``damaged``, ``no_pages`` or ``too_many_pages``.
    """
    document = pdfium.load(data, len(data), None)
    if not document:
        encrypted = pdfium.last_error() in ENCRYPTED_ERRORS
        raise Refused("encrypted" if encrypted else "damaged")
    pages = pdfium.count_pages(document)
    if pages <= 0:
        raise Refused("no_pages")
    if pages > max_pages:
        raise Refused("too_many_pages")
    return document, pages


def frames(pdfium: Pdfium, data: bytes, limits: Mapping[str, int]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the tagged payloads that describe the file, page by page so that memory stays flat.

    A page that cannot be loaded is yielded empty, to keep the numbers of the others right.

    Raises:
        Refused: With the reason slug, when a limit is met or nothing can be read.
    """
    document, pages = open_document(pdfium, data, limits["max_pages"])
    hyphenated = "tex" in (metadata(pdfium, document, "Producer")).lower()
    # Looking at each annotation is slow where there are thousands of links; forms have few.
    typed = pdfium.form_type(document) > 0 or b"/FreeText" in data
    title, author = (metadata(pdfium, document, key) for key in ("Title", "Author"))
    yield b"M", f"{title}\0{author}".encode()
    total = lost = 0
    for index in range(pages):
        payload = read_page(pdfium, document, index, hyphenated=hyphenated, typed=typed)
        lost += payload is None
        payload = payload or PAGE.pack(612, 792, 0, 0, 612, 792, 0, 0, 0, 0, 0)
        total += sum(PAGE.unpack_from(payload)[8:10])  # hidden text was read as well
        if total > limits["max_text_bytes"]:
            raise Refused("too_large_text")
        yield b"P", payload
    if lost == pages:
        raise Refused("damaged")


def main(library: str, *settings: str) -> None:
    """Parse standard input to standard output, confined."""
    limits = settings_of(settings)
    codecs.lookup("utf-16-le")  # codecs are files: load it while files can still be opened
    pdfium = Pdfium(library)
    work_confined(lambda data: frames(pdfium, data, limits), limits)
