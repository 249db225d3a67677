"""In which order providers are asked, and for which of their models."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.errors import InvalidRequest
from app.llm.circuit import CircuitKey
from app.llm.completion import CompletionRequest, ModelInfo, Provider
from app.llm.extractive import Extractive


@dataclass(frozen=True, slots=True)
class Hop:
    """A provider and one of its models."""

    provider: Provider
    model: ModelInfo
    circuit: CircuitKey

    @property
    def is_builtin(self) -> bool:
        """Whether it needs no network and milliseconds: no deadline or circuit is for it."""
        return self.provider.name == Extractive.name


class Order:
    """All hops, in order of preference; the first model of a provider is its default."""

    def __init__(self, providers: Sequence[Provider], default_model: str | None = None) -> None:
        """Names of providers are unique.

        Raises:
            InvalidRequest: nothing that needs no caller's key answers to ``default_model``.
        """
        self.hops = tuple(
            Hop(provider, model, CircuitKey(provider.name, model.id, provider.upstream))
            for provider in providers
            for model in provider.models()
        )
        self._firsts = {hop.provider.name: hop for hop in reversed(self.hops)}
        self._providers = [provider.name for provider in providers]
        self._default_model = default_model
        if default_model and not self._wanted(default_model).model.available:
            raise _no_such_model()

    def of(self, request: CompletionRequest) -> list[Hop]:
        """One hop for each provider: the wanted one, those with a brought key, all others.

        Raises:
            InvalidRequest: nobody has the model that is asked for.
        """
        model = request.model or self._default_model
        wanted = self._wanted(model) if model else None
        return list(self._ordered(request, wanted))

    def makers(self) -> tuple[str, ...]:
        """Who may answer a caller without keys, the first choice first."""
        models = [f"{h.model.provider}:{h.model.id}" for h in self.hops if h.model.available]
        return (self._default_model or "", *models)

    def _ordered(self, request: CompletionRequest, wanted: Hop | None) -> Iterator[Hop]:
        # The caller asked for this one; if it takes a key that is not there, that is told.
        if wanted is not None:
            yield wanted
        for brought in (True, False):
            for name in self._providers:
                hop = self._firsts.get(name)
                if hop is None or (name in request.keys) is not brought:
                    continue
                if wanted is not None and hop.provider is wanted.provider:
                    continue
                if brought or hop.model.available:
                    yield hop

    def _wanted(self, model: str) -> Hop:
        for hop in self.hops:
            if model in {hop.model.id, hop.provider.name}:
                return hop
        raise _no_such_model()


def _no_such_model() -> InvalidRequest:
    message = "There is no such model; GET /api/v1/models lists those that can be asked for."
    return InvalidRequest(
        f"model: {message}", errors=[{"field": "model", "message": message, "type": "model"}]
    )
