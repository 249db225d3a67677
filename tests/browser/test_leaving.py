"""An answer that nobody waits for is not written: the provider is hung up on."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import Api, serving
from tests.acceptance.test_streaming import Fake, fake, until  # noqa: F401 - fixtures
from tests.browser.conftest import ask, demo
from tests.conftest import FreshDatabase

OpenPage = Callable[..., Any]
#: A word every tenth of a second, for longer than anybody waits here.
ENDLESS = "drip:2000:0.1"


@pytest.fixture(scope="module")
def modelled_demo(
    samples_ingested: FreshDatabase,
    api: Api,
    fake: Fake,  # noqa: F811 - the fixture
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    home = tmp_path_factory.mktemp("modelled")
    settings = {"LOCAL_LLM_BASE_URL": fake.url, "PROVIDER_ORDER": "local"}
    with serving(samples_ingested, home, **settings) as (url, _):
        httpx.get(f"{url}/livez", timeout=180).raise_for_status()
        with demo(url, api.key) as demo_url:
            yield demo_url


@pytest.mark.parametrize("leaves", ["closes the page", "resets"])
def test_the_provider_is_hung_up_on(
    modelled_demo: str,
    fake: Fake,  # noqa: F811 - the fixture
    open_page: OpenPage,
    leaves: str,
) -> None:
    fake.behave(ENDLESS)
    page = open_page(modelled_demo)
    ask(page, f"What does DS do on a power-on reset when somebody {leaves}?")
    page.get_by_text("word3").wait_for()
    if leaves == "resets":
        page.get_by_role("button", name="Reset conversation").click()
        page.get_by_text("Try one of these").wait_for()
    else:
        page.close()
    until(lambda: [call["state"] for call in fake.calls()] == ["aborted"], limit_s=60)
