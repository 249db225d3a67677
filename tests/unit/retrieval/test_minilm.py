"""The model as `make setup` built it, against numbers computed without any of our code."""

import asyncio
import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import AppError
from app.retrieval.embedding import Embedder, QueryCache
from app.retrieval.minilm import MiniLmEmbedder, ModelMissing

MODEL_DIR = Path(sys.prefix, "share", "docent", "all-minilm-l6-v2")
#: The first numbers of the published float32 weights' answer, from a separate double-precision
#: numpy implementation of the BERT paper (no onnx, no torch); the fp32 build agrees to 1e-7.
GOLDEN = {
    "How do I reset my password?": [0.0069, -0.06302, -0.07204, -0.0325, -0.04271, 0.07043],
    "The invoice is due within thirty days of delivery.": [
        *(-0.04059, 0.0593, 0.00714, -0.0438, -0.08024, -0.04208)
    ],
    "Überprüfung der Kühlmittelpumpe, 漢字 and emoji 🤷": [
        *(-0.04642, 0.07303, 0.06259, -0.02357, -0.02313, 0.00003)
    ],
}
#: int8 was measured 0.019 from these numbers at most, fp32 1e-5 (their rounding).
TOLERANCE = {"int8": 0.025, "fp32": 2e-5}
LONG_TEXT = "The pump is inspected every six months and after each incident. " * 30
WEIRD = {
    "empty": "",
    "NUL": "\x00",
    "NUL inside": "a\x00b",
    "lone surrogate": "broken \ud800 text",
    "only a surrogate": "\udfff",
    "right-to-left override": "\u202e\u200b",
    "combining pile": "e" + "\u0301" * 500,
    "one endless word": "x" * 100_000,
    "100,000 characters": "word " * 20_000,
    "only spaces": " " * 100_000,
    "ideographs": "漢字仮名" * 5_000,
    "outside the basic plane": "🤷🏽‍♀️𝔘𠜎",
}


@pytest.fixture(scope="module")
def embedder() -> Iterator[MiniLmEmbedder]:
    made = MiniLmEmbedder(MODEL_DIR, threads=2)
    yield made
    asyncio.run(made.close())


@pytest.mark.parametrize("text", GOLDEN)
async def test_agrees_with_an_independent_implementation(embedder, text):
    precision = json.loads((MODEL_DIR / "manifest.json").read_text())["precision"]
    found = (await embedder.embed_query(text))[:6]
    assert np.abs(found - GOLDEN[text]).max() < TOLERANCE[precision]


async def test_satisfies_the_protocol(embedder):
    shared: Embedder = embedder
    assert (shared.name, shared.dimension) == ("all-MiniLM-L6-v2", 384)
    query = await shared.embed_query("How do I reset my password?")
    passages = await shared.embed_passages(["one", "two"])
    assert (query.shape, query.dtype) == ((384,), np.float32)
    assert (passages.shape, passages.dtype) == ((2, 384), np.float32)
    lengths = np.linalg.norm(np.vstack([query, passages]), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-5)


async def test_a_paraphrase_is_nearer_than_another_subject(embedder):
    question = await embedder.embed_query("How do I change my password?")
    same, other = await embedder.embed_passages(
        ["To choose a new passphrase, open your account settings.", "Feed the horses at noon."]
    )
    assert question @ same > 0.4
    assert question @ other < 0.2


async def test_a_passage_never_depends_on_its_neighbours(embedder):
    """Batched int8 rows would share one activation scale: 0.994 instead of the same bytes."""
    texts = ["short", LONG_TEXT, "A sentence of medium length about pumps.", "", "short"]
    together = await embedder.embed_passages(texts)
    alone = [(await embedder.embed_passages([text]))[0] for text in texts]
    asked = [await embedder.embed_query(text) for text in texts]
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together, asked)


async def test_order_is_kept(embedder):
    texts = [f"{'word ' * (37 * number % 60)}number {number}" for number in range(25)]
    rows = await embedder.embed_passages(texts)
    for row, text in zip(rows, texts, strict=True):
        np.testing.assert_array_equal(row, await embedder.embed_query(text))


