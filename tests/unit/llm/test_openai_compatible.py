import asyncio
import socket
import time
from contextlib import aclosing

import pytest

from app.llm.clock import Timeouts
from app.llm.completion import Completion, Delta
from app.llm.failures import ProviderFailed
from app.llm.openai_compatible import Model, OpenAiCompatible
from tests.fake_provider import ANSWER
from tests.unit.llm.asking import KEY, ask, collect, request


@pytest.fixture
async def build(fake):
    built = []

    def make(model="ok", name="groq", timeouts=None, url=None, **facts):
        provider = OpenAiCompatible(
            name,
            base_url=url or fake.url,
            api_key=KEY,
            models=[Model(model, **facts)],
            timeouts=timeouts,
        )
        built.append(provider)
        return provider

    yield make
    for provider in built:
        await provider.close()


async def collect_into(events, provider):
    async for event in provider.stream(request()):
        events.append(event)


@pytest.mark.parametrize(
    "model", ["ok", "drip", "comments", "whole", "thinking", "comments:0.2", "slow_headers:0.1"]
)
async def test_text_arrives_whatever_the_form(build, model):
    text, completion = await ask(build(model))
    assert text == completion.text == ANSWER
    assert completion.abstained is None
    assert completion.usage.prompt_tokens == 12
    assert completion.first_token_ms is None or completion.first_token_ms > 0


async def test_every_byte_on_its_own(build):
    text, _ = await ask(build("sliced"))
    assert text == "Größe: 10 MB 🚀 [1]."


async def test_what_is_sent(build, fake):
    provider = build("echo", name="groq")
    text, completion = await ask(provider, request("hi", temperature=0.2, max_tokens=7))
    assert text == "hi [1]"
    assert (completion.provider, completion.model) == ("groq", "echo")
    (call,) = fake.calls
    assert call.path == "/v1/chat/completions"
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert call.body == {
        "model": "echo",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.2,
        "max_tokens": 7,
    }


async def test_the_environment_adds_no_header(build, fake, monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-canary")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-canary")
    await ask(build())
    assert "canary" not in str({**fake.calls[0].headers, "authorization": ""})


async def test_openai_wants_another_name_for_max_tokens(build, fake):
    await ask(build(name="openai"), request(max_tokens=5, model="ok:2"))
    assert fake.calls[0].body["max_completion_tokens"] == 5
    assert fake.calls[0].body["model"] == "ok:2"


async def test_openrouter_reports_cost(build):
    _, completion = await ask(build(name="openrouter"))
    assert completion.usage.cost_usd == 0.00025
    _, completion = await ask(build(name="groq"))
    assert completion.usage.cost_usd is None


async def test_connections_are_reused(build, fake):
    provider = build("drip")
    for _ in range(3):
        await ask(provider)
    assert fake.connections == 1


@pytest.mark.parametrize(
    ("model", "outcome", "sent"),
    [
        ("status:429", "rate_limited", False),
        ("status:401", "auth_failed", False),
        ("status:402", "unavailable", False),
        ("status:404", "unavailable", False),
        ("status:400", "malformed", False),
        ("status:500", "server_error", False),
        ("status:503", "server_error", False),
        ("status:302", "unavailable", False),
        ("overflow", "context_overflow", False),
        ("error_200", "server_error", False),
        ("error_200:429", "rate_limited", False),
        ("html", "malformed", False),
        ("not_json", "malformed", False),
        ("empty", "empty", False),
        ("empty_body", "empty", False),
        ("slow_headers", "first_token_timeout", False),
        ("slow_first_token", "first_token_timeout", False),
        ("comments:30", "first_token_timeout", False),
        ("stall", "stalled", True),
        ("cut", "cut", True),
        ("ends_early", "cut", True),
        ("dies_with_error", "server_error", True),
        ("drip:1000:0.01", "stalled", True),
    ],
)
async def test_every_failure_has_its_outcome(build, fake, model, outcome, sent):
    limits = Timeouts(connect_s=9, first_token_s=0.2, idle_s=0.2, total_s=0.5)
    events = []
    with pytest.raises(ProviderFailed) as failed:
        await collect_into(events, build(model, timeouts=limits))
    assert failed.value.outcome == outcome
    assert bool(events) is sent
    assert KEY not in str(failed.value)
    await fake.until(lambda f: f.calls[0].state != "open")


@pytest.mark.parametrize(
    ("model", "seconds"),
    [("status:429:17", 17), ("status:429", None), ("groq_429", 179.5), ("status:503:3", 3)],
)
async def test_retry_after_is_known(build, model, seconds):
    with pytest.raises(ProviderFailed) as failed:
        await collect(build(model))
    assert failed.value.retry_after_s == seconds


@pytest.mark.parametrize(
    ("model", "outcome"), [("big:50", "malformed"), ("big:50:500", "server_error")]
)
async def test_a_huge_body_is_not_read(build, fake, model, outcome):
    with pytest.raises(ProviderFailed) as failed:
        await collect(build(model))
    assert failed.value.outcome == outcome
    await fake.until(lambda f: f.calls[0].state == "aborted")
    assert fake.calls[0].sent_bytes < 20_000_000


async def test_nobody_listens(build):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        with pytest.raises(ProviderFailed) as failed:
            await collect(build(url=url))
    assert failed.value.outcome == "connect_failed"


