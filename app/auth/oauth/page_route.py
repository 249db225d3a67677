"""Routes for browsers: what goes wrong in them is a page too, and how OpenAPI tells of them."""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from app.auth.wiring import People
from app.errors import AppError


class PageRoute(APIRoute):
    """A route whose errors are pages, or lead back to the client that asked."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route, with errors caught around it."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except AppError as error:
                people: People = request.app.state.house.people
                return people.pages.error(error)

        return handled


def _asked_for(name: str, words: str, *, required: bool = True) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": required,
        "description": words,
        "schema": {"type": "string"},
    }


#: The parameters of an authorization request; :func:`read_authorization` reads them.
ASKED_FOR = [
    _asked_for("client_id", "Of the client that asks."),
    _asked_for("redirect_uri", "One of the client's own, to the letter."),
    _asked_for("response_type", "`code`"),
    _asked_for("code_challenge", "RFC 7636."),
    _asked_for("code_challenge_method", "`S256`"),
    _asked_for("scope", "Separated by blanks; left out: all the client may.", required=False),
    _asked_for("state", "Comes back as it is.", required=False),
]


def documented_form(*names: str) -> dict[str, Any]:
    """The body of a route that reads a form, for OpenAPI."""
    fields = {name: {"type": "string"} for name in names}
    form = {"schema": {"type": "object", "properties": fields}}
    return {"requestBody": {"content": {"application/x-www-form-urlencoded": form}}}


def documented_pages(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI ``responses`` of a route that may answer with these pages."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {} if status == HTTPStatus.SEE_OTHER else {"text/html": {}},
        }
        for status in statuses
    }
