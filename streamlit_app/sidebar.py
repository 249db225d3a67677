"""The sidebar: is the API well, what may be asked of it, which documents does it know."""

from dataclasses import dataclass

import streamlit as st

from streamlit_app import prose
from streamlit_app.config import Config
from streamlit_app.render import PROVIDER_NAMES
from streamlit_app.schemas import Document, Model
from streamlit_app.session import (
    KEY_INPUT,
    Library,
    Visit,
    current_key,
    reset_conversation,
    start_over,
)

AUTO = "auto"
DEFAULT_TOP_K = 5
MAX_TOP_K = 20
PROVIDERS_OWN = "The provider's own"
#: From here on the list of documents scrolls inside its own box.
LONG_LIST = 6
LIST_HEIGHT_PX = 320

_STATUS_COLOURS = {"ready": "green", "failed": "red", "deleted": "gray"}


@dataclass(frozen=True)
class Knobs:
    """How the visitor wants questions to be answered; None leaves it to the API."""

    model: str | None = None
    top_k: int = DEFAULT_TOP_K
    temperature: float | None = None
    max_tokens: int | None = None


def show_key_input(config: Config, library: Library) -> None:
    """Asks for a key when the launcher gave none, or gave one that the API refuses."""
    refused = library.problem is not None and library.problem.is_about_the_key
    if config.api_key and not refused and not st.session_state.get(KEY_INPUT):
        return
    st.text_input(
        "API key",
        key=KEY_INPUT,
        type="password",
        placeholder="Paste your key",
        help="Kept in this browser session only. `make create-key` prints a new one.",
        on_change=start_over,
    )


def show_sidebar(config: Config, visit: Visit) -> Knobs:
    """Draws everything below the key and returns what was chosen."""
    st.button(
        "Reset conversation",
        icon=":material/refresh:",
        on_click=reset_conversation,
        width="stretch",
        disabled=not visit.conversation.turns and not visit.conversation.is_waiting,
    )
    knobs = _show_knobs(visit.library.models, disabled=visit.conversation.is_waiting)
    if current_key(config):
        _show_documents(visit.library)
    _show_health(config, visit.library)
    return knobs


def model_label(model: Model, models: tuple[Model, ...]) -> str:
    """The provider's name, the model's id when needed to tell two apart, and what is amiss."""
    label = PROVIDER_NAMES.get(model.provider, model.provider)
    if sum(other.provider == model.provider for other in models) > 1:
        label = f"{label}: {model.id}"
    if model.cooling_down_until:
        return f"{label} (resting after a failure)"
    return label if model.available else f"{label} (not available)"


def _show_knobs(models: tuple[Model, ...], *, disabled: bool) -> Knobs:
    labels = {AUTO: "Automatic"} | {model.id: model_label(model, models) for model in models}
    chosen = st.selectbox(
        "Model",
        options=list(labels),
        format_func=lambda option: labels.get(option, option),
        help="Automatic tries the providers in their order until one answers.",
        disabled=disabled,
    )
    if any(model.id == chosen and not model.available for model in models):
        st.caption("This model is not available right now.")
    with st.expander("Answer settings", icon=":material/tune:"):
        top_k = st.slider("Passages to read", 1, MAX_TOP_K, DEFAULT_TOP_K, disabled=disabled)
        temperature = st.number_input(
            "Temperature", 0.0, 2.0, None, 0.1, placeholder=PROVIDERS_OWN, disabled=disabled
        )
        max_tokens = st.number_input(
            "Longest answer (tokens)",
            1,
            None,
            None,
            64,
            placeholder=PROVIDERS_OWN,
            disabled=disabled,
        )
    model = None if chosen in (AUTO, None) else chosen
    return Knobs(model=model, top_k=top_k, temperature=temperature, max_tokens=max_tokens)


def _show_documents(library: Library) -> None:
    if library.documents is None:
        return
    documents = library.documents.items
    more = "+" if library.documents.has_more else ""
    st.subheader(f"Documents ({len(documents)}{more})", anchor=False)
    if not documents:
        st.caption("None yet.")
    is_long = len(documents) > LONG_LIST
    with st.container(height=LIST_HEIGHT_PX if is_long else "content", border=is_long):
        for document in documents:
            st.markdown(_document_line(document))
    if library.documents.has_more:
        st.caption(f"The first {len(documents)} are listed; questions search them all.")


def _document_line(document: Document) -> str:
    colour = _STATUS_COLOURS.get(document.status, "orange")
    facts = [f"version {document.version}"]
    if document.page_count is not None:
        facts.insert(0, f"{document.page_count} page{'s' * (document.page_count != 1)}")
    status = f":{colour}[{prose.plain(document.status)}]"
    line = f"{prose.plain(document.title)}\\\n:small[{' · '.join(facts)} · {status}]"
    return f"{line}\\\n:small[{prose.plain(document.error)}]" if document.error else line


def _show_health(config: Config, library: Library) -> None:
    st.subheader("API", anchor=False)
    health = library.health
    if health is None:
        st.badge("Not reachable", icon=":material/cloud_off:", color="red")
        st.caption(f"at {prose.plain(config.api_url)}")
        return
    if health.failing:
        st.badge(prose.plain(health.status), icon=":material/warning:", color="orange")
        st.caption("Not well: " + ", ".join(map(prose.plain, health.failing)))
    else:
        st.badge("Running", icon=":material/check_circle:", color="green")
    if health.version:
        st.caption(f"Docent {prose.plain(health.version)}")
