"""all-MiniLM-L6-v2 on the CPU, in this process.

Every row is run alone. Measured (docs/adr/0004-embedding-runtime.md): from 60 tokens on a batch is
no faster per row than its rows one by one, and slower at a chunk's usual 225, before any padding;
and in int8 the rows of a batch share one activation scale, so a passage's vector would depend on
its neighbours. Alone, the same text always gets the same bytes, whoever asks.
"""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from app.errors import AppError
from app.infra.onnx import onnxruntime
from app.retrieval.embedding import QueryCache, Vector, Vectors, well_formed

#: Characters read at most: 256 tokens fit many times over, and the tokenizer's time is bounded.
MAX_CHARACTERS = 20_000
#: Slower than the plain pair of operators it replaces: 43 against 36 ms a chunk (ADR 4).
SLOW_FUSIONS = ["SkipLayerNormFusion"]


class ModelMissing(AppError):
    """The embedding model is missing or damaged: run `make setup`."""

    status, code = 500, "model_missing"


class MiniLmEmbedder:
    """Runs the folder that `scripts/build_model.py` writes; implements `Embedder`.

    Questions have a thread of their own, so that a document being ingested in the same process
    never makes one wait. Build it after the fork: onnxruntime's state does not survive one.
    """

    def __init__(self, model_dir: Path, *, threads: int = 1) -> None:
        """Loads the model: about 0.2 s and 65 MB of memory (int8; 150 MB for fp32).

        Args:
            model_dir: holds `manifest.json`, `model.onnx` and `tokenizer.json`.
            threads: passages embedded at the same time, one core each.

        Raises:
            ModelMissing: a file is absent or is not the one its manifest describes.
        """
        manifest = _checked_manifest(model_dir)
        self.name: str = manifest["name"]
        self.dimension: int = manifest["dimension"]
        self._threads = threads
        self._tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(manifest["max_tokens"])
        self._session = _open_session(model_dir / "model.onnx")
        self._cache = QueryCache()
        self._query_pool = ThreadPoolExecutor(1, "embed-query")
        self._bulk_pool = ThreadPoolExecutor(threads, "embed-bulk")

    async def embed_query(self, text: str) -> Vector:
        """See `Embedder`; about 4 ms of CPU for 20 tokens, none for a repeated question.

        Raises:
            ValueError: `text` is not a string.
        """
        known = self._cache.get(text)
        if known is not None:
            return known
        loop = asyncio.get_running_loop()
        vector = await loop.run_in_executor(self._query_pool, self._embed, well_formed(text))
        return self._cache.keep(text, vector)

    async def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder`; about 32 ms of CPU for 225 tokens; what exceeds 256 is cut off.

        Each thread takes the next text when it has ended its last, the longest first, so that they
        end together; cancellation takes effect within one text's time.

        Raises:
            ValueError: one of `texts` is not a string; nothing has been embedded then.
        """
        clean = [well_formed(text) for text in texts]
        rows = np.empty((len(clean), self.dimension), dtype=np.float32)
        longest_first = iter(sorted(range(len(clean)), key=lambda index: -len(clean[index])))
        loop = asyncio.get_running_loop()

        async def embed_next() -> None:
            for index in longest_first:
                rows[index] = await loop.run_in_executor(self._bulk_pool, self._embed, clean[index])

        async with asyncio.TaskGroup() as group:
            for _ in range(self._threads):
                group.create_task(embed_next())
        return rows

    async def close(self) -> None:
        """Drops what waits and lets what runs end: at most one text's time."""
        for pool in (self._query_pool, self._bulk_pool):
            await asyncio.to_thread(pool.shutdown, cancel_futures=True)

    def _embed(self, text: str) -> Vector:
        ids = self._tokenizer.encode(text[:MAX_CHARACTERS]).ids
        row = np.array([ids], dtype=np.int64)
        feed = {"input_ids": row, "attention_mask": np.ones_like(row)}
        vector: Vector = self._session.run(None, feed)[0][0]
        return vector


def _checked_manifest(model_dir: Path) -> dict[str, Any]:
    """The manifest, once both files have the hashes it states (60 ms for the int8 model)."""
    try:
        manifest: dict[str, Any] = json.loads((model_dir / "manifest.json").read_bytes())
        for stem, suffix in (("model", "onnx"), ("tokenizer", "json")):
            with (model_dir / f"{stem}.{suffix}").open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != manifest[f"{stem}_sha256"]:
                raise ModelMissing
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelMissing from error
    return manifest


def _open_session(model: Path) -> Any:  # noqa: ANN401 - onnxruntime has no types
    """One session, no threads of its own: parallelism is ours, one core a row.

    Memory patterns are off because one is kept for every length ever seen; the arena is on
    because without it a chunk costs a third more CPU (ADR 4). Two threads inside the session
    are no faster than two rows side by side, and letting them spin doubles the CPU they take.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(
        model,
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=SLOW_FUSIONS,
    )
