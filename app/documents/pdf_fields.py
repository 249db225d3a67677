"""What was typed into a PDF's form, made part of its page, so that it is read and drawn with it.

Imported by child processes: the standard library only.
"""

from __future__ import annotations

import ctypes

TYPE_CHECKING = False  # importing typing takes a tenth of the child's start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: FPDF_ANNOT and FLAT_NORMALDISPLAY (fpdfview.h, fpdf_flatten.h).
WITH_NOTES, AS_SHOWN = 0x01, 0


def flattener(bind: Callable[..., Any]) -> Callable[[int], None]:
    """Return what flattens a page by its handle; the page is to be loaded again then.

    Programs that fill in forms may leave it to readers how a field looks (``NeedAppearances``).
    PDFium makes such looks only when it draws, so the page is drawn first, into one pixel.

    Args:
        bind: Returns a function of PDFium by its name, result and arguments.
    """
    handle, number = ctypes.c_void_p, ctypes.c_int
    new_bitmap = bind("FPDFBitmap_Create", handle, number, number, number)
    draw = bind("FPDF_RenderPageBitmap", None, handle, handle, *[number] * 6)
    free_bitmap = bind("FPDFBitmap_Destroy", None, handle)
    flatten = bind("FPDFPage_Flatten", number, handle, number)

    def flatten_page(page: int) -> None:
        bitmap = new_bitmap(1, 1, 0)
        if bitmap:
            draw(bitmap, page, 0, 0, 1, 1, 0, WITH_NOTES)
            free_bitmap(bitmap)
        flatten(page, AS_SHOWN)

    return flatten_page
