"""Plain text: paragraphs as they stand; headings are left to be guessed, as on a PDF's page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from app.ingestion.readers.charset import decode
from app.ingestion.readers.content import Block, Content, tidy

if TYPE_CHECKING:
    from collections.abc import Mapping

PARAGRAPHS = re.compile("\n\n+")
#: What colours the lines of a terminal's log (ECMA-48, 5.4).
CONTROL_SEQUENCES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


def read(data: bytes, _limits: Mapping[str, int]) -> Content:
    """Return the text's content."""
    paragraphs = PARAGRAPHS.split(tidy(CONTROL_SEQUENCES.sub("", decode(data))))
    return Content([Block(text) for text in paragraphs], guess=True)
