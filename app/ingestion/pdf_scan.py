"""Whether a PDF's page is a scan, whose text is in its picture and has to be read by OCR.

Imported by the child process: the standard library only.
"""

from __future__ import annotations

from app.ingestion.pdf_hidden import bounds_of, is_scan

TYPE_CHECKING = False  # importing typing takes a tenth of the child's start
if TYPE_CHECKING:
    from app.ingestion.pdf_child import Pdfium
    from app.ingestion.pdf_hidden import Box

#: FPDF_PAGEOBJ_IMAGE and _FORM (fpdf_edit.h), looked for among so many objects of a page; a form
#: may hold an image.
PICTURED, MAX_OBJECTS = (3, 5), 1_000
#: What machines print onto scans is shorter: "Page 3 of 9", a fax's header, an envelope's number.
STAMP_CHARS = 200


def is_scanned(pdfium: Pdfium, page: int, text: str, visible: Box) -> bool:
    """Whether a page has a picture and no text, or a stamp's and a picture that covers most of it.

    Args:
        pdfium: The library.
        page: The page's handle.
        text: What it has of text that is seen.
        visible: Its visible box.
    """
    if len(text) > STAMP_CHARS:
        return False
    handles = (
        pdfium.page_object(page, index)
        for index in range(min(MAX_OBJECTS, pdfium.count_objects(page)))
    )
    pictures = (one for one in handles if pdfium.object_kind(one) in PICTURED)
    if not text:
        return any(True for _ in pictures)
    return is_scan([bounds_of(pdfium, one) for one in pictures], visible)
