"""The markers by which an answer cites: ``[1]`` behind what the first source says.

A number in brackets is none where it belongs to code, as in ``reader.pages[0]``; that stays as it
is. In an answer that is given out, a marker stands behind white space and such an index does not.
"""

import re

# Tried at the start of a run of white space only: from each place in it, long runs take seconds.
MARKER = re.compile(r"(?<!\s)\s*\[(\d{1,3})\]")
#: A marker of an answer that was given out.
GIVEN = re.compile(r"(?<!\S)\[(\d{1,3})\]")
#: How much of the text before a bracket decides whether it is an index.
LOOKED_AT = 80
#: What is indexed in code: ``reader.pages``, ``print(pages``, ``first = items``, ``self->table``.
_INDEXED = re.compile(r"(?:[^\W\d]\.(?=[a-z_])|\w\(|=[ \t]*|->|::)[^\W\d]\w+$")


def is_index(marker: re.Match[str], before: str, ticks: int) -> bool:
    """Whether what looks like a marker is an index in code, and so is text.

    Args:
        marker: a match of ``MARKER``.
        before: what stands before it, at least ``LOOKED_AT`` characters if there are as many.
        ticks: how many backticks stand before it; an odd number has not closed its code.
    """
    if marker[0][0] != "[" or not before or not (before[-1].isalnum() or before[-1] == "_"):
        return False
    return ticks % 2 == 1 or _INDEXED.search(before[-LOOKED_AT:]) is not None


def without_references(text: str) -> str:
    """A source's words without what would be a marker in an answer: references of its own."""
    if "[" not in text:
        return text
    return MARKER.sub(
        lambda found: (
            found[0]
            if is_index(found, text[: found.start()], text.count("`", 0, found.start()))
            else ""
        ),
        text,
    )
