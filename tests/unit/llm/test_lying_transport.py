"""Servers that break every rule of HTTP cost an attempt, and neither the loop nor a key."""

import asyncio

import pytest

from app.infra import strangers
from app.llm.clock import Timeouts
from app.llm.failures import ProviderFailed
from app.llm.openai_compatible import Model, OpenAiCompatible
from tests import lying_provider
from tests.fake_provider import ANSWER, FakeProvider
from tests.unit.llm.asking import KEY, collect

assert lying_provider, "its behaviours register themselves"
#: What our bounds and two sockets' buffers hold together, generously.
UNREAD_BYTES = 32 * 1_048_576


@pytest.fixture
async def build():
    built = []

    def make(url, model="ok", **timeouts):
        limits = Timeouts(**timeouts)
        provider = OpenAiCompatible(
            "groq", base_url=url, api_key=KEY, models=[Model(model)], timeouts=limits
        )
        built.append(provider)
        return provider

    yield make
    for provider in built:
        await provider.close()


@pytest.mark.parametrize("lie", ["early_hints", "head_without_end", "no_http", "both_lengths"])
async def test_what_is_no_http_is_not_waited_for(fake, build, lie):
    async with asyncio.timeout(10):
        with pytest.raises(ProviderFailed) as failed:
            await collect(build(fake.url, lie, first_token_s=60))
        assert failed.value.fault == "not_an_api"
        await fake.until(lambda f: f.calls[0].state != "open")
    assert fake.calls[0].sent_bytes < UNREAD_BYTES


async def test_heads_of_many_answers_are_not_added_up(fake, build, monkeypatch):
    monkeypatch.setattr(strangers, "MAX_HEAD_BYTES", 4096)
    provider = build(fake.url)
    for _ in range(40):
        assert (await collect(provider))[-1].text == ANSWER
    assert fake.connections == 1
    assert sum(call.sent_bytes for call in fake.calls) > 10 * 4096


async def test_a_body_is_no_head(fake, build):
    assert (await collect(build(fake.url, "ok:6000")))[-1].text.endswith("word5999 ")
    assert fake.calls[0].sent_bytes > 2 * strangers.MAX_HEAD_BYTES


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_takes_the_key_nowhere(fake, build, status):
    async with FakeProvider() as other:
        fake.behaviour = f"redirect:{status}:{other.url}/chat/completions"
        with pytest.raises(ProviderFailed) as failed:
            await collect(build(fake.url))
        assert failed.value.outcome == "unavailable"
        assert not other.connections


async def test_a_proxy_that_refuses_is_no_answer_of_the_provider(fake, build, monkeypatch):
    fake.behaviour = "status:502"
    monkeypatch.setenv("HTTPS_PROXY", fake.url.removesuffix("/v1"))
    with pytest.raises(ProviderFailed) as failed:
        await collect(build("https://provider.example/v1"))
    assert failed.value.outcome == "connect_failed"
    assert [call.method for call in fake.calls] == ["CONNECT"]


async def test_a_handshake_that_does_not_end_is_part_of_connecting(fake, build):
    async with asyncio.timeout(10):
        with pytest.raises(ProviderFailed) as failed:
            await collect(build(fake.url.replace("http:", "https:"), connect_s=0.2))
    assert failed.value.outcome == "connect_failed"
    assert fake.connections == 1
