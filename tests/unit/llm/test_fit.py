import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.llm.completion import CompletionRequest, Message
from app.llm.fit import fitted, halved, prompt_tokens, shortened, tokens_of
from tests.unit.llm.asking import source


def prompt(question: str, texts: list[str], max_tokens: int | None = None) -> CompletionRequest:
    """A prompt over its texts, as the chat room builds it."""
    return CompletionRequest(
        messages=(Message("user", "\n".join([*texts, question])),),
        question=question,
        sources=tuple(source(text, n) for n, text in enumerate(texts, 1)),
        max_tokens=max_tokens,
        fewer=lambda count: prompt(question, texts[:count], max_tokens),
    )


def test_an_estimate_is_rather_too_large():
    assert tokens_of("") == 0
    assert tokens_of("What is the limit?") == 6
    assert tokens_of("上限是多少") == 5


@given(
    st.text(max_size=300),
    st.lists(st.text(max_size=300), max_size=12),
    st.integers(512, 4096),
    st.none() | st.integers(1, 4000),
)
def test_what_is_fitted_fits_and_the_question_is_whole(question, texts, context, max_tokens):
    asked = prompt(question, texts, max_tokens)
    got = fitted(asked, context)
    if got is None:
        smallest = prompt(question, texts[:1], max_tokens)
        assert prompt_tokens(smallest) > context * 0.75 - 1024
        return
    assert got.question == question
    assert got.messages[0].content.endswith(question)
    assert [s.text for s in got.sources] == texts[: len(got.sources)], "the best are kept"
    assert prompt_tokens(got) <= context
    if len(got.sources) < len(texts):
        assert prompt_tokens(asked) > prompt_tokens(got)


def test_what_fits_is_left_as_it_is():
    asked = prompt("q", ["a" * 300] * 4)
    assert fitted(asked, None) is asked
    assert fitted(asked, 8192) is asked


def test_halving_ends():
    asked = prompt("q", ["a"] * 5)
    counts = []
    while asked is not None:
        counts.append(len(asked.sources))
        asked = halved(asked)
    assert counts == [5, 2, 1]
    assert halved(CompletionRequest((), "q", (source("a"), source("b")))) is None


QUOTES = "Files are closed after five days. [2] A frame lasts a second. [4]"


@pytest.mark.parametrize(
    ("most_tokens", "text", "parted"),
    [
        (None, QUOTES, False),
        (1000, QUOTES, False),
        (15, "Files are closed after five days. [2]", False),
        (8, "Files are closed [2]", True),
        (1, "Files [2]", True),
    ],
)
def test_quotes_end_within_the_tokens_asked_for(most_tokens, text, parted):
    assert shortened(QUOTES, most_tokens) == (text, parted)
