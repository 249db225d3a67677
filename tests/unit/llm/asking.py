"""Short ways to ask a provider in these tests."""

from contextlib import aclosing

from app.llm.completion import Completion, CompletionRequest, Delta, Event, Message, Source

#: The server's own key, at every provider.
KEY = "sk-canary-0123456789abcdef"


def source(
    text: str,
    marker: int = 1,
    *,
    title: str = "Guide",
    heading: str = "",
    score: float = 0.03,
    similarity: float | None = 0.6,
) -> Source:
    return Source(marker, title, heading, 1, text, score, similarity)


def request(
    question: str = "How large may a file be?", *sources: Source, **more
) -> CompletionRequest:
    return CompletionRequest((Message("user", question),), question, sources, **more)


async def collect(provider, asked: CompletionRequest | None = None) -> list[Event]:
    async with aclosing(provider.stream(asked or request())) as events:
        return [event async for event in events]


async def ask(provider, asked: CompletionRequest | None = None) -> tuple[str, Completion]:
    events = await collect(provider, asked)
    assert isinstance(events[-1], Completion)
    assert sum(isinstance(event, Completion) for event in events) == 1
    return "".join(event.text for event in events if isinstance(event, Delta)), events[-1]


def outcomes(completion):
    return [(attempt.provider, attempt.outcome) for attempt in completion.attempts]
