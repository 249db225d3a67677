"""The adapter against a real local HTTP server that speaks the dialect, well and badly."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from app.retrieval.embedding import Embedder
from app.retrieval.openai_embedding import BATCH_SIZE, EmbeddingUnavailable, OpenAiEmbedder

KEY = "sk-do-not-tell-4711"
DIMENSION = 3
Reply = Callable[[dict[str, Any]], web.StreamResponse]


def vector_of(text: str) -> list[float]:
    return [float(len(text)), 2.0, 1.0]


def answer(payload: dict[str, Any]) -> web.Response:
    """A right answer, deliberately out of order: only `index` may be trusted."""
    data = [
        {"object": "embedding", "index": index, "embedding": vector_of(text)}
        for index, text in enumerate(payload["input"])
    ]
    return web.json_response({"object": "list", "data": data[::-1], "model": payload["model"]})


def status(code: int) -> Reply:
    return lambda _: web.json_response({"error": {"message": f"bad key {KEY}"}}, status=code)


def body(text: str) -> Reply:
    return lambda _: web.Response(text=text, content_type="application/json")


def rows(*entries: tuple[int, str]) -> Reply:
    joined = ",".join(f'{{"index": {index}, "embedding": {numbers}}}' for index, numbers in entries)
    return body(f'{{"data": [{joined}]}}')


class FakeService:
    """Gives the scripted replies in turn, then right ones; keeps what it was sent."""

    def __init__(self) -> None:
        self.script: list[Reply] = []
        self.payloads: list[dict[str, Any]] = []
        self.requests: list[web.BaseRequest] = []
        self.delay_s = 0.0

    async def embeddings(self, request: web.BaseRequest) -> web.StreamResponse:
        payload = await request.json()
        self.requests.append(request)
        self.payloads.append(payload)
        await asyncio.sleep(self.delay_s)
        return (self.script.pop(0) if self.script else answer)(payload)


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
async def embedder(service: FakeService) -> AsyncIterator[OpenAiEmbedder]:
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/v1/embeddings", service.embeddings)
    async with TestServer(app) as server:
        made = OpenAiEmbedder(str(server.make_url("/v1/")), KEY, "tiny", DIMENSION, timeout_s=2)
        yield made
        await made.close()


async def test_rows_come_in_the_order_of_the_texts_and_normalised(embedder, service):
    texts = ["a", "bb" * 9, "", "dddd"]
    shared: Embedder = embedder
    found = await shared.embed_passages(texts)
    wanted = np.array([vector_of(text) for text in texts])
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert found.dtype == np.float32
    assert service.payloads == [{"model": "tiny", "input": texts, "encoding_format": "float"}]
    assert (shared.name, shared.dimension) == ("tiny", DIMENSION)


async def test_the_key_is_in_a_header_and_nowhere_else(embedder, service):
    await embedder.embed_query("hello")
    request = service.requests[0]
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in str(request.url) + json.dumps(service.payloads)


async def test_many_texts_travel_in_batches(embedder, service):
    texts = ["x" * number for number in range(2 * BATCH_SIZE + 5)]
    found = await embedder.embed_passages(texts)
    assert [len(payload["input"]) for payload in service.payloads] == [BATCH_SIZE, BATCH_SIZE, 5]
    assert np.all(np.diff(found[:, 0]) > 0)


async def test_no_texts_are_no_request(embedder, service):
    assert (await embedder.embed_passages([])).shape == (0, DIMENSION)
    assert service.requests == []


async def test_a_repeated_question_is_no_request(embedder, service):
    assert await embedder.embed_query("again") is await embedder.embed_query("again")
    assert len(service.requests) == 1


async def test_a_lone_surrogate_does_not_stop_a_document(embedder, service):
    await embedder.embed_passages(["broken \ud800 text"])
    assert service.payloads[0]["input"] == ["broken ? text"]


async def test_what_is_not_text_is_a_value_error(embedder, service):
    with pytest.raises(ValueError, match="only text can be embedded"):
        await embedder.embed_passages(["fine", None])
    assert service.requests == []


@pytest.mark.parametrize("code", [429, 500, 502, 503])
async def test_a_passing_failure_is_tried_once_more(embedder, service, code):
    service.script = [status(code)]
    assert (await embedder.embed_query("hello")).shape == (DIMENSION,)
    assert len(service.requests) == 2


BAD_ANSWERS = {
    "429 twice": [status(429)] * 2,
    "500 twice": [status(500)] * 2,
    "wrong key": [status(401)],
    "bad request": [status(400)],
    "redirect": [lambda _: web.Response(status=307, headers={"Location": "/v1/embeddings"})],
    "html": [lambda _: web.Response(text="<html>Welcome</html>", content_type="text/html")],
    "empty body": [body("")],
    "error with status 200": [body('{"error": {"message": "overloaded"}}')],
    "a list": [body("[]")],
    "null data": [body('{"data": null}')],
    "no rows": [rows()],
    "one row too few": [rows((0, "[1, 2, 3]"))],
    "one row too many": [rows((0, "[1, 2, 3]"), (1, "[1, 2, 3]"), (2, "[1, 2, 3]"))],
    "the same index twice": [rows((0, "[1, 2, 3]"), (0, "[1, 2, 3]"))],
    "index is text": [rows((0, "[1, 2, 3]"), ('"one"', "[1, 2, 3]"))],
    "too short": [rows((0, "[1, 2]"), (1, "[1, 2]"))],
    "too long": [rows((0, "[1, 2, 3, 4]"), (1, "[1, 2, 3, 4]"))],
    "ragged": [rows((0, "[1, 2, 3]"), (1, "[1, 2]"))],
    "NaN": [rows((0, "[1, 2, 3]"), (1, "[1, NaN, 3]"))],
    "infinite": [rows((0, "[1, 2, 3]"), (1, "[1, 1e999, 3]"))],
    "null number": [rows((0, "[1, 2, 3]"), (1, "[1, null, 3]"))],
    "words": [rows((0, "[1, 2, 3]"), (1, '["a", "b", "c"]'))],
    "all zero": [rows((0, "[1, 2, 3]"), (1, "[0, 0, 0]"))],
}


@pytest.mark.parametrize("script", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
async def test_a_bad_answer_is_unavailable_and_tells_no_key(embedder, service, script):
    service.script = list(script)
    with pytest.raises(EmbeddingUnavailable) as caught:
        await embedder.embed_passages(["one", "two"])
    assert KEY not in str(caught.value) + repr(caught.value.extras)
    assert (caught.value.status, caught.value.retryable) == (503, True)
    assert len(service.requests) == len(script)


async def test_one_deadline_for_everything(embedder, service):
    service.delay_s = 5
    with pytest.raises(EmbeddingUnavailable, match="within 2 s"):
        await embedder.embed_query("hello")
    assert len(service.requests) == 1


async def test_nobody_listens():
    embedder = OpenAiEmbedder(f"http://127.0.0.1:{unused_port()}", KEY, "tiny", DIMENSION)
    with pytest.raises(EmbeddingUnavailable, match="cannot be reached"):
        await embedder.embed_query("hello")
    await embedder.close()


async def test_the_service_hangs_up_half_way():
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{"data": [')
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(half, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        embedder = OpenAiEmbedder(f"http://127.0.0.1:{port}", KEY, "tiny", DIMENSION)
        with pytest.raises(EmbeddingUnavailable):
            await embedder.embed_query("hello")
        await embedder.close()


async def test_an_endless_answer_is_cut_off(embedder, service):
    service.script = [body(" " * (33 * 2**20))]
    with pytest.raises(EmbeddingUnavailable, match="too long"):
        await embedder.embed_query("hello")


async def test_closing_what_was_never_used():
    await OpenAiEmbedder("http://127.0.0.1:9", KEY, "tiny", DIMENSION).close()
