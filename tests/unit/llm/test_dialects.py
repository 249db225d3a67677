"""Every peculiarity of a provider, over real HTTP, through a router with a second one behind it."""

import asyncio

import pytest

from app.llm.circuits import Circuits
from app.llm.completion import CompletionRequest, Delta, Message, Price, Reset, Usage
from app.llm.extractive import Extractive
from tests.fake_provider import ANSWER
from tests.unit.llm.asking import KEY, ask, collect, outcomes, request, source


def long_prompt(count: int = 8) -> CompletionRequest:
    texts = [f"passage {n} " + "x" * 300 for n in range(count)]
    return CompletionRequest(
        (Message("user", " ".join(texts) + " the whole question?"),),
        "the whole question?",
        tuple(source(text, n) for n, text in enumerate(texts, 1)),
        fewer=long_prompt,
        max_tokens=50,
    )


async def test_a_connection_that_was_closed_is_tried_once_more(build, fake):
    router = build("hangs_up", "ok")
    text, completion = await ask(router)
    assert text == ANSWER
    assert outcomes(completion) == [
        ("openrouter", "connect_failed"),
        ("openrouter", "connect_failed"),
        ("groq", "ok"),
    ]
    _, completion = await ask(router)
    assert outcomes(completion) == [("openrouter", "cooling_down"), ("groq", "ok")]
    assert len(fake.calls) == 4


async def test_a_stale_connection_costs_nothing_but_the_second_try(build, fake):
    router = build("m")
    await ask(router)
    fake.behaviour = "hangs_up"
    asking = asyncio.create_task(ask(router))
    await fake.until(lambda f: len(f.calls) == 2)
    fake.behaviour = None
    text, completion = await asking
    assert text == ANSWER
    assert outcomes(completion) == [("openrouter", "connect_failed"), ("openrouter", "ok")]
    assert router.models()[0].available


async def test_openrouters_comments_are_no_text(build):
    events = await collect(build("comments", "ok"))
    assert events[0] == Delta(ANSWER)
    assert outcomes(events[-1]) == [("openrouter", "ok")]


@pytest.mark.parametrize(
    ("model", "outcome"),
    [
        ("error_200:502", "server_error"),
        ("error_200:429", "rate_limited"),
        ("error_200:402", "unavailable"),
        ("groq_429", "rate_limited"),
        ("out_of_quota", "unavailable"),
        ("html", "malformed"),
        ("status:401", "auth_failed"),
        ("status:404", "unavailable"),
    ],
)
async def test_the_next_request_does_not_pay_for_it(build, fake, model, outcome):
    router = build(model, "ok")
    _, completion = await ask(router)
    assert outcomes(completion) == [("openrouter", outcome), ("groq", "ok")]
    for _ in range(3):
        _, completion = await ask(router)
        assert outcomes(completion) == [("openrouter", "cooling_down"), ("groq", "ok")]
    assert len(fake.calls) == 5


@pytest.mark.parametrize(
    ("model", "left_s"),
    [
        ("status:429", 60),
        ("status:429:600", 600),
        ("groq_429", 179.5),
        ("status:401", 3600),
        ("status:402", 3600),
        ("out_of_quota", 3600),
        ("status:500", 60),
    ],
)
async def test_how_long_it_is_left_alone(build, model, left_s):
    now, seen = 5.0, []
    circuits = Circuits(cooldown_s=60, clock=lambda: now, observe=seen.append)
    router = build(model, "ok", circuits=circuits)
    await ask(router)
    (change,) = seen
    assert (change.key.provider, change.state, change.open_s) == ("openrouter", "open", left_s)
    assert change.alert is (left_s == 3600)


async def test_an_error_in_mid_stream_starts_over(build):
    events = await collect(build("dies_with_error", "ok"))
    assert events[:-1] == [Delta("The limit "), Reset("server_error"), Delta(ANSWER)]
    assert events[-1].attempts[0].usage.completion_tokens > 0


async def test_overflow_is_answered_from_fewer_passages(build, fake):
    text, completion = await ask(build("refuses_words:1400", "ok"), long_prompt())
    assert text == ANSWER
    assert outcomes(completion) == [("openrouter", "context_overflow"), ("openrouter", "ok")]
    said = [call.body["messages"][0]["content"] for call in fake.calls]
    assert [words.count("passage") for words in said] == [8, 4]
    assert all(words.endswith("the whole question?") for words in said)


async def test_overflow_of_the_question_alone_goes_to_the_next(build, fake):
    _, completion = await ask(build("refuses_words:10", "ok"), long_prompt())
    assert outcomes(completion)[-2:] == [("openrouter", "context_overflow"), ("groq", "ok")]
    assert fake.calls[-1].body["messages"][0]["content"].count("passage") == 8, "whole again"


async def test_what_cannot_fit_is_not_even_sent(build, fake):
    router = build("m", facts={"context_tokens": 512}, then=[Extractive()])
    await ask(router, long_prompt())
    assert fake.calls[0].body["messages"][0]["content"].count("passage") == 4
    fake.calls.clear()
    endless = request("x" * 3000)
    _, completion = await ask(router, endless)
    assert fake.calls == []
    assert completion.attempts[0].outcome == "context_overflow"
    assert completion.attempts[0].ms == 0
    assert router.models()[0].available


@pytest.mark.parametrize(("model", "start"), [("moderated", []), ("moderated:late", ["delta"])])
async def test_moderation_is_an_abstention_and_nobody_else_is_asked(build, fake, model, start):
    router = build(model, "ok")
    for _ in range(2):
        events = await collect(router)
        assert events[:-1] == ([Delta("The limit "), Reset("malformed")] if start else [])
        assert (events[-1].text, events[-1].abstained) == ("", "refused")
        assert outcomes(events[-1]) == [("openrouter", "malformed")]
    assert len(fake.calls) == 2, "it is no outage either"


@pytest.mark.parametrize(
    ("reason", "truncated"), [("length", True), ("content_filter", True), ("stop", False)]
)
async def test_an_answer_that_was_cut_short_says_so(build, reason, truncated):
    _, completion = await ask(build(f"finishes:{reason}"))
    assert (completion.text, completion.truncated) == ("The limit ", truncated)


async def test_cost_is_told_or_computed_or_unknown(build):
    price = Price(1.0, 2.0)
    _, completion = await ask(build("ok", facts={"price": price}))
    assert completion.usage == Usage(12, 6, 0.00025), "OpenRouter says"
    _, completion = await ask(build("no", "ok", keys={"groq": KEY}, facts={"price": price}))
    assert completion.usage == Usage(12, 6, pytest.approx(24e-6))
    _, completion = await ask(build("no", "ok", keys={"groq": KEY}))
    assert completion.usage.cost_usd is None


async def test_tokens_that_nobody_counted_are_estimated(build):
    _, completion = await ask(build("counts_nothing", facts={"price": Price(1.0, 2.0)}))
    assert completion.usage.completion_tokens == 3
    assert completion.usage.prompt_tokens == 12
    assert completion.usage.cost_usd == pytest.approx(18e-6)


async def test_too_few_tokens_for_an_answer_take_the_provider_from_nobody(build, fake):
    """How many there are is the caller's to say."""
    router = build("thinks_to_the_end", "ok")
    for _ in range(3):
        _, completion = await ask(router)
        assert outcomes(completion) == [("openrouter", "empty"), ("groq", "ok")]
    assert router.models()[0].available
