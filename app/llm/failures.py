"""What goes wrong with a provider, and what each wrong means.

::

    ProviderFailed        one attempt did not end in an answer; stays inside app/llm
    AllProvidersFailed    503 providers_failed: the caller's view when no attempt did

The tables here are the only place where a status, a vendor's error code or an error of its client
becomes an :data:`~app.llm.completion.Outcome`.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from app.errors import Unavailable
from app.llm.completion import Attempt, Outcome

#: A provider may ask for a long pause, not for ever.
MAX_RETRY_AFTER_S = 86_400.0
#: How much of a provider's own words is kept, in characters.
MAX_DETAIL = 160

_BY_STATUS: dict[int, Outcome] = {
    400: "malformed",  # it does not accept this request; another provider may
    401: "auth_failed",
    402: "unavailable",  # no credit
    403: "auth_failed",
    404: "unavailable",  # no such model here
    408: "server_error",
    409: "server_error",
    413: "context_overflow",
    422: "malformed",
    429: "rate_limited",
}
_BY_CODE: dict[str, Outcome] = {
    "context_length_exceeded": "context_overflow",
    "string_above_max_length": "context_overflow",
    "request_too_large": "context_overflow",
    "rate_limit_exceeded": "rate_limited",
    "rate_limit_error": "rate_limited",
    "insufficient_quota": "rate_limited",
    "invalid_api_key": "auth_failed",
    "authentication_error": "auth_failed",
    "permission_error": "auth_failed",
    "model_not_found": "unavailable",
    "model_decommissioned": "unavailable",
    "service_unavailable": "unavailable",
    "overloaded_error": "unavailable",
    "invalid_request_error": "malformed",
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

    def __init__(
        self, outcome: Outcome, detail: str = "", retry_after_s: float | None = None
    ) -> None:
        """``detail`` must be safe to log; pass a provider's own words through :func:`snippet`."""
        super().__init__(f"{outcome}: {detail}" if detail else outcome)
        self.outcome = outcome
        self.detail = detail
        #: Seconds the provider asked to be left alone; None when it did not say.
        self.retry_after_s = retry_after_s


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


def refused(status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailed:
    """The failure that an HTTP answer other than 200 stands for.

    ``body`` may be cut short: it is read for the vendor's error code and a snippet only.
    """
    error = _error_of(body)
    outcome = _BY_STATUS.get(status, "server_error" if status >= 500 else "unavailable")  # noqa: PLR2004
    if status in {400, 403, 413, 422}:
        outcome = _closer(error, outcome)
    pause = retry_after_s(headers) if status in {429, 503} else None
    return ProviderFailed(outcome, f"HTTP {status}: {snippet(error)}", pause)


def in_band(error: Any) -> ProviderFailed:  # noqa: ANN401 - whatever JSON came
    """The failure that an ``error`` member inside a 200 answer or stream stands for."""
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, str) and code.isdigit():
        code = int(code)
    outcome: Outcome = "server_error"
    if isinstance(code, int):
        outcome = _BY_STATUS.get(code, outcome)
    return ProviderFailed(_closer(error, outcome), f"error in a 200 answer: {snippet(error)}")


def _closer(error: Any, outcome: Outcome) -> Outcome:  # noqa: ANN401
    """``outcome``, unless the vendor's code or words say more."""
    if not isinstance(error, dict):
        return outcome
    metadata = error.get("metadata")
    if isinstance(metadata, dict) and ("reasons" in metadata or "flagged_input" in metadata):
        return "malformed"  # OpenRouter's moderation: about this prompt, not about our key
    if _OVERFLOW.search(str(error.get("message") or "")):
        return "context_overflow"
    for said in (error.get("code"), error.get("type")):
        if isinstance(said, str) and said in _BY_CODE:
            return _BY_CODE[said]
    return outcome


def _error_of(body: bytes) -> Any:  # noqa: ANN401
    """The error object of a JSON body; None when the body is anything else (its text may be)."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if isinstance(parsed, list) and parsed:
        parsed = parsed[0]  # Gemini wraps its errors in a list
    return parsed.get("error", parsed) if isinstance(parsed, dict) else None


def snippet(error: Any) -> str:  # noqa: ANN401
    """A short piece of a provider's message without anything that looks like a credential."""
    message = error.get("message") if isinstance(error, dict) else error
    if not isinstance(message, str):
        return "no message"
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
    except ValueError:
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
