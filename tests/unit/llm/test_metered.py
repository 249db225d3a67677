"""What attempts and circuits become in metrics."""

from app.infra.metrics import Metrics
from app.infra.metrics_catalogue import (
    ALERTS,
    ATTEMPTS,
    CIRCUIT,
    COST,
    FIRST_TOKEN_SECONDS,
    PROVIDER_SECONDS,
    TOKENS,
)
from app.llm.circuit import CircuitChange, CircuitKey
from app.llm.completion import Attempt, Usage
from app.llm.metered import watchers_of
from tests.fakes import Recorder

KEY = CircuitKey("groq", "m", "digest-of-a-key")


def told_of(*happened: Attempt | CircuitChange) -> Recorder:
    told = Recorder()
    watchers = watchers_of(Metrics(told))
    assert watchers.attempt
    assert watchers.circuit
    for event in happened:
        if isinstance(event, Attempt):
            watchers.attempt(event)
        else:
            watchers.circuit(event)
    return told


def test_an_attempt_that_answered() -> None:
    told = told_of(Attempt("groq", "m", "ok", 500.0, 250.0, Usage(7, 3, 0.5)))
    assert told.of(ATTEMPTS) == [(("groq", "m", "ok"), 1)]
    assert told.of(PROVIDER_SECONDS) == [(("groq", "m"), 0.5)]
    assert told.of(FIRST_TOKEN_SECONDS) == [(("groq", "m"), 0.25)]
    assert told.of(TOKENS) == [(("groq", "m", "prompt"), 7), (("groq", "m", "completion"), 3)]
    assert told.of(COST) == [(("groq", "m"), 0.5)]


def test_what_callers_pay_for_themselves_is_not_our_cost() -> None:
    told = told_of(Attempt("groq", "m", "ok", 1.0, usage=Usage(7, 3, 0.5), brought=True))
    assert told.of(TOKENS)[0] == (("groq", "m", "prompt"), 7)
    assert told.of(COST) == []


def test_an_attempt_that_failed_has_no_first_token() -> None:
    told = told_of(Attempt("groq", "m", "rate_limited", 4.0))
    assert told.of(ATTEMPTS) == [(("groq", "m", "rate_limited"), 1)]
    assert told.of(FIRST_TOKEN_SECONDS) + told.of(TOKENS) == []


def test_circuits_and_what_only_people_can_end() -> None:
    told = told_of(
        CircuitChange(KEY, "open", "rate_limited", 300.0),
        CircuitChange(KEY, "half_open"),
        CircuitChange(KEY, "open", "auth_failed", 3600.0, alert=True),
        CircuitChange(KEY, "open", "unavailable", 3600.0, alert=True),
        CircuitChange(KEY, "closed"),
    )
    assert [value for _, value in told.of(CIRCUIT)] == [2, 1, 2, 2, 0]
    assert {labels for labels, _ in told.of(CIRCUIT)} == {("groq", "m")}
    assert told.of(ALERTS) == [(("groq", "bad_key"), 1), (("groq", "no_credit"), 1)]
