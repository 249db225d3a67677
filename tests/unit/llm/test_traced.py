"""Every attempt is a span with its model, tokens and cost, and nothing said and no secret."""

import asyncio
import json

import pytest

from app.infra.tracing import MOST_CHARS, Tracer
from app.llm.completion import Completion, CompletionRequest, Delta, Message, ModelInfo, Usage
from app.llm.failures import ProviderFailed
from app.llm.router import Router
from app.llm.traced import said
from tests.fakes import KeptSpans
from tests.unit.llm.asking import KEY, collect
from tests.unit.llm.test_router import Scripted, failing

SECRET = "gsk_" + "canary" * 5


class Priced(Scripted):
    """Says what it cost, and that it was cut short."""

    async def stream(self, asked: CompletionRequest):
        yield Delta("Ten.")
        yield Completion("Ten.", self.name, self.models()[0].id, Usage(7, 3, 0.5), truncated=True)

    def models(self) -> tuple[ModelInfo, ...]:
        return (ModelInfo("big/model", self.name, True, None, None),)


def asked(**more) -> CompletionRequest:
    messages = (Message("system", "Rules."), Message("user", f"How many? {SECRET}"))
    return CompletionRequest(messages, "How many?", (), **more)


async def traced(router: Router, request: CompletionRequest, *, content: bool = False) -> KeptSpans:
    kept = KeptSpans()
    with Tracer([kept], content=content).begin("root", kind="server"):
        await collect(router, request)
    return kept


async def test_each_attempt_is_a_span_within_its_question() -> None:
    router = Router([failing("openrouter", "rate_limited"), Priced("groq")])
    kept = await traced(router, asked(temperature=0.5, max_tokens=99))
    first, second = kept.named("chat openrouter-model"), kept.named("chat big/model")
    assert {span.parent_id for span in (first, second)} == {kept.named("root").span_id}
    assert (first.error, second.error, second.kind) == ("rate_limited", None, "client")
    latency = second.attributes.pop("gen_ai.response.time_to_first_chunk")
    assert isinstance(latency, float)
    assert 0 <= latency < 5
    assert second.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "groq",
        "gen_ai.request.model": "big/model",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 99,
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.response.finish_reasons": ["length"],
        "docent.usage.cost_usd": 0.5,
        "docent.key.brought": False,
        "docent.attempt.outcome": "ok",
    }
    assert first.attributes["docent.attempt.outcome"] == "rate_limited"
    assert "gen_ai.response.finish_reasons" not in first.attributes


async def test_a_brought_key_is_in_no_span_and_its_cost_is_not_ours() -> None:
    kept = await traced(Router([Priced("groq")]), asked(keys={"groq": KEY}), content=True)
    span = kept.named("chat big/model")
    assert span.attributes["docent.key.brought"] is True
    assert "docent.usage.cost_usd" not in span.attributes
    assert KEY not in str(span.attributes)


async def test_what_was_said_is_there_if_it_is_wanted_and_masked() -> None:
    span = (await traced(Router([Priced("groq")]), asked(), content=True)).named("chat big/model")
    assert json.loads(str(span.attributes["gen_ai.input.messages"])) == [
        {"role": "system", "parts": [{"type": "text", "content": "Rules."}]},
        {"role": "user", "parts": [{"type": "text", "content": "How many? ***"}]},
    ]
    assert json.loads(str(span.attributes["gen_ai.output.messages"])) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "Ten."}]}
    ]


async def test_a_caller_that_leaves_ends_the_span() -> None:
    kept, provider = KeptSpans(), Scripted("groq", hangs=True)
    with Tracer([kept]).begin("root", kind="server"):
        asking = asyncio.create_task(collect(Router([provider])))
        await provider.asked.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    assert kept.named("chat groq-model").error == "cancelled"


def test_of_a_long_conversation_the_last_is_said() -> None:
    messages = [Message("user", f"{number} " * 2000) for number in range(9)]
    kept = json.loads(said(messages))
    contents = [message["parts"][0]["content"] for message in kept]
    assert sum(map(len, contents)) == MOST_CHARS
    assert contents[-1].startswith("8 ")
    assert 1 < len(contents) < 9


@pytest.mark.parametrize("said_before", ['token = "', "Bearer ", ""])
def test_quotes_around_a_secret_do_not_save_it(said_before: str) -> None:
    assert "canary" not in said([Message("user", f'{said_before}{SECRET}" and more')])


def test_half_of_a_surrogate_is_no_error() -> None:
    assert "?" in said([Message("user", "\ud83d")])


async def test_nothing_is_asked_of_a_span_that_nobody_keeps() -> None:
    with pytest.raises(ProviderFailed, match="no"):
        await collect(failing("groq"))
