"""Searching the chunk table: ours beside the bare driver, stock ``PGVectorStore`` and other plans.

    python -m scripts.benchmark_search [--chunks 10000 100000] [--data DIR ...] [--quick]

Makes its own servers in a throw-away home (or databases of its own on DATABASE_URL), fills them
through the product's write path and asks every engine the same questions, in turns: each round
gives each engine the same few questions, in another order every round, the first two unmeasured.
Engines that run the same plan must return the same ids before a ratio is printed; for the others
recall@10 against an exact scan is. CPU is this process's per search; "server" is the CPU time
of the database's backends, when they run on this machine. Writes docs/benchmarks/search.{json,md}.

``--data`` takes folders with ``passages.jsonl`` and ``questions.jsonl``: their chunks of 180 words
are embedded by the product's model, and the table is filled up with mixtures of neighbouring
chunks (text and vector) and noise. Without it the vectors are clusters and the words are drawn
with natural frequencies; no model is needed then.
"""

import argparse
import asyncio
import contextlib
import datetime
import gc
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import uvloop
from llama_index.core.schema import QueryBundle, TextNode
from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode
from llama_index.vector_stores.postgres import PGVectorStore
from numpy.typing import NDArray
from psycopg import sql

from app.infra.embedded.servers import embedded_servers, urls_for
from app.infra.postgres import Pool, migrate, open_pool, tenant_transaction
from app.retrieval.chunk_store import _SEARCH, ChunkStore, HalfVector
from app.retrieval.chunk_table import NewChunk, replace_chunks
from app.retrieval.embedding import Vector, Vectors
from app.retrieval.minilm import MiniLmEmbedder
from app.retrieval.passage import Scope
from app.retrieval.search import Retriever
from app.settings import MODEL_DIR, load_settings

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "docs" / "benchmarks" / "search"
COMMAND = "python -m scripts.benchmark_search"
DIMENSION = 384
TOP_K = 10
CHUNK_WORDS = 180
#: Chunks of real text that are embedded; 37 ms each.
SEEDS = 1_600
QUESTIONS = 220
CHUNKS_PER_DOCUMENT = 500
BIG, SMALL = "ten_big", "ten_small"
SMALL_CHUNKS = 200
#: Bytes of a word's box, and how many different ones there are to cut from.
BOX_BYTES = 24
BOX_POOL = 1 << 20

Vectorlike = NDArray[np.float32]
Search = Callable[[int], Awaitable[list[str]]]


@dataclass(frozen=True)
class Corpus:
    """Chunks and questions with their vectors; (n, 384), rows L2-normalised."""

    origin: str
    texts: list[str]
    vectors: Vectors
    questions: list[str]
    asked: Vectors


@dataclass
class Engine:
    """One way to search, and what it cost."""

    name: str
    search: Search
    #: Only every so many of a round's questions; for the slow ones.
    stride: int = 1
    #: Engines with the same word here must return the same ids.
    same: str = ""
    wall_ms: list[float] = field(default_factory=list)
    client_ms: list[float] = field(default_factory=list)
    server_ms: list[float] = field(default_factory=list)
    found: dict[int, list[str]] = field(default_factory=dict)
