"""Fields of queries and forms: UTF-8, each at most once where it matters, none of them empty."""

from urllib.parse import parse_qsl

from fastapi import Request

from app.auth.oauth.errors import OAuthError

_MOST_FIELDS = 50
_FORM = "application/x-www-form-urlencoded"


def fields_of(raw: bytes) -> dict[str, list[str]]:
    """The fields of a query or form; empty ones count as left out (RFC 6749, 3.1).

    Raises:
        OAuthError: it cannot be read.
    """
    try:
        pairs = parse_qsl(raw.decode(), errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise OAuthError("The parameters cannot be read.") from error
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        if "\0" in value:
            raise OAuthError("The parameters cannot be read.")
        fields.setdefault(name, []).append(value)
    return fields


async def form_of(request: Request) -> dict[str, str]:
    """The fields of the body.

    Raises:
        OAuthError: it is no form, or a field stands in it twice.
        TooLarge: it is larger than a body may be.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise OAuthError(f"Send {_FORM}.")
    fields = fields_of(await request.body())
    if any(len(values) > 1 for values in fields.values()):
        raise OAuthError("A parameter stands there twice.")
    return {name: values[0] for name, values in fields.items()}
