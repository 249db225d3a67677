import pytest

from app.errors import ConfigurationError
from app.llm.providers import Watchers, build_router
from app.settings import Settings
from tests.fake_provider import ANSWER, FakeProvider
from tests.unit.llm.asking import ask, request, source


def settings(**values) -> Settings:
    return Settings(_env_file=None, **values)


def names(router):
    return [model.provider for model in router.models()]


async def test_without_keys_only_extraction_is_left():
    models = build_router(settings()).models()
    assert [model.provider for model in models if model.available] == ["extractive"]
    assert names(build_router(settings())) == ["openrouter", "groq", "openai", "extractive"]


async def test_order_and_keys_decide():
    router = build_router(
        settings(
            provider_order="local,extractive,openai,groq,openrouter",
            openai_api_key="k1",
            openrouter_api_key="k2",
            local_llm_base_url="http://127.0.0.1:1/v1",
        )
    )
    assert names(router) == ["local", "extractive", "openai", "groq", "openrouter"]
    assert [model.id for model in router.models()][2] == "gpt-4o-mini"
    await router.close()


async def test_whose_answers_are_worth_keeping_is_who_can_answer_at_all():
    makers = build_router(settings()).makers()
    assert makers == ("", "extractive:extractive")
    with_key = build_router(settings(groq_api_key="k", default_llm_model="groq"))
    assert with_key.makers()[0] == "groq"
    assert [maker.partition(":")[0] for maker in with_key.makers()[1:]] == ["groq", "extractive"]
    await with_key.close()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"provider_order": "openai"}, "PROVIDER_ORDER"),
        ({"default_llm_model": "gpt-9"}, "DEFAULT_LLM_MODEL"),
        ({"default_llm_model": "groq"}, "DEFAULT_LLM_MODEL"),
        ({"groq_base_url": "groq.com/v1"}, "base URL of groq"),
        ({"local_llm_base_url": "file:///etc"}, "base URL of local"),
        ({"model_facts": {"gpt-9": {"context_tokens": 4096}}}, "MODEL_FACTS"),
    ],
)
async def test_what_cannot_work_is_said_at_once(values, says):
    with pytest.raises(ConfigurationError, match=says):
        build_router(settings(**values))


async def test_several_models_of_one_provider():
    async with FakeProvider() as fake:
        router = build_router(
            settings(
                provider_order="groq,extractive",
                groq_api_key="k",
                groq_base_url=fake.url,
                groq_model="status:500,ok:3",
                model_facts={
                    "ok:3": {"context_tokens": 4096, "prompt_usd": 1, "completion_usd": 2}
                },
            )
        )
        models = router.models()
        assert [(m.id, m.context_tokens) for m in models[:2]] == [
            ("status:500", None),
            ("ok:3", 4096),
        ]
        await ask(router)
        assert [m.available for m in router.models()] == [False, True, True]
        _, completion = await ask(router, request(model="ok:3"))
        assert (completion.provider, completion.model) == ("groq", "ok:3")
        assert completion.usage.cost_usd == pytest.approx((12 + 6) / 1e6)
        await router.close()


async def test_the_default_models_are_known():
    models = build_router(settings()).models()
    assert all(model.context_tokens and model.price for model in models[:3])


async def test_a_whole_journey_by_settings():
    seen = []
    async with FakeProvider() as fake:
        router = build_router(
            settings(
                groq_api_key="k",
                groq_base_url=fake.url,
                groq_model="status:429:600",
                local_llm_base_url=fake.url,
                local_llm_model="ok",
                default_llm_model="local",
            ),
            watchers=Watchers(attempt=seen.append),
        )
        assert (await ask(router))[0] == ANSWER
        _, completion = await ask(router, request(model="groq"))
        assert [a.outcome for a in completion.attempts] == ["rate_limited", "ok"]
        fake.behaviour = "status:500"
        quoted = source("A file may be at most 10 MB large.")
        _, completion = await ask(router, request("How large may a file be?", quoted))
        assert completion.provider == "extractive"
        assert [a.outcome for a in seen] == [
            "ok", "rate_limited", "ok", "server_error", "cooling_down", "ok",
        ]  # fmt: skip
        await router.close()
