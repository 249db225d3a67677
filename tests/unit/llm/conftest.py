"""A scripted provider, and routers over it."""

import pytest

from app.llm.openai_compatible import Model, OpenAiCompatible
from app.llm.router import Router
from tests.fake_provider import FakeProvider
from tests.unit.llm import behaviours
from tests.unit.llm.asking import KEY

assert behaviours, "they register themselves"


@pytest.fixture
async def fake():
    async with FakeProvider() as provider:
        yield provider


@pytest.fixture
async def build(fake):
    """A router over one provider a name; each with the model of that name."""
    routers = []

    def make(*models, keys=None, facts=None, **more):
        names = ("openrouter", "groq", "openai")
        providers = [
            OpenAiCompatible(
                name,
                base_url=fake.url,
                api_key=KEY if keys is None else keys.get(name),
                models=[Model(model, **(facts or {}))],
            )
            for name, model in zip(names, models, strict=False)
        ]
        routers.append(Router([*providers, *more.pop("then", ())], **more))
        return routers[-1]

    yield make
    for router in routers:
        await router.close()
