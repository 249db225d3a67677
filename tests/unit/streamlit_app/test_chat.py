"""One question is on its way at a time; a long conversation is drawn from its end."""

from streamlit.testing.v1 import AppTest

from docent_client.client import ApiClient
from docent_client.schemas import Question
from streamlit_app.asking import Asking
from streamlit_app.chat import accept_question
from streamlit_app.session import Conversation
from streamlit_app.sidebar import Knobs


def test_what_is_asked_during_the_wait_is_kept_for_afterwards(client: ApiClient) -> None:
    pending = Asking(client, Question("first"))
    conversation = Conversation(asked="second", pending=pending)
    accept_question(conversation, Knobs(), client)
    assert (conversation.asked, conversation.pending) == ("second", pending)
    assert list(pending.parts())


def long_conversation() -> None:
    """A page of 25 questions."""
    import streamlit as st

    from streamlit_app.chat import show_turns
    from streamlit_app.session import Conversation, Turn

    turns = [Turn(f"question {number}") for number in range(25)]
    show_turns(st.session_state.setdefault("talk", Conversation(turns)), st.session_state)


def test_a_long_conversation_is_folded_until_it_is_asked_for() -> None:
    page = AppTest.from_function(long_conversation, default_timeout=20).run()
    asked = [message.name for message in page.chat_message].count("user")
    assert (asked, page.markdown[0].value) == (15, "question 10")
    page.button[0].click().run()
    assert [message.name for message in page.chat_message].count("user") == 25
    assert not page.button
