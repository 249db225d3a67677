"""What was typed into a PDF's form, read beside the words that it was typed for.

PDFium gives it behind all that is printed: the labels one after the other, and then the fields, of
which one may begin where another ends.

Imported by the child process: the standard library only.
"""

from __future__ import annotations

from array import array

from app.ingestion.pdf_bidi import LEVEL, MAX_GLYPHS, Glyph, is_level
from app.ingestion.pdf_text import raw_text

TYPE_CHECKING = False  # importing typing takes a tenth of the child's start
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from app.ingestion.pdf_child import Pdfium

    Line = list[Glyph]
    #: None is a space.
    Field = list[Glyph | None]

#: FPDF_ANNOT_FREETEXT and _WIDGET (fpdf_annot.h): annotations in which people write.
NOTE, FIELD = 3, 20
#: In heights of a line: the gap from which words are not of one label, or of one field; how far the
#: lines of a field are below one another; how far a label is above or below what was typed for it.
GAP, STEP, NEAR = 1.0, 1.6, 1.5
#: Points by which what stands below something else may begin before it.
ALIGNED = 2.0


def load_page(
    pdfium: Pdfium, document: int, index: int, *, typed: bool
) -> tuple[int | None, str | None]:
    """Return the page's handle, and what is printed on it where it has fields.

    If ``typed``, what was typed into them is made its text.
    """
    page: int | None = pdfium.load_page(document, index)
    kinds = set(note_kinds(pdfium, page)) if page and typed else set()
    if not page or kinds.isdisjoint((NOTE, FIELD)):
        return page, None
    printed = None
    if FIELD in kinds and (text_page := pdfium.load_text(page)):
        printed = raw_text(pdfium, text_page, max(0, pdfium.count_chars(text_page)))
        pdfium.close_text(text_page)
    pdfium.flatten(page)
    pdfium.close_page(page)
    return pdfium.load_page(document, index), printed


def note_kinds(pdfium: Pdfium, page: int) -> Iterator[int]:
    """Yield the subtype of each of the page's first thousand annotations."""
    for index in range(min(1000, pdfium.count_notes(page))):
        note = pdfium.note(page, index)
        if note:
            kind = pdfium.note_kind(note)
            pdfium.close_note(note)
            yield kind


def lines_with_fields(
    pdfium: Pdfium, text_page: int, raw: str, printed: int
) -> tuple[str, array[int]] | None:
    """Return the page's characters with what was typed in the lines that it was typed for.

    None when nothing was typed, a line is not level, or the page has very many characters.

    Args:
        pdfium: The library.
        text_page: The handle of the page's text.
        raw: One character per PDFium character.
        printed: How many of them, at the beginning, were not typed.

    Returns:
        The characters, and for each of them the index of PDFium's. A space or newline that
        was added has the index 0, which is not its own.
    """
    if not raw[printed:].strip() or len(raw) > MAX_GLYPHS:
        return None
    lines = list(_lines(pdfium, text_page, raw[:printed], 0))
    typed = list(_lines(pdfium, text_page, raw[printed:], printed))
    if not all(is_level(pdfium, text_page, line) for line in [*lines, *typed]):
        return None
    signs, order = list[str](), array("I")
    for row in _rows(lines, _fields(typed)):
        signs += [*(glyph.sign if glyph else " " for glyph in row), "\n"]
        order.extend([*(glyph.index if glyph else 0 for glyph in row), 0])
    return "".join(signs), order


def _rows(lines: list[Line], fields: Iterable[Field]) -> Iterator[Field]:
    """Yield the lines with the fields in them; fields without a label are lines of their own."""
    labelled: dict[int, list[Field]] = {}
    alone: list[list[Field]] = [[] for _ in range(len(lines) + 1)]
    for field in fields:
        label = _label(lines, field)
        if label is None:
            _note_row(alone[_lines_above(lines, field)], field)
        else:
            labelled.setdefault(label, []).append(field)
    yield from alone[0]
    for line, below in zip(lines, alone[1:], strict=True):
        row: Field = []
        for glyph in line:
            row.append(glyph)
            for field in labelled.get(glyph.index, ()):
                row += [None, *field, None]
        yield row
        yield from below


def _note_row(rows: list[Field], field: Field) -> None:
    """Add what was typed on the same level as the last to its row."""
    if rows and rows[-1][0] and field[0]:
        level = LEVEL * field[0].height
        if abs(rows[-1][0].base - field[0].base) <= level:
            rows[-1] += [None, *field]
            return
    rows.append(field)


def _lines_above(lines: list[Line], field: Field) -> int:
    """Return how many lines are to be told before a field that has no label."""
    begin = field[0]
    above = [at for at, line in enumerate(lines, 1) if begin and line[0].base > begin.base]
    return min(above, key=lambda at: (lines[at - 1][0].base, -at), default=0)


def _lines(pdfium: Pdfium, text_page: int, raw: str, first: int) -> Iterator[Line]:
    """Yield the characters of each line; ``first`` is PDFium's index of the first."""
    line: Line = []
    for index, sign in enumerate(raw, first):
        if sign not in "\r\n":
            line.append(Glyph(pdfium, text_page, index, sign))
        elif line:
            yield line
            line = []
    if line:
        yield line


def _fields(lines: Iterable[Line]) -> Iterator[Field]:
    """Yield what was typed into each field."""
    field: Field = []
    begin = last = None
    for glyph in (glyph for line in lines for glyph in [*line, None]):
        if glyph is None or glyph.sign.isspace():
            field += [None] if field else []
            continue
        if begin is None or last is None or not _goes_on(begin, last, glyph):
            if field:
                yield field
            field, begin = [], glyph
        field.append(glyph)
        last = glyph
    if field:
        yield field


def _goes_on(begin: Glyph, last: Glyph, glyph: Glyph) -> bool:
    """Whether a field that begins at ``begin`` goes on, on its line or on the next."""
    below = last.base - glyph.base
    if abs(below) <= LEVEL * last.height:
        return -last.height <= glyph.left - last.right <= GAP * last.height
    return 0 < below <= STEP * last.height and abs(glyph.x - begin.x) <= ALIGNED


def _label(lines: Iterable[Line], field: Field) -> int | None:
    """Return the index of the last character of what a field was made for, if that can be told."""
    begin = field[0]
    assert begin is not None  # noqa: S101 - a field begins with a character
    nearest, found = NEAR * begin.height, None
    for line in lines:
        away = abs(line[0].base - begin.base)
        if away >= nearest:
            continue
        inked = [glyph for glyph in line if not glyph.sign.isspace()]
        left = sum(glyph.x <= begin.x + ALIGNED for glyph in inked)
        if not left:
            continue
        end = left - 1
        while end + 1 < len(inked) and inked[end + 1].left - inked[end].right <= GAP * begin.height:
            end += 1
        nearest, found = away, inked[end].index
    return found
