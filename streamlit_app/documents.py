"""The documents page: what is there, and one row each with what can be done with it."""

import streamlit as st

from docent_client.client import ApiClient
from docent_client.schemas import Document
from streamlit_app import prose
from streamlit_app.config import load_config
from streamlit_app.document_desk import open_desk, restore
from streamlit_app.render import show_problem
from streamlit_app.session import Visit, connect, current_key, current_visit
from streamlit_app.uploads import show_uploads
from streamlit_app.viewer import Place, open_page

_COLOURS = {"ready": "green", "failed": "red", "deleted": "gray"}


def show_documents_page() -> None:
    """Draws the whole page once."""
    config, visit = load_config(), current_visit()
    client = connect(config)
    st.title("Documents", anchor=False)
    if not current_key(config):
        st.info("Enter your API key in the sidebar to start.", icon=":material/key:")
        return
    if visit.library.problem:
        show_problem(visit.library.problem)
    if visit.library.may("docs:write"):
        show_uploads(visit, client)
    if visit.library.may("docs:read"):
        _show_list(visit, client)
    elif visit.library.me:
        st.info("This key may not read documents.", icon=":material/lock:")


def _show_list(visit: Visit, client: ApiClient) -> None:
    library = visit.library
    st.header("In the archive", anchor=False)
    words, deleted = st.columns([3, 2], vertical_alignment="bottom")
    part = words.text_input("Search titles, file names and tags").strip().casefold()
    wanted = deleted.toggle("Show deleted documents", value=library.with_deleted)
    if wanted != library.with_deleted:
        library.with_deleted = wanted
        library.distrust()
        library.refresh(client, with_key=True)
    if library.documents is None:
        return
    found = [document for document in library.documents.items if part in _searched(document)]
    if not found:
        st.info("No document matches." if part else "No documents yet.", icon=":material/folder:")
    for document in found:
        _show_row(document, visit, client)
    if library.documents.has_more:
        st.caption(f"The newest {len(library.documents.items)} are listed.")


def _searched(document: Document) -> str:
    return " ".join((document.title, document.filename, *document.tags)).casefold()


def _show_row(document: Document, visit: Visit, client: ApiClient) -> None:
    may_write = visit.library.may("docs:write")
    with st.container(border=True):
        st.markdown(_line(document))
        if document.error:
            st.error(prose.plain(str(document.error)), icon=":material/error:")
        with st.container(horizontal=True):
            if document.status == "deleted":
                if may_write and _button("Restore", "undo", document):
                    restore(document, visit, client)
                return
            if _button("Open", "menu_book", document):
                place = Place(
                    document.id, document.title, document.version, page_count=document.page_count
                )
                open_page(place, client)
            if _button("Versions" if not may_write else "Manage", "history", document):
                open_desk(document, visit, client)


def _button(label: str, icon: str, document: Document) -> bool:
    return st.button(
        label,
        key=f"{label}-{document.id}",
        icon=f":material/{icon}:",
        help=f"{label}: {prose.plain(document.title)}",
        disabled=label == "Open" and document.page_count is None,
    )


def _line(document: Document) -> str:
    colour = _COLOURS.get(document.status, "orange")
    badges = [
        f":{colour}-badge[{prose.plain(document.status)}]",
        f":gray-badge[v{document.version}]",
    ]
    if document.page_count is not None:
        pages = "page" if document.page_count == 1 else "pages"
        badges.append(f":gray-badge[{document.page_count} {pages}]")
    badges += [f":blue-badge[{prose.plain(tag)}]" for tag in document.tags]
    heading = f"**{prose.plain(document.title)}** {' '.join(badges)}"
    return f"{heading}\\\n:small[{prose.plain(document.filename)}]"
