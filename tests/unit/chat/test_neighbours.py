"""Which answered questions are near one: the nearest first, the far ones not at all."""

import hashlib

from app.chat.neighbours import Neighbours, interchangeable
from app.retrieval.following import FollowingEmbedder
from tests.fakes import CountingEmbedder

ANSWERED = ["pump test of valve nine", "pump test of valve ten", "the menu of today"]


def digest(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()


async def test_the_nearest_come_first_and_the_far_do_not() -> None:
    neighbours = Neighbours(CountingEmbedder(), threshold=0.7)
    entries = b"".join([await neighbours.entry(one, digest(one)) for one in ANSWERED])
    near = await neighbours.near("test of pump valve ten", entries)
    assert near == [digest(ANSWERED[1]), digest(ANSWERED[0])]
    assert await neighbours.near("weather", entries) == []


async def test_a_few_are_tried_and_a_torn_entry_is_none() -> None:
    neighbours = Neighbours(CountingEmbedder(), threshold=0.7)
    entry = await neighbours.entry("pump test", digest("x"))
    assert await neighbours.near("pump test", entry * 9) == [digest("x")] * 3
    assert await neighbours.near("pump test", entry[:-1]) == []
    assert await neighbours.near("pump test", b"") == []


async def test_no_question_is_near_while_another_model_answers() -> None:
    chosen, other = CountingEmbedder(), CountingEmbedder("another", 8)
    following = FollowingEmbedder(chosen, other)
    neighbours = Neighbours(following, threshold=0.7)
    entry = await neighbours.entry("pump test", digest("x"))
    following.adopt(other)
    assert await neighbours.near("pump test", entry) == []
    assert await neighbours.entry("pump test", digest("x")) == b""
    following.adopt(chosen)
    assert await neighbours.near("pump test", entry) == [digest("x")]


def test_what_points_back_has_no_neighbour() -> None:
    question = "How long is the warranty of the pump?"
    assert interchangeable(question, "For how long is the warranty of the pump?")
    pointing = "How long is the warranty of that?"
    assert not interchangeable(pointing, pointing)
