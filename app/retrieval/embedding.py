"""What the rest of the product knows about embedding models: one protocol, one vector type."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import orjson
from numpy.typing import NDArray

#: float32, (dimension,), L2-normalised: a dot product of two of them is their cosine.
Vector = NDArray[np.float32]
#: float32, (n, dimension), every row L2-normalised.
Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """Turns text into vectors. Safe to share between tasks of one event loop."""

    #: The model's name; recorded in the index, because vectors of two models never compare.
    name: str
    #: Length of every vector.
    dimension: int

    async def embed_query(self, text: str) -> Vector:
        """One question as a vector, read-only; a question asked before costs a look-up.

        Raises:
            ValueError: `text` is not a string.
            AppError: the model does not answer (adapters say which).
        """
        ...

    async def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """One row per text, in the order given; no texts give shape (0, dimension).

        Cancelling the task stops the work at the next batch.

        Raises:
            ValueError: one of `texts` is not a string.
            AppError: the model does not answer (adapters say which); no partial result.
        """
        ...

    async def close(self) -> None:
        """Releases threads and connections; the embedder is not usable afterwards."""
        ...


def written(vector: Vector) -> str:
    """A vector as PostgreSQL reads it, each number as short as it can be told (8 us for 384)."""
    contiguous = np.ascontiguousarray(vector, dtype=np.float32)
    return orjson.dumps(contiguous, option=orjson.OPT_SERIALIZE_NUMPY).decode()


def well_formed(text: str) -> str:
    """`text` with every lone surrogate replaced by `?`: what UTF-8, hence any model, can carry.

    PDF extraction produces such characters; one of them must not lose the document.

    Raises:
        ValueError: not a string.
    """
    if not isinstance(text, str):
        raise ValueError(f"only text can be embedded, not {type(text).__name__}")  # noqa: TRY004
    return text.encode("utf-8", "replace").decode("utf-8")


class QueryCache:
    """The last questions' vectors, by exact text; least recently used out first.

    Lives in one process and is never shared between models. Full, with 384 dimensions and the
    longest questions, it holds 4,096 x (1.5 KB vector + text), about 10 MB.
    """

    #: Longer texts are not kept: nobody repeats them by chance, and they would fill the memory.
    MAX_CHARACTERS = 2_000

    def __init__(self, capacity: int = 4_096) -> None:
        self._capacity = capacity
        self._vectors: OrderedDict[str, Vector] = OrderedDict()

    def get(self, text: str) -> Vector | None:
        """The vector of exactly this text, or None; counts as a use."""
        vector = self._vectors.get(text)
        if vector is not None:
            self._vectors.move_to_end(text)
        return vector

    def keep(self, text: str, vector: Vector) -> Vector:
        """Remembers `vector` and returns it, made read-only since later callers share it."""
        vector.flags.writeable = False
        if len(text) <= self.MAX_CHARACTERS:
            self._vectors[text] = vector
            self._vectors.move_to_end(text)
            if len(self._vectors) > self._capacity:
                self._vectors.popitem(last=False)
        return vector
