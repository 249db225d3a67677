"""A page as a picture, with what was quoted from it marked.

One confined process (``app/infra/sandbox.py``) draws one page: ``page_image_child`` those of PDFs,
``picture_child`` those of files that are pictures themselves.
"""

from collections.abc import Sequence
from math import isfinite
from typing import TypeAlias

from app.errors import AppError, NotFound
from app.infra.sandbox import (
    ChildFailed,
    SandboxLimits,
    child_command,
    find_pdfium,
    read_frames,
    run_confined,
)

#: x0, y0, x1, y1 in PDF points, origin at the top-left corner of the page as displayed.
Box: TypeAlias = tuple[float, float, float, float] | Sequence[float]

#: A page with a million vectors takes seconds; whoever waits for a picture waits no longer.
LIMITS = SandboxLimits(timeout_s=10.0, memory_bytes=512 * 1024 * 1024, max_output_bytes=16_000_000)
#: One for each line of the longest answer's quotes, many times over; 28 bytes each when handed on.
MAX_HIGHLIGHTS = 2_000
PDF_CHILD = child_command("app.documents.page_image_child")
PICTURE_CHILD = child_command("app.documents.picture_child", libraries=True)
#: How files that are one picture a page begin: PNG, JPEG, TIFF of either byte order.
PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*")
DETAILS = {
    "encrypted": "The document is encrypted.",
    "damaged": "The page is damaged and cannot be drawn.",
    "too_many_pixels": "The picture has too many pixels.",
    "timeout": "Drawing the page took too long.",
    "memory": "Drawing the page took too much memory.",
    "too_large_output": "The picture of the page is too large.",
    "crashed": "The page cannot be drawn.",
}


class NoPageImage(NotFound):
    """There is no picture of that page."""

    code = "no_page_image"


class ImageUnavailable(AppError):
    """The page cannot be drawn."""

    status, code = 422, "image_unavailable"

    def __init__(self, reason: str) -> None:
        """``reason`` is a stable slug, one of ``DETAILS``; it is also a member of the problem."""
        super().__init__(DETAILS[reason], reason=reason)
        self.reason = reason


async def render_page(
    content: bytes,
    number: int,
    *,
    highlights: Sequence[Box] = (),
    limits: SandboxLimits = LIMITS,
) -> bytes:
    """Return a page of a PDF, PNG, JPEG or TIFF as a PNG of about 110 dpi.

    Cancelling kills the process that draws.

    Args:
        content: The whole file, as it was uploaded.
        number: The page, 1-based; a picture's only page, or a TIFF's directory, counts as one.
        highlights: What to mark, by the coordinates of ``Page.words``; at most 2,000 are.
        limits: What drawing it may cost.

    Raises:
        NoPageImage: The file has no such page.
        ImageUnavailable: It cannot be drawn within the limits; ``reason`` says why.
    """
    boxes = ";".join(
        ",".join(f"{side:.1f}" for side in box)
        for box in highlights[:MAX_HIGHLIGHTS]
        if all(map(isfinite, box))
    )
    picture = content.startswith(PICTURES)
    command = (*PICTURE_CHILD,) if picture else (*PDF_CHILD, find_pdfium())
    try:
        result = await run_confined(command, content, limits, boxes, f"number={number}")
        [(_, png)] = read_frames(result)
    except ChildFailed as error:
        if error.reason == "no_such_page":
            raise NoPageImage from error
        raise ImageUnavailable(error.reason if error.reason in DETAILS else "crashed") from error
    except ValueError as error:
        raise ImageUnavailable("crashed") from error
    return bytes(png)
