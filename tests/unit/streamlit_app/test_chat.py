"""One question is on its way at a time."""

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
