"""The middle of the page: what to ask first, the turns so far, the question being answered."""

import time
from collections.abc import Callable

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from docent_client.client import ApiClient
from docent_client.schemas import Question
from streamlit_app import prose
from streamlit_app.asking import Asking
from streamlit_app.config import load_config
from streamlit_app.feedback import show_feedback
from streamlit_app.render import (
    countdown,
    seconds_left,
    show_answer,
    show_footnote,
    show_problem,
    show_unsupported,
)
from streamlit_app.session import (
    Conversation,
    Library,
    Turn,
    Visit,
    attend,
    connect,
    current_key,
    current_visit,
    hear_out,
    provider_keys,
)
from streamlit_app.sidebar import Knobs
from streamlit_app.sources import show_citations
from streamlit_app.suggestions import suggestions_for

#: The contract's longest question.
MAX_QUESTION_CHARS = 4000
VISITOR_AVATAR = ":material/person:"
DOCENT_AVATAR = ":material/menu_book:"
#: How often growing text is drawn: a browser that draws every token falls behind.
DRAW_EVERY_S = 0.08
#: Turns that are drawn at least; all sixty of a conversation took five seconds for each question.
TURNS_SHOWN = 10


def show_conversation_page() -> None:
    """Draws the whole page once."""
    config, visit = load_config(), current_visit()
    client = connect(config)
    st.title("Docent", anchor=False)
    st.caption("Answers from your own documents, every claim tied to the page it came from.")
    conversation, library = visit.conversation, visit.library
    has_key = bool(current_key(config))
    welcome = st.empty()  # emptied at once when a question is asked, not when it is answered
    if not has_key:
        welcome.info("Enter your API key in the sidebar to start.", icon=":material/key:")
    elif not conversation.turns and not conversation.is_waiting:
        with welcome.container():
            show_welcome(library, conversation)
    show_turns(conversation, client)
    show_input(conversation, disabled=not has_key)
    answer_pending(visit, client)


def show_welcome(library: Library, conversation: Conversation) -> None:
    """Before the first question: what could be asked, or why nothing can be yet."""
    if library.problem:
        show_problem(library.problem)
    if library.documents is None:
        return
    documents = library.documents.items
    if not documents:
        _show_empty_corpus(may_write=library.may("docs:write"))
        return
    waiting = sum(document.is_under_way for document in documents)
    if waiting:
        st.info(
            f"Still being read: {waiting} of {len(documents)} documents.",
            icon=":material/hourglass_top:",
        )
    questions = suggestions_for(documents)
    if questions:
        st.caption("Try one of these:")
    for question in questions:
        st.button(question, on_click=conversation.ask, args=(question,), width="stretch")


def show_turns(conversation: Conversation, client: ApiClient) -> None:
    """The conversation, or its end if it is long; the last turn offers another try if it failed."""
    folded = 0 if conversation.is_unfolded else folded_turns(len(conversation.turns))
    if folded and st.button(f"Show {folded} earlier questions", icon=":material/unfold_more:"):
        conversation.is_unfolded = True
        st.rerun()
    for index, turn in enumerate(conversation.turns[folded:], folded):
        _show_question(turn.question)
        with st.chat_message("assistant", avatar=DOCENT_AVATAR):
            _show_outcome(turn, client, key=f"turn-{index}", disabled=conversation.is_waiting)
            if turn.problem and turn is conversation.turns[-1] and not conversation.is_waiting:
                _show_retry(conversation, turn)


def folded_turns(count: int) -> int:
    """How many of so many turns are left out: tens, as the page moves whenever that changes."""
    return max(0, count - TURNS_SHOWN) // TURNS_SHOWN * TURNS_SHOWN


def accept_question(conversation: Conversation, knobs: Knobs, client: ApiClient) -> None:
    """Sends what was asked, with the choices of this run, and redraws for the wait.

    It is sent first, so that drawing costs no time before the answer; one at a time. The redraw
    disables the controls. That may not happen in this run already: Streamlit discards what a widget
    reports in the run in which it becomes disabled, and the choice would be lost.
    """
    if conversation.asked is None or conversation.is_waiting:
        return
    question = Question(
        text=conversation.asked,
        session_id=conversation.session_id,
        model=knobs.model,
        top_k=knobs.top_k,
        temperature=knobs.temperature,
        max_tokens=knobs.max_tokens,
        provider_keys=provider_keys(),
    )
    conversation.pending = Asking(client, question)
    attend(conversation.pending)
    conversation.asked = None
    st.rerun()


def answer_pending(visit: Visit, client: ApiClient) -> None:
    """Shows what is pending as it comes and redraws, so that the controls open again below it."""
    conversation = visit.conversation
    if conversation.pending is None:
        return
    _show_question(conversation.pending.question.text)
    with st.chat_message("assistant", avatar=DOCENT_AVATAR):
        st.button("Stop", icon=":material/stop_circle:", on_click=conversation.pending.abandon)
        with st.spinner("Reading the documents …"):
            turn = hear_out(conversation, conversation.pending, _drawing(st.empty()))
    if turn.problem:
        visit.library.distrust()
    else:
        visit.library.read_limits(client)
    st.rerun()


def _drawing(place: DeltaGenerator) -> Callable[[str], None]:
    """Draws a growing text there: its beginning at once, then now and then."""
    drawn_at = 0.0

    def draw(text: str) -> None:
        nonlocal drawn_at
        now = time.monotonic()
        if not text or now - drawn_at >= DRAW_EVERY_S:
            place.markdown(prose.answer(text, ()))
            drawn_at = now if text else 0.0

    return draw


def show_input(conversation: Conversation, *, disabled: bool) -> None:
    """The question box, at the bottom of the window.

    It stays open during the wait: what is sent meanwhile is asked as soon as the answer is there,
    which goes on being heard, and nothing is lost or asked twice.
    """
    st.chat_input(
        "Ask a question about your documents",
        key="question",
        max_chars=MAX_QUESTION_CHARS,
        disabled=disabled,
        on_submit=lambda: conversation.ask(str(st.session_state["question"] or "")),
    )


def _show_empty_corpus(*, may_write: bool) -> None:
    if not may_write:
        st.info(
            "**No documents yet.** This key may not upload any; ask whoever gave it to you.",
            icon=":material/folder:",
        )
        return
    st.info("**No documents yet.** Answers come from yours.", icon=":material/folder:")
    st.page_link("views/documents.py", label="Upload documents", icon=":material/upload_file:")
    st.caption("Or have a whole folder read, on the machine that serves the API:")
    st.code("make ingest DIR=path/to/folder", language="sh")


def _show_question(question: str) -> None:
    with st.chat_message("user", avatar=VISITOR_AVATAR):
        st.markdown(prose.plain(question))


def _show_outcome(turn: Turn, client: ApiClient, *, key: str, disabled: bool) -> None:
    if turn.begun:
        st.markdown(prose.answer(turn.begun, ()))
    if turn.problem:
        show_problem(turn.problem)
    if turn.answer:
        show_answer(turn.answer)
        show_unsupported(turn.answer)
        show_citations(turn, client, key=key, disabled=disabled)
        show_footnote(turn.answer)
        show_feedback(turn.answer, client, disabled=disabled)


def _show_retry(conversation: Conversation, turn: Turn) -> None:
    if seconds_left(turn.retry_at):
        countdown(turn.retry_at)
        return
    st.button(
        "Ask again",
        icon=":material/replay:",
        on_click=conversation.ask,
        args=(turn.question,),
    )
