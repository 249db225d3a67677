"""Traces begin where they are wanted, hang together over tasks, and cost nothing elsewhere."""

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import NotFound
from app.infra.tracing import (
    MOST_CHARS,
    KeptSpan,
    Masked,
    Score,
    Tracer,
    begin_span,
    current_span,
    masked,
)
from tests.fakes import KeptSpans

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
WANTED = f"00-{TRACE}-{PARENT}-01".encode()


async def test_what_happens_in_tasks_of_a_trace_is_within_it() -> None:
    kept = KeptSpans()

    async def work(name: str) -> None:
        with begin_span(name, {"n": 1}) as span:
            await asyncio.sleep(0)
            begin_span(f"{name} deeper", {}).end()
            span.note({"m": 2, "unknown": None})

    with Tracer([kept]).begin("root", kind="server") as root:
        await asyncio.gather(work("one"), work("two"))
        root.share("question", {"session.id": "s"})
    spans = {span.name: span for span in kept.spans}
    assert {span.trace_id for span in kept.spans} == {root.trace_id}
    assert (spans["root"].kind, spans["root"].parent_id) == ("server", "")
    for name in ("one", "two"):
        assert spans[name].parent_id == spans["root"].span_id
        assert spans[f"{name} deeper"].parent_id == spans[name].span_id
        assert spans[name].attributes == {"n": 1, "m": 2}
    assert spans["one"].trace.shared == {"session.id": "s"}
    assert kept.spans[-1].name == "root"
    assert all(span.ended_ns >= span.started_ns > 0 for span in kept.spans)
    assert current_span().trace_id is None


def test_where_nobody_looks_nothing_is_made() -> None:
    def text() -> Masked:
        raise AssertionError("nobody wants it")

    kept = KeptSpans()
    for root in (
        Tracer().begin("root", kind="server", traceparent=WANTED),
        Tracer([kept], sample_rate=0).begin("root", kind="server"),
    ):
        with root, begin_span("within", {}) as span:
            root.rename("other")
            root.share("job", {})
            root.quote("said", text, 1)
            span.note({"n": 1})
            root.drop()
            assert current_span().kept_trace_id is None
        assert root.kept_trace_id is None
    assert kept.spans == []


def test_only_what_was_wanted_is_said() -> None:
    off, on = KeptSpans(), KeptSpans()
    for kept, content in ((off, False), (on, True)):
        with Tracer([kept], content=content).begin("root", kind="server") as root:
            root.quote("said", lambda: masked("hello"), 5)
    assert off.spans[0].attributes == {}
    assert (on.spans[0].attributes, on.spans[0].chars) == ({"said": "hello"}, 5)


def test_a_caller_may_name_the_trace_and_ask_for_none() -> None:
    tracer = Tracer([KeptSpans()])
    root = tracer.begin("root", kind="server", traceparent=WANTED)
    assert isinstance(root, KeptSpan)
    assert (root.trace_id, root.parent_id, root.kept_trace_id) == (TRACE, PARENT, TRACE)
    later = tracer.begin("root", kind="server", traceparent=b"01-" + WANTED[3:] + b"-more")
    assert later.trace_id == TRACE
    unwanted = tracer.begin("root", kind="server", traceparent=WANTED[:-2] + b"00")
    assert (unwanted.trace_id, unwanted.kept_trace_id) == (TRACE, None)
    assert unwanted.logged == {"trace_id": TRACE}


def test_a_trace_that_nobody_has_room_for_is_not_begun() -> None:
    full, roomy = KeptSpans(rooms=0), KeptSpans(rooms=1)
    tracer = Tracer([full, roomy])
    assert tracer.begin("root", kind="server").kept_trace_id
    late = tracer.begin("root", kind="server", traceparent=WANTED)
    assert (late.trace_id, late.kept_trace_id) == (TRACE, None)
    assert (full.refused, roomy.refused) == (2, 1), "each counts what it refuses"


