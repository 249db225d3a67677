"""Stock clients of the OpenAI API against /v1 over real HTTP, unchanged: Python and JavaScript."""

import json
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.acceptance.conftest import CANARY, Api
from tests.acceptance.test_contract import IN_CORPUS, OUT_OF_CORPUS
from tests.conftest import ROOT

ASKED: dict[str, Any] = {
    "model": "docent",
    "messages": [{"role": "user", "content": IN_CORPUS[0]}],
}
#: Where `make test` installs the JavaScript client.
JAVASCRIPT = ROOT / ".venv" / "share" / "docent-tests" / "javascript"


@pytest.fixture
def stock(api: Api) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{api.url}/v1", api_key=api.key, max_retries=0) as client:
        yield client


def check_completion(shape: dict, client: httpx.Client) -> None:
    """One whole answer, with every marker annotated and every quote on its page."""
    [choice] = shape["choices"]
    message = choice["message"]
    assert (choice["index"], choice["finish_reason"], message["role"]) == (0, "stop", "assistant")
    text = message["content"]
    assert message["annotations"]
    for annotation in message["annotations"]:
        assert annotation["type"] == "file_citation"
        marker = text[annotation["start_index"] : annotation["end_index"]]
        assert marker.startswith("[")
        assert marker.endswith("]")
        path = f"/api/v1/docs/{annotation['file_id']}/pages/{annotation['page']}"
        page = client.get(path, params={"version": annotation["version"]}).json()
        assert annotation["quote"] in page["text"]
        assert annotation["filename"].endswith(".pdf")


def test_a_completion(stock: openai.OpenAI, client: httpx.Client) -> None:
    completion = stock.chat.completions.create(**ASKED)
    assert isinstance(completion, openai.types.chat.ChatCompletion)
    assert (completion.object, completion.model) == ("chat.completion", "docent")
    assert completion.usage is not None
    assert completion.usage.total_tokens == 0, "the extractive provider counts no tokens"
    check_completion(completion.model_dump(), client)
    native = client.post("/api/v1/chat", json={"question": IN_CORPUS[0]}).json()
    assert completion.choices[0].message.content == native["answer"]


def test_a_stream_adds_up_to_the_same_answer(stock: openai.OpenAI, client: httpx.Client) -> None:
    whole = stock.chat.completions.create(**ASKED).choices[0].message.model_dump()
    with stock.chat.completions.create(
        **ASKED, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    *told, last = chunks
    assert last.choices == []
    assert last.usage is not None
    assert all(chunk.usage is None and len(chunk.choices) == 1 for chunk in told)
    assert told[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in told) == whole["content"]
    assert [chunk.choices[0].finish_reason for chunk in told if chunk.choices[0].finish_reason] == [
        "stop"
    ]
    [cited] = [found for chunk in told if (found := chunk.choices[0].delta.model_extra)]
    for annotation in whole["annotations"]:
        assert annotation.pop("url_citation") is None, "the client knows no other kind"
    assert cited["annotations"] == whole["annotations"]
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_clients_own_helper_puts_a_stream_together(
    stock: openai.OpenAI, client: httpx.Client
) -> None:
    with stock.chat.completions.stream(**ASKED) as stream:
        for _ in stream:
            pass
        completion = stream.get_final_completion()
    check_completion(completion.model_dump(), client)


async def test_the_async_client(api: Api, client: httpx.Client) -> None:
    async with openai.AsyncOpenAI(base_url=f"{api.url}/v1", api_key=api.key) as stock:
        completion = await stock.chat.completions.create(**ASKED)
        check_completion(completion.model_dump(), client)
        pieces = [
            chunk.choices[0].delta.content or ""
            async for chunk in await stock.chat.completions.create(**ASKED, stream=True)
        ]
        assert "".join(pieces) == completion.choices[0].message.content
        assert [model.id async for model in stock.models.list()] == ["docent", "extractive"]


def test_a_conversation_and_what_clients_send_besides(stock: openai.OpenAI) -> None:
    completion = stock.chat.completions.create(
        model="extractive",
        messages=[
            {"role": "developer", "content": "You are a helpful assistant."},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hello! How can I help you [1]?"},
            {"role": "user", "content": [{"type": "text", "text": IN_CORPUS[0]}]},
        ],
        temperature=0.2, max_completion_tokens=100_000, top_p=1, presence_penalty=0, seed=1,
        user="ada", stop=["###"], extra_body={"api_base": "http://127.0.0.1:1", "anything": [1]},
    )  # fmt: skip
    assert completion.choices[0].message.annotations
    assert completion.model == "extractive"


@pytest.mark.parametrize("question", OUT_OF_CORPUS[:2])
def test_what_is_not_in_the_corpus_is_not_answered(stock: openai.OpenAI, question: str) -> None:
    messages: Any = [{"role": "user", "content": question}]
    completion = stock.chat.completions.create(model="docent", messages=messages)
    [choice] = completion.choices
    assert (choice.finish_reason, choice.message.annotations) == ("stop", [])
    assert completion.model_extra is not None
    assert completion.model_extra["docent"]["status"] == "abstained"


def test_models(stock: openai.OpenAI) -> None:
    assert [model.id for model in stock.models.list()] == ["docent", "extractive"]
    assert stock.models.retrieve("extractive").owned_by == "extractive"
    with pytest.raises(openai.NotFoundError):
        stock.models.retrieve("google/gemini-2.5-flash")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("changes", "raised", "code", "param"),
    [({"model": "gpt-4o"}, openai.NotFoundError, "model_not_found", "model"),
     ({"n": 2}, openai.BadRequestError, "unsupported_value", "n"),
     ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url":
       {"url": "https://example.com/a.png"}}]}]}, openai.BadRequestError, "unsupported_value",
      "messages[0].content[0]"),
     ({"messages": [{"role": "user", "content": " "}]}, openai.UnprocessableEntityError,
      "invalid_request", "messages[0].content"),
     ({"messages": [{"role": "user", "content": "x" * 4001}]}, openai.UnprocessableEntityError,
      "invalid_request", "messages[0].content"),
     ({"messages": []}, openai.UnprocessableEntityError, "invalid_request", "messages"),
     ({"temperature": 5}, openai.UnprocessableEntityError, "invalid_request", "temperature")],
)  # fmt: skip
def test_errors_are_the_clients_own(
    stock: openai.OpenAI, stream: bool, changes: dict, raised: type[openai.APIStatusError],
    code: str, param: str,
) -> None:  # fmt: skip
    with pytest.raises(raised) as error:
        stock.chat.completions.create(**{**ASKED, "stream": stream, **changes})
    assert (error.value.code, error.value.param) == (code, param)
    assert error.value.type == "invalid_request_error"
    assert error.value.request_id


