"""The citations of an answer as cards, and the page behind each with its quote highlighted.

Titles, tags, quotes and pages are strangers' text: they pass through ``prose`` or ``st.text``,
never through raw HTML.
"""

from http import HTTPStatus

import streamlit as st

from docent_client.client import ApiClient
from docent_client.problems import ApiProblem
from docent_client.schemas import Citation
from streamlit_app import prose
from streamlit_app.session import Turn, current_visit
from streamlit_app.viewer import Place, data_url, open_page


def show_citations(turn: Turn, client: ApiClient, *, key: str, disabled: bool) -> None:
    """One card per citation; ``key`` tells the buttons of several answers apart.

    The quote is shown word for word but flows to the width of the screen; its own line breaks are
    seen on the page beside it.
    """
    if turn.answer is None:
        return
    for index, citation in enumerate(turn.answer.citations):
        with st.container(border=True):
            words, picture = st.columns([3, 1])
            with words:
                st.markdown(_heading(citation))
                st.text(" ".join(citation.quote.split()))
                pressed = st.button(
                    f"Open page {citation.page}",
                    key=f"{key}-{index}",
                    icon=":material/menu_book:",
                    type="tertiary",
                    disabled=disabled,
                )
            url = _picture(turn, citation, client)
            if url:
                picture.image(url, alt=f"Page {citation.page} of {citation.title}, quote marked")
            if pressed:
                open_page(_place(citation, turn.answer.answer_id), client)


def _picture(turn: Turn, citation: Citation, client: ApiClient) -> str | None:
    """The address of the page as a picture, asked for once; text files, for example, have none.

    What could not be had for another reason is asked for again, once the API is well.
    """
    which = (citation.document_id, citation.version, citation.page)
    if which not in turn.pictures and not current_visit().library.problem:
        answer_id = turn.answer.answer_id if turn.answer else None
        try:
            png = client.page_image(
                citation.document_id, citation.page, version=citation.version, highlight=answer_id
            )
            turn.pictures[which] = data_url(png)
        except ApiProblem as problem:  # the page's text, behind the button, tells what is wrong
            if problem.status == HTTPStatus.NOT_FOUND:
                turn.pictures[which] = None
    return turn.pictures.get(which)


def _place(citation: Citation, answer_id: str) -> Place:
    return Place(
        document_id=citation.document_id,
        title=citation.title,
        version=citation.version,
        page=citation.page,
        citation=citation,
        answer_id=answer_id,
    )


def _heading(citation: Citation) -> str:
    badges = [f":gray-badge[p. {citation.page}]", f":gray-badge[v{citation.version}]"]
    badges += [f":blue-badge[{prose.plain(tag)}]" for tag in citation.tags]
    if not citation.verified:
        badges.append(":orange-badge[not verified]")
    title = prose.plain(citation.title)
    return rf":primary[**\[{citation.marker}\]**] **{title}** {' '.join(badges)}"
