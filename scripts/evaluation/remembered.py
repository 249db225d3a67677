"""Embeddings kept between runs: what was embedded once is read from a file.

The file is a row of records: the SHA-256 of a text, and its vector as float32.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from app.retrieval.embedding import Embedder, Vector, Vectors

_DIGEST_BYTES = 32


class RememberedEmbedder:
    """An embedder in front of another; implements `Embedder`."""

    def __init__(self, embedder: Embedder, folder: Path) -> None:
        """Reads what is known of the model's vectors in ``folder``, which is made if need be."""
        self.name, self.dimension = embedder.name, embedder.dimension
        self._embedder = embedder
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{self.name.replace('/', '_')}.vectors"
        size = _DIGEST_BYTES + 4 * self.dimension
        kept = self._path.read_bytes() if self._path.is_file() else b""
        self._known = {
            kept[at : at + _DIGEST_BYTES]: np.frombuffer(
                kept[at + _DIGEST_BYTES : at + size], "<f4"
            )
            for at in range(0, len(kept) - size + 1, size)
        }

    async def embed_query(self, text: str) -> Vector:
        """See `Embedder`."""
        row: Vector = (await self.embed_passages([text]))[0]
        return row

    async def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder`."""
        digests = [hashlib.sha256(text.encode()).digest() for text in texts]
        new = {
            digest: text
            for digest, text in zip(digests, texts, strict=True)
            if digest not in self._known
        }
        if new:
            rows = await self._embedder.embed_passages(list(new.values()))
            self._known.update(zip(new, rows, strict=True))
            with self._path.open("ab") as file:
                file.writelines(
                    digest + row.astype("<f4").tobytes()
                    for digest, row in zip(new, rows, strict=True)
                )
        return np.array([self._known[digest] for digest in digests], dtype=np.float32).reshape(
            len(texts), self.dimension
        )

    async def close(self) -> None:
        """See `Embedder`."""
        await self._embedder.close()