def test_a_caller_cannot_make_us_keep_more() -> None:
    tracer = Tracer([KeptSpans()], sample_rate=0.25)
    drawn = [
        tracer.begin("root", kind="server", traceparent=WANTED).kept_trace_id for _ in range(2000)
    ]
    assert 350 < len([one for one in drawn if one]) < 650  # eight standard deviations


@pytest.mark.parametrize(
    "told",
    [
        b"", b"00", WANTED.upper(), WANTED + b"-", b"ff" + WANTED[2:], WANTED + b"\n",
        b"00-" + b"0" * 32 + WANTED[35:], WANTED[:36] + b"0" * 16 + b"-01", b"x" * 100_000,
    ],
    ids=lambda told: told[:60].decode(),
)  # fmt: skip
def test_what_is_no_parent_begins_a_trace_of_its_own(told: bytes) -> None:
    root = Tracer([KeptSpans()]).begin("root", kind="server", traceparent=told)
    assert isinstance(root, KeptSpan)
    assert re.fullmatch("[0-9a-f]{32}", root.trace_id or "")
    assert (root.trace_id != TRACE, root.parent_id) == (True, "")


@given(st.binary(max_size=80) | st.builds(lambda tail: WANTED[:-2] + tail, st.binary(max_size=9)))
def test_no_header_breaks_it(told: bytes) -> None:
    root = Tracer([KeptSpans()]).begin("root", kind="server", traceparent=told)
    assert re.fullmatch("[0-9a-f]{32}", root.trace_id or "")


@pytest.mark.parametrize(
    ("error", "slug"),
    [(NotFound("dk_secret"), "not_found"), (ValueError("dk_secret"), "ValueError"), (None, None)],
)
def test_an_error_is_a_slug_without_its_text(error: Exception | None, slug: str | None) -> None:
    kept = KeptSpans()
    try:
        with Tracer([kept]).begin("root", kind="server"):
            if error:
                raise error
    except (NotFound, ValueError):
        pass
    assert kept.spans[0].error == slug


def test_a_span_ends_once_and_one_that_was_dropped_never() -> None:
    kept = KeptSpans()
    tracer = Tracer([kept])
    with tracer.begin("root", kind="server") as root:
        root.end("cut")
    with tracer.begin("dropped", kind="server") as root:
        root.drop()
    assert [(span.name, span.error) for span in kept.spans] == [("root", "cut")]


def test_nobody_waits_for_the_masking_of_what_was_said() -> None:
    asked: list[str] = []

    def text() -> Masked:
        asked.append("now")
        return masked("Ask ada@example.org.")

    taken: list[KeptSpan] = []
    kept = KeptSpans()
    kept.take = taken.append  # type: ignore[method-assign] # who does not look at it yet
    with Tracer([kept], content=True).begin("root", kind="server") as root:
        root.quote("said", text, 20)
    assert (asked, taken[0].chars) == ([], 20)
    assert taken[0].spelt_out() == {"said": "Ask ***."}
    assert taken[0].spelt_out() == {"said": "Ask ***."}
    assert asked == ["now"], "once, however many exporters there are"


def test_no_half_of_a_secret_is_left_by_a_cut() -> None:
    key = "dk_" + "canary" * 8
    text = "x" * (MOST_CHARS - 20) + " " + key
    assert "can" not in masked(text)
    assert len(masked("y" * 2 * MOST_CHARS)) == MOST_CHARS


@pytest.mark.parametrize(("content", "comment"), [(False, None), (True, "Ask ***.")])
def test_a_comment_leaves_only_masked_and_if_wanted(content: bool, comment: str | None) -> None:
    kept = KeptSpans()
    said = Score("ans_1-key_1", TRACE, -1, "Ask ada@example.org.")
    Tracer([kept], content=content).score(said)
    assert kept.scores == [Score("ans_1-key_1", TRACE, -1, comment)]
