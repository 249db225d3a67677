"""The providers that the settings ask for, as one router."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import SecretStr
from yarl import URL

from app.errors import ConfigurationError, InvalidRequest
from app.infra.redis import Guarded
from app.llm.circuit import CircuitChange
from app.llm.circuit_board import CircuitBoard
from app.llm.circuits import Circuits
from app.llm.clock import Timeouts
from app.llm.completion import Attempt, Price, Provider
from app.llm.extractive import Extractive
from app.llm.openai_compatible import Model, OpenAiCompatible
from app.llm.purse import Purse
from app.llm.router import Router, Routing
from app.llm.spelling import vocabulary_of
from app.settings import ModelFacts, ProviderName, Settings

#: Facts about the default models, as their providers' price lists had them in July 2025.
FACTS: Mapping[str, ModelFacts] = {
    "google/gemini-2.5-flash": ModelFacts(
        context_tokens=1_048_576, prompt_usd=0.30, completion_usd=2.50
    ),
    "llama-3.3-70b-versatile": ModelFacts(
        context_tokens=131_072, prompt_usd=0.59, completion_usd=0.79
    ),
    "gpt-4o-mini": ModelFacts(context_tokens=128_000, prompt_usd=0.15, completion_usd=0.60),
}
#: What a probe's lease outlasts an attempt by, in seconds.
_LEASE_MARGIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Watchers:
    """Who is told what happens in the router, as it happens; must return at once."""

    attempt: Callable[[Attempt], None] | None = None
    circuit: Callable[[CircuitChange], None] | None = None


def build_router(
    settings: Settings,
    *,
    redis: Guarded | None = None,
    purse: Purse | None = None,
    watchers: Watchers | None = None,
) -> Router:
    """A router over every provider of ``PROVIDER_ORDER``.

    One without a key waits for callers who bring theirs; the local server without a base URL is
    left out. Takes no time, and reads nothing until it is opened.

    Args:
        settings: Names, keys, models, limits.
        redis: Where circuits are shared with the other workers; None keeps them in the process.
        purse: Pays for attempts that have a price.
        watchers: Told of attempts and circuits.

    Raises:
        ConfigurationError: no provider can be used without a caller's key, a base URL is none, a
            model is unknown.
    """
    watchers = watchers or Watchers()
    providers = [
        provider
        for name in settings.provider_order
        if (provider := _build(name, settings)) is not None
    ]
    if not any(model.available for provider in providers for model in provider.models()):
        raise ConfigurationError(
            "PROVIDER_ORDER names no provider that can be used: give one of them a key, "
            "or add extractive."
        )
    _check_facts(settings)
    circuits = Circuits(
        board=CircuitBoard(redis) if redis else None,
        cooldown_s=settings.cooldown_s,
        lease_s=settings.attempt_timeout_s + _LEASE_MARGIN_S,
        observe=watchers.circuit,
    )
    routing = Routing(settings.total_timeout_s, settings.default_llm_model, settings.hedge_share)
    try:
        return Router(
            providers, routing=routing, circuits=circuits, purse=purse, observe=watchers.attempt
        )
    except InvalidRequest:
        raise ConfigurationError(
            "DEFAULT_LLM_MODEL is neither a provider that has a key nor the model of one."
        ) from None


def _build(name: ProviderName, settings: Settings) -> Provider | None:
    if name == "extractive":
        return Extractive(vocabulary=vocabulary_of(settings.embedding_model_dir))
    access = _access(settings)[name]
    if access.base_url is None:
        return None
    url = URL(access.base_url)
    if url.scheme not in {"http", "https"} or not url.host:
        raise ConfigurationError(f"The base URL of {name} must start with http:// or https://.")
    return OpenAiCompatible(
        name,
        base_url=access.base_url,
        api_key=access.key.get_secret_value() if access.key else None,
        models=[_model(model, settings) for model in access.models],
        timeouts=Timeouts(
            connect_s=settings.connect_timeout_s,
            first_token_s=settings.first_token_timeout_s,
            idle_s=settings.idle_timeout_s,
            total_s=settings.attempt_timeout_s,
        ),
        needs_key=name != "local",
    )


@dataclass(frozen=True, slots=True)
class _Access:
    """How a provider is reached."""

    key: SecretStr | None
    base_url: str | None
    models: list[str]


def _access(settings: Settings) -> dict[str, _Access]:
    s = settings
    return {
        "openrouter": _Access(s.openrouter_api_key, s.openrouter_base_url, s.openrouter_model),
        "groq": _Access(s.groq_api_key, s.groq_base_url, s.groq_model),
        "openai": _Access(s.openai_api_key, s.openai_base_url, s.openai_model),
        "local": _Access(s.local_llm_api_key, s.local_llm_base_url, s.local_llm_model),
    }


def _model(model: str, settings: Settings) -> Model:
    facts = settings.model_facts.get(model) or FACTS.get(model) or ModelFacts()
    price = None
    if facts.prompt_usd is not None and facts.completion_usd is not None:
        price = Price(facts.prompt_usd, facts.completion_usd)
    return Model(model, facts.context_tokens, price)


def _check_facts(settings: Settings) -> None:
    """A misspelt name would leave a model without its price, and a budget without effect."""
    known = {model for access in _access(settings).values() for model in access.models}
    if unknown := sorted(set(settings.model_facts) - known):
        raise ConfigurationError(f"MODEL_FACTS names {unknown[0]}, which no provider has.")
