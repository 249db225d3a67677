"""The conversation that goes into a prompt: its last messages, whole, without old markers."""

from hypothesis import given
from hypothesis import strategies as st

from app.chat.history import HISTORY_CHARS, HISTORY_MESSAGES, recent
from app.llm.completion import Message

words = st.text(" \na[1]", max_size=9) | st.integers(0, 9000).map("x".__mul__)
message = st.builds(Message, st.sampled_from(["user", "assistant"]), words)


@given(st.lists(message, max_size=60))
def test_the_last_messages_that_fit_in_their_order(messages: list[Message]) -> None:
    kept = recent(messages)
    assert len(kept) <= HISTORY_MESSAGES
    assert sum(len(said.content) for said in kept) <= HISTORY_CHARS
    assert all(said.content.strip() for said in kept)
    worded = [said for said in messages if recent([said])]
    assert list(kept) == [recent([said])[0] for said in worded[len(worded) - len(kept) :]]


def test_what_does_not_fit_ends_the_conversation_there() -> None:
    long = Message("assistant", "x" * HISTORY_CHARS)
    assert recent([Message("user", "a"), long, Message("user", "b")]) == (Message("user", "b"),)
    assert recent([Message("user", "a"), long]) == (long,)
    assert len(recent([Message("user", "a")] * 100)) == HISTORY_MESSAGES


def test_markers_of_earlier_answers_are_taken_out_and_a_callers_brackets_are_not() -> None:
    said = recent(
        [Message("user", "See [1]."), Message("assistant", "It is 10 MB [1][2]. So [3].")]
    )
    assert [message.content for message in said] == ["See [1].", "It is 10 MB. So."]
    assert recent([Message("assistant", " [1]")]) == ()
