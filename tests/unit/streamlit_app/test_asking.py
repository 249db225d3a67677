"""A question is sent before anybody listens, and heard as often as the page is drawn."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import Any, cast

import pytest

from docent_client.client import ApiClient
from docent_client.problems import ApiProblem
from docent_client.schemas import Delta, Part, Question
from streamlit_app.asking import STOPPED, Asking
from tests.unit.streamlit_app import canned
from tests.unit.streamlit_app.fake_api import FakeApi

QUESTION = Question("What does DS do?")
PATIENCE_S = 20


@dataclass
class Slow:
    """Says one word, and the next when it may."""

    has_begun: Event = field(default_factory=Event)
    may_go_on: Event = field(default_factory=Event)
    has_ended: Event = field(default_factory=Event)

    def stream(self, _: Question) -> Iterator[Part]:
        self.has_begun.set()
        try:
            for word in ("one ", "two ", "three"):
                yield Delta(word)
                assert self.may_go_on.wait(PATIENCE_S)
        finally:
            self.has_ended.set()


def ask(slow: Slow, **how: float) -> Asking:
    return Asking(cast("Any", slow), QUESTION, **how)


def test_it_is_sent_before_anybody_listens() -> None:
    slow = Slow()
    asking = ask(slow)
    assert slow.has_begun.wait(PATIENCE_S)
    slow.may_go_on.set()
    assert list(asking.parts()) == [Delta("one "), Delta("two "), Delta("three")]


def test_a_defect_is_heard_and_not_taken_for_the_end() -> None:
    class Broken:
        def stream(self, _: Question) -> Iterator[Part]:
            yield Delta("one ")
            raise RuntimeError("a defect")

    heard = Asking(cast("Any", Broken()), QUESTION).parts()
    assert next(heard) == Delta("one ")
    with pytest.raises(RuntimeError, match="a defect"):
        next(heard)


def test_who_stops_listening_can_begin_again_and_it_is_asked_once(
    client: ApiClient, fake: FakeApi
) -> None:
    asking = Asking(client, QUESTION)
    interrupted = cast("Generator[Part]", asking.parts())
    first = next(interrupted)
    interrupted.close()
    heard = list(asking.parts())
    assert heard[0] == first
    assert len(heard) > 1
    assert len(fake.chats) == 1


def test_a_refusal_is_raised_where_it_is_listened_to(client: ApiClient, fake: FakeApi) -> None:
    fake.next_problems = [canned.LIMITED]
    with pytest.raises(ApiProblem) as caught:
        list(Asking(client, QUESTION).parts())
    assert caught.value.status == canned.LIMITED["status"]


def test_what_is_abandoned_is_hung_up_on() -> None:
    slow = Slow()
    asking = ask(slow)
    assert next(asking.parts()) == Delta("one ")
    asking.abandon()
    with pytest.raises(ApiProblem) as caught:  # though the provider is silent
        list(asking.parts())
    assert caught.value.code == STOPPED
    slow.may_go_on.set()
    assert slow.has_ended.wait(PATIENCE_S)


def test_what_nobody_comes_back_to_is_hung_up_on() -> None:
    slow = Slow()
    asking = ask(slow, absence_s=0)
    assert slow.has_begun.wait(PATIENCE_S)
    asking.leave()
    slow.may_go_on.set()
    assert slow.has_ended.wait(PATIENCE_S)
    with pytest.raises(ApiProblem):
        list(asking.parts())


def test_who_comes_back_in_time_hears_it_all() -> None:
    slow = Slow()
    asking = ask(slow, absence_s=0)
    heard = asking.parts()
    assert next(heard) == Delta("one ")
    asking.leave()
    asking.stay()
    slow.may_go_on.set()
    assert list(heard) == [Delta("two "), Delta("three")]


def test_a_silence_is_told() -> None:
    slow = Slow()
    heard = ask(slow).parts(lull_s=0.01)
    assert [part for part, _ in zip(heard, range(4), strict=False)][-1] == Delta("")
    slow.may_go_on.set()
    assert [part for part in heard if part != Delta("")][-1] == Delta("three")
