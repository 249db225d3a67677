"""Turns an answer, or the problem that came instead, into widgets."""

import math
import time
from http import HTTPStatus

import streamlit as st

from docent_client.problems import INTERRUPTED, MALFORMED, TIMED_OUT, UNREACHABLE, ApiProblem
from docent_client.schemas import Answer
from streamlit_app import prose
from streamlit_app.asking import STOPPED

#: Names people know the providers by.
PROVIDER_NAMES = {
    "openrouter": "Gemini (OpenRouter)",
    "groq": "Llama 3 (Groq)",
    "openai": "ChatGPT (OpenAI)",
    "local": "Local",
    "extractive": "Extractive",
}

_ABSTENTIONS = {
    "no_match": "Nothing in the documents matches this question.",
    "weak_match": "The documents touch on this, but nothing in them answers it reliably.",
    "refused": "The question was declined.",
    "provider_failed": "No provider could answer just now; please ask again in a moment.",
}

#: What a visitor can do about a problem; the API's own detail stands before it.
_ADVICE: dict[int | str, str] = {
    UNREACHABLE: "Is it running? `make run` starts everything, `make serve` the API alone.",
    TIMED_OUT: "It may be busy; please ask again in a moment.",
    STOPPED: "What is written of it was not checked against the documents.",
    INTERRUPTED: "Please ask again in a moment.",
    MALFORMED: "Please check that the demo and the API come from the same version.",
    HTTPStatus.UNAUTHORIZED: "Please enter a valid API key in the sidebar.",
    HTTPStatus.FORBIDDEN: "This key is not allowed to do that; ask for one with the right scope.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Please change the question or the settings and ask again.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Something the API needs is down; it usually recovers soon.",
}


def show_answer(answer: Answer) -> None:
    """The text with its markers, labelled when it is partial or an abstention."""
    if answer.status == "abstained":
        _show_abstention(answer)
        return
    if answer.status == "incomplete":
        st.warning(_incomplete_label(answer), icon=":material/warning:")
    if answer.text:
        st.markdown(prose.answer(answer.text, {item.marker for item in answer.citations}))


def show_unsupported(answer: Answer) -> None:
    """The sentences that their citations do not carry, so that a reader checks just those."""
    if not answer.unsupported:
        return
    sentences = "\n".join(
        f"- {prose.plain(' '.join(one.text.split()))}" for one in answer.unsupported
    )
    st.warning(
        f"**Not supported by the pages cited; check before relying on it:**\n\n{sentences}",
        icon=":material/rule:",
    )


def show_footnote(answer: Answer) -> None:
    """Who answered, how long it took and what it cost, in one small line."""
    facts = [_who(answer), *_times(answer), *_usage(answer)]
    if answer.groundedness is not None:
        facts.append(f"{answer.groundedness:.0%} supported by its sources")
    if answer.cached:
        facts.append(f"from the {prose.plain(answer.cached)} cache")
    if len(answer.attempts) > 1:
        facts.append(_fallback(answer))
    st.caption(" · ".join(fact for fact in facts if fact))


def show_problem(problem: ApiProblem) -> None:
    """What went wrong, what to do about it, and the trace id to quote to an operator."""
    parts = [f"**{prose.plain(problem.title)}**", prose.plain(problem.detail), _advice(problem)]
    if problem.trace_id:
        parts.append(f":small[Trace id: {prose.plain(problem.trace_id)}]")
    text = "\n\n".join(part for part in parts if part)
    if problem.code == STOPPED:
        st.info(text, icon=":material/stop_circle:")
    elif problem.status == HTTPStatus.TOO_MANY_REQUESTS:
        st.warning(text, icon=":material/hourglass_top:")
    elif problem.is_about_the_key:
        st.warning(text, icon=":material/key:")
    else:
        st.error(text, icon=":material/error:")


@st.fragment(run_every=1.0)
def countdown(retry_at: float) -> None:
    """Counts down to ``retry_at`` (monotonic clock) and reruns the page when it is reached."""
    left = seconds_left(retry_at)
    if not left:
        st.rerun()
    st.caption(f"You can ask again in {left} s.")


def seconds_left(retry_at: float) -> int:
    """Whole seconds until ``retry_at``, rounded up; 0 once it has passed."""
    return max(0, math.ceil(retry_at - time.monotonic()))


def _show_abstention(answer: Answer) -> None:
    why = _ABSTENTIONS.get(answer.reason or "", "")
    text = "\n\n".join(part for part in (prose.plain(answer.text), f":small[{why}]") if part)
    st.info(text, icon=":material/search_off:")


def _incomplete_label(answer: Answer) -> str:
    label = "**Incomplete answer.** The provider stopped before the end"
    if not answer.text:
        label = "**No answer.** The provider failed"
    trace = f" :small[(trace id: {prose.plain(answer.trace_id)})]" if answer.trace_id else ""
    return f"{label}; please ask again in a moment.{trace}"


def _advice(problem: ApiProblem) -> str:
    return _ADVICE.get(problem.code) or _ADVICE.get(problem.status, "")


def _who(answer: Answer) -> str:
    if not answer.provider:
        return ""
    name = PROVIDER_NAMES.get(answer.provider, prose.plain(answer.provider))
    model = answer.model if answer.model != answer.provider else None
    return f"{name}, {prose.plain(model)}" if model else name


def _times(answer: Answer) -> list[str]:
    total, first = answer.timings.get("total_ms"), answer.timings.get("first_token_ms")
    search = answer.timings.get("search_ms")
    times = [f"{_duration(total)}" if total is not None else ""]
    if first is not None and answer.provider != "extractive":
        times.append(f"first word {_duration(first)}")
    if search is not None:
        times.append(f"search {_duration(search)}")
    return times


def _usage(answer: Answer) -> list[str]:
    tokens = sum(int(answer.usage.get(k) or 0) for k in ("prompt_tokens", "completion_tokens"))
    cost = float(answer.usage.get("cost_usd") or 0.0)
    return [f"{tokens} tokens" if tokens else "", rf"\${cost:.4f}" if cost else ""]


def _fallback(answer: Answer) -> str:
    tried = [
        f"{prose.plain(attempt.provider)} {prose.plain(attempt.outcome.replace('_', ' '))}"
        for attempt in answer.attempts
    ]
    return "tried: " + ", then ".join(tried)


def _duration(milliseconds: float) -> str:
    ms = float(milliseconds)
    return f"{ms / 1000:.1f} s" if ms >= 1000 else f"{ms:.0f} ms"  # noqa: PLR2004
