"""The sidebar: is the API well, what may be asked of it, which documents does it know."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

import streamlit as st

from docent_client.account import Limit
from docent_client.client import ApiClient
from docent_client.schemas import PROVIDER_KEY_HEADERS, Document, Model
from streamlit_app import prose
from streamlit_app.config import Config
from streamlit_app.render import PROVIDER_NAMES
from streamlit_app.session import (
    ACCESS_TOKEN,
    KEY_INPUT,
    Library,
    Visit,
    current_key,
    forget_provider_keys,
    leave,
    provider_key_input,
    provider_keys,
    reset_conversation,
    start_over,
)
from streamlit_app.sign_in import show_sign_in

AUTO = "auto"
DEFAULT_TOP_K = 5
MAX_TOP_K = 20
#: The API's, unless a question says otherwise.
MAX_TEMPERATURE = 2.0
MAX_ANSWER_TOKENS = 4096
#: Below this share of a limit one is told.
NEARLY_USED_UP = 0.2
#: From here on the list of documents scrolls inside its own box.
LONG_LIST = 6
LIST_HEIGHT_PX = 320

#: Requests are counted by whom they come from.
_COUNTED = {
    "ip": "Requests from your address",
    "key": "Requests with this key",
    "user": "Your requests",
    "tenant": "Your organisation's requests",
}
_STATUS_COLOURS = {"ready": "green", "failed": "red", "deleted": "gray"}


@dataclass(frozen=True)
class Knobs:
    """How the visitor wants questions to be answered; None leaves it to the API."""

    model: str | None = None
    top_k: int = DEFAULT_TOP_K
    temperature: float | None = None
    max_tokens: int | None = None


def show_key_input(config: Config, library: Library) -> None:
    """Asks for a key, or to sign in, when the launcher gave no key or one the API refuses."""
    refused = library.problem is not None and library.problem.is_about_the_key
    typed = st.session_state.get(KEY_INPUT)
    signed_in = st.session_state.get(ACCESS_TOKEN)
    if typed or refused or not (config.api_key or signed_in):
        st.text_input(
            "API key",
            key=KEY_INPUT,
            type="password",
            placeholder="Paste your key",
            help="Kept in this browser session only. `make create-key` prints a new one.",
            on_change=start_over,
        )
    if not typed and (refused or not signed_in):
        show_sign_in(config)


def show_choices(visit: Visit, client: ApiClient) -> Knobs:
    """Draws what the next question depends on, and returns what was chosen."""
    st.button(
        "Reset conversation",
        icon=":material/refresh:",
        on_click=reset_conversation,
        args=(client,),
        width="stretch",
        disabled=not visit.conversation.turns and not visit.conversation.is_waiting,
    )
    return _show_knobs(visit.library.models, disabled=visit.conversation.is_waiting)


def show_state(config: Config, library: Library) -> None:
    """Draws what is left, what there is and how the API is."""
    if current_key(config):
        _show_limits(library.limits)
        _show_documents(library)
    _show_health(config, library)
    _show_leaving(library)


def _show_leaving(library: Library) -> None:
    if library.me:
        who = library.me.user.email if library.me.user else f"a {library.me.kind}"
        st.caption(f"Signed in as {prose.plain(who)} of {prose.plain(library.me.tenant.name)}")
    if st.session_state.get(KEY_INPUT) or st.session_state.get(ACCESS_TOKEN) or provider_keys():
        st.button(
            "Sign out",
            icon=":material/logout:",
            help="Forgets every key and the conversation.",
            on_click=leave,
            width="stretch",
        )


def model_label(model: Model, models: tuple[Model, ...], own: Collection[str] = ()) -> str:
    """The provider's name, the model's id when needed to tell two apart, and what is amiss.

    ``own`` are the providers the visitor brought a key of.
    """
    label = PROVIDER_NAMES.get(model.provider, model.provider)
    if sum(other.provider == model.provider for other in models) > 1:
        label = f"{label}: {model.id}"
    if model.provider in own:
        return f"{label}, your key"
    if model.cooling_down_until:
        return f"{label}, resting"
    return label if model.available else f"{label}, not available"


def _show_knobs(models: tuple[Model, ...], *, disabled: bool) -> Knobs:
    own = provider_keys()
    labels = {AUTO: "Automatic"} | {model.id: model_label(model, models, own) for model in models}
    chosen = st.selectbox(
        "Model",
        options=list(labels),
        format_func=lambda option: labels.get(option, option),
        help="Automatic tries the providers in their order until one answers.",
        disabled=disabled,
    )
    if any(m.id == chosen and not m.available and m.provider not in own for m in models):
        st.caption("This model is not available right now. A key of your own may help, below.")
    knobs = _show_answer_settings(None if chosen in (AUTO, None) else chosen, disabled=disabled)
    _show_provider_keys(disabled=disabled)
    return knobs


def _show_answer_settings(model: str | None, *, disabled: bool) -> Knobs:
    with st.expander("Answer settings", icon=":material/tune:"):
        top_k = st.slider("Passages to read", 1, MAX_TOP_K, DEFAULT_TOP_K, disabled=disabled)
        own = st.toggle(
            "Set temperature and length",
            help="Otherwise the provider's own are used.",
            disabled=disabled,
        )
        temperature = st.slider(
            "Temperature", 0.0, MAX_TEMPERATURE, 0.2, 0.1, disabled=disabled or not own
        )
        max_tokens = st.slider(
            "Longest answer (tokens)", 64, MAX_ANSWER_TOKENS, 1024, 64, disabled=disabled or not own
        )
    return Knobs(model, top_k, temperature if own else None, max_tokens if own else None)


def _show_provider_keys(*, disabled: bool) -> None:
    with st.expander("Your own provider keys", icon=":material/vpn_key:"):
        st.caption("Sent with your questions, kept in this browser session only.")
        for provider in PROVIDER_KEY_HEADERS:
            st.text_input(
                PROVIDER_NAMES[provider],
                key=provider_key_input(provider),
                type="password",
                autocomplete="off",
                disabled=disabled,
            )
        st.button("Forget these keys", on_click=forget_provider_keys, disabled=disabled)


def _show_limits(limits: tuple[Limit, ...]) -> None:
    if not limits:
        return
    st.subheader("Limits", anchor=False)
    tightest, *others = sorted(limits, key=_share_left)
    _show_limit(tightest)
    for limit in (other for other in others if _share_left(other) <= NEARLY_USED_UP):
        _show_limit(limit)
    if others:
        with st.expander("All limits", icon=":material/speed:"):
            for limit in limits:
                st.caption(f"{limit_label(limit)}: {limit.remaining:,} of {limit.limit:,} left")


def _show_limit(limit: Limit) -> None:
    left = f"{limit_label(limit)}: {limit.remaining:,} of {limit.limit:,} left"
    st.progress(_share_left(limit), text=prose.plain(left))
    if _share_left(limit) <= NEARLY_USED_UP:
        seconds = max(0, round((limit.reset_at - datetime.now(UTC)).total_seconds()))
        word = "Used up" if not limit.remaining else "Nearly used up"
        st.warning(f"{word}; starts afresh in {_duration(seconds)}.", icon=":material/speed:")


def _share_left(limit: Limit) -> float:
    return min(max(limit.remaining / max(limit.limit, 1), 0.0), 1.0)


def limit_label(limit: Limit) -> str:
    """``questions_per_minute`` as words; what is counted apart comes first."""
    counted, _, rest = limit.name.partition("_")
    return f"{_COUNTED.get(counted, counted.capitalize())} {rest.replace('_', ' ')}"


def _duration(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"  # noqa: PLR2004


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
    return f"{line}\\\n:small[{prose.plain(str(document.error))}]" if document.error else line


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
