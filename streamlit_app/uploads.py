"""Uploading: files are chosen, then processed at the press of a button, and followed to the end."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from docent_client.client import ApiClient
from docent_client.problems import ApiProblem
from docent_client.schemas import Job, Upload
from streamlit_app import prose
from streamlit_app.session import Visit

#: The API's limit for one file, unless its operator set another; it says so itself then.
MAX_FILE_MB = 10
_MEGABYTE = 1024 * 1024
_STEPS = {
    "parse": "Reading the pages",
    "chunk": "Cutting into passages",
    "embed": "Embedding",
    "index": "Indexing",
}


def show_uploads(visit: Visit, client: ApiClient) -> None:
    """The box for new files, their tags, and the button that has them read."""
    with st.container(border=True):
        files = st.file_uploader(
            "New documents",
            accept_multiple_files=True,
            key=f"uploads-{visit.batch}",
            max_upload_size=MAX_FILE_MB,
            help="PDF, Office, HTML, Markdown, text, CSV, EPUB, and pictures of pages.",
        )
        tags = st.text_input("Tags, separated by commas", key=f"tags-{visit.batch}")
        pressed = st.button("Process", icon=":material/play_arrow:", disabled=not files)
        st.caption(
            f"Nothing is sent before you press Process. Files over {MAX_FILE_MB} MB turn red and "
            "are not sent at all."
        )
        if not pressed:
            return
        wanted = [tag.strip() for tag in tags.split(",") if tag.strip()]

        def send(name: str, content: bytes) -> Upload:
            return client.upload(name, content, tags=wanted)

        results = [process(file, send, client) for file in files]
    visit.library.distrust()
    if all(results):
        visit.batch += 1
        names = ", ".join(prose.plain(file.name) for file in files)
        visit.notice = f"Ready to answer from: {names}"
        st.rerun()


def process(file: Any, send: Callable[[str, bytes], Upload], client: ApiClient) -> bool:  # noqa: ANN401 - Streamlit's uploaded file
    """Sends one file and shows how it is read; whether it can be answered from in the end."""
    name = prose.plain(file.name)
    if file.size > MAX_FILE_MB * _MEGABYTE:
        size = f"{file.size / _MEGABYTE:.1f}"
        st.error(f"{name} has {size} MB; at most {MAX_FILE_MB} MB are taken. It was not sent.")
        return False
    bar = st.progress(0, text=f"{name}: sending …")
    try:
        job = send(file.name, file.getvalue()).job
        for seen in client.watch(job.id) if job else ():
            bar.progress(seen.progress, text=f"{name}: {step_of(seen)}")
            job = seen
    except ApiProblem as problem:
        bar.empty()
        trace = f" :small[(trace id: {prose.plain(problem.trace_id)})]" if problem.trace_id else ""
        st.error(f"{name}: {prose.plain(str(problem))}{trace}", icon=":material/error:")
        return False
    if job and not job.has_succeeded:
        bar.empty()
        why = prose.plain(str(job.error or job.status))
        st.error(f"{name} could not be read: {why}", icon=":material/error:")
        return False
    bar.progress(100, text=f"{name}: " + ("ready" if job else "known already, nothing to do"))
    return True


def step_of(job: Job) -> str:
    """What is being done, in words."""
    if job.status == "queued":
        return "waiting for its turn"
    step = _STEPS.get(job.step or "", job.status)
    pages = f", page {job.pages_done} of {job.pages_total}" if job.pages_total else ""
    return f"{step}{pages}"
