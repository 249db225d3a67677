"""What the token endpoint may answer, RFC 6749, 5.2; the code of each is the protocol's own."""

from app.errors import AppError


class OAuthError(AppError):
    """The request is not one of OAuth's."""

    status, code = 400, "invalid_request"


class InvalidClient(OAuthError):
    """The client is unknown, or did not prove who it is."""

    status, code = 401, "invalid_client"


class InvalidGrant(OAuthError):
    """The code or token is not valid, or no more, or not this client's."""

    code = "invalid_grant"


class UnauthorizedClient(OAuthError):
    """This client may not use this grant."""

    code = "unauthorized_client"


class UnsupportedGrant(OAuthError):
    """There is no such grant."""

    code = "unsupported_grant_type"


class InvalidScope(OAuthError):
    """The scope is unknown, or more than the client may have."""

    code = "invalid_scope"
