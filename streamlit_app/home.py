"""The page: ``streamlit run streamlit_app/home.py``.

Streamlit puts this file's folder on the import path, not the folder above it, in which
``streamlit_app`` is found; hence the first lines. They run again at every rerun of the page.
"""

import sys
from pathlib import Path

import streamlit as st

if (root := str(Path(__file__).resolve().parents[1])) not in sys.path:
    sys.path.insert(0, root)

from streamlit_app.chat import accept_question, answer_pending, show_input, show_turns, show_welcome
from streamlit_app.client import ApiClient
from streamlit_app.config import Config, load_config
from streamlit_app.problems import ApiProblem
from streamlit_app.render import show_problem
from streamlit_app.session import Visit, connect, current_key, current_visit
from streamlit_app.sidebar import Knobs, show_key_input, show_sidebar

TITLE = "Docent"
WHAT_IT_IS = "Answers from your own documents, every claim tied to the page it came from."
#: A little more than ``session.UNSETTLED_FRESH_S``, so that every look finds the last one old.
WATCH_EVERY_S = 4.0


def main() -> None:
    """Draws the page once."""
    config = load_config()
    st.set_page_config(
        page_title=TITLE,
        page_icon=str(Path(__file__).with_name("icon.svg")),
        initial_sidebar_state="auto" if config.api_key else "expanded",
    )
    st.title(TITLE, anchor=False)
    st.caption(WHAT_IT_IS)
    try:
        client = connect(config)
    except ApiProblem as problem:
        show_problem(problem)
        return
    visit = current_visit()
    if visit.conversation.is_idle:
        visit.library.refresh(client, with_key=bool(current_key(config)))
    accept_question(visit.conversation, _show_side(config, visit))
    _show_middle(config, visit, client)


def _show_side(config: Config, visit: Visit) -> Knobs:
    with st.sidebar:
        show_key_input(config, visit.library)
        return show_sidebar(config, visit)


def _show_middle(config: Config, visit: Visit, client: ApiClient) -> None:
    conversation, library = visit.conversation, visit.library
    welcome = st.empty()  # emptied at once when a question is asked, not when it is answered
    if not current_key(config):
        welcome.info("Enter your API key in the sidebar to start.", icon=":material/key:")
    elif not conversation.turns and not conversation.is_waiting:
        with welcome.container():
            show_welcome(library, conversation)
    show_turns(conversation, client)
    show_input(conversation, disabled=not current_key(config))
    answer_pending(visit, client)
    if current_key(config) and library.is_unsettled:
        _watch(visit, client)


@st.fragment(run_every=WATCH_EVERY_S)
def _watch(visit: Visit, client: ApiClient) -> None:
    """While something is about to change, looks again now and then and redraws when it has."""
    if visit.library.refresh(client, with_key=True):
        st.rerun()


main()
