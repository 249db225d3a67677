"""No serious violation that axe-core finds on any page, in light and dark, wide and narrow."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.acceptance.conftest import app, firm, proxied  # noqa: F401 - fixtures
from tests.acceptance.oauth_parts import App
from tests.acceptance.test_people import PASSWORD, Firm
from tests.browser.conftest import ask, demo, go, photograph, until_still
from tests.unit.streamlit_app import canned
from tests.unit.streamlit_app.fake_api import FakeApi, serve

OpenPage = Callable[..., Any]
GRAVE = ("serious", "critical")
#: Moderate to axe, and yet what a reader of the screen finds the way by.
ALSO = ("heading-order",)
#: What Streamlit's own widgets do and we cannot change, by axe's rule and the part of the page.
EXCUSED: dict[tuple[str, str], str] = {}
LOOKS = [
    pytest.param(scheme, width, id=f"{scheme}-{width}")
    for scheme in ("light", "dark")
    for width in (1280, 375)
]
looks = pytest.mark.parametrize(("scheme", "width"), LOOKS)


@dataclass(frozen=True)
class Demos:
    """The demo over the fake API, for a visitor with a key and for one who has to sign in."""

    url: str
    locked_url: str


@pytest.fixture(scope="module")
def demos() -> Iterator[Demos]:
    with (
        serve() as fake,
        demo(fake.url, canned.KEY) as url,
        demo(fake.url, "", DOCENT_OAUTH_CLIENT_ID="cli_1") as locked_url,
    ):
        assert isinstance(fake, FakeApi)
        yield Demos(url, locked_url)


def grave_faults(page: Any) -> list[str]:
    """What axe-core finds grave and nobody excused: rule, place, what is wrong."""
    until_still(page)
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{rule['id']}: {node['target']}: {node['failureSummary']}: {node['html'][:200]}"
        for rule in found
        if rule["impact"] in GRAVE or rule["id"] in ALSO
        for node in rule["nodes"]
        if not any(
            rule["id"] == excused and is_part(page, node["target"][0], selector)
            for excused, selector in EXCUSED
        )
    ]


def is_part(page: Any, target: str, selector: str) -> bool:
    """Whether axe's target stands in a part of the page."""
    inside = "([target, part]) => !!document.querySelector(target)?.closest(part)"
    return bool(page.evaluate(inside, [target, selector]))


@looks
def test_a_conversation_and_a_page_of_a_source(
    demos: Demos, open_page: OpenPage, scheme: str, width: int
) -> None:
    page = open_page(demos.url, width=width, scheme=scheme)
    ask(page, "What does DS do? #unsupported")
    page.get_by_test_id("stFeedback").wait_for()
    photograph(page, f"conversation-{scheme}-{width}", top=True)
    assert grave_faults(page) == []
    page.get_by_role("button", name="Open page 39").click()
    page.get_by_role("dialog").get_by_role("img", name="Page 39").wait_for()
    photograph(page, f"dialog-{scheme}-{width}")
    assert grave_faults(page) == []


@looks
def test_the_documents(demos: Demos, open_page: OpenPage, scheme: str, width: int) -> None:
    page = open_page(demos.url, width=width, scheme=scheme)
    go(page, "Documents")
    page.get_by_role("button", name="Manage").first.wait_for()
    assert grave_faults(page) == []
    page.get_by_role("button", name="Manage").first.click()
    page.get_by_role("dialog").get_by_text("Deletion", exact=True).wait_for()
    photograph(page, f"versions-{scheme}-{width}")
    assert grave_faults(page) == []


@looks
def test_the_figures(demos: Demos, open_page: OpenPage, scheme: str, width: int) -> None:
    page = open_page(demos.url, width=width, scheme=scheme)
    go(page, "Analytics")
    page.get_by_text("Comments", exact=True).wait_for()
    assert grave_faults(page) == []


@looks
def test_signing_in(demos: Demos, open_page: OpenPage, scheme: str, width: int) -> None:
    page = open_page(demos.locked_url, width=width, scheme=scheme)
    page.get_by_placeholder("Paste your key").wait_for()
    page.get_by_role("link", name="Sign in").wait_for()
    photograph(page, f"key-{scheme}-{width}")
    assert grave_faults(page) == []


@looks
def test_the_apis_own_pages(
    app: App,  # noqa: F811 - the fixture
    firm: Firm,  # noqa: F811 - the fixture
    open_page: OpenPage,
    scheme: str,
    width: int,
) -> None:
    email = firm.join()["email"]
    page = open_page(f"{app.url}/oauth/authorize", query=app.asks(), width=width, scheme=scheme)
    page.get_by_label("Password").wait_for()
    photograph(page, f"sign-in-{scheme}-{width}")
    assert grave_faults(page) == []
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button").first.click()
    page.get_by_text(email).wait_for()
    photograph(page, f"consent-{scheme}-{width}")
    assert grave_faults(page) == []
