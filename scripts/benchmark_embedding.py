"""Compares builds of the embedding model: CPU per question and per chunk, memory, quality.

    python scripts/benchmark_embedding.py --model fp32=DIR --model int8=DIR [--data DIR] [--quick]

The first model named is the reference: the others' vectors must agree with its own before a ratio
is printed. Rounds are interleaved and CPU time is compared, since small machines are noisy.
`--data` holds folders of `passages.jsonl` and `questions.jsonl` and adds dense retrieval quality.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import decimal
import inspect
import itertools
import json
import logging
import multiprocessing
import platform
import random
import resource
import statistics
import sys
import unittest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from tokenizers import Tokenizer

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from app.infra.onnx import onnxruntime  # noqa: E402 - needs the path above
from app.retrieval.minilm import MiniLmEmbedder  # noqa: E402
from scripts.benchmarks import add_options, write  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.retrieval.embedding import Vectors

ROUNDS = 9
CHUNKS, CHUNK_TOKENS = 8, 225
QUESTIONS, QUESTION_TOKENS = 40, 20
CHUNK_WORDS = 180
#: A quantised model agrees when no vector is further than this from the reference's.
MIN_COSINE = 0.97
#: Folder, language to keep (None = all), document title in front of each chunk.
SETS = [
    ("squad2", None, False),
    ("cranfield", None, False),
    ("xquad", "en", False),
    ("financebench", None, True),
]


def cpu_s() -> float:
    """CPU seconds of this process so far, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def prose() -> str:
    """English that is at hand everywhere: the standard library's own documentation."""
    modules = [argparse, asyncio, datetime, decimal, json, logging, random, statistics, unittest]
    members = [member for module in modules for _, member in inspect.getmembers(module)]
    pages = dict.fromkeys(inspect.getdoc(member) or "" for member in members)
    return " ".join(page for page in pages if len(page) > 300)


def texts_of(model_dir: Path, tokens: int) -> Iterator[str]:
    """Successive pieces of `prose` of so many tokens each, the two special ones included."""
    text = prose()
    tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    spans = tokenizer.encode(text, add_special_tokens=False).offsets
    size = tokens - 2
    for first in itertools.cycle(range(0, len(spans) - size, size)):
        yield text[spans[first][0] : spans[first + size - 1][1]]


async def measure_speed(models: dict[str, Path], rounds: int) -> dict[str, dict[str, float]]:
    """Per model: CPU milliseconds (median of interleaved rounds) and the lowest cosine."""
    embedders = {name: MiniLmEmbedder(folder) for name, folder in models.items()}
    any_dir = next(iter(models.values()))
    long, short = texts_of(any_dir, CHUNK_TOKENS), texts_of(any_dir, QUESTION_TOKENS)
    samples: dict[str, dict[str, list[float]]] = {name: {} for name in models}
    for _ in range(rounds):
        chunks = [next(long) for _ in range(CHUNKS)]
        questions = [next(short) for _ in range(QUESTIONS)]
        vectors = {}
        for name, embedder in embedders.items():
            vectors[name], costs = await one_round(embedder, chunks, questions)
            for key, value in costs.items():
                samples[name].setdefault(key, []).append(value)
        reference = next(iter(vectors.values()))
        for name, found in vectors.items():
            samples[name].setdefault("cosine", []).append(lowest_cosine(reference, found))
    for embedder in embedders.values():
        await embedder.close()
    return {name: summary(costs) for name, costs in samples.items()}


async def one_round(
    embedder: MiniLmEmbedder, chunks: list[str], questions: list[str]
) -> tuple[Vectors, dict[str, float]]:
    """The vectors of both kinds of text, and CPU milliseconds for one of each."""
    marks = [cpu_s()]
    passages = await embedder.embed_passages(chunks)
    marks.append(cpu_s())
    asked = [await embedder.embed_query(question) for question in questions]
    marks.append(cpu_s())
    for question in questions:
        await embedder.embed_query(question)
    marks.append(cpu_s())
    costs = 1_000 * np.diff(marks) / [len(chunks), len(questions), len(questions)]
    keys = ["chunk_ms", "question_ms", "repeated_ms"]
    return np.vstack([passages, *asked]), dict(zip(keys, costs.tolist(), strict=True))


def lowest_cosine(first: Vectors, second: Vectors) -> float:
    """Over rows; 1 means the same direction."""
    return float((first * second).sum(axis=1).min())


def summary(costs: dict[str, list[float]]) -> dict[str, float]:
    """Medians, the rate they mean on one core, and the worst agreement met."""
    result = {key: round(statistics.median(values), 4) for key, values in costs.items()}
    result["chunks_per_core_s"] = round(1_000 / result["chunk_ms"], 1)
    result["cosine"] = round(min(costs["cosine"]), 5)
    return result


