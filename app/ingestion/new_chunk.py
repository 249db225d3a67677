"""A chunk as it will be stored: what is embedded of it, and the digest that covers exactly that."""

import hashlib

from app.ingestion.page import Chunk
from app.retrieval.chunk_table import NewChunk


def new_chunk(chunk: Chunk, title: str) -> NewChunk:
    """The stored form of ``chunk``; its digest covers exactly what is embedded."""
    boxes = chunk.words.astype("<f4", copy=False).tobytes()
    unhashed = NewChunk(
        chunk.page, chunk.start, chunk.end, b"", title, chunk.heading, chunk.text, boxes
    )
    digest = hashlib.sha256(embedded_text(unhashed).encode()).digest()
    return NewChunk(
        chunk.page, chunk.start, chunk.end, digest, title, chunk.heading, chunk.text, boxes
    )


def embedded_text(chunk: NewChunk) -> str:
    """What the model reads: title and heading stand before the text, so that they are found too."""
    return f"{chunk.title}\n{chunk.heading}\n{chunk.text}"
