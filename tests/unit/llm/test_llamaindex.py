import os

import pytest
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.evaluation import FaithfulnessEvaluator
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers import get_response_synthesizer
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, TextNode

from app.llm.extractive import Extractive
from app.llm.llamaindex import NoModelAnswered, ProviderLlm
from app.llm.openai_compatible import Model, OpenAiCompatible
from app.llm.router import Router
from tests import forks
from tests.fake_provider import ANSWER


class Fixed(BaseRetriever):
    def _retrieve(self, query):
        return [NodeWithScore(node=TextNode(text="A file may be at most 10 MB large."), score=0.9)]


@pytest.fixture
async def llm(fake):
    names = ("groq", "openai")
    router = Router(
        [
            *(
                OpenAiCompatible(name, base_url=fake.url, api_key="k", models=[Model("m", 8192)])
                for name in names
            ),
            Extractive(),
        ]
    )
    yield ProviderLlm(router)
    await router.close()


async def test_an_engine_answers_through_the_router(llm, fake):
    engine = RetrieverQueryEngine(Fixed(), get_response_synthesizer(llm=llm))
    response = await engine.aquery("How large may a file be?")
    assert str(response) == ANSWER
    (call,) = fake.calls
    said = " ".join(message["content"] for message in call.body["messages"])
    assert "at most 10 MB" in said
    assert "How large may a file be?" in said


async def test_it_falls_over_like_any_request(llm, fake):
    fake.behaviour = "status:500"
    with pytest.raises(NoModelAnswered):
        await llm.acomplete("How large?")
    assert len(fake.calls) == 2


async def test_an_evaluator_reads_its_verdict(llm, fake):
    fake.behaviour = "echo"  # the prompt asks for YES or NO, so both are in the echo
    found = await FaithfulnessEvaluator(llm=llm).aevaluate(
        query="q", response="10 MB", contexts=["10 MB at most"]
    )
    assert found.passing


async def test_roles_settings_and_usage(llm, fake):
    messages = [
        ChatMessage(role=MessageRole.SYSTEM, content="Be brief."),
        ChatMessage(role=MessageRole.USER, content="Hello"),
        ChatMessage(role=MessageRole.ASSISTANT, content="Hi"),
        ChatMessage(role=MessageRole.USER, content="How large?"),
    ]
    response = await llm.achat(messages, temperature=0.5, max_tokens=9)
    assert response.message.content == ANSWER
    assert response.raw["provider"] == "groq"
    assert response.raw["usage"]["prompt_tokens"] == 12
    body = fake.calls[0].body
    assert [m["role"] for m in body["messages"]] == ["system", "user", "assistant", "user"]
    assert (body["temperature"], body["max_tokens"]) == (0.5, 9)


async def test_streams_say_nothing_twice(llm, fake):
    fake.behaviour = "cut"
    with pytest.raises(NoModelAnswered):
        [piece async for piece in await llm.astream_complete("q")]
    fake.behaviour = None
    pieces = [piece async for piece in await llm.astream_complete("q")]
    assert "".join(piece.delta for piece in pieces) == pieces[-1].text == ANSWER
    chat = [p async for p in await llm.astream_chat([ChatMessage(content="q")])]
    assert "".join(piece.delta for piece in chat) == chat[-1].message.content == ANSWER


async def test_what_it_says_of_itself_fits_every_model(llm):
    assert llm.metadata.context_window == 8192
    assert llm.metadata.is_chat_model


@pytest.mark.parametrize("name", ["chat", "complete", "stream_chat", "stream_complete"])
def test_the_synchronous_half_is_refused(name):
    with pytest.raises(NotImplementedError, match="asynchronous"):
        getattr(ProviderLlm(Extractive()), name)("q")


def test_the_api_starts_without_it():
    code = "import sys, app.main; sys.exit('app.llm.llamaindex' in sys.modules)"
    process = forks.fork(exec, code, env=os.environ)
    process.join()
    assert process.exitcode == 0
