"""A question and its answer, as its request's trace has them."""

from app.auth.caller import Caller
from app.chat.answer import Answer, Question
from app.infra.tracing import Value, current_span, masked

#: Langfuse takes identifiers of so many characters, and of ASCII alone.
_MOST_ID_CHARS = 200


def trace_question(caller: Caller, question: Question) -> None:
    """Say whose question it is that is answered from now on.

    Callers name sessions, and two may choose one name: the caller stands before it.
    """
    span = current_span()
    if span.kept_trace_id is None:
        return
    session = f"{caller.id}/{masked(question.session_id)}".encode("ascii", "replace").decode()
    shared: dict[str, Value] = {
        "session.id": session[:_MOST_ID_CHARS],
        "gen_ai.conversation.id": session[:_MOST_ID_CHARS],
        "user.id": caller.user_id or caller.id,
        "docent.tenant.id": caller.tenant_id,
    }
    span.share("question", shared)
    text = question.text  # not all that came with it, for as long as the span waits
    span.quote("docent.question", lambda: masked(text), len(text))


def trace_answer(answer: Answer) -> None:
    """Say what became of it."""
    span = current_span()
    span.note(
        {
            "docent.answer.id": answer.answer_id,
            "docent.answer.status": answer.status,
            "docent.answer.reason": answer.reason,
            "docent.answer.provider": answer.provider,
            "docent.answer.cached": answer.cached,
            "docent.answer.citations": len(answer.citations),
            "docent.answer.groundedness": answer.groundedness,
        }
    )
    text = answer.text
    span.quote("docent.answer", lambda: masked(text), len(text))
