"""A caller's own keys of providers: they serve one request and are kept nowhere."""

from collections.abc import Mapping

from starlette.requests import Request

from app.errors import InvalidRequest

#: Header of each provider that takes a caller's key.
HEADERS: Mapping[str, str] = {
    "openrouter": "X-Provider-Key-OpenRouter",
    "groq": "X-Provider-Key-Groq",
    "openai": "X-Provider-Key-OpenAI",
}
_BEGIN = b"x-provider-key-"
_MAX_CHARS = 512


def brought_keys(request: Request) -> dict[str, str]:
    """The keys a request carries, by provider.

    Raises:
        InvalidRequest: one is empty, too long, or not printable ASCII; the message names the
            header and never the key.
    """
    keys: dict[str, str] = {}
    if not any(name.startswith(_BEGIN) for name, _ in request.scope["headers"]):
        return keys  # nearly always
    for provider, header in HEADERS.items():
        value = request.headers.get(header)
        if value is None:
            continue
        key = value.strip()
        if not (0 < len(key) <= _MAX_CHARS and key.isascii() and key.isprintable()):
            raise InvalidRequest(f"{header} must be 1 to {_MAX_CHARS} printable characters.")
        keys[provider] = key
    return keys
