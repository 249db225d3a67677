from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.llm.failures import ProviderFailed
from app.llm.sse import MAX_EVENT_BYTES, EventParser

STREAM = (
    ": OPENROUTER PROCESSING\n\n"
    'data: {"a": "ü🚀"}\n\n'
    'data:{"b":1}\r\n\r\n'
    "id: 7\nevent: message\nretry: 10\ndata: one\ndata:  two\n\n"
    ":comment\rdata: [DONE]\r\r"
).encode()
EVENTS = ['{"a": "ü🚀"}'.encode(), b'{"b":1}', b"one\n two", b"[DONE]"]


def parse(*chunks: bytes) -> list[bytes]:
    parser = EventParser()
    found = [event for chunk in chunks for event in parser.feed(chunk)]
    return found + parser.finish()


def test_events_of_a_stream():
    assert parse(STREAM) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=len(STREAM)))
def test_slicing_never_matters(cuts):
    edges = [0, *sorted(cuts), len(STREAM)]
    assert parse(*(STREAM[a:b] for a, b in pairwise(edges))) == EVENTS


def test_every_byte_on_its_own():
    assert parse(*(STREAM[at : at + 1] for at in range(len(STREAM)))) == EVENTS


@given(st.binary(max_size=300), st.data())
def test_any_bytes_give_the_same_events_however_sliced(stream, data):
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    edges = [0, *sorted(cuts), len(stream)]
    assert parse(*(stream[a:b] for a, b in pairwise(edges))) == parse(stream)


@given(st.lists(st.text().filter(lambda t: "\n" not in t and "\r" not in t and t), max_size=5))
def test_data_comes_back_whole(texts):
    stream = "".join(f"data: {text}\n\n" for text in texts).encode()
    assert parse(stream) == [text.encode() for text in texts]


def test_the_last_event_needs_no_blank_line():
    assert parse(b"data: [DONE]") == [b"[DONE]"]
    assert parse(b"data: [DONE]\n") == [b"[DONE]"]


def test_an_endless_line_is_refused():
    parser = EventParser()
    for _ in range(MAX_EVENT_BYTES // 65_536):
        assert parser.feed(b"x" * 65_536) == []
    with pytest.raises(ProviderFailed, match="malformed"):
        parser.feed(b"x")
