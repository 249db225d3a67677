"""Queries: a parameter stands in one once."""

from urllib.parse import unquote_plus

from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import InvalidRequest
from app.http.problems import problem_response


class DistinctParameters:
    """Refuses, with 422, a query in which a parameter stands twice.

    No route reads a list from a query, and FastAPI takes the last of several; whoever looked at
    the request before us, a proxy's rules or a log, may have gone by the first.
    """

    def __init__(self, app: ASGIApp, *, open_paths: frozenset[str]) -> None:
        """``open_paths`` have rules of their own: RFC 6749, 3.1."""
        self._app = app
        self._open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at one request."""
        if (
            scope["type"] == "http"
            and scope["query_string"]
            and scope["path"] not in self._open_paths
            and (name := _repeated(scope["query_string"])) is not None
        ):
            error = {"field": name[:200], "message": "Send this once", "type": "too_many"}
            refused = InvalidRequest(
                f"The request is not valid: {error['field']}: {error['message']}.", errors=[error]
            )
            await problem_response(refused, scope)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _repeated(query: bytes) -> str | None:
    """The first parameter that stands there again."""
    seen: set[str] = set()
    for part in query.decode("latin-1").split("&"):
        name = unquote_plus(part.partition("=")[0])
        if part and name in seen:
            return name
        seen.add(name)
    return None