async def test_no_passages_are_no_rows(embedder):
    assert (await embedder.embed_passages([])).shape == (0, 384)


@pytest.mark.parametrize("text", WEIRD.values(), ids=WEIRD)
async def test_weird_text_has_a_vector(embedder, text):
    for row in (await embedder.embed_query(text), (await embedder.embed_passages([text]))[0]):
        assert np.linalg.norm(row) == pytest.approx(1, abs=1e-5)


async def test_what_exceeds_256_tokens_is_cut_off(embedder):
    first, second = await embedder.embed_passages(["word " * 254, "word " * 254 + "tail " * 900])
    np.testing.assert_array_equal(first, second)


@given(text=st.text(st.characters(exclude_categories=()), max_size=60))
@settings(max_examples=40, deadline=None)
def test_any_unicode_has_a_unit_vector(embedder, text):
    row = asyncio.run(embedder.embed_query(text))
    assert np.linalg.norm(row) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("value", [None, b"bytes", 7])
async def test_what_is_not_text_is_a_value_error(embedder, value):
    with pytest.raises(ValueError, match="only text can be embedded"):
        await embedder.embed_query(value)
    with pytest.raises(ValueError, match="only text can be embedded"):
        await embedder.embed_passages(["fine", value])


async def test_a_repeated_question_costs_nothing(embedder):
    first = await embedder.embed_query("How often is the pump inspected?")
    before = time.thread_time()
    for _ in range(1_000):
        assert await embedder.embed_query("How often is the pump inspected?") is first
    assert time.thread_time() - before < 0.1
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0


async def test_a_bulk_never_makes_a_question_wait(embedder):
    bulk = asyncio.create_task(embedder.embed_passages([LONG_TEXT] * 100))
    await asyncio.sleep(0.05)
    await embedder.embed_query("Is anybody there while you are busy?")
    assert not bulk.done()
    bulk.cancel()
    with pytest.raises(asyncio.CancelledError):
        await bulk


async def test_cancelling_stops_the_work(embedder):
    bulk = asyncio.create_task(embedder.embed_passages([LONG_TEXT] * 2_000))
    await asyncio.sleep(0.1)
    bulk.cancel()
    with pytest.raises(asyncio.CancelledError):
        await bulk
    await embedder.embed_passages(["waits behind what was running"])
    before = time.process_time()
    await asyncio.sleep(0.3)
    assert time.process_time() - before < 0.15


async def test_nothing_works_after_close():
    made = MiniLmEmbedder(MODEL_DIR)
    await made.close()
    with pytest.raises(RuntimeError):
        await made.embed_query("hello")


def copy_of_the_model(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MODEL_DIR, tmp_path / "model"))


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx", "tokenizer.json"])
def test_a_missing_file_says_what_to_do(tmp_path, name):
    folder = copy_of_the_model(tmp_path)
    (folder / name).unlink()
    with pytest.raises(ModelMissing, match="run `make setup`"):
        MiniLmEmbedder(folder)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_one_flipped_bit_is_noticed(tmp_path, name):
    folder = copy_of_the_model(tmp_path)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ModelMissing):
        MiniLmEmbedder(folder)


@pytest.mark.parametrize("manifest", ["", "{", "[]", "{}", "null", "\udcff"])
def test_a_broken_manifest_is_a_missing_model(tmp_path, manifest):
    folder = copy_of_the_model(tmp_path)
    (folder / "manifest.json").write_text(manifest, errors="surrogateescape")
    with pytest.raises(ModelMissing) as caught:
        MiniLmEmbedder(folder)
    assert isinstance(caught.value, AppError)
    assert not caught.value.retryable


def test_the_least_recent_question_is_forgotten_first():
    cache = QueryCache(capacity=2)
    for text in ("a", "b"):
        cache.keep(text, np.zeros(3, np.float32))
    assert cache.get("a") is not None
    cache.keep("c", np.zeros(3, np.float32))
    assert [cache.get(text) is None for text in ("a", "b", "c")] == [False, True, False]


def test_a_text_nobody_repeats_is_not_kept():
    cache = QueryCache()
    cache.keep("x" * 2_001, np.zeros(3, np.float32))
    assert cache.get("x" * 2_001) is None
