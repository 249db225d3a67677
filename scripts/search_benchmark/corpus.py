"""What is searched, and the questions."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.retrieval.embedding import Vectors
from app.retrieval.minilm import MiniLmEmbedder
from app.settings import MODEL_DIR

DIMENSION = 384
#: Whose vectors the table is said to hold.
MODEL = "all-MiniLM-L6-v2"
CHUNK_WORDS = 180
#: Chunks of real text that are embedded; 37 ms each.
SEEDS = 1_600
#: Of the difference of two chunks, added to a third.
NOISE = 0.6
QUESTIONS = 202


@dataclass(frozen=True)
class Corpus:
    """Chunks and questions with their vectors; (n, 384), rows L2-normalised."""

    origin: str
    texts: list[str]
    vectors: Vectors
    questions: list[str]
    asked: Vectors


def lines_of(folders: Sequence[Path], name: str) -> Iterator[dict[str, Any]]:
    """The English records of ``name`` in every folder."""
    for folder in folders:
        for line in (folder / name).read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if record.get("lang", "en") == "en":
                yield record


def pieces_of(text: str) -> Iterator[str]:
    """``text`` in pieces of 180 words; a last one of a few words is left out."""
    words = text.split()
    for start in range(0, len(words), CHUNK_WORDS):
        if len(words) - start > CHUNK_WORDS // 4:
            yield " ".join(words[start : start + CHUNK_WORDS])


async def real_corpus(folders: Sequence[Path], count: int, seeds: int) -> Corpus:
    """Chunks of the folders' passages, then mixtures of two that are close to each other."""
    rng = np.random.default_rng(1)
    passages = lines_of(folders, "passages.jsonl")
    found = [f"{p['title']}\n{piece}" for p in passages for piece in pieces_of(p["text"])]
    asked = [q["question"] for q in lines_of(folders, "questions.jsonl")]
    texts = [found[i] for i in rng.permutation(len(found))[: min(seeds, count)]]
    questions = [asked[i] for i in rng.permutation(len(asked))[:QUESTIONS]]
    embedder = MiniLmEmbedder(MODEL_DIR, threads=os.cpu_count() or 1)
    vectors = await embedder.embed_passages(texts)
    asked_vectors = np.array([await embedder.embed_query(question) for question in questions])
    await embedder.close()
    origin = (
        f"{len(texts):,} chunks of {', '.join(folder.name for folder in folders)} with MiniLM's"
        f" vectors, mixed with near ones and noise to {count:,}; {len(questions)} of their"
        " questions"
    )
    mixed_texts, mixed_vectors = mixtures(rng, texts, vectors, count - len(texts))
    return Corpus(
        origin, texts + mixed_texts, np.vstack([vectors, mixed_vectors]), questions, asked_vectors
    )


def mixtures(
    rng: np.random.Generator, texts: Sequence[str], vectors: Vectors, count: int
) -> tuple[list[str], Vectors]:
    """``count`` chunks between two near ones: part of the words of both, a point between them.

    The noise is a difference of two other chunks, so that it has the shape of the data, and so much
    of it that chunks are as far from each other as real ones are (the mean cosine of the nearest
    neighbour is .77, of the tenth .62; .79 and .66 among the real). A few words of its own keep the
    vocabulary growing, as it does in a real corpus.
    """
    near = np.argsort(-(vectors @ vectors.T), axis=1)[:, 1:9]
    first = rng.integers(len(texts), size=count)
    second = near[first, rng.integers(near.shape[1], size=count)]
    share = rng.uniform(0, 0.5, size=(count, 1))
    plus, minus = rng.integers(len(texts), size=(2, count))
    noise = NOISE * (vectors[plus] - vectors[minus])
    split = [text.split() for text in texts]
    mixed = []
    for a, b, part in zip(first, second, share[:, 0], strict=True):
        cut = int((1 - part) * len(split[a]))
        own = [f"n{int(number)}" for number in rng.pareto(0.4, size=5).clip(0, 10**9)]
        mixed.append(" ".join(split[a][:cut] + own + split[b][cut:]))
    return mixed, unit((1 - share) * vectors[first] + share * vectors[second] + noise)


def synthetic_corpus(count: int) -> Corpus:
    """Clusters in a space of few effective dimensions, as text embeddings are; Zipf's words."""
    rng = np.random.default_rng(1)
    axes = rng.normal(size=(64, DIMENSION)) * np.arange(1, 65)[:, None] ** -0.4
    topics = rng.normal(size=(max(20, count // 60), 64))
    topic = rng.integers(len(topics), size=count + QUESTIONS)
    vectors = unit((topics[topic] + 0.6 * rng.normal(size=(count + QUESTIONS, 64))) @ axes)
    words = np.array([f"w{number:x}" for number in range(60_000)])
    odds = 1 / (np.arange(len(words)) + 3)
    drawn = rng.choice(len(words), size=(count + QUESTIONS, CHUNK_WORDS), p=odds / odds.sum())
    texts = [" ".join(words[row]) for row in drawn[:count]]
    # A question takes eight words of a chunk of its topic.
    like = [int(np.flatnonzero(topic[:count] == topic[count + i])[0]) for i in range(QUESTIONS)]
    questions = [" ".join(words[rng.choice(drawn[i], size=8)]) for i in like]
    origin = f"{count:,} synthetic chunks: clustered vectors, words with natural frequencies"
    return Corpus(origin, texts, vectors[:count], questions, vectors[count:])


def unit(rows: NDArray[np.floating[Any]]) -> Vectors:
    """The rows at length 1."""
    scaled: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return scaled
