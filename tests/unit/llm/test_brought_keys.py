"""Keys that callers bring serve them alone, and are nowhere afterwards."""

import pytest

from app.llm.circuits import Circuits
from app.llm.failures import AllProvidersFailed, ProviderFailed
from app.llm.openai_compatible import Model, OpenAiCompatible
from tests.unit.llm.asking import KEY, ask, collect, outcomes, request

BROUGHT = "brought.key"


async def test_a_brought_key_goes_first_and_is_used(build, fake):
    router = build("ok", "ok")
    _, completion = await ask(router, request(keys={"groq": BROUGHT}))
    assert outcomes(completion) == [("groq", "ok")]
    assert completion.attempts[0].brought
    assert fake.calls[0].headers["authorization"] == f"Bearer {BROUGHT}"
    await ask(router)
    assert fake.calls[1].headers["authorization"] == f"Bearer {KEY}"


async def test_without_a_key_of_the_server_only_a_callers_opens_it(build, fake):
    router = build("ok", "ok", keys={"groq": KEY})
    assert [model.available for model in router.models()] == [False, True]
    _, completion = await ask(router)
    assert outcomes(completion) == [("groq", "ok")], "it is not worth a word"
    _, completion = await ask(router, request(model="openrouter"))
    assert outcomes(completion) == [("openrouter", "unavailable"), ("groq", "ok")]
    _, completion = await ask(router, request(keys={"openrouter": BROUGHT}))
    assert outcomes(completion) == [("openrouter", "ok")]


async def test_a_bad_key_of_one_caller_is_nobody_elses_business(build, fake):
    seen = []
    router = build("status:401", "ok", circuits=Circuits(observe=seen.append))
    for outcome in ("auth_failed", "cooling_down"):
        _, completion = await ask(router, request(keys={"openrouter": BROUGHT}))
        assert outcomes(completion) == [("openrouter", outcome), ("groq", "ok")]
    assert seen == []
    assert router.models()[0].available
    fake.behaviour = "ok"
    for keys in ({}, {"openrouter": "another"}):
        _, completion = await ask(router, request(keys=keys))
        assert outcomes(completion) == [("openrouter", "ok")]


@pytest.mark.parametrize("model", ["status:401", "tells_the_key", "cut", "hangs_up"])
async def test_a_brought_key_is_in_no_error_record_or_repr(build, caplog, model):
    caplog.set_level(0)
    seen = []
    asked = request(keys={"openrouter": BROUGHT})
    router = build(model, observe=seen.append)
    with pytest.raises(AllProvidersFailed) as failed:
        await ask(router, asked)
    chain, error = [], failed.value
    while error is not None:
        chain.append(f"{error!r} {error} {vars(error)}")
        error = error.__cause__ or error.__context__
    told = f"{chain} {seen} {asked!r} {caplog.text} {router.models()}"
    assert BROUGHT not in told


async def test_the_failure_itself_does_not_hold_the_key(fake):
    for model in ("status:401", "tells_the_key"):
        provider = OpenAiCompatible("groq", base_url=fake.url, api_key=None, models=[Model(model)])
        with pytest.raises(ProviderFailed) as failed:
            await collect(provider, request(keys={"groq": BROUGHT}))
        assert BROUGHT not in f"{failed.value} {failed.value.args}"
        assert failed.value.detail
        await provider.close()
