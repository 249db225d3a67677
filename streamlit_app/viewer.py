"""A document in a dialog over the page: its pages as pictures and as text, one at a time."""

from base64 import b64encode
from dataclasses import dataclass
from http import HTTPStatus

import streamlit as st

from docent_client.client import ApiClient
from docent_client.problems import ApiProblem
from docent_client.schemas import Citation, PageText
from streamlit_app import prose
from streamlit_app.render import show_problem


@dataclass(frozen=True)
class Place:
    """Where a document is opened, and which quote of which answer is marked there."""

    document_id: str
    title: str
    version: int
    page: int = 1
    #: None where it is not known.
    page_count: int | None = None
    citation: Citation | None = None
    answer_id: str | None = None


def open_page(place: Place, client: ApiClient) -> None:
    """Shows the page in a dialog; from there one leafs through the document."""
    dialog = st.dialog(prose.plain(place.title), width="medium")
    dialog(_show_document)(place, client)


def locate(page: PageText, citation: Citation) -> tuple[int, int] | None:
    """Where the quote stands in the page's text; None when it is not there.

    The API's offsets count; should they not fit (a page indexed anew meanwhile), the quote itself
    is looked for.
    """
    if page.text[citation.start : citation.end] == citation.quote != "":
        return citation.start, citation.end
    found = page.text.find(citation.quote) if citation.quote else -1
    return None if found < 0 else (found, found + len(citation.quote))


def data_url(png: bytes) -> str:
    """The picture as an address that holds it.

    Given bytes, Streamlit makes a JPEG of them at every rerun and serves it, to anybody who has
    its address, until a run ends that did not draw it: the run that sends a question, for example,
    and a browser that asks in that moment shows a broken picture.
    """
    return f"data:image/png;base64,{b64encode(png).decode()}"


def _show_document(place: Place, client: ApiClient) -> None:
    leaf, words = st.columns([1, 2], vertical_alignment="bottom")
    number = leaf.number_input(
        "Page",
        min_value=1,
        max_value=place.page_count,
        value=place.page,
        key=f"leaf-{place.document_id}-{place.page}",
    )
    count = f"of {place.page_count} · " if place.page_count else ""
    words.caption(f"{count}version {place.version}")
    try:
        with st.spinner("Opening the page …"):
            page = client.page(place.document_id, number, version=place.version)
            picture = _picture(place, number, client)
    except ApiProblem as problem:
        if problem.status == HTTPStatus.NOT_FOUND and number != place.page:
            st.info(f"There is no page {number}.", icon=":material/search_off:")
        else:
            show_problem(problem)
        return
    citation = place.citation if number == place.page else None
    if picture:
        if citation:  # the picture may be longer than the window
            quote = " ".join(citation.quote.split())
            st.markdown(prose.highlighted(quote, 0, len(quote)))
        st.image(data_url(picture), width="stretch", alt=f"Page {number} of {place.title}")
    with st.expander("Text of the page", expanded=not picture):
        _show_text(page, citation)


def _picture(place: Place, number: int, client: ApiClient) -> bytes | None:
    try:
        return client.page_image(
            place.document_id, number, version=place.version, highlight=place.answer_id
        )
    except ApiProblem as problem:
        if problem.status in (HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE):
            return None  # not every format has pictures; the text is there
        raise


def _show_text(page: PageText, citation: Citation | None) -> None:
    span = locate(page, citation) if citation else None
    if citation and span is None:
        st.warning("The quote is not on this page any more.", icon=":material/search_off:")
    st.markdown(prose.highlighted(page.text, *(span or (0, 0))))
