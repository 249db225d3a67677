"""What goes wrong with a provider, and what each wrong means.

::

    ProviderFailed        one attempt did not end in an answer; stays inside app/llm
    AllProvidersFailed    503 providers_failed: the caller's view when no attempt did

The tables here are the only place where a status, a vendor's error code or an error of its client
becomes a :data:`Fault`, and a fault the three things that follow from it: what the caller is told,
what the router does next, and whether the provider is left alone.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import orjson

from app.errors import Unavailable
from app.llm.completion import Attempt, Outcome

#: A provider may ask for a long pause, not for ever.
MAX_RETRY_AFTER_S = 86_400.0
#: How much of a provider's own words is kept, in characters.
MAX_DETAIL = 160

Fault = Literal[
    "bad_key",
    "connect_failed",
    "context_overflow",
    "cooling_down",
    "cut",
    "empty",
    "first_token_timeout",
    "forbidden",
    "malformed",
    "moderated",
    "no_credit",
    "no_key",
    "no_model",
    "not_an_api",
    "overtime",
    "rate_limited",
    "rejected",
    "reset",
    "server_error",
    "stalled",
    "too_long",
    "unavailable",
    "used_up",
]
#: Ask the same once more; ask it for less; ask the next provider; ask nobody else.
Action = Literal["again", "fewer", "next", "stop"]
#: Whether the provider is left alone: at once, after two in a row, at once and for long.
Opens = Literal["never", "twice", "once", "long"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What follows from a fault."""

    outcome: Outcome
    action: Action
    opens: Opens


RULES: Mapping[Fault, Rule] = {
    # Nothing came back on a connection that the server may have closed long ago.
    "reset": Rule("connect_failed", "again", "once"),
    "connect_failed": Rule("connect_failed", "next", "once"),
    "first_token_timeout": Rule("first_token_timeout", "next", "once"),
    "stalled": Rule("stalled", "next", "once"),
    "rate_limited": Rule("rate_limited", "next", "once"),
    "server_error": Rule("server_error", "next", "once"),
    "unavailable": Rule("unavailable", "next", "once"),
    "no_model": Rule("unavailable", "next", "once"),
    "not_an_api": Rule("malformed", "next", "once"),
    "forbidden": Rule("auth_failed", "next", "once"),
    # Somebody has to do something about these.
    "bad_key": Rule("auth_failed", "next", "long"),
    "no_credit": Rule("unavailable", "next", "long"),
    # One of these may be the prompt's doing or bad luck, two in a row are not.
    "malformed": Rule("malformed", "next", "twice"),
    "empty": Rule("empty", "next", "twice"),
    "cut": Rule("cut", "next", "twice"),
    "overtime": Rule("stalled", "next", "twice"),
    # About this request, and no word about the next one.
    "rejected": Rule("malformed", "next", "never"),
    "context_overflow": Rule("context_overflow", "fewer", "never"),
    "moderated": Rule("malformed", "stop", "never"),
    # All its tokens went into thinking, and it is the caller who says how many it may use.
    "used_up": Rule("empty", "next", "never"),
    # Not even asked.
    "too_long": Rule("context_overflow", "next", "never"),
    "cooling_down": Rule("cooling_down", "next", "never"),
    "no_key": Rule("unavailable", "next", "never"),
}
_BY_STATUS: dict[int, Fault] = {
    400: "rejected",  # it does not accept this request; another provider may
    401: "bad_key",
    402: "no_credit",
    403: "forbidden",
    404: "no_model",
    408: "server_error",
    409: "server_error",
    413: "context_overflow",
    422: "rejected",
    429: "rate_limited",
}
_BY_CODE: dict[str, Fault] = {
    "context_length_exceeded": "context_overflow",
    "string_above_max_length": "context_overflow",
    "request_too_large": "context_overflow",
    "rate_limit_exceeded": "rate_limited",
    "rate_limit_error": "rate_limited",
    "insufficient_quota": "no_credit",
    "invalid_api_key": "bad_key",
    "authentication_error": "bad_key",
    "permission_error": "forbidden",
    "model_not_found": "no_model",
    "model_decommissioned": "no_model",
    "service_unavailable": "unavailable",
    "overloaded_error": "unavailable",
    "invalid_request_error": "rejected",
    "content_policy_violation": "moderated",
    "content_filter": "moderated",
}
#: OpenRouter, llama.cpp and vLLM report overflow in words only.
_OVERFLOW = re.compile(r"context (?:length|size|window)|too many tokens|prompt is too long", re.I)
#: What looks like a credential in a provider's message: it may echo the key it was given.
_SECRETS = re.compile(
    r"(?:sk|gsk|key|pk|AIza|eyJ)[-_]?[\w.*-]{6,}|[\w-]{24,}|(?<=bearer )\S+|https?://\S+|\S+=\S{8,}",
    re.IGNORECASE,
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


class ProviderFailed(Exception):
    """A provider did not answer."""

    def __init__(self, fault: Fault, detail: str = "", retry_after_s: float | None = None) -> None:
        """``detail`` must be safe to log; pass a provider's own words through :func:`snippet`."""
        super().__init__(fault, detail)
        self.fault = fault
        self.rule = RULES[fault]
        self.detail = detail
        #: Seconds the provider asked to be left alone; None when it did not say.
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.fault}: {self.detail}" if self.detail else self.fault

    @property
    def outcome(self) -> Outcome:
        """What the caller is told."""
        return self.rule.outcome


