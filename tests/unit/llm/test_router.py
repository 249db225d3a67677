import asyncio
from contextlib import aclosing

import pytest
import uvloop

from app.errors import InvalidRequest
from app.llm.circuits import Circuits
from app.llm.clock import Timeouts
from app.llm.completion import Completion, Delta, ModelInfo, Reset, Usage
from app.llm.extractive import Extractive
from app.llm.failures import RULES, AllProvidersFailed, ProviderFailed
from app.llm.openai_compatible import Model, OpenAiCompatible
from app.llm.router import Router, Routing
from tests.fake_provider import ANSWER, FakeProvider
from tests.unit.llm.asking import ask, collect, outcomes, request, source

QUOTED = source("A file may be at most 10 MB large. Larger files are refused.")


class Scripted:
    """A provider that says ``texts`` and then fails with ``failure``, answers, or hangs."""

    def __init__(self, name, *texts, failure=None, hangs=False):
        self.name, self.texts, self.failure, self.hangs = name, texts, failure, hangs
        self.upstream = "here"
        self.requests, self.closed, self.stopped = [], False, False
        self.asked = asyncio.Event()
        self.reached, self.gate = asyncio.Event(), None

    def models(self):
        return (ModelInfo(f"{self.name}-model", self.name, True, None, None),)

    async def close(self):
        self.closed = True

    async def stream(self, asked):
        self.requests.append(asked)
        self.asked.set()
        try:
            if self.gate:
                self.reached.set()
                await self.gate.wait()
            for text in self.texts:
                yield Delta(text)
            if self.hangs:
                await asyncio.Event().wait()
            if self.failure:
                raise self.failure
            yield Completion("".join(self.texts), self.name, f"{self.name}-model", Usage(3, 4))
        finally:
            self.stopped = True


def failing(name, outcome="server_error", *texts, retry_after_s=None):
    return Scripted(name, *texts, failure=ProviderFailed(outcome, "no", retry_after_s))


async def test_the_first_that_answers_wins():
    second = Scripted("b", "hello ", "world")
    third = Scripted("c", "never")
    text, completion = await ask(Router([failing("a"), second, third]))
    assert text == completion.text == "hello world"
    assert completion.provider == "b"
    assert completion.usage == Usage(3, 4)
    assert outcomes(completion) == [("a", "server_error"), ("b", "ok")]
    assert [attempt.model for attempt in completion.attempts] == ["a-model", "b-model"]
    assert completion.first_token_ms is not None
    assert third.requests == []


async def test_a_stream_that_dies_is_reset_and_the_next_starts_over():
    events = await collect(Router([failing("a", "cut", "half "), Scripted("b", "whole")]))
    assert events[:-1] == [Delta("half "), Reset("cut"), Delta("whole")]
    assert events[-1].text == "whole"
    assert outcomes(events[-1]) == [("a", "cut"), ("b", "ok")]


async def test_a_death_before_any_text_is_invisible():
    events = await collect(Router([failing("a", "empty"), Scripted("b", "whole")]))
    assert events[:-1] == [Delta("whole")]


async def test_when_all_fail_the_caller_learns_when_to_return():
    providers = [failing("a"), failing("b", "rate_limited", retry_after_s=400)]
    router = Router(providers, circuits=Circuits(cooldown_s=90))
    with pytest.raises(AllProvidersFailed) as failed:
        await collect(router)
    assert [a.outcome for a in failed.value.attempts] == ["server_error", "rate_limited"]
    assert failed.value.retry_after_s == 90


OPENING = sorted(
    fault
    for fault, rule in RULES.items()
    if rule.opens in {"once", "long"} and rule.action == "next"
)


@pytest.mark.parametrize("fault", OPENING)
async def test_a_failed_provider_is_left_alone(fault):
    first = failing("a", fault)
    router = Router([first, Scripted("b", "yes")])
    await ask(router)
    _, completion = await ask(router)
    assert outcomes(completion) == [("a", "cooling_down"), ("b", "ok")]
    assert completion.attempts[0].ms == 0
    assert len(first.requests) == 1


@pytest.mark.parametrize("fault", ["malformed", "empty", "cut", "overtime"])
async def test_one_bad_answer_is_no_outage_but_two_in_a_row_are(fault):
    first = failing("a", fault)
    router = Router([first, Scripted("b", "yes")])
    for _ in range(3):
        await ask(router)
    assert len(first.requests) == 2
    good = Router([first, Scripted("b", "yes")])
    first.requests.clear()
    await ask(good)
    first.failure, failure = None, first.failure
    first.texts = ("fine",)
    await ask(good)
    first.failure = failure
    await ask(good)
    assert good.models()[0].available, "there was a good answer in between"


@pytest.mark.parametrize("fault", ["rejected", "context_overflow"])
async def test_a_fault_of_the_request_takes_the_provider_from_nobody(fault):
    first = failing("a", fault)
    router = Router([first, Scripted("b", "yes")])
    for _ in range(4):
        await ask(router)
    assert len(first.requests) == 4


async def test_cooldowns_end_with_one_probe():
    now = 100.0
    first = failing("a", "rate_limited", retry_after_s=50)
    circuits = Circuits(cooldown_s=10, clock=lambda: now)
    router = Router([first, Scripted("b", "yes")], circuits=circuits)
    await ask(router)
    shown = {model.id: model for model in router.models()}
    assert not shown["a-model"].available
    assert shown["a-model"].cooling_down_until.endswith("+00:00")
    assert shown["b-model"].available
    now += 51
    first.failure, first.texts, first.gate = None, ("back",), asyncio.Event()
    first.requests.clear()
    probe = asyncio.create_task(ask(router))
    await first.reached.wait()
    others = await asyncio.gather(*(ask(router) for _ in range(10)))
    assert {text for text, _ in others} == {"yes"}
    first.gate.set()
    assert (await probe)[0] == "back"
    assert len(first.requests) == 1
    assert (await ask(router))[0] == "back"


