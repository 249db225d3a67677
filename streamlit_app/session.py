"""What one browser session remembers: the conversation, the keys typed in, what the API last told.

All of it lives in Streamlit's session state, in this process's memory, and goes with the tab.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import SERVICE_UNAVAILABLE

import streamlit as st

from docent_client.account import Limit, Me
from docent_client.client import ApiClient
from docent_client.line import open_connection
from docent_client.problems import UNREACHABLE, ApiProblem
from docent_client.schemas import (
    PROVIDER_KEY_HEADERS,
    Answer,
    Delta,
    DocumentList,
    Health,
    Model,
    Reset,
)
from streamlit_app.asking import STOPPED, Asking
from streamlit_app.config import Config

KEY_INPUT = "api_key_input"
ACCESS_TOKEN = "access_token"  # noqa: S105 - where it is, not what it is
_VISIT = "visit"

#: After a silence this long an answer is drawn again as it is, so that clicks are seen.
LULL_S = 0.25
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
    #: What had been written when its reader stopped it.
    begun: str = ""
    #: On the monotonic clock; asking again earlier is pointless.
    retry_at: float = 0.0
    #: Pages behind the citations as addresses, by document, version and page; None has no picture.
    pictures: dict[tuple[str, int, int], str | None] = field(default_factory=dict, repr=False)


@dataclass
class Conversation:
    """The turns so far, and the session id under which the API remembers them too."""

    turns: list[Turn] = field(default_factory=list)
    session_id: str | None = None
    #: Typed or clicked; becomes ``pending`` once the sidebar's choices are read in the same run.
    asked: str | None = None
    #: Whether the older turns of a long conversation are drawn too.
    is_unfolded: bool = False
    #: On its way to the API.
    pending: Asking | None = None

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
    limits: tuple[Limit, ...] = ()
    me: Me | None = None
    problem: ApiProblem | None = None
    read_at: float | None = None
    #: Whether the list of documents shows deleted ones too.
    with_deleted: bool = False

    @property
    def is_unsettled(self) -> bool:
        """True when a later look will probably show something else, without anyone's doing."""
        if self.problem:
            return self.problem.code == UNREACHABLE or self.problem.status == SERVICE_UNAVAILABLE
        items = self.documents.items if self.documents else ()
        return not items or any(document.is_under_way for document in items)

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

    def may(self, scope: str) -> bool:
        """Whether the visitor is known to be allowed what needs ``scope``."""
        return self.me is not None and scope in self.me.scopes

    def read_limits(self, client: ApiClient) -> None:
        """Looks how far the limits are used up; what cannot be read stays as it was."""
        try:
            self.limits = client.limits()
        except ApiProblem:
            return  # the next question, or the next look, tells what is wrong

    def _reading(self) -> tuple[object, ...]:
        return self.health, self.models, self.documents, self.me, str(self.problem)

    def _read(self, client: ApiClient, *, with_key: bool) -> None:
        self.problem = None
        try:
            self.health = client.health()
            if with_key:
                self.me = self.me or client.me()
                if self.may("docs:read"):
                    self.documents = client.documents(include_deleted=self.with_deleted)
                if self.may("chat"):
                    self.models = client.models()
                self.limits = client.limits()
        except ApiProblem as problem:
            self.problem = problem
            if problem.code == UNREACHABLE:
                self.health = None


@dataclass
class Visit:
    """Everything of one browser session."""

    conversation: Conversation = field(default_factory=Conversation)
    library: Library = field(default_factory=Library)
    #: What was just done, told once on the next page drawn.
    notice: str | None = None
    #: Counts the batches of uploads: with it the upload box begins anew, empty.
    batch: int = 0

    def take_notice(self) -> str | None:
        notice, self.notice = self.notice, None
        return notice


def current_visit() -> Visit:
    """The visit of the running session, begun on its first run."""
    if _VISIT not in st.session_state:
        st.session_state[_VISIT] = Visit()
    visit: Visit = st.session_state[_VISIT]
    return visit


def reset_conversation(client: ApiClient) -> None:
    """Forgets the turns and the session id, and has the API forget them as well."""
    visit = current_visit()
    session_id = visit.conversation.session_id
    _hang_up()
    visit.conversation = Conversation()
    try:
        if session_id:
            client.forget_session(session_id)
    except ApiProblem as problem:
        visit.notice = f"The API keeps the old conversation until it expires: {problem}"


@dataclass
class Presence:
    """A browser with a page open; Streamlit says when it has gone."""

    asking: Asking | None = None

    def end(self) -> None:
        if self.asking:
            self.asking.leave()


@st.cache_resource(scope="session", show_spinner=False, on_release=Presence.end)
def _presence() -> Presence:
    return Presence()


def attend(asking: Asking) -> None:
    """Ties an answer to the browser that this run is for: without it, nobody waits for it."""
    _presence().asking = asking
    asking.stay()


def start_over() -> None:
    """For another key: nothing heard or said under the old one stays."""
    _hang_up()
    st.session_state[_VISIT] = Visit()


def leave() -> None:
    """Forgets everything of this browser session, keys first of all."""
    _hang_up()
    st.session_state.clear()


def _hang_up() -> None:
    """What nobody will see need not be written to its end."""
    if asking := current_visit().conversation.pending:
        asking.abandon()


def current_key(config: Config) -> str | None:
    """The key typed in, else the token one signed in for, else the launcher's key."""
    typed = str(st.session_state.get(KEY_INPUT) or "").strip()
    return typed or st.session_state.get(ACCESS_TOKEN) or config.api_key


def provider_key_input(provider: str) -> str:
    """The name in the session state under which a provider's own key is typed in."""
    return f"provider_key_{provider}"


def provider_keys() -> dict[str, str]:
    """The visitor's own keys of providers."""
    typed = {
        provider: str(st.session_state.get(provider_key_input(provider)) or "").strip()
        for provider in PROVIDER_KEY_HEADERS
    }
    return {provider: key for provider, key in typed.items() if key}


def forget_provider_keys() -> None:
    """Empties the inputs of the visitor's own keys."""
    for provider in PROVIDER_KEY_HEADERS:
        st.session_state[provider_key_input(provider)] = ""


def connect(config: Config) -> ApiClient:
    """A client with the current key, over the connection pool that all visitors share.

    It tries nothing twice by itself: a visitor is told of a refusal at once, with a countdown.
    """
    return ApiClient(_connection(config.api_url), api_key=current_key(config), retries=0)


_connection = st.cache_resource(
    show_spinner=False, max_entries=4, on_release=lambda connection: connection.close()
)(open_connection)


def hear_out(conversation: Conversation, asking: Asking, show: Callable[[str], None]) -> Turn:
    """Listens to the end and ``show``s the text so far; a problem becomes a turn too."""
    turn = Turn(asking.question.text)
    text = ""
    try:
        for part in asking.parts(lull_s=LULL_S):
            match part:
                case Delta(more):
                    text += more
                    show(text)
                case Reset():
                    text = ""
                    show(text)
                case Answer():
                    turn.answer = part
                    break
    except ApiProblem as problem:
        turn.problem = problem.with_traceback(None)
        turn.begun = text if problem.code == STOPPED else ""
        turn.retry_at = time.monotonic() + (problem.retry_after_s or 0.0)
    conversation.settle(turn)
    return turn
