"""Headings by looks: in a document that marks none, short paragraphs in bold above others.

A wrong heading misleads more than a missing one, so every rule here leans towards saying no.
"""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.ingestion.readers.content import Block

MAX_CHARS, MAX_WORDS = 100, 12
#: How a sentence, a clause or a label ends, and a heading does not.
ENDS = re.compile(r"[.,;:!?\u2026\u3002\uff0c\uff1a\uff1b\uff01\uff1f]$")
#: A document with a greater share of paragraphs in bold is written so.
MAX_SHARE = 0.5


def with_headings(blocks: Sequence[Block]) -> Sequence[Block]:
    """Return the blocks, with headings where they look like some and the file marks none."""
    if any(block.level for block in blocks):
        return blocks
    filled = [block for block in blocks if block.text.strip()]
    if sum(block.bold for block in filled) > MAX_SHARE * len(filled):
        return blocks
    return [
        block._replace(level=1) if below is not None and heads(block, below) else block
        for block, below in zip_longest(filled, filled[1:])
    ]


def heads(block: Block, below: Block) -> bool:
    """Whether a block looks like the heading of what stands below it."""
    text = block.text.strip()
    return (
        block.bold
        and not (block.tight or below.bold or "\n" in text)
        and len(text) <= MAX_CHARS
        and len(text.split()) <= MAX_WORDS
        and any(map(str.isalpha, text))
        and not ENDS.search(text)
    )