async def test_nobody_accepts(build):
    """A full backlog drops SYNs: the connect limit, not the first-token limit, ends it."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        address = deaf.getsockname()
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        limits = Timeouts(connect_s=0.2, first_token_s=5, idle_s=1, total_s=9)
        started = time.monotonic()
        with pytest.raises(ProviderFailed) as failed:
            await collect(build(url=f"http://127.0.0.1:{address[1]}/v1", timeouts=limits))
        for filler in fillers:
            filler.close()
    assert failed.value.outcome == "connect_failed"
    assert time.monotonic() - started < 3


async def test_a_refusal_by_filter_is_an_abstention(build):
    text, completion = await ask(build("filtered"))
    assert (text, completion.text, completion.abstained) == ("", "", "refused")


async def test_closing_the_iterator_stops_the_call(build, fake):
    async with aclosing(build("stall").stream(request())) as events:
        assert await anext(events) == Delta("The limit ")
    await fake.until(lambda f: f.calls[0].state == "aborted", timeout_s=1)


@pytest.mark.parametrize("model", ["slow_headers", "slow_first_token", "stall"])
async def test_cancelling_stops_the_call_in_every_phase(build, fake, model):
    slow = Timeouts(connect_s=9, first_token_s=9, idle_s=9, total_s=9)
    task = asyncio.create_task(collect(build(model, timeouts=slow)))
    await fake.until(lambda f: bool(f.calls) and (model != "stall" or f.calls[0].sent_bytes > 0))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await fake.until(lambda f: f.calls[0].state == "aborted", timeout_s=1)
    await fake.until(lambda f: f.open_connections == 0, timeout_s=1)


async def test_a_slow_reader_is_not_a_stalled_server(build):
    provider = build("drip:3:0.02", timeouts=Timeouts(5, 5, 0.1, 9))
    events = []
    async for event in provider.stream(request()):
        events.append(event)
        await asyncio.sleep(0.15)  # longer than the idle limit: that is the point
    assert isinstance(events[-1], Completion)


async def test_many_at_once(build, fake):
    provider = build("drip:20")
    answers = await asyncio.gather(*(ask(provider) for _ in range(30)))
    assert {text for text, _ in answers} == {"".join(f"word{n} " for n in range(20))}
    assert len(fake.calls) == 30


async def test_what_a_reader_takes_is_not_time_of_the_attempt(build):
    """Or two readers who take their time would open the circuit for everybody."""
    provider = build("drip:2:0.8", timeouts=Timeouts(5, 5, 5, total_s=0.6))
    async with aclosing(provider.stream(request())) as events:
        assert await anext(events) == Delta("word0 ")
        await asyncio.sleep(0.55)
        assert await anext(events) == Delta("word1 ")


async def test_nobody_waits_for_the_connection_of_another(build):
    provider = build("stall", timeouts=Timeouts(5, 5, 60, 60))
    waiting = [provider.stream(request()) for _ in range(201)]
    await asyncio.gather(*(anext(events) for events in waiting))
    assert (await ask(provider, request(model="ok")))[0] == ANSWER
    for events in waiting:
        await events.aclose()


async def test_finding_a_name_is_part_of_connecting(build, monkeypatch):
    async def never(*_, **__):
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
    provider = build(url="http://provider.invalid/v1", timeouts=Timeouts(0.1, 5, 5, 9))
    with pytest.raises(ProviderFailed) as failed:
        await collect(provider)
    assert failed.value.outcome == "connect_failed"


async def test_the_proxy_of_the_environment_is_used(build, fake, monkeypatch):
    monkeypatch.setenv("http_proxy", fake.url.removesuffix("/v1"))
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(ProviderFailed):
        await collect(build("status:500", url="http://provider.invalid/v1"))
    assert fake.calls[0].path == "http://provider.invalid/v1/chat/completions"
    fake.calls.clear()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    await ask(build())
    assert fake.calls[0].path == "/v1/chat/completions"


async def test_credentials_for_other_programs_are_left_alone(build, fake, monkeypatch, tmp_path):
    """aiohttp refuses the call when it finds some beside the key."""
    (tmp_path / "netrc").write_text("default login somebody password canary\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    await ask(build())
    assert fake.calls[0].headers["authorization"] == f"Bearer {KEY}"


async def test_what_is_set_for_one_caller_is_not_sent_for_the_next(build, fake):
    provider = build("sets_a_cookie", url=fake.url.replace("127.0.0.1", "localhost"))
    for _ in range(2):
        with pytest.raises(ProviderFailed):
            await collect(provider)
    assert "cookie" not in fake.calls[1].headers


async def test_a_refusal_is_not_waited_for_to_its_end(build):
    with pytest.raises(ProviderFailed) as failed:
        await collect(build("refuses_slowly", timeouts=Timeouts(5, 5, 5, 9)))
    assert (failed.value.outcome, failed.value.retry_after_s) == ("rate_limited", 17)


async def test_what_is_no_text_is_not_the_providers_fault(build, fake):
    with pytest.raises(ProviderFailed) as failed:
        await collect(build(), request("half a pair: \ud800"))
    assert failed.value.fault == "rejected"
    assert fake.calls == []