class AllProvidersFailed(Unavailable):
    """No language model is answering right now; try again shortly."""

    code = "providers_failed"

    def __init__(self, attempts: Sequence[Attempt], retry_after_s: int = 2) -> None:
        """``retry_after_s`` becomes ``Retry-After``: the first moment a provider may be back."""
        super().__init__(
            retry_after_s=retry_after_s,
            attempts=[
                {"provider": a.provider, "model": a.model, "outcome": a.outcome, "ms": a.ms}
                for a in attempts
            ],
        )
        self.attempts = tuple(attempts)
        self.retry_after_s = retry_after_s


def refused(
    status: int, headers: Mapping[str, str], body: bytes, secret: str = ""
) -> ProviderFailed:
    """The failure that an HTTP answer other than 200 stands for.

    ``body`` may be cut short: it is read for the vendor's error code and a snippet only, from which
    ``secret``, the key that was sent, is taken out.
    """
    error = _error_of(body)
    fault = _BY_STATUS.get(status, "server_error" if status >= 500 else "unavailable")  # noqa: PLR2004
    if status in {400, 403, 413, 422}:
        fault = _closer(error, fault)
    elif status == 429:  # noqa: PLR2004 - its words are about tokens too, but not of one prompt
        fault = _coded(error, fault)
    pause = retry_after_s(headers) if status in {429, 503} else None
    return ProviderFailed(fault, f"HTTP {status}: {snippet(error, secret)}", pause)


def in_band(error: Any, secret: str = "") -> ProviderFailed:  # noqa: ANN401 - whatever JSON came
    """The failure that an ``error`` member inside a 200 answer or stream stands for."""
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, str) and len(code) == 3 and code.isdecimal():  # noqa: PLR2004
        code = int(code)
    fault: Fault = "server_error"
    if isinstance(code, int):
        fault = _BY_STATUS.get(code, fault)
    detail = f"error in a 200 answer: {snippet(error, secret)}"
    return ProviderFailed(_closer(error, fault), detail)


def _closer(error: Any, fault: Fault) -> Fault:  # noqa: ANN401
    """``fault``, unless the vendor's code or words say more."""
    if not isinstance(error, dict):
        return fault
    metadata = error.get("metadata")
    if isinstance(metadata, dict) and ("reasons" in metadata or "flagged_input" in metadata):
        return "moderated"  # OpenRouter's: about this prompt, not about our key
    if _OVERFLOW.search(str(error.get("message") or "")):
        return "context_overflow"
    return _coded(error, fault)


def _coded(error: Any, fault: Fault) -> Fault:  # noqa: ANN401
    """``fault``, unless the vendor's code is known."""
    if isinstance(error, dict):
        for said in (error.get("code"), error.get("type")):
            if isinstance(said, str) and said in _BY_CODE:
                return _BY_CODE[said]
    return fault


def _error_of(body: bytes) -> Any:  # noqa: ANN401
    """The error object of a JSON body; None when the body is anything else (its text may be)."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if isinstance(parsed, list) and parsed:
        parsed = parsed[0]  # Gemini wraps its errors in a list
    return parsed.get("error", parsed) if isinstance(parsed, dict) else None


def snippet(error: Any, secret: str = "") -> str:  # noqa: ANN401
    """A short piece of a provider's message without anything that looks like a credential."""
    message = error.get("message") if isinstance(error, dict) else error
    if not isinstance(message, str):
        return "no message"
    if secret:
        message = message.replace(secret, "[...]")
    clean = _SECRETS.sub("[...]", " ".join(message[:1000].split()))
    return "".join(filter(str.isprintable, clean))[:MAX_DETAIL]


def retry_after_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds to wait as told by the headers of a refusal, 0..86400; None when they do not say.

    Understands ``retry-after-ms``, ``Retry-After`` as seconds or date, and, without those, Groq's
    ``x-ratelimit-reset-*`` durations (``2m59.56s``) of whatever is used up.
    """
    found = (
        _number(headers.get("retry-after-ms"), 0.001)
        or _number(headers.get("retry-after"))
        or _until(headers.get("retry-after"), now or datetime.now(UTC))
        or _resets(headers)
    )
    return None if found is None else min(max(found, 0.0), MAX_RETRY_AFTER_S)


def _number(value: str | None, unit: float = 1.0) -> float | None:
    try:
        seconds = float(value or "") * unit
    except ValueError:
        return None
    return seconds if seconds == seconds else None  # noqa: PLR0124 - NaN


def _until(value: str | None, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(value or "")
    except (ValueError, OverflowError):  # a year of eleven digits
        return None
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()


def _resets(headers: Mapping[str, str]) -> float | None:
    waits = [
        sum(float(count) * _UNITS_S[unit] for count, unit in _DURATION.findall(reset))
        for what in ("requests", "tokens")
        if headers.get(f"x-ratelimit-remaining-{what}") == "0"
        and (reset := headers.get(f"x-ratelimit-reset-{what}", ""))
    ]
    return max(waits, default=None)
