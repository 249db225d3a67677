"""Uploading: files are chosen, then processed at the press of a button, and followed to the end."""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from docent_client.client import ApiClient
from docent_client.problems import ApiProblem
from docent_client.schemas import Job, Upload
from streamlit_app import prose
from streamlit_app.session import Visit

#: The API's limit for one file, unless its operator set another; it says so itself then.
MAX_FILE_MB = 10
_MEGABYTE = 1024 * 1024
#: Sends the content of a file of that name.
Send = Callable[[str, bytes], Upload]
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

        visit.library.distrust()
        is_ready = process(files, send, client)
    visit.library.distrust()
    if is_ready:
        visit.batch += 1
        names = ", ".join(prose.plain(file.name) for file in files)
        visit.notice = f"Ready to answer from: {names}"
        st.rerun()


def process(files: Sequence[Any], send: Send, client: ApiClient) -> bool:
    """Sends the files, then shows how each is read; whether all can be answered from in the end.

    Nothing is drawn between the first file and the last: whatever is clicked meanwhile ends this
    run at what it draws next, and the files after that would never be sent.
    """
    with st.spinner("Sending …"):
        sent = [_sent(file, send) for file in files]
    places = [st.empty() for _ in files]
    for file, place in zip(files, places, strict=True):
        place.progress(0, text=f"{prose.plain(file.name)}: waiting for its turn")
    results = [
        _followed(prose.plain(file.name), outcome, place, client)
        for file, outcome, place in zip(files, sent, places, strict=True)
    ]
    return all(results)


def _sent(file: Any, send: Send) -> Job | ApiProblem | None:  # noqa: ANN401 - Streamlit's uploaded file
    """The job of a new file, nothing for one that is known already, or why it was not taken."""
    if file.size > MAX_FILE_MB * _MEGABYTE:
        size = f"{file.size / _MEGABYTE:.1f}"
        return ApiProblem(f"It has {size} MB; at most {MAX_FILE_MB} MB are taken. It was not sent.")
    try:
        return send(file.name, file.getvalue()).job
    except ApiProblem as problem:
        return problem


def _followed(
    name: str, sent: Job | ApiProblem | None, place: DeltaGenerator, client: ApiClient
) -> bool:
    """Shows in its place what becomes of a file; whether it can be answered from."""
    if isinstance(sent, ApiProblem):
        return _refused(name, sent, place)
    job = sent
    try:
        for seen in client.watch(job.id) if job else ():
            place.progress(seen.progress, text=f"{name}: {step_of(seen)}")
            job = seen
    except ApiProblem as problem:
        return _refused(name, problem, place)
    if job and not job.has_succeeded:
        why = prose.plain(str(job.error or job.status))
        place.error(f"{name} could not be read: {why}", icon=":material/error:")
        return False
    place.progress(100, text=f"{name}: " + ("ready" if job else "known already, nothing to do"))
    return True


def _refused(name: str, problem: ApiProblem, place: DeltaGenerator) -> bool:
    trace = f" :small[(trace id: {prose.plain(problem.trace_id)})]" if problem.trace_id else ""
    why = prose.plain(problem.detail or problem.title)
    place.error(f"{name}: {why}{trace}", icon=":material/error:")
    return False


def step_of(job: Job) -> str:
    """What is being done, in words."""
    if job.status == "queued":
        return "waiting for its turn"
    step = _STEPS.get(job.step or "", job.status)
    pages = f", page {job.pages_done} of {job.pages_total}" if job.pages_total else ""
    return f"{step}{pages}"
