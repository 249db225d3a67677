import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize("size", [1, 3, 99])
def test_what_a_model_thinks_aloud_is_not_its_answer(size):
    told = "\n<think>\nThey want <b>the limit</b>.\n</think>\n\nIt is 10 MB <think>."
    pieces = [said(told[at : at + size]) for at in range(0, len(told), size)]
    assert read(*pieces, DONE).text == "It is 10 MB <think>."


@pytest.mark.parametrize("text", ["<", "<thin", "<thing>"])
def test_what_only_begins_like_a_thought_is_told(text):
    assert read(said(text), DONE).text == text
    assert read(said(text), STOP).text == text


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
        ((said("<think>"), said("so it"), STOP, DONE), "empty"),
        ((said("<think>so", finish_reason="length"),), "empty"),
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
        ((said("a", finish_reason="abort"), DONE), "server_error"),
        ((said("half "), event(object="error", message="gone", code=503), DONE), "server_error"),
        ((said("half "), b'event: error\ndata: {"message": "gone"}\n\n', DONE), "server_error"),
        ((b'{"detail": "Unauthorized"}',), "server_error"),
        ((event(error={"code": "\u00b2"}),), "server_error"),
        ((event(error={"code": "9" * 5000}),), "server_error"),
        ((event(choices={"0": {}}), DONE), "malformed"),
        ((event(choices=["x"]), DONE), "malformed"),
        ((event(choices=[{"delta": "x"}]), DONE), "malformed"),
        ((said({"text": "x"}), DONE), "malformed"),
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


BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    "body",
    [
        said("first ") + said("last") + STOP + DONE,
        orjson.dumps(
            {"choices": [{"message": {"content": "first last"}, "finish_reason": "stop"}]}
        ),
    ],
)
@pytest.mark.parametrize("before", [BOM, b"\n" + BOM + b"\n"])
def test_a_byte_order_mark_takes_no_text_with_it(body, before):
    assert read(before + body).text == "first last"
    assert read(*(bytes([byte]) for byte in before + body)).text == "first last"


def test_one_of_several_choices_is_told():
    def choice(index, text):
        return {"index": index, "delta": {"content": text}}

    first = event(choices=[choice(0, "yes")])
    both = event(choices=[choice(1, "no"), choice(0, ", sir")])
    assert read(first, event(choices=[choice(1, "no")]), both, DONE).text == "yes, sir"


@pytest.mark.parametrize("reason", ["stop", "STOP", "end_turn", "eos_token"])
def test_an_answer_that_is_whole(reason):
    assert not read(said("all", finish_reason=reason), DONE).truncated


@pytest.mark.parametrize("reason", ["MAX_TOKENS", "model_length", "SAFETY", "tool_calls", {"a": 1}])
def test_what_may_be_half_an_answer_is_not_taken_for_a_whole_one(reason):
    assert read(said("half", finish_reason=reason), DONE).truncated


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 12.0, "completion_tokens": 3.0, "cost": 1}, (12, 3, 1.0)),
        ({"prompt_tokens": -12, "completion_tokens": -3, "cost": -1}, (0, 0, None)),
        ({"prompt_tokens": 1e300, "completion_tokens": 1e30, "cost": 1e308}, (0, 0, None)),
        ({"prompt_tokens": "12", "completion_tokens": True, "cost": "1"}, (0, 0, None)),
        ({"prompt_tokens": {}, "completion_tokens": [1], "cost": True}, (0, 0, None)),
        ("n/a", (0, 0, None)),
        ([1], (0, 0, None)),
    ],
)
def test_figures_that_are_none_cost_nobody_the_answer(usage, expected):
    answer = read(said("yes"), event(choices=[], usage=usage), DONE)
    assert answer.text == "yes"
    used = answer.usage
    assert (used.prompt_tokens, used.completion_tokens, used.cost_usd) == expected
    assert isinstance(used.prompt_tokens, int)


def test_the_name_of_a_model_is_short_and_printable():
    assert read(event(model="m\0\n" * 999, choices=[]), said("x"), DONE).model == "m" * 67


def test_a_reason_that_repeats_the_key_is_told_without_it():
    key = "opensesame"
    answer = Answer(secret=key)
    with pytest.raises(ProviderFailed) as failed:
        answer.feed(event(choices=[{"delta": {}, "finish_reason": f"bad {key}"}]) + DONE)
    assert key not in str(failed.value)


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(
        st.sampled_from(
            ["choices", "delta", "message", "content", "text", "finish_reason", "usage", "cost",
             "prompt_tokens", "error", "code", "metadata", "model", "index", "detail"]
        ),
        inner,
        max_size=3,
    ),
    max_leaves=12,
)  # fmt: skip


@given(ODD, ODD, ODD)
def test_whatever_json_comes_is_an_answer_or_a_failure(chunk, choice, usage):
    chunks = [chunk, {"choices": [choice], "usage": usage}, {"choices": [{"delta": choice}]}]
    try:
        answer = read(*(b"data: %b\n\n" % orjson.dumps(one) for one in chunks), DONE)
    except ProviderFailed:
        return
    assert 0 <= answer.usage.prompt_tokens <= module.MAX_TOKENS
