"""/v1 as it is assembled: one pipeline, OpenAI's shapes, errors before the first byte."""

import asyncio
from typing import Any

import httpx
import pytest

from app.chat.pipeline import ChatPipeline
from app.infra.postgres import DatabaseUnavailable
from app.llm.completion import Completion, CompletionRequest, Message
from app.llm.failures import AllProvidersFailed
from tests.fakes import NO_CACHE, FixedRetriever, Kept, ScriptedProvider, passage
from tests.unit.test_factory import KEY, client_of, made

ASKED: dict[str, Any] = {"model": "docent", "messages": [{"role": "user", "content": "How large?"}]}


def over(provider: ScriptedProvider, retriever: FixedRetriever | None = None) -> Any:
    found = retriever or FixedRetriever(passage())
    chat = ChatPipeline(found, provider, Kept(), NO_CACHE)  # type: ignore[arg-type]
    return client_of(made(provider=provider, chat=chat))


def saying(text: str = "The limit is 10 MB [1].") -> ScriptedProvider:
    return ScriptedProvider(Completion(text, "scripted", "m"))


async def test_a_completion_and_what_the_provider_was_asked() -> None:
    provider = saying()
    body = {"model": "scripted", "temperature": 0.1, "max_tokens": 9, "messages": [
        {"role": "system", "content": "You are a pirate."}, *ASKED["messages"],
    ]}  # fmt: skip
    headers = {**KEY, "X-Provider-Key-Groq": "gsk_mine"}
    async with over(provider) as client:
        reply = await client.post("/v1/chat/completions", json=body, headers=headers)
    assert reply.status_code == 200
    assert reply.headers["x-docent-provider"] == "scripted"
    assert reply.headers["content-type"] == "application/json"
    shape = reply.json()
    assert shape["model"] == "scripted"
    assert shape["choices"][0]["message"]["annotations"][0]["quote"] == "The limit is 10 MB"
    [request] = provider.requests
    assert [message.role for message in request.messages] == ["system", "user", "user"]
    assert request.messages[1] == Message("user", "You are a pirate.")
    assert (request.question, request.model) == ("How large?", "scripted")
    assert (request.temperature, request.max_tokens) == (0.1, 9)
    assert request.keys == {"groq": "gsk_mine"}


async def test_stops_are_the_callers_alone() -> None:
    provider = saying()
    async with over(provider) as client:
        reply = await client.post(
            "/v1/chat/completions", json={**ASKED, "stop": [" MB"]}, headers=KEY
        )
    [choice] = reply.json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("The limit is 10", "stop")
    assert choice["message"]["annotations"] == []


async def test_a_stream() -> None:
    async with over(saying()) as client:
        reply = await client.post(
            "/v1/chat/completions", json={**ASKED, "stream": True}, headers=KEY
        )
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert (reply.headers["cache-control"], reply.headers["x-accel-buffering"]) == (
        "no-cache",
        "no",
    )
    assert reply.headers["x-request-id"]
    assert reply.text.count("data: [DONE]") == 1
    assert reply.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("headers", "kind"),
    [({}, "file_citation"), ({"User-Agent": "OpenAI/Python 3.3.0"}, "file_citation"),
     ({"User-Agent": "pydantic-ai/2.38.0"}, "url_citation"),
     ({"User-Agent": "ai/6.0.326 ai-sdk/provider-utils/4.0.66 runtime/node.js/v20"},
      "url_citation"),
     ({"X-Docent-Annotations": "url_citation"}, "url_citation"),
     ({"X-Docent-Annotations": "file_citation", "User-Agent": "ai/6.0"}, "file_citation")],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
async def test_annotations_are_of_the_kind_that_the_client_reads(
    headers: dict[str, str], kind: str, stream: bool
) -> None:
    async with over(saying()) as client:
        reply = await client.post(
            "/v1/chat/completions", json={**ASKED, "stream": stream}, headers={**KEY, **headers}
        )
    kinds = [each for each in ("file_citation", "url_citation") if f'"type":"{each}"' in reply.text]
    assert kinds == [kind]


async def test_a_kind_of_annotation_that_is_none() -> None:
    headers = {**KEY, "X-Docent-Annotations": "footnotes"}
    async with over(saying()) as client:
        reply = await client.post("/v1/chat/completions", json=ASKED, headers=headers)
    assert reply.status_code == 422
    assert "X-Docent-Annotations" in reply.json()["error"]["message"]


async def test_what_openai_has_besides_is_said_not_to_be_here() -> None:
    async with client_of(made()) as client:
        reply = await client.post("/v1/responses", json={"input": "x"}, headers=KEY)
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "not_found")
    assert "/v1/chat/completions" in reply.json()["error"]["message"]