def test_a_key_that_is_wrong_or_may_not_ask(api: Api) -> None:
    for key, raised in (
        ("dk_wrong", openai.AuthenticationError),
        (api.mint("docs:read"), openai.PermissionDeniedError),
    ):
        client = openai.OpenAI(base_url=f"{api.url}/v1", api_key=key, max_retries=0)
        with pytest.raises(raised):
            client.chat.completions.create(**ASKED)
        with pytest.raises(raised):
            client.models.list()
        client.close()


def test_another_tenants_text_is_in_no_completion(stock: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": f"What is the code word {CANARY}?"}]
    completion = stock.chat.completions.create(model="docent", messages=messages)
    assert CANARY not in completion.model_dump_json()


def test_the_bytes_of_a_stream(client: httpx.Client) -> None:
    with client.stream("POST", "/v1/chat/completions", json={**ASKED, "stream": True}) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        assert reply.headers["cache-control"] == "no-cache"
        assert reply.headers["x-accel-buffering"] == "no"
        assert reply.headers["x-request-id"]
        body = reply.read()
    events = body.split(b"\n\n")
    assert events[-2:] == [b"data: [DONE]", b""]
    for event in events[:-2]:
        assert event.startswith(b"data: {")
        assert b"\n" not in event
        chunk = json.loads(event.removeprefix(b"data: "))
        assert chunk["object"] == "chat.completion.chunk"
        assert chunk["choices"][0]["index"] == 0
        assert "usage" not in chunk


def test_the_stock_javascript_client(api: Api, client: httpx.Client) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed: the JavaScript client cannot be run")
    assert (JAVASCRIPT / "node_modules" / "openai").is_dir(), (
        f"run `make {JAVASCRIPT.relative_to(ROOT)}/installed`, as `make test` does"
    )
    script = Path("tests", "javascript", "client.mjs")
    ran = subprocess.run(
        ["node", script, JAVASCRIPT, f"{api.url}/v1", api.key, IN_CORPUS[0]],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    assert seen["models"] == ["docent", "extractive"]
    assert seen["one"]["id"] == "docent"
    check_completion(seen["whole"], client)
    check_completion(seen["helped"], client)
    *told, last = seen["chunks"]
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in told)
    assert text == seen["whole"]["choices"][0]["message"]["content"]
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 0)
    assert seen["failures"] == [
        {"name": "AuthenticationError", "status": 401, "code": "not_authenticated", "param": None},
        {"name": "NotFoundError", "status": 404, "code": "model_not_found", "param": "model"},
        {"name": "BadRequestError", "status": 400, "code": "unsupported_value", "param": "n"},
        {"name": "UnprocessableEntityError", "status": 422, "code": "invalid_request",
         "param": "messages[0].content"},
    ]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
def test_an_idempotency_key_gets_the_first_answer_again(
    client: httpx.Client, api: Api, stream: bool
) -> None:
    once, body = {"Idempotency-Key": uuid.uuid4().hex}, {**ASKED, "stream": stream}

    def ask(asking: httpx.Client, **changes: Any) -> httpx.Response:
        return asking.post("/v1/chat/completions", json={**body, **changes}, headers=once)

    first, again = ask(client), ask(client)
    assert (first.status_code, again.content) == (200, first.content), "with the same id"
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["content-type"] == first.headers["content-type"]
    other = ask(client, temperature=1)
    assert other.status_code == 422
    assert other.json()["error"]["code"] == "idempotency_key_reused"
    native = client.post("/api/v1/chat", json={"question": IN_CORPUS[0]}, headers=once)
    assert native.json()["code"] == "idempotency_key_reused"
    with api.client(api.mint("chat")) as colleague:
        theirs = ask(colleague)
    assert (theirs.status_code, theirs.content == first.content) == (200, False)
    wrong = client.post("/v1/chat/completions", json=body, headers={"Idempotency-Key": "x" * 256})
    assert wrong.status_code == 422
