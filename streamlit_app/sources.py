"""The citations of an answer as cards, and the page behind each with its quote highlighted.

Titles, tags, quotes and pages are strangers' text: they pass through ``prose`` or ``st.text``,
never through raw HTML.
"""

import streamlit as st

from streamlit_app import prose
from streamlit_app.client import ApiClient
from streamlit_app.problems import ApiProblem
from streamlit_app.render import show_problem
from streamlit_app.schemas import Citation, PageText


def show_citations(
    citations: tuple[Citation, ...], client: ApiClient, *, key: str, disabled: bool
) -> None:
    """One card per citation; ``key`` tells the buttons of several answers apart.

    The quote is shown word for word but flows to the width of the screen; its own line breaks are
    seen on the page behind the button.
    """
    for index, citation in enumerate(citations):
        with st.container(border=True):
            st.markdown(_heading(citation))
            st.text(" ".join(citation.quote.split()))
            if st.button(
                f"Open page {citation.page}",
                key=f"{key}-{index}",
                icon=":material/menu_book:",
                type="tertiary",
                disabled=disabled,
            ):
                open_page(citation, client)


def open_page(citation: Citation, client: ApiClient) -> None:
    """Shows the cited page in a dialog over the conversation."""
    dialog = st.dialog(prose.plain(citation.title), width="large")
    dialog(_show_page)(citation, client)


def locate(page: PageText, citation: Citation) -> tuple[int, int] | None:
    """Where the quote stands in the page's text; None when it is not there.

    The API's offsets count; should they not fit (a page indexed anew meanwhile), the quote itself
    is looked for.
    """
    if page.text[citation.start : citation.end] == citation.quote != "":
        return citation.start, citation.end
    found = page.text.find(citation.quote) if citation.quote else -1
    return None if found < 0 else (found, found + len(citation.quote))


def _heading(citation: Citation) -> str:
    badges = [f":gray-badge[p. {citation.page}]", f":gray-badge[v{citation.version}]"]
    badges += [f":blue-badge[{prose.plain(tag)}]" for tag in citation.tags]
    if not citation.verified:
        badges.append(":orange-badge[not verified]")
    title = prose.plain(citation.title)
    return rf":primary[**\[{citation.marker}\]**] **{title}** {' '.join(badges)}"


def _show_page(citation: Citation, client: ApiClient) -> None:
    try:
        with st.spinner("Opening the page …"):
            page = client.page(citation.document_id, citation.page, version=citation.version)
    except ApiProblem as problem:
        show_problem(problem)
        return
    st.caption(f"p. {citation.page} · version {citation.version}")
    span = locate(page, citation)
    if span is None:
        st.warning("The quote is not on this page any more.", icon=":material/search_off:")
    with st.container(border=True):
        st.markdown(prose.highlighted(page.text, *(span or (0, 0))))
