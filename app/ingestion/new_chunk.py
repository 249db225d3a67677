"""A chunk as it will be stored: what is embedded of it, and the digest that covers exactly that."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from app.infra.language import languages_of
from app.ingestion.page import Chunk
from app.retrieval.chunk_table import NewChunk


def new_chunks(chunks: Sequence[Chunk], title: str) -> list[NewChunk]:
    """The stored form of a document's chunks; a digest covers exactly what is embedded."""
    languages = languages_of([chunk.text for chunk in chunks])
    return [
        _new_chunk(chunk, title, language)
        for chunk, language in zip(chunks, languages, strict=True)
    ]


def _new_chunk(chunk: Chunk, title: str, language: str) -> NewChunk:
    new = NewChunk(
        page=chunk.page,
        start=chunk.start,
        end=chunk.end,
        digest=b"",
        title=title,
        heading=chunk.heading,
        text=chunk.text,
        boxes=chunk.words.astype("<f4", copy=False).tobytes(),
        language=language,
    )
    return replace(new, digest=hashlib.sha256(embedded_text(new).encode()).digest())


def embedded_text(chunk: NewChunk) -> str:
    """What the model reads: title and heading stand before the text, so that they are found too."""
    return text_to_embed(chunk.title, chunk.heading, chunk.text)


def text_to_embed(title: str, heading: str, text: str) -> str:
    """The same of a chunk that is stored."""
    return f"{title}\n{heading}\n{text}"
