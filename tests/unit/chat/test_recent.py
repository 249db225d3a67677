"""The answers that a worker has at hand."""

from dataclasses import replace

import pytest

from app.chat.events import Answered
from app.chat.kept_answer import encoded
from app.chat.recent import MOST, MOST_BYTES, RecentAnswers
from app.retrieval.search import Retrieved
from tests.unit.chat.test_openai_answer import answered


def kept(text: str) -> bytes:
    return encoded(Retrieved((), 0.0, 0.0), answered(text))


class Clock:
    """A clock that is set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_it_tells_the_answer_until_it_lapses(clock: Clock) -> None:
    recent = RecentAnswers(clock)
    told = recent.keep("key", kept("Ten."), 5)
    assert isinstance(told[-1], Answered)
    assert told[-1].answer == replace(told[-1].answer, text="Ten.", cached="exact", attempts=())
    clock.now += 4.9
    assert recent.events("key") == told
    assert recent.events("other") == ()
    clock.now += 0.1
    assert recent.events("key") == ()


def test_what_has_no_time_left_or_is_long_is_told_once(clock: Clock) -> None:
    recent = RecentAnswers(clock)
    for text, for_s in (("Ten.", 0.0), ("x" * MOST_BYTES, 5.0)):
        told = recent.keep("key", kept(text), for_s)
        assert told
        assert recent.events("key") == ()


def test_the_least_recently_told_go_first(clock: Clock) -> None:
    recent = RecentAnswers(clock)
    answer = kept("Ten.")
    for number in range(MOST):
        recent.keep(number, answer, 5)
    assert recent.events(0)
    recent.keep(MOST, answer, 5)
    assert recent.events(0)
    assert not recent.events(1)
