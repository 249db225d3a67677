"""Chunks are deltas of one message; nothing is sent twice, and no half answer looks whole."""

from collections.abc import AsyncGenerator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat.answer import ABSTENTION
from app.chat.events import Answered, Begun, ChatEvent, Restarted, Said
from app.chat.openai_stream import AnswerBroken, Sent, tell
from app.errors import AppError
from app.llm.failures import AllProvidersFailed
from app.retrieval.search import Retrieved
from tests.unit.chat.test_openai_answer import answered

BEGUN = Begun("ans_1", "", Retrieved((), 1.0, 2.0))


class Source:
    """Gives events, then maybe fails; notes that it was closed."""

    def __init__(self, *events: ChatEvent | Exception) -> None:
        self.events = events
        self.closed = False

    async def stream(self) -> AsyncGenerator[ChatEvent]:
        try:
            for event in (BEGUN, *self.events):
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.closed = True


async def chunks(
    *events: ChatEvent | Exception, usage: bool = False, stops: tuple[str, ...] = ()
) -> list[Any]:
    """The chunks as parsed JSON; the last event must be ``[DONE]``, and there only once."""
    source = Source(*events)
    told = tell(source.stream(), "docent", include_usage=usage, stops=stops)
    sent = [data async for data in told]
    assert source.closed
    *parts, done, rest = b"".join(sent).split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    assert all(part.startswith(b"data: {") and b"\n" not in part for part in parts)
    return [orjson.loads(part[6:]) for part in parts]


def text_of(parts: list[Any]) -> str:
    return "".join(c["delta"].get("content", "") for part in parts for c in part["choices"])


async def test_a_message_is_a_role_then_text_then_annotations_then_an_end() -> None:
    parts = await chunks(Said("The limit is"), Said(" 10 MB [1]."), Answered(answered()))
    shared = {"id", "object", "created", "model", "choices"}
    assert all(set(part) - {"docent"} == shared for part in parts)
    assert {(part["id"], part["object"], part["model"]) for part in parts} == {
        ("ans_1", "chat.completion.chunk", "docent")
    }
    choices = [part["choices"][0] for part in parts]
    assert [choice["index"] for choice in choices] == [0] * 5
    first, one, two, cited, end = [choice["delta"] for choice in choices]
    assert first == {"role": "assistant", "content": ""}
    assert (one, two, end) == ({"content": "The limit is"}, {"content": " 10 MB [1]."}, {})
    [annotation] = cited["annotations"]
    assert (annotation["type"], annotation["file_id"]) == ("file_citation", "doc_1")
    assert [choice["finish_reason"] for choice in choices] == [None] * 4 + ["stop"]
    assert parts[-1]["docent"]["provider"] == "groq"


async def test_usage_only_when_asked_for_and_in_a_chunk_of_its_own() -> None:
    parts = await chunks(Said("x"), Answered(answered("x")), usage=True)
    assert [part["usage"] for part in parts[:-1]] == [None] * 3
    assert parts[-1]["choices"] == []
    assert parts[-1]["usage"] == {
        "prompt_tokens": 800, "completion_tokens": 60, "total_tokens": 860,
    }  # fmt: skip
    assert all("usage" not in part for part in await chunks(Said("x"), Answered(answered("x"))))


async def test_an_abstention_has_no_annotations() -> None:
    answer = answered(text=ABSTENTION, citations=(), status="abstained", reason="no_match")
    parts = await chunks(Said(ABSTENTION), Answered(answer))
    assert text_of(parts) == ABSTENTION
    assert not any("annotations" in part["choices"][0]["delta"] for part in parts)


async def test_another_provider_goes_on_where_the_first_one_died() -> None:
    parts = await chunks(
        Said("The limit"), Restarted("cut"), Said("The"), Said(" limit"), Restarted("stalled"),
        Said("The lim"), Said("it is 10"), Said(" MB [1]."), Answered(answered()),
    )  # fmt: skip
    assert text_of(parts) == "The limit is 10 MB [1]."
    assert parts[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    "after",
    [(Said("About ten"), Answered(answered("About ten"))), (Said("The"), Answered(answered("The"))),
     (Said("The"), AllProvidersFailed(())), (Answered(answered("")),)],
    ids=["another", "shorter", "died again", "nothing"],
)  # fmt: skip
async def test_another_answer_is_not_mixed_in_and_the_half_one_is_no_end(after: tuple) -> None:
    parts = await chunks(Said("The limit"), Restarted("cut"), *after, usage=True)
    assert text_of(parts) == "The limit"
    end = parts[-1]
    assert (end["choices"][0]["finish_reason"], end["choices"][0]["delta"]) == ("error", {})
    assert set(end["error"]) == {"message", "type", "param", "code"}
    assert end["error"]["type"] == "server_error"
    assert end["error"]["code"] in ("provider_failed", "providers_failed")
    assert [part["choices"][0]["finish_reason"] for part in parts[:-1]] == [None, None]


async def test_the_source_is_left_as_soon_as_it_cannot_be_gone_on_with() -> None:
    unread = Said("more")
    source = Source(Said("a"), Restarted("cut"), Said("b"), unread)
    stream = tell(source.stream(), "docent", include_usage=False)
    await anext(stream)
    assert b"error" in await anext(stream)
    assert [data async for data in stream] == []
    assert source.closed


async def test_what_fails_before_the_first_text_is_raised() -> None:
    for error in (AllProvidersFailed(()), ValueError("x")):
        source = Source(error)
        with pytest.raises(type(error)):
            await anext(tell(source.stream(), "docent", include_usage=False))
        assert source.closed


async def test_an_error_nobody_expected_ends_a_stream_without_a_word_of_it() -> None:
    parts = await chunks(Said("The limit"), ValueError("SELECT hunter2"))
    assert parts[-1]["error"]["code"] == AppError.code
    assert "hunter2" not in str(parts)


async def test_a_reader_that_leaves_closes_the_source() -> None:
    source = Source(Said("a"), Said("b"))
    stream = tell(source.stream(), "docent", include_usage=False)
    await anext(stream)
    await stream.aclose()
    assert source.closed


@given(st.text(), st.lists(st.text(max_size=5)), st.lists(st.text(max_size=5)))
def test_what_is_sent_is_one_whole_answer_or_an_error(
    start: str, first: list[str], second: list[str]
) -> None:
    sent = Sent()
    told = [sent.follow(piece) for piece in (start, *first)]
    sent.restart()
    try:
        told += [sent.follow(piece) for piece in (start, *second)]
        sent.end()
    except AnswerBroken:
        one, other = "".join(first), "".join(second)
        assert not other.startswith(one)
        assert "".join(told) == start + one
    else:
        assert "".join(told) == start + "".join(second)


@pytest.mark.parametrize(("stops", "left"), [((" [1]",), 0), (("100", "[1].x"), 1)])
async def test_the_text_ends_where_the_caller_wants_it_to(
    stops: tuple[str, ...], left: int
) -> None:
    answer = answered()
    said = [Said(character) for character in answer.text]
    parts = await chunks(*said, Answered(answer), stops=stops)
    told = answer.text if left else answer.text.partition(stops[0])[0]
    assert text_of(parts) == told
    annotated = [part for part in parts if "annotations" in part["choices"][0]["delta"]]
    assert len(annotated) == left
    assert parts[-1]["choices"][0]["finish_reason"] == "stop"
