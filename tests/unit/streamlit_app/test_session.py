import time
from itertools import groupby

from docent_client.client import ApiClient
from docent_client.schemas import Question
from streamlit_app.asking import STOPPED, Asking
from streamlit_app.session import FRESH_S, UNSETTLED_FRESH_S, Conversation, Library, hear_out
from tests.unit.streamlit_app import canned
from tests.unit.streamlit_app.fake_api import FakeApi


def unseen(text: str) -> None:
    """For whoever does not look while an answer is written."""


def test_text_grows_and_a_restart_begins_anew(client: ApiClient, fake: FakeApi) -> None:
    shown: list[str] = []
    done = canned.answer("New text.")
    events = [("delta", {"text": "Old"}), ("reset", {"reason": "stalled"})]
    events += [("delta", {"text": "New "}), ("delta", {"text": "text."}), ("done", done)]
    fake.raw_chat = canned.stream(events)
    turn = hear_out(Conversation(), Asking(client, Question("x")), shown.append)
    # On a slow machine a text may be shown again during a silence.
    assert [text for text, _ in groupby(shown)] == ["Old", "", "New ", "New text."]
    assert turn.answer is not None
    assert turn.answer.text == "New text."


def test_a_session_is_carried_on_and_a_failure_does_not_move_it(
    client: ApiClient, fake: FakeApi
) -> None:
    conversation = Conversation()
    conversation.ask("first")
    hear_out(conversation, Asking(client, Question("first")), unseen)
    assert (conversation.session_id, conversation.pending) == ("ses_1", None)
    fake.next_problems = [canned.LIMITED]
    turn = hear_out(conversation, Asking(client, Question("second")), unseen)
    assert turn.problem is not None
    assert 2 < turn.retry_at - time.monotonic() <= 3
    assert conversation.session_id == "ses_1"
    assert turn.problem.__traceback__ is None


def test_asking_again_replaces_the_failed_turn(client: ApiClient, fake: FakeApi) -> None:
    conversation = Conversation()
    fake.next_problems = [canned.DOWN]
    hear_out(conversation, Asking(client, Question("again")), unseen)
    conversation.ask("again")
    assert (conversation.turns, conversation.asked) == ([], "again")


def test_what_was_written_stays_when_its_reader_stops_it(client: ApiClient, fake: FakeApi) -> None:
    fake.may_end.clear()
    asking = Asking(client, Question("x"))
    # It stops as soon as it has seen something.
    turn = hear_out(Conversation(), asking, lambda text: asking.abandon() if text else None)
    fake.may_end.set()
    assert turn.problem is not None
    assert turn.problem.code == STOPPED
    assert turn.begun
    assert canned.RESET_ANSWER["answer"].startswith(turn.begun)


def test_an_empty_question_is_not_asked() -> None:
    conversation = Conversation()
    conversation.ask("  \n")
    assert conversation.is_idle


def test_a_fresh_reading_costs_no_request(client: ApiClient, fake: FakeApi) -> None:
    library = Library()
    assert library.refresh(client, with_key=True)
    seen = len(fake.paths)
    assert not library.refresh(client, with_key=True)
    assert len(fake.paths) == seen
    library.distrust()
    assert not library.refresh(client, with_key=True)
    assert len(fake.paths) == 2 * seen - 1, "who one is stays as it is"


def test_a_change_is_noticed_sooner_while_something_is_under_way(
    client: ApiClient, fake: FakeApi
) -> None:
    fake.documents[0]["status"] = "processing"
    library = Library()
    library.refresh(client, with_key=True)
    assert library.is_unsettled
    assert library.read_at is not None
    library.read_at -= UNSETTLED_FRESH_S
    fake.documents[0]["status"] = "ready"
    assert library.refresh(client, with_key=True)
    assert not library.is_unsettled
    assert FRESH_S > UNSETTLED_FRESH_S


def test_documents_stay_known_when_the_api_goes_away(client: ApiClient, fake: FakeApi) -> None:
    library = Library()
    library.refresh(client, with_key=True)
    fake.read_problem = canned.DOWN
    library.distrust()
    library.refresh(client, with_key=True)
    assert library.problem is not None
    assert library.is_unsettled
    assert library.documents is not None
    assert len(library.documents.items) == 2
