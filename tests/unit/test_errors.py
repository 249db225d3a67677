"""The tree of errors: stable slugs, honest defaults, one place for everything a caller may meet."""

import importlib
import pkgutil
import re
from http import HTTPStatus

import pytest

import app
from app import errors
from app.auth.oauth.errors import OAuthError
from app.errors import AppError, NotFound, Unavailable


def tree(kind: type[AppError] = AppError) -> list[type[AppError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in tree(child))]


@pytest.fixture(scope="module")
def kinds() -> list[type[AppError]]:
    """Every error of the product, wherever it is declared."""
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if module.name not in {"app.main", "app.ingestion.pdf_child"}:  # these run when imported
            importlib.import_module(module.name)
    shown = [kind for kind in tree() if kind.__module__.startswith("app.")]
    return [kind for kind in shown if not kind.__name__.startswith("_")]


def test_codes_are_slugs_and_name_one_error_each(kinds: list[type[AppError]]) -> None:
    assert len(kinds) > 15
    # OAuth's codes are those of RFC 6749, whatever else is called so.
    codes = [kind.code for kind in kinds if not issubclass(kind, OAuthError)]
    assert all(re.fullmatch(r"[a-z][a-z0-9_]{2,40}", code) for code in codes)
    assert sorted(codes) == sorted(set(codes))


def test_statuses_are_those_of_the_contract(kinds: list[type[AppError]]) -> None:
    # 303 sends a browser back to the client that asked for an authorization.
    allowed = {303, 400, 401, 402, 403, 404, 405, 408, 409, 413, 415, 422, 429, 499, 500, 503}
    assert {kind.status for kind in kinds} <= allowed
    # StartError ends a process; no caller meets it.
    met = [kind for kind in kinds if kind.__name__ != "StartError"]
    # The answer to a repeated request is on its way: contract, Conventions, Idempotency-Key.
    # A body that came too slowly may come faster the next time.
    waits = {"StillRunning", "TooSlow"}
    assert all(
        kind.retryable == (kind.status in (429, 503) or kind.__name__ in waits) for kind in met
    )
    assert all(kind.retryable for kind in met if issubclass(kind, Unavailable))


def test_the_drawn_tree_is_the_real_one() -> None:
    drawn = dict(re.findall(r"(\w+) +\d{3} (\w+)", errors.__doc__ or ""))
    here = {kind.__name__: kind.code for kind in tree() if kind.__module__ == "app.errors"}
    assert drawn == here


def test_the_message_is_the_docstrings_first_line_unless_one_is_given() -> None:
    class Lost(NotFound):
        """The key is lost.

        And more that is for developers.
        """

    assert Lost().detail == str(Lost()) == "The key is lost."
    given = Lost("It is under the mat.", place="mat")
    assert (given.detail, given.extras, given.status) == (
        "It is under the mat.",
        {"place": "mat"},
        404,
    )
    assert given.title == HTTPStatus.NOT_FOUND.phrase


def test_an_undocumented_error_says_its_code() -> None:
    kind = type("Silent", (AppError,), {"code": "silent", "__doc__": None})
    assert kind().detail == "silent"
