"""What can be done with one document, in a dialog: its versions, a new one, deletion."""

import streamlit as st

from docent_client.client import ApiClient
from docent_client.problems import ApiProblem
from docent_client.schemas import Document, Upload, Version
from streamlit_app import prose
from streamlit_app.render import show_problem
from streamlit_app.session import Visit
from streamlit_app.uploads import MAX_FILE_MB, process


def open_desk(document: Document, visit: Visit, client: ApiClient) -> None:
    """Shows the dialog; whatever is changed in it closes it and is told on the page."""
    dialog = st.dialog(prose.plain(document.title), width="medium")
    dialog(_show_desk)(document, visit, client)


def restore(document: Document, visit: Visit, client: ApiClient) -> None:
    """Takes a deletion back and redraws."""
    try:
        client.restore(document.id)
    except ApiProblem as problem:
        show_problem(problem)
        return
    _done(visit, f"{prose.plain(document.title)} is back and answers again.")


def _show_desk(document: Document, visit: Visit, client: ApiClient) -> None:
    try:
        versions = client.versions(document.id)
    except ApiProblem as problem:
        show_problem(problem)
        return
    may_write = visit.library.may("docs:write")
    st.subheader("Versions", anchor=False)
    for version in versions:
        chosen = _show_version(version, may_write=may_write)
        if chosen:
            _activate(document, version, visit, client)
    if may_write:
        _show_new_version(document, visit, client)
        _show_deletion(document, visit, client)


def _show_version(version: Version, *, may_write: bool) -> bool:
    """One line of the history; whether the version is to answer from now on."""
    words, action = st.columns([3, 1], vertical_alignment="center")
    facts = [f"**Version {version.number}**", prose.plain(version.filename)]
    if version.page_count is not None:
        facts.append(f"{version.page_count} page{'s' * (version.page_count != 1)}")
    facts.append(prose.plain(_unbroken(version.uploaded_at[:16])))
    words.markdown(" · ".join(facts))
    if version.error:
        words.caption(prose.plain(str(version.error)))
    if version.current:
        action.badge("Answers now", icon=":material/check:", color="green")
        return False
    if not may_write or version.status != "ready":
        has_failed = version.status == "failed"
        action.badge(prose.plain(version.status), color="red" if has_failed else "gray")
        return False
    return action.button("Use this version", key=f"use-{version.number}")


def _unbroken(time: str) -> str:
    """A time that no line ends within."""
    return time.replace("T", "\u00a0").replace("-", "\u2011")


def _activate(document: Document, version: Version, visit: Visit, client: ApiClient) -> None:
    try:
        client.activate(document.id, version.number)
    except ApiProblem as problem:
        show_problem(problem)
        return
    title = prose.plain(document.title)
    _done(visit, f"{title} answers from version {version.number} now.")


def _show_new_version(document: Document, visit: Visit, client: ApiClient) -> None:
    st.subheader("New version", anchor=False)
    file = st.file_uploader(
        "The next version of this document",
        key=f"replace-{document.id}-{visit.batch}",
        max_upload_size=MAX_FILE_MB,
    )
    pressed = st.button("Process", key=f"process-{document.id}", disabled=file is None)
    st.caption("The present version answers until the new one is ready.")

    def send(name: str, content: bytes) -> Upload:
        return client.replace(document.id, name, content)

    if pressed and file is not None and process([file], send, client):
        visit.batch += 1
        _done(visit, f"{prose.plain(document.title)} answers from its new version.")


def _show_deletion(document: Document, visit: Visit, client: ApiClient) -> None:
    st.subheader("Deletion", anchor=False)
    sure = st.checkbox("Nothing is to be answered from this document any more")
    if not st.button(
        "Delete", key=f"delete-{document.id}", icon=":material/delete:", disabled=not sure
    ):
        return
    try:
        removed = client.delete(document.id)
    except ApiProblem as problem:
        show_problem(problem)
        return
    counts = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in removed.items())
    _done(visit, f"{prose.plain(document.title)} is deleted. Removed: {counts}.")


def _done(visit: Visit, notice: str) -> None:
    visit.notice = notice
    visit.library.distrust()
    st.rerun()
