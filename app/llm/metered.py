"""Attempts and circuits as metrics."""

from app.infra.metrics import Metrics
from app.llm.circuit import CircuitChange
from app.llm.completion import Attempt
from app.llm.providers import Watchers


def watchers_of(metrics: Metrics) -> Watchers:
    """Watchers that count; models are configured ones, so that labels are few."""

    def attempt(ended: Attempt) -> None:
        provider, model, used = ended.provider, ended.model, ended.usage
        metrics.provider_attempt(provider, model, ended.outcome, ended.ms / 1e3)
        if ended.first_token_ms is not None:
            metrics.provider_first_token(provider, model, ended.first_token_ms / 1e3)
        metrics.provider_usage(
            provider,
            model,
            prompt_tokens=used.prompt_tokens,
            completion_tokens=used.completion_tokens,
            # Who brings a key pays for it.
            cost_usd=None if ended.brought else used.cost_usd,
        )

    def circuit(change: CircuitChange) -> None:
        metrics.circuit(change.key.provider, change.key.model, change.state)
        if change.alert:
            reason = "bad_key" if change.outcome == "auth_failed" else "no_credit"
            metrics.provider_alert(change.key.provider, reason)

    return Watchers(attempt, circuit)
