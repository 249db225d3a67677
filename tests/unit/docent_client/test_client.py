"""What the client sends, and how strictly it reads, over a transport that answers from a list."""

from datetime import UTC, datetime

import httpx
import pytest

from docent_client.problems import MALFORMED, TIMED_OUT, UNUSABLE_KEY, ApiProblem
from docent_client.schemas import Question
from tests.unit.docent_client.test_line import DONE, META, Server, events
from tests.unit.streamlit_app import canned


def test_a_key_or_a_token_travels_as_a_bearer() -> None:
    server = Server(httpx.Response(200, json={"items": []}))
    server.client("dk_1").models()
    assert server.requests[0].headers["Authorization"] == "Bearer dk_1"


def test_own_keys_travel_with_the_question_alone() -> None:
    server = Server(events(META), events("id: 1\n" + DONE))
    question = Question("How many?", provider_keys={"groq": "gsk_mine"})
    [answer] = server.client().stream(question)
    asked, resumed = server.requests
    assert asked.headers["X-Provider-Key-Groq"] == "gsk_mine"
    assert "X-Provider-Key-Groq" not in resumed.headers
    assert "gsk_mine" not in f"{question!r}{answer!r}{asked.content!r}{asked.url}"


def test_a_provider_key_that_cannot_travel_is_refused_here() -> None:
    server = Server()
    with pytest.raises(ApiProblem, match="provider key") as caught:
        list(server.client().stream(Question("x", provider_keys={"groq": "two\nlines"})))
    assert caught.value.code == UNUSABLE_KEY
    assert not server.requests


def test_an_id_cannot_leave_its_place_in_the_path() -> None:
    missing = httpx.Response(404, json={"code": "document_not_found"})
    server = Server(missing)
    with pytest.raises(ApiProblem):
        server.client().page("../models?x=", 1, version=1)
    assert server.requests[0].url.raw_path == b"/api/v1/docs/..%2Fmodels%3Fx%3D/pages/1?version=1"


def test_versions_figures_and_limits_are_read_whole() -> None:
    server = Server(
        httpx.Response(200, json={"items": canned.VERSIONS}),
        httpx.Response(200, json=canned.ANALYTICS),
        httpx.Response(200, json={"limits": [canned.limit(2)]}),
        httpx.Response(200, json=canned.ME | {"scopes": ["chat"], "user": {"email": "a@b.c"}}),
    )
    client = server.client()
    failed, current, _ = client.versions(canned.GUIDE)
    assert (failed.number, str(failed.error)) == (3, "The file is encrypted.")
    assert (current.number, current.current, current.error) == (2, True, None)
    figures = client.analytics(7)
    assert (figures.totals.liked, figures.days[0].day) == (3, "2026-11-19")
    assert figures.cited[0].answers == 12
    [limit] = client.limits()
    assert limit.reset_at == datetime(2026, 11, 20, 8, tzinfo=UTC)
    me = client.me()
    assert me.user is not None
    assert (me.user.email, me.tenant.name) == ("a@b.c", "Default")


@pytest.mark.parametrize(
    "body",
    [
        {"limits": [canned.limit(2, reset_at="soon")]},
        {"limits": [canned.limit(2, reset_at=7)]},
        {"limits": [canned.limit(2) | {"remaining": "2"}]},
        {"limits": None},
    ],
)
def test_a_limit_outside_the_contract_is_a_problem(body: dict[str, object]) -> None:
    with pytest.raises(ApiProblem) as caught:
        Server(httpx.Response(200, json=body)).client().limits()
    assert caught.value.code == MALFORMED


def test_timings_that_are_no_object_are_a_problem() -> None:
    broken = canned.RESET_ANSWER | {"timings": [1]}
    with pytest.raises(ApiProblem) as caught:
        Server(httpx.Response(200, json=broken)).client().ask(Question("x"))
    assert caught.value.code == MALFORMED


def test_a_sick_api_still_tells_what_is_wrong() -> None:
    checks = {"postgres": "failed", "redis": "ok"}
    sick = httpx.Response(503, json={"status": "degraded", "checks": checks})
    assert Server(sick).client().health().failing == ("postgres",)
    with pytest.raises(ApiProblem, match="database does not answer"):
        Server(httpx.Response(503, json=canned.DOWN)).client().health()


def test_an_api_that_hangs_is_given_up_on() -> None:
    with pytest.raises(ApiProblem) as caught:
        list(Server(httpx.ReadTimeout("slow")).client().stream(Question("x")))
    assert caught.value.code == TIMED_OUT
