"""``GET /api/v1/admin/analytics`` over HTTP: its shape, and who may know."""

import httpx
import pytest

from tests.acceptance.conftest import Api

ANALYTICS = "/api/v1/admin/analytics"


def test_the_figures_are_for_administrators(api: Api, client: httpx.Client) -> None:
    reply = client.get(ANALYTICS, params={"days": 30})
    assert reply.status_code == 200
    assert set(reply.json()) == {
        "totals", "days", "providers", "cited", "unanswered", "comments",
    }  # fmt: skip
    with api.client(api.mint("chat", "docs:read", "docs:write")) as other:
        assert other.get(ANALYTICS).status_code == 403


@pytest.mark.parametrize("query", ["days=0", "days=91", "days=x", "day=7", "days=1;DROP TABLE x"])
def test_no_other_period_is_counted(client: httpx.Client, query: str) -> None:
    reply = client.get(f"{ANALYTICS}?{query}")
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_request")
