import orjson
import pytest

from app.llm import answer as module
from app.llm.answer import Answer
from app.llm.failures import ProviderFailed


def event(**chunk) -> bytes:
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


def said(text, **more) -> bytes:
    return event(choices=[{"delta": {"content": text}, **more}])


DONE = b"data: [DONE]\n\n"
STOP = event(choices=[{"delta": {}, "finish_reason": "stop"}])


def read(*chunks: bytes) -> Answer:
    answer = Answer()
    for chunk in chunks:
        answer.feed(chunk)
        if answer.finished:
            return answer
    answer.end()
    return answer


def outcome(*chunks: bytes) -> str:
    with pytest.raises(ProviderFailed) as failed:
        read(*chunks)
    return failed.value.outcome


def test_tokens_of_one_read_come_as_one_text():
    answer = Answer()
    assert answer.feed(said("a ") + said("b")) == "a b"
    assert answer.feed(said(" c") + DONE) == " c"
    assert (answer.text, answer.finished, answer.tokens) == ("a b c", True, 3)


def test_white_space_waits_for_a_word():
    answer = Answer()
    assert answer.feed(said("\n")) == ""
    assert answer.feed(said("  yes ")) == "yes "
    assert answer.feed(said("\n")) == "\n"


@pytest.mark.parametrize("ending", [(DONE,), (STOP,), (STOP, DONE), (STOP + DONE,)])
def test_either_end_mark_will_do(ending):
    assert read(said("yes"), *ending).text == "yes"


def test_usage_model_and_cost():
    usage = event(choices=[], usage={"prompt_tokens": 9, "completion_tokens": 2, "cost": 0.5})
    answer = read(event(model="m", choices=[{"delta": {"content": "x"}}]), STOP + usage + DONE)
    assert answer.model == "m"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (9, 2)
    assert answer.usage.cost_usd == 0.5


def test_usage_of_nulls_is_zero():
    usage = event(choices=None, usage={"prompt_tokens": None, "cost": None})
    answer = read(said("x"), usage + DONE)
    assert (answer.usage.prompt_tokens, answer.usage.cost_usd) == (0, None)


def test_content_in_parts():
    parts = [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]
    assert read(said(parts), DONE).text == "ab"


def test_length_keeps_the_text_it_has():
    assert read(said("long", finish_reason="length"), DONE).text == "long"


@pytest.mark.parametrize("delta", [{"refusal": "I cannot"}, {}])
def test_a_refusal_without_text(delta):
    answer = read(event(choices=[{"delta": delta, "finish_reason": "content_filter"}]), DONE)
    assert answer.refused
    assert answer.text == ""


def test_a_filter_after_text_is_no_refusal():
    assert not read(said("some", finish_reason="content_filter"), DONE).refused


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ((DONE,), "empty"),
        ((), "empty"),
        ((STOP, DONE), "empty"),
        ((said(" \n "), DONE), "empty"),
        ((event(choices=[{"delta": {}, "finish_reason": "length"}]), DONE), "empty"),
        (
            (event(choices=[{"delta": {"tool_calls": [{}]}, "finish_reason": "tool_calls"}]),),
            "empty",
        ),
        ((said("half"),), "cut"),
        ((b": ping\n\n",), "cut"),
        ((b"data: nonsense\n\n",), "malformed"),
        ((b"data: 42\n\n",), "malformed"),
        ((b"data: \xff\n\n",), "malformed"),
        ((b"  <html>",), "malformed"),
        ((b'{"choices": [', b'{"message"'), "malformed"),
        ((b'{"error": {"message": "no"}}',), "server_error"),
        ((b'[{"error": {"code": 429}}]',), "rate_limited"),
        ((event(error={"code": "429"}),), "rate_limited"),
        ((event(error={"code": "context_length_exceeded"}),), "context_overflow"),
        ((event(error="broken"),), "server_error"),
        ((said("a", finish_reason="error"),), "server_error"),
    ],
)
def test_what_is_no_answer(chunks, expected):
    assert outcome(*chunks) == expected


def test_a_document_instead_of_events():
    body = orjson.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]})
    answer = Answer()
    assert answer.feed(b"\n ") == answer.feed(body[:9]) == answer.feed(body[9:]) == ""
    assert answer.end() == "hi"


@pytest.mark.parametrize(
    ("limit", "chunk"),
    [
        ("MAX_TEXT_CHARS", said("x" * 50)),
        ("MAX_STREAM_BYTES", said("x")),
        ("MAX_BODY_BYTES", b'{"a": "bbbbbbbbbbbb'),
    ],
)
def test_limits(monkeypatch, limit, chunk):
    monkeypatch.setattr(module, limit, 10)
    assert outcome(chunk) == "malformed"
