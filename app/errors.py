"""Every error a caller can meet, as one tree.

::

    AppError                         500 internal_error
    ├── InvalidRequest               422 invalid_request
    ├── NotAuthenticated             401 not_authenticated
    ├── NotAllowed                   403 not_allowed
    ├── NotFound                     404 not_found
    ├── MethodNotAllowed             405 method_not_allowed
    ├── Conflict                     409 conflict
    │   └── PlaceGone                409 place_gone
    ├── TooLarge                     413 too_large
    ├── WrongType                    415 unsupported_media_type
    ├── Unavailable                  503 dependency_unavailable
    └── ConfigurationError           500 configuration_error

Rooms add their own leaves beside the code that raises them. An error is raised anywhere and
rendered once, in ``app/http/problems.py``. The first line of a class's docstring is its message
unless the raiser gives a better one.
"""

from http import HTTPStatus
from typing import Any


class AppError(Exception):
    """Something went wrong on our side."""

    #: HTTP status the error is rendered with.
    status: int = 500
    #: Stable slug that callers may switch on.
    code: str = "internal_error"
    #: Whether the same request may succeed later without change.
    retryable: bool = False
    #: Seconds after which a retry is worthwhile, if any is; becomes ``Retry-After``.
    retry_after_s: int = 2
    #: Short human title, the same for every occurrence of the class.
    title: str = ""

    def __init__(self, detail: str | None = None, **extras: Any) -> None:  # noqa: ANN401 - JSON
        """``detail`` says what happened this time; ``extras`` become members of the problem."""
        doc = (type(self).__doc__ or "").strip().splitlines()
        self.detail = detail or (doc[0] if doc else self.code)
        self.extras = extras
        self.title = self.title or HTTPStatus(self.status).phrase
        super().__init__(self.detail)


class InvalidRequest(AppError):
    """The request is not valid."""

    status, code = 422, "invalid_request"


class NotAuthenticated(AppError):
    """A valid API key or access token is required."""

    status, code = 401, "not_authenticated"


class NotAllowed(AppError):
    """This credential is not allowed to do that."""

    status, code = 403, "not_allowed"


class NotFound(AppError):
    """There is no such thing here."""

    status, code = 404, "not_found"


class Conflict(AppError):
    """That does not fit the present state."""

    status, code = 409, "conflict"


class PlaceGone(Conflict):
    """The list has no such place as `after` names, or no more; begin again from its top."""

    code = "place_gone"


class MethodNotAllowed(AppError):
    """This path does not answer to that method."""

    status, code = 405, "method_not_allowed"


class TooLarge(AppError):
    """The request body is too large."""

    status, code = 413, "too_large"


class WrongType(AppError):
    """The content type is not one this route reads."""

    status, code = 415, "unsupported_media_type"


class Unavailable(AppError):
    """A part this request needs is not answering; try again shortly."""

    status, code, retryable = 503, "dependency_unavailable", True


class ConfigurationError(AppError):
    """The configuration is not valid."""

    code = "configuration_error"
