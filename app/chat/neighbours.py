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
from app.retrieval.following import settled

#: Questions of one group that are looked at.
MOST = 256
#: Of those that are near enough, so many have their answers fetched.
_TRIED = 3
_DIGEST = 32
CHOSEN = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))


class Neighbours:
    """Tells which of the answered questions are near one, and which of those asks the same.

    While the embedding model is another than the threshold's, no question is near any.
    """

    def __init__(self, embedder: Embedder, *, threshold: float = CHOSEN["threshold"]) -> None:
        """``embedder`` is the search's own, so that a question is embedded once."""
        self._embedder = embedder
        self._threshold = threshold

    async def entry(self, question: str, digest: str) -> bytes:
        """What is kept of a question that was answered, or nothing; ``digest`` in hexadecimal.

        Raises:
            AppError: the embedding model does not answer.
        """
        vector = await self._vector(question)
        return b"" if vector is None else vector.astype("<f2").tobytes() + bytes.fromhex(digest)

    async def near(self, question: str, entries: bytes) -> list[str]:
        """The digests of the questions above the threshold, nearest first, a few at most.

        Raises:
            AppError: the embedding model does not answer.
        """
        vector = await self._vector(question)
        if vector is None:
            return []
        row = np.dtype([("vector", "<f2", len(vector)), ("digest", f"V{_DIGEST}")])
        rows = np.frombuffer(entries, row, len(entries) // row.itemsize)
        cosines = rows["vector"].astype(np.float32) @ vector
        best = np.argsort(-cosines, kind="stable")[:_TRIED]
        return [rows["digest"][at].tobytes().hex() for at in best if cosines[at] >= self._threshold]

    async def _vector(self, question: str) -> Vector | None:
        """The question's vector by the threshold's model; None while that is not the model."""
        model = settled(self._embedder)
        return await model.embed_query(question) if model.name == CHOSEN["model"] else None


def interchangeable(question: str, answered: str) -> bool:
    """Whether the answer to ``answered`` may be given to ``question``; neither points back."""
    return not needs_context(question) and ask_the_same(question, answered)