@pytest.mark.parametrize("wanted", ["b", "b-model"])
async def test_the_wanted_model_goes_first_and_the_others_stay(wanted):
    a, b = Scripted("a", "from a"), failing("b")
    text, completion = await ask(Router([a, b]), request(model=wanted))
    assert text == "from a"
    assert outcomes(completion) == [("b", "server_error"), ("a", "ok")]
    assert b.requests[0].model == "b-model"
    assert a.requests[0].model == "a-model"


async def test_the_default_model_is_used_when_none_is_named():
    router = Router(
        [Scripted("a", "from a"), Scripted("b", "from b")], routing=Routing(default_model="b-model")
    )
    assert (await ask(router))[0] == "from b"
    assert (await ask(router, request(model="a")))[0] == "from a"


async def test_an_unknown_model_is_the_callers_fault():
    with pytest.raises(InvalidRequest) as refused:
        Router([Scripted("a", "x")]).stream(request(model="gpt-9"))
    assert refused.value.extras["errors"][0]["field"] == "model"
    assert "gpt-9" not in refused.value.detail


async def test_the_total_deadline_leaves_only_extraction():
    first, second = Scripted("a", "slow", hangs=True), Scripted("b", "never asked")
    router = Router([first, second, Extractive()], routing=Routing(total_s=0.05))
    events = await collect(router, request("How large may a file be?", QUOTED))
    assert events[:2] == [Delta("slow"), Reset("stalled")]
    assert events[-1].provider == "extractive"
    assert outcomes(events[-1]) == [("a", "stalled"), ("extractive", "ok")]
    assert second.requests == []
    assert first.stopped
    assert router.models()[0].available, "our own deadline is not the provider's failure"


def test_the_deadline_blames_nobody_even_if_the_loop_is_early():
    """uvloop rounds timers to milliseconds: this one rings after 50."""

    async def over():
        router = Router([Scripted("a", "slow", hangs=True)], routing=Routing(total_s=0.0504))
        for _ in range(3):
            with pytest.raises(AllProvidersFailed):
                await collect(router)
        return router.models()[0].available

    assert uvloop.run(over())


async def test_the_deadline_ends_waiting_and_never_the_readers_work():
    router = Router([Scripted("a", "one", "two")], routing=Routing(total_s=0.02))
    async with aclosing(router.stream(request())) as events:
        assert await anext(events) == Delta("one")
        await asyncio.sleep(0.1)  # longer than the deadline: that is the point
        assert await anext(events) == Reset("stalled")
        with pytest.raises(AllProvidersFailed):
            await anext(events)
    assert asyncio.current_task().cancelling() == 0


async def test_extraction_never_cools_down():
    router = Router([failing("a"), Extractive()])
    for _ in range(3):
        _, completion = await ask(router, request("How large may a file be?", QUOTED))
        assert completion.provider == "extractive"
    _, completion = await ask(router, request("Who won the cup?"))
    assert completion.abstained == "no_match"


async def test_closing_stops_the_provider_and_is_observed():
    seen = []
    provider = Scripted("a", "one", hangs=True)
    async with aclosing(Router([provider], observe=seen.append).stream(request())) as events:
        assert await anext(events) == Delta("one")
    assert provider.stopped
    assert [(a.provider, a.outcome) for a in seen] == [("a", "cancelled")]


async def test_cancelling_tries_nobody_else():
    first, second = Scripted("a", hangs=True), Scripted("b", "x")
    seen = []
    task = asyncio.create_task(collect(Router([first, second], observe=seen.append)))
    await first.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert first.stopped
    assert second.requests == []
    assert [a.outcome for a in seen] == ["cancelled"]


async def test_a_defect_of_one_provider_does_not_stop_the_others(caplog):
    broken = Scripted("a", failure=KeyError("choices"))
    text, completion = await ask(Router([broken, Scripted("b", "fine")]))
    assert text == "fine"
    assert outcomes(completion) == [("a", "malformed"), ("b", "ok")]
    assert "should not" in caplog.text


async def test_a_stream_without_a_completion_was_cut():
    class Mute(Scripted):
        async def stream(self, asked):
            yield Delta("x")

    events = await collect(Router([Mute("a"), Scripted("b", "y")]))
    assert events[:-1] == [Delta("x"), Reset("cut"), Delta("y")]


async def test_routers_nest():
    inner = Router([failing("a"), Scripted("b", "deep")])
    text, completion = await ask(Router([inner]))
    assert text == "deep"
    assert completion.provider == "b"


async def test_closing_the_router_closes_everyone():
    class Stubborn(Scripted):
        async def close(self):
            raise RuntimeError("no")

    last = Scripted("b")
    await Router([Stubborn("a"), last]).close()
    assert last.closed


async def test_over_real_http():
    async with FakeProvider() as first, FakeProvider(behaviour="drip:50") as second:
        providers = [
            OpenAiCompatible(
                name, base_url=fake.url, api_key="k", models=[Model(model)], timeouts=Timeouts()
            )
            for name, fake, model in (("groq", first, "cut"), ("openai", second, "m"))
        ]
        router = Router([*providers, Extractive()])
        events = await collect(router)
        assert events[0] == Delta("The limit ")
        assert Reset("cut") in events
        assert events[-1].text.startswith("word0 word1 ")
        first.behaviour = "ok"
        text, completion = await ask(router)
        assert text == ANSWER
        assert completion.provider == "groq"
        await router.close()
