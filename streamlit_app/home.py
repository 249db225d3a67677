"""The demo: ``streamlit run streamlit_app/home.py``. What all its pages share, and the way to them.

Streamlit puts this file's folder on the import path, not the folder above it, in which
``streamlit_app`` and ``docent_client`` are found; hence the first lines. They run again at every
rerun of the page.
"""

import sys
from pathlib import Path

import streamlit as st

if (root := str(Path(__file__).resolve().parents[1])) not in sys.path:
    sys.path.insert(0, root)

from docent_client.client import ApiClient
from docent_client.problems import ApiProblem
from streamlit_app.chat import accept_question
from streamlit_app.config import Config, load_config
from streamlit_app.render import show_problem
from streamlit_app.session import Library, Visit, attend, connect, current_key, current_visit
from streamlit_app.sidebar import show_choices, show_key_input, show_state
from streamlit_app.sign_in import come_back

HERE = Path(__file__).resolve().parent
TITLE = "Docent"
#: What is written from right to left begins at the right; each paragraph by its first
#: letter. Items stay beside their bullets, which are at the left.
_DIRECTIONS = """<style>
[data-testid=stMarkdownContainer] :is(p, li, h1, h2, h3), [data-testid=stText] *, textarea
{ unicode-bidi: plaintext; text-align: start; }
[data-testid=stMarkdownContainer] li { text-align: left; }
</style>"""
#: A little more than ``session.UNSETTLED_FRESH_S``, so that every look finds the last one old.
WATCH_EVERY_S = 4.0


def main() -> None:
    """Draws the frame once, and in it the page that is open."""
    config = load_config()
    st.set_page_config(
        page_title=TITLE,
        page_icon=str(HERE / "icon.svg"),
        initial_sidebar_state="auto" if config.api_key else "expanded",
    )
    st.html(_DIRECTIONS)
    st.logo((HERE / "icon.svg").read_text(), size="large")
    try:
        client = connect(config)
    except ApiProblem as problem:
        show_problem(problem)
        return
    not_signed_in = come_back(config)
    visit = current_visit()
    if visit.conversation.pending:
        attend(visit.conversation.pending)
    if visit.conversation.is_idle:
        visit.library.refresh(client, with_key=bool(current_key(config)))
    page = _navigation(visit.library)
    _show_side(config, visit, client)
    if not_signed_in:
        show_problem(not_signed_in)
    if notice := visit.take_notice():
        st.success(notice, icon=":material/check:")
    page.run()
    if current_key(config) and visit.library.is_unsettled:
        _watch(visit, client)


def _navigation(library: Library) -> st.Page:
    """The pages that the visitor may see; analytics is for administrators."""
    views = HERE / "views"
    pages = [
        st.Page(views / "conversation.py", title="Chat", icon=":material/chat:", default=True),
        st.Page(views / "documents.py", title="Documents", icon=":material/folder_open:"),
    ]
    if library.may("admin"):
        pages.append(
            st.Page(views / "analytics.py", title="Analytics", icon=":material/monitoring:")
        )
    return st.navigation(pages)


def _show_side(config: Config, visit: Visit, client: ApiClient) -> None:
    """The sidebar; a question is sent once its choices are known, before the rest is drawn."""
    with st.sidebar:
        show_key_input(config, visit.library)
        accept_question(visit.conversation, show_choices(visit, client), client)
        show_state(config, visit.library)


@st.fragment(run_every=WATCH_EVERY_S)
def _watch(visit: Visit, client: ApiClient) -> None:
    """While something is about to change, looks again now and then and redraws when it has."""
    if visit.library.refresh(client, with_key=True):
        st.rerun()


main()
