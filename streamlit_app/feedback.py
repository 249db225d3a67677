"""What a reader thinks of an answer: a thumb, and a comment if they like."""

import streamlit as st

from docent_client.client import ApiClient
from docent_client.problems import ApiProblem
from docent_client.schemas import Answer
from streamlit_app.render import show_problem

#: The API's longest comment.
MAX_COMMENT_CHARS = 2000
_THUMBS = {0: -1, 1: 1}


@st.fragment
def show_feedback(answer: Answer, client: ApiClient, *, disabled: bool) -> None:
    """Thumbs, sent at once; after one of them, room for a comment. Redraws by itself."""
    thumb = st.feedback("thumbs", key=f"thumb-{answer.answer_id}", disabled=disabled)
    if thumb is None:
        return
    said = st.session_state.setdefault(f"said-{answer.answer_id}", {})
    score = _THUMBS[thumb]
    if said.get("score") != score and not _send(answer, client, score, said.get("comment")):
        return
    said["score"] = score
    with st.form(f"comment-form-{answer.answer_id}", border=False):
        comment = st.text_area(
            "What was good about it?" if score > 0 else "What was wrong with it?",
            key=f"comment-{answer.answer_id}",
            max_chars=MAX_COMMENT_CHARS,
            height=80,
        )
        sent = st.form_submit_button("Send comment", disabled=disabled)
    if sent and comment.strip() and _send(answer, client, score, comment.strip()):
        said["comment"] = comment.strip()
    st.caption("Comment sent. Thank you." if said.get("comment") else "Thank you.")


def _send(answer: Answer, client: ApiClient, score: int, comment: str | None) -> bool:
    try:
        client.give_feedback(answer.answer_id, score=score, comment=comment)
    except ApiProblem as problem:
        show_problem(problem)
        return False
    return True