def memory_mb(model_dir: Path) -> float:
    """What a process gains by holding a model that has worked, in MB of resident memory."""
    process = psutil.Process()
    before = process.memory_info().rss
    embedder = MiniLmEmbedder(model_dir)
    texts = [next(texts_of(model_dir, tokens)) for tokens in range(10, 256, 8)]
    asyncio.run(embedder.embed_passages(texts))
    return round((process.memory_info().rss - before) / 2**20, 1)


def read_lines(path: Path, language: str | None) -> list[dict[str, Any]]:
    """The rows of a JSONL file in one language."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if language in (None, row["lang"])]


def cut(passages: list[dict[str, Any]], *, titled: bool) -> tuple[list[str], list[str]]:
    """Chunks of `CHUNK_WORDS` words and, for each, the passage it came from."""
    texts, owners = [], []
    for passage in passages:
        words = passage["text"].split()
        for start in range(0, max(len(words), 1), CHUNK_WORDS):
            text = " ".join(words[start : start + CHUNK_WORDS])
            texts.append(f"{passage['title']}\n{text}" if titled else text)
            owners.append(passage["id"])
    return texts, owners


async def measure_quality(
    models: dict[str, Path], folder: Path, language: str | None, *, titled: bool
) -> dict[str, dict[str, float]]:
    """Dense hit@1, hit@5, MRR@10 by passage, and the lowest cosine of any chunk."""
    texts, owners = cut(read_lines(folder / "passages.jsonl", language), titled=titled)
    questions = [q for q in read_lines(folder / "questions.jsonl", language) if q["answerable"]]
    results, reference = {}, None
    for name, model_dir in models.items():
        embedder = MiniLmEmbedder(model_dir, threads=2)
        chunks = await embedder.embed_passages(texts)
        asked = await embedder.embed_passages([question["question"] for question in questions])
        await embedder.close()
        reference = chunks if reference is None else reference
        scored = zip(asked @ chunks.T, questions, strict=True)
        found = np.array([first_hit(scores, owners, question) for scores, question in scored])
        results[name] = {
            "questions": len(questions),
            "chunks": len(texts),
            "hit@1": round(float((found <= 1).mean()), 4),
            "hit@5": round(float((found <= 5).mean()), 4),
            "mrr@10": round(float(np.where(found <= 10, 1 / found, 0).mean()), 4),
            "cosine": round(lowest_cosine(reference, chunks), 5),
            "cosine_mean": round(float((reference * chunks).sum(axis=1).mean()), 5),
        }
    return results


def first_hit(scores: Vectors, owners: list[str], question: dict[str, Any]) -> float:
    """1-based rank of the first right passage, each passage counted once; inf when none."""
    wanted, seen = set(question["passage_ids"]), dict[str, None]()
    for index in np.argsort(-scores):
        owner = owners[index]
        seen[owner] = None
        if owner in wanted:
            return len(seen)
    return float("inf")


def show(title: str, rows: dict[str, dict[str, float]]) -> None:
    """One table: a line a model, a column a number."""
    columns = list(next(iter(rows.values())))
    print(f"\n{title}\n{'':14}" + "".join(f"{column:>18}" for column in columns))
    for name, row in rows.items():
        print(f"{name:14}" + "".join(f"{row[column]:>18}" for column in columns))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", required=True, metavar="LABEL=DIR")
    parser.add_argument("--data", type=Path)
    add_options(parser, quick="one round")
    options = parser.parse_args()
    models = {name: Path(path) for name, path in (each.split("=", 1) for each in options.model)}

    speed = asyncio.run(measure_speed(models, 1 if options.quick else ROUNDS))
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as fresh:
        for name, folder in models.items():
            speed[name]["memory_mb"] = fresh.apply(memory_mb, (folder,))
    for name, row in speed.items():
        if row["cosine"] < MIN_COSINE:
            sys.exit(f"{name} does not agree with the reference: cosine {row['cosine']}")
    reference = next(iter(speed.values()))
    for row in speed.values():
        row["chunk_speedup"] = round(reference["chunk_ms"] / row["chunk_ms"], 2)
    show(f"CPU, {CHUNK_TOKENS}-token chunks and {QUESTION_TOKENS}-token questions", speed)

    quality = {}
    for folder, language, titled in SETS if options.data else []:
        label = f"{folder} {language}" if language else folder
        path = options.data / folder
        quality[label] = asyncio.run(measure_quality(models, path, language, titled=titled))
        show(label, quality[label])
    machine = {"python": platform.python_version(), "onnxruntime": onnxruntime.__version__}
    result = {"machine": machine, "speed": speed, "quality": quality}
    write(options, {"embedding.json": json.dumps(result, indent=2) + "\n"})


if __name__ == "__main__":
    main()
