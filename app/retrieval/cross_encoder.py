"""A cross-encoder out of a folder, on the CPU, in this process.

The folder holds ``model.onnx`` and ``tokenizer.json``, as the usual exporters write them: inputs by
the usual names, one logit for each pair, or two of which the second says "relevant".
"""

import asyncio
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from app.errors import AppError, ConfigurationError
from app.infra.onnx import onnxruntime
from app.retrieval.embedding import well_formed

#: Tokens of question and passage together; what such models were trained on.
MAX_TOKENS = 512
#: Characters of a text that are read at most: the tokenizer takes quadratic time for what it cuts.
_MAX_CHARACTERS = 4_000


class RerankingFailed(AppError):
    """The reranking model does not answer as it should; stays inside this room."""

    status, code, retryable = 503, "reranking_failed", True


class CrossEncoder:
    """Scores pairs one by one, on a thread of its own; implements `RelevanceModel`.

    Build it after the fork: onnxruntime's state does not survive one.
    """

    def __init__(self, folder: Path) -> None:
        """Loads the model and asks it once.

        Raises:
            ConfigurationError: the folder holds no model of this kind.
        """
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._tokenizer.no_padding()
            self._tokenizer.enable_truncation(MAX_TOKENS)
            self._session = _open_session(folder / "model.onnx")
            self._inputs = [taken.name for taken in self._session.get_inputs()]
            self._score("question", "text")
        except Exception as error:
            # The tokenizer and the runtime raise whatever they like.
            raise ConfigurationError(
                "RERANK_MODEL_PATH holds no cross-encoder: model.onnx and tokenizer.json."
            ) from error
        self._pool = ThreadPoolExecutor(1, "rerank")

    async def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """See `RelevanceModel`; stops at the next text when it is cancelled.

        Raises:
            RerankingFailed: the model gave no number for one of them.
        """
        loop = asyncio.get_running_loop()
        asked = well_formed(question)
        return [
            await loop.run_in_executor(self._pool, self._safe_score, asked, well_formed(text))
            for text in texts
        ]

    async def close(self) -> None:
        """Drops what waits and lets what runs end: at most one text's time."""
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)

    def _safe_score(self, question: str, text: str) -> float:
        try:
            return self._score(question, text)
        except RerankingFailed:
            raise
        except Exception as error:  # the runtime raises whatever it likes
            raise RerankingFailed from error

    def _score(self, question: str, text: str) -> float:
        pair = self._tokenizer.encode(question[:_MAX_CHARACTERS], text[:_MAX_CHARACTERS])
        given = {
            "input_ids": pair.ids,
            "attention_mask": pair.attention_mask,
            "token_type_ids": pair.type_ids,
        }
        feed = {name: np.array([given[name]], dtype=np.int64) for name in self._inputs}
        logits = np.asarray(self._session.run(None, feed)[0], dtype=np.float64).ravel()
        if not 1 <= len(logits) <= 2 or not np.isfinite(logits).all():  # noqa: PLR2004 - one or two labels
            raise RerankingFailed("The reranking model gave no score.")
        # Of two labels the difference is what a single logit would be.
        logit = float(logits[-1] - (logits[0] if len(logits) > 1 else 0.0))
        return 1 / (1 + math.exp(-max(-60.0, min(60.0, logit))))


def _open_session(model: Path) -> Any:  # noqa: ANN401 - onnxruntime has no types
    """One session, one thread: a question is one row after the other (ADR 4)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
