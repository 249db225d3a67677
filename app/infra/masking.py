"""Secrets and addresses of people, taken out of what is written down.

The last wall: nothing here logs a secret on purpose. What is masked is told by its look (our keys,
tokens, providers' keys, passwords in URLs, e-mail addresses) or by the name it goes under.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

MASK = "***"
#: Deeper values are masked whole.
_DEEPEST = 6

#: By their look. What stands in a group before the secret stays, to say what was there. The first
#: line holds wherever one may begin, and with what gives nothing back (``++``) passes over prose
#: quickly: 1 ms for a long prompt, which was 8 ms.
_SECRET = re.compile(
    r"(?<!\w)(?=[\w.+%-])(?:"
    r"(?P<scheme>(?:Bearer|Basic)\s+)[\w.~+/=-]{6,}"
    r"|(?P<url>[a-z][\w+.-]{1,20}+://[^\s/@:]{0,200}+:)[^\s/]{1,500}(?=@)"
    # The name must end its word, before a colon or the like: words that do not are left at once.
    r"|(?P<name>(?<!-)(?=[\w-]{4,53}+[\"']?\s*[=:])[\w-]{0,40}?(?:api[_-]?key|token|secret"
    r"|passw(?:or)?d|passphrase|authorization|cookie)[\"']?\s*[=:]\s*[\"']?)"
    r"(?!(?:Bearer|Basic)\s)[^\s\"'&,;}]{4,}"
    # A JSON Web Token; our keys, refresh tokens and clients' secrets; webhooks', OpenAI's and its
    # like, Groq's, Google's, AWS's, others'.
    r"|eyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*){1,3}"
    r"|(?:d[krs]|whsec|gsk|xai|hf|ghp|gho|glpat|pk|rk)_[\w-]{8,}|sk-[\w-]{8,}"
    r"|AIza[\w-]{20,}|(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|(?<![.+%-])[\w.+%-]{1,64}+@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8})",
    re.IGNORECASE,
)
#: Nothing that is masked is without one of these; to look for them takes a tenth of the time.
_HINTS = (
    "@", "dk_", "dr_", "ds_", "sk-", "whsec_", "gsk_", "xai_", "hf_", "ghp_", "gho_", "glpat_",
    "pk_", "rk_", "eyj", "aiza", "akia", "asia", "bearer", "basic", "token", "secret", "passw",
    "passphrase", "authorization", "cookie", "apikey", "api_key", "api-key",
)  # fmt: skip
#: By the name they go under.
_NAMES = re.compile(
    r"api_?key|(?:^|_)(?:password|passwd|passphrase|secret|token|authorization|cookie)$|_secret_",
    re.IGNORECASE,
)


def mask(text: str) -> str:
    """``text`` with every secret in it replaced by ``***``."""
    return _SECRET.sub(_masked, text) if any(map(text.lower().__contains__, _HINTS)) else text


def _masked(found: "re.Match[str]") -> str:
    kept = found["scheme"] or found["url"] or found["name"] or ""
    return f"{kept}{MASK}"


def mask_event(_logger: object, _method: str, event: Any) -> Any:  # noqa: ANN401 - structlog's
    """A processor of structlog: every value of a log line, masked."""
    return {name: _value(name, value, 0) for name, value in event.items()}


@lru_cache(maxsize=1000)
def _is_secret(name: str) -> bool:
    return _NAMES.search(name) is not None


def _value(name: str, value: Any, depth: int) -> Any:  # noqa: ANN401 - whatever is logged
    if value is None or isinstance(value, bool | int | float):
        return value
    if _is_secret(name) or depth > _DEEPEST:
        return MASK
    if isinstance(value, Mapping):
        return {key: _value(str(key), one, depth + 1) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_value("", one, depth + 1) for one in value]
    return mask(value if isinstance(value, str) else _repr(value))


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a log line ends nothing
        return f"<{type(value).__name__}: {type(error).__name__}>"
