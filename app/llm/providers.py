"""The providers that the settings ask for, as one router."""

from collections.abc import Callable

from app.errors import ConfigurationError, InvalidRequest
from app.llm.completion import Attempt, Provider
from app.llm.extractive import EmbedSentences, Extractive
from app.llm.openai_compatible import OpenAiCompatible, Timeouts
from app.llm.router import Router
from app.settings import ProviderName, Settings


def build_router(
    settings: Settings,
    embed_sentences: EmbedSentences | None = None,
    observe: Callable[[Attempt], None] | None = None,
) -> Router:
    """A router over every provider of ``PROVIDER_ORDER`` that has what it needs.

    One without a key (a base URL, for the local server) is left out. Takes over a second of CPU if
    any remote provider is left, and no time otherwise. ``embed_sentences`` goes to the extractive
    provider; None suits all but the largest machines (ADR 0005).

    Raises:
        ConfigurationError: no provider is left, or none has ``DEFAULT_LLM_MODEL``.
    """
    providers = [
        provider
        for name in settings.provider_order
        if (provider := _build(name, settings, embed_sentences)) is not None
    ]
    if not providers:
        raise ConfigurationError(
            "PROVIDER_ORDER names no provider that can be used: give one of them a key, "
            "or add extractive."
        )
    try:
        return Router(
            providers,
            total_s=settings.total_timeout_s,
            cooldown_s=settings.cooldown_s,
            default_model=settings.default_llm_model,
            observe=observe,
        )
    except InvalidRequest:
        raise ConfigurationError(
            "DEFAULT_LLM_MODEL is neither a configured provider nor the model of one."
        ) from None


def _build(
    name: ProviderName, settings: Settings, embed_sentences: EmbedSentences | None
) -> Provider | None:
    if name == "extractive":
        return Extractive(embed_sentences)
    secret, base_url, model = {
        "openrouter": (
            settings.openrouter_api_key,
            settings.openrouter_base_url,
            settings.openrouter_model,
        ),
        "groq": (settings.groq_api_key, settings.groq_base_url, settings.groq_model),
        "openai": (settings.openai_api_key, settings.openai_base_url, settings.openai_model),
        "local": (
            settings.local_llm_api_key,
            settings.local_llm_base_url,
            settings.local_llm_model,
        ),
    }[name]
    key = secret.get_secret_value() if secret else None
    if not base_url or (not key and name != "local"):
        return None
    limits = Timeouts(
        connect_s=settings.connect_timeout_s,
        first_token_s=settings.first_token_timeout_s,
        idle_s=settings.idle_timeout_s,
        total_s=settings.total_timeout_s,
    )
    return OpenAiCompatible(name, base_url=base_url, api_key=key, model=model, timeouts=limits)
