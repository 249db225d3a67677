"""What one browser session remembers: the conversation, the key typed in, what the API last told.

All of it lives in Streamlit's session state, in this process's memory, and goes with the tab.
"""

import time
from dataclasses import dataclass, field
from http.client import SERVICE_UNAVAILABLE

import streamlit as st

from streamlit_app.client import ApiClient, Question, open_connection
from streamlit_app.config import Config
from streamlit_app.problems import UNREACHABLE, ApiProblem
from streamlit_app.schemas import Answer, DocumentList, Health, Model

KEY_INPUT = "api_key_input"
_VISIT = "visit"

#: How long the sidebar trusts what it heard, so that a click does not cost three requests.
FRESH_S = 15.0
#: The same while something is about to change: documents being indexed, an API not up yet.
UNSETTLED_FRESH_S = 3.0


@dataclass
class Turn:
    """One question and what came of it: an answer or a problem."""

    question: str
    answer: Answer | None = None
    problem: ApiProblem | None = None
    #: On the monotonic clock; asking again earlier is pointless.
    retry_at: float = 0.0


@dataclass
class Conversation:
    """The turns so far, and the session id under which the API remembers them too."""

    turns: list[Turn] = field(default_factory=list)
    session_id: str | None = None
    #: Typed or clicked; becomes ``pending`` once the sidebar's choices are read in the same run.
    asked: str | None = None
    #: On its way to the API.
    pending: Question | None = None

    @property
    def is_waiting(self) -> bool:
        """While True, controls are disabled: a click has no effect until the answer is there."""
        return self.pending is not None

    @property
    def is_idle(self) -> bool:
        """Nothing is asked and nothing is on its way."""
        return self.asked is None and self.pending is None

    def ask(self, question: str) -> None:
        """Queues a question; a failed try of the same one gives way to the new try."""
        if not question.strip():
            return
        if self.turns and self.turns[-1].problem and self.turns[-1].question == question:
            self.turns.pop()
        self.asked = question

    def settle(self, turn: Turn) -> None:
        """Ends the wait; only an answer moves the session on."""
        self.turns.append(turn)
        self.pending = None
        if turn.answer:
            self.session_id = turn.answer.session_id


@dataclass
class Library:
    """What the API said about itself and its documents, and when."""

    health: Health | None = None
    models: tuple[Model, ...] = ()
    documents: DocumentList | None = None
    problem: ApiProblem | None = None
    read_at: float | None = None

    @property
    def is_unsettled(self) -> bool:
        """True when a later look will probably show something else, without anyone's doing."""
        if self.problem:
            return self.problem.code == UNREACHABLE or self.problem.status == SERVICE_UNAVAILABLE
        items = self.documents.items if self.documents else ()
        return not items or any(doc.status in ("queued", "processing") for doc in items)

    def refresh(self, client: ApiClient, *, with_key: bool) -> bool:
        """Asks again if the last reading is old; returns whether anything changed."""
        fresh_s = UNSETTLED_FRESH_S if self.is_unsettled else FRESH_S
        if self.read_at is not None and time.monotonic() - self.read_at < fresh_s:
            return False
        before = self._reading()
        self._read(client, with_key=with_key)
        self.read_at = time.monotonic()
        return self._reading() != before

    def distrust(self) -> None:
        """After a failed question: the next look asks again, however fresh the last one is."""
        self.read_at = None

    def _reading(self) -> tuple[object, ...]:
        return self.health, self.models, self.documents, str(self.problem)

    def _read(self, client: ApiClient, *, with_key: bool) -> None:
        self.problem = None
        try:
            self.health = client.health()
            if with_key:
                self.documents = client.documents()
                self.models = client.models()
        except ApiProblem as problem:
            self.problem = problem
            if problem.code == UNREACHABLE:
                self.health = None


@dataclass
class Visit:
    """Everything of one browser session."""

    conversation: Conversation = field(default_factory=Conversation)
    library: Library = field(default_factory=Library)


def current_visit() -> Visit:
    """The visit of the running session, begun on its first run."""
    if _VISIT not in st.session_state:
        st.session_state[_VISIT] = Visit()
    visit: Visit = st.session_state[_VISIT]
    return visit


def reset_conversation() -> None:
    """Forgets the turns and the session id; the next question starts a new session."""
    current_visit().conversation = Conversation()


def start_over() -> None:
    """For another key: nothing heard or said under the old one stays."""
    st.session_state[_VISIT] = Visit()


def current_key(config: Config) -> str | None:
    """The key typed in, else the launcher's."""
    typed = str(st.session_state.get(KEY_INPUT) or "").strip()
    return typed or config.api_key


def connect(config: Config) -> ApiClient:
    """A client with the current key, over the connection pool that all visitors share."""
    return ApiClient(_connection(config.api_url), api_key=current_key(config))


_connection = st.cache_resource(
    show_spinner=False, max_entries=4, on_release=lambda connection: connection.close()
)(open_connection)


def put_question(client: ApiClient, conversation: Conversation, question: Question) -> Turn:
    """Sends the question and waits; a problem becomes a turn too."""
    turn = Turn(question.text)
    try:
        turn.answer = client.ask(question)
    except ApiProblem as problem:
        turn.problem = problem.with_traceback(None)
        turn.retry_at = time.monotonic() + (problem.retry_after_s or 0.0)
    conversation.settle(turn)
    return turn
