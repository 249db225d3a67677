"""Questions that were answered under the same state of the documents, by how near they are.

The vectors stand in one string of Redis, the newest first: each is 16-bit floats and the digest
under which its answer is kept. The threshold is data (``neighbours.json``), chosen by
``python -m scripts.evaluate_semantic_cache`` for one embedding model (ADR 0021).
"""

import json
from pathlib import Path

import numpy as np

from app.chat.rephrase import needs_context
from app.chat.same_question import ask_the_same
from app.retrieval.embedding import Embedder, Vector

#: Questions of one group that are looked at.
MOST = 256
#: Of those that are near enough, so many have their answers fetched.
_TRIED = 3
_DIGEST = 32
CHOSEN = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))


class Neighbours:
    """Tells which of the answered questions are near one, and which of those asks the same."""

    def __init__(self, embedder: Embedder, *, threshold: float = CHOSEN["threshold"]) -> None:
        """``embedder`` is the search's own, so that a question is embedded once."""
        self._embedder = embedder
        self._threshold = threshold
        self._row = np.dtype([("vector", "<f2", embedder.dimension), ("digest", f"V{_DIGEST}")])

    async def entry(self, question: str, digest: str) -> bytes:
        """What is kept of a question that was answered; ``digest`` in hexadecimal.

        Raises:
            AppError: the embedding model does not answer.
        """
        return _packed(await self._embedder.embed_query(question)) + bytes.fromhex(digest)

    async def near(self, question: str, entries: bytes) -> list[str]:
        """The digests of the questions above the threshold, nearest first, a few at most.

        Raises:
            AppError: the embedding model does not answer.
        """
        rows = np.frombuffer(entries, self._row, len(entries) // self._row.itemsize)
        vector = await self._embedder.embed_query(question)
        cosines = rows["vector"].astype(np.float32) @ vector
        best = np.argsort(-cosines, kind="stable")[:_TRIED]
        return [rows["digest"][at].tobytes().hex() for at in best if cosines[at] >= self._threshold]


def interchangeable(question: str, answered: str) -> bool:
    """Whether the answer to ``answered`` may be given to ``question``; neither points back."""
    return not needs_context(question) and ask_the_same(question, answered)


def _packed(vector: Vector) -> bytes:
    return vector.astype("<f2").tobytes()