async def test_an_unknown_model_is_not_found_before_anything_is_searched() -> None:
    retriever = FixedRetriever(passage())
    async with over(saying(), retriever) as client:
        for stream in (False, True):
            reply = await client.post(
                "/v1/chat/completions",
                json={**ASKED, "model": "gpt-4o", "stream": stream},
                headers=KEY,
            )
            assert reply.status_code == 404
            error = reply.json()["error"]
            assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert retriever.asked == []


@pytest.mark.parametrize("stream", [False, True])
async def test_what_fails_before_any_text_is_a_response(stream: bool) -> None:
    class Failing(ScriptedProvider):
        async def stream(self, request: CompletionRequest):
            raise AllProvidersFailed((), retry_after_s=9)
            yield

    class Down(FixedRetriever):
        async def retrieve(self, *args: Any, **kwargs: Any):
            raise DatabaseUnavailable

    for provider, retriever, code in (
        (Failing(None), None, "providers_failed"),
        (saying(), Down(), "database_unavailable"),
    ):
        async with over(provider, retriever) as client:
            reply = await client.post(
                "/v1/chat/completions", json={**ASKED, "stream": stream}, headers=KEY
            )
        assert reply.status_code == 503
        assert int(reply.headers["retry-after"]) > 0
        assert set(reply.json()) == {"error"}
        assert (reply.json()["error"]["code"], reply.json()["error"]["type"]) == (
            code,
            "server_error",
        )


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [({**ASKED, "n": 2}, 400, "n"), ({"model": "docent"}, 422, "messages"),
     ({**ASKED, "messages": [{"role": "king", "content": "x"}]}, 422, "messages[0].role"),
     ({**ASKED, "messages": [{"role": "user", "content": 7}]}, 422, "messages[0].content"),
     ({**ASKED, "messages": [{"role": "user", "content": ""}]}, 422, "messages[0].content"),
     ({**ASKED, "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400,
      "messages[0].content[0]"), ({**ASKED, "temperature": 9}, 422, "temperature"),
     ([], 422, "body")],
)  # fmt: skip
async def test_what_is_wrong_is_named(body: Any, status: int, param: str) -> None:
    async with over(saying()) as client:
        reply = await client.post("/v1/chat/completions", json=body, headers=KEY)
    error = reply.json()["error"]
    assert (reply.status_code, error["param"], error["type"]) == (
        status,
        param,
        "invalid_request_error",
    )


async def test_refusals_have_openais_shape() -> None:
    path, kind = "/v1/chat/completions", "Content-Type"
    async with client_of(made(settings={"max_body_bytes": 1024})) as client:
        replies = [
            await client.post(path, json=ASKED),
            await client.get("/v1/nothing", headers=KEY),
            await client.get(path, headers=KEY),
            await client.post(path, content=b"x" * 1100, headers=KEY),
            await client.post(path, content=b"{}", headers={**KEY, kind: "text/plain"}),
            await client.post(path, content=b"{", headers={**KEY, kind: "application/json"}),
        ]  # fmt: skip
    assert [reply.status_code for reply in replies] == [401, 404, 405, 413, 415, 422]
    for reply in replies:
        assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["x-request-id"]


async def test_models_are_listed_and_shown() -> None:
    async with client_of(made()) as client:
        listed = (await client.get("/v1/models", headers=KEY)).json()
        assert [model["id"] for model in listed["data"]] == ["docent", "scripted"]
        for model in listed["data"]:
            shown = await client.get(f"/v1/models/{model['id']}", headers=KEY)
            assert shown.json() == model
        gone = await client.get("/v1/models/google/gemini", headers=KEY)
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "model_not_found")


async def test_a_client_that_leaves_ends_the_call_streaming_or_not() -> None:
    asked, ended = asyncio.Event(), asyncio.Event()

    class Slow(ScriptedProvider):
        async def stream(self, request: CompletionRequest):
            asked.set()
            try:
                await asyncio.Event().wait()
                yield
            finally:
                ended.set()

    for stream in (False, True):
        asked.clear()
        ended.clear()
        await leave(Slow(None), {**ASKED, "stream": stream}, asked)
        assert ended.is_set()


async def leave(provider: ScriptedProvider, body: dict, when: asyncio.Event) -> None:
    """Ask, and hang up ``when`` the provider is at work; returns when the application has."""
    chat = ChatPipeline(FixedRetriever(passage()), provider, Kept(), NO_CACHE)  # type: ignore[arg-type]
    app = made(provider=provider, chat=chat)
    request = httpx.Request("POST", "http://t/v1/chat/completions", json=body, headers=KEY)
    scope = {
        "type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "raw_path": b"/v1/chat/completions",
    }  # fmt: skip
    messages = [{"type": "http.request", "body": request.content, "more_body": False}]

    async def receive() -> dict:
        if messages:
            return messages.pop()
        await when.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict) -> None:
        """Nobody is there."""

    async with app.router.lifespan_context(app), asyncio.timeout(10):
        await app(scope, receive, send)
