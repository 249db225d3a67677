"""The demo in a real browser: Chromium of the system's packages, driven by Playwright."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from playwright.sync_api import TimeoutError, sync_playwright

from tests.acceptance.conftest import Api, api, worker  # noqa: F401 - fixtures
from tests.conftest import ROOT

#: Git ignores it; whoever changes a page looks at these.
PICTURES = ROOT / "tests" / "browser" / "pictures"
#: A loaded machine takes this long to draw charts for the first time.
PATIENCE_MS = 60_000
#: After which a turn of the wheel has been lost.
SCROLL_MS = 2_000
#: Below this width the sidebar waits outside the window.
NARROW = 700
#: A phone's.
NARROW_WIDTH = 375


STILL = """() => {
    const app = document.querySelector('[data-testid=stApp]');
    return (!app || app.dataset.testScriptState === 'notRunning')
        && !document.querySelector('[data-testid=stSpinner], [data-testid=stSkeleton]')
        && [...document.images].every(one => one.complete)
        && document.getAnimations().every(one => one.playState !== 'running');
}"""


TOP = "() => [...document.querySelectorAll('*')].every(one => one.scrollTop === 0)"


#: As still as it gets while something is under way: only what turns for ever moves.
WORKING = """() => document.getAnimations().every(one => one.playState !== 'running'
    || one.effect?.getComputedTiming().iterations === Infinity)"""


#: What is wider than its place and makes the page scroll sideways.
STICKS_OUT = """() => [...document.querySelectorAll('html, [data-testid=stMain], [role=dialog]')]
    .filter(one => one.scrollWidth > one.clientWidth + 1)
    .map(one => one.dataset.testid || one.tagName)"""


@contextmanager
def demo(api_url: str, key: str, **settings: str) -> Iterator[str]:
    """Serves the demo against an API until the block is left."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    flags = {"server.port": port, "server.address": "127.0.0.1", "server.headless": "true"}
    flags |= {"server.fileWatcherType": "none", "client.toolbarMode": "minimal"}
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app/home.py"]
    process = subprocess.Popen(
        [*command, *(f"--{name}={value}" for name, value in flags.items())],
        cwd=ROOT,
        env={**os.environ, "DOCENT_API_URL": api_url, "DOCENT_API_KEY": key, **settings},
        stdout=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        until_served(f"{url}/_stcore/health")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


def until_served(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx.get(url).raise_for_status()
        except httpx.HTTPError:
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(0.1)
        else:
            return


@pytest.fixture(scope="session")
def chromium(api: Api) -> Iterator[Any]:  # noqa: F811 - the fixture
    """The browser. The API comes first: what fills its database runs an event loop of its own,
    which nothing may do in this thread once Playwright is there.
    """
    path = shutil.which("chromium")
    assert path, "Chromium is not there: `make test-browser` installs Debian's"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def errors() -> list[str]:
    """What the browser's console complained of; a test ends with none."""
    return []


@pytest.fixture
def open_page(chromium: Any, errors: list[str]) -> Iterator[Callable[..., Any]]:
    """Opens a page in a window of its own; it is closed afterwards."""
    windows: list[Any] = []

    def open_it(
        url: str, *, width: int = 1280, scheme: str = "light", query: dict[str, str] | None = None
    ) -> Any:
        size = {"width": width, "height": 740 if width < NARROW else 850}
        window = chromium.new_context(viewport=size, color_scheme=scheme)
        windows.append(window)
        page = window.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{url}?{urlencode(query)}" if query else url)
        return page

    yield open_it
    for window in windows:
        window.close()
    assert errors == []


def ask(page: Any, question: str) -> None:
    box = page.get_by_placeholder("Ask a question about your documents")
    box.fill(question)
    box.press("Enter")


def go(page: Any, name: str) -> None:
    if page.viewport_size["width"] < NARROW:
        page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_role("link", name=name, exact=True).click()
    title = "Docent" if name == "Chat" else name
    page.get_by_role("heading", name=title, exact=True).wait_for()
    if page.viewport_size["width"] < NARROW:
        page.get_by_test_id("stSidebarCollapseButton").get_by_role("button").click()


def until_still(page: Any) -> None:
    """The page has been drawn to its end, every picture in it is there and nothing moves."""
    page.wait_for_function(STILL)


def scroll_up(page: Any) -> None:
    """To the top by the wheel, as a reader does: whoever else is taken back to the last answer.

    And again, as a reader would, when that is just being scrolled to.
    """
    page.mouse.move(page.viewport_size["width"] / 2, 300)
    for _ in range(PATIENCE_MS // SCROLL_MS):
        page.mouse.wheel(0, -100_000)
        with suppress(TimeoutError):
            page.wait_for_function(TOP, timeout=SCROLL_MS)
            return
    raise AssertionError("the page does not stay at its top")


def photograph(page: Any, name: str, *, top: bool = False, still: bool = True) -> None:
    """Keeps a picture of what the page looks like once it has come to rest, or of its top.

    What works on something does not come to rest: ``still=False``.
    """
    page.wait_for_function(STILL if still else WORKING)
    if top:
        scroll_up(page)
    Path(PICTURES).mkdir(exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")


def photograph_looks(page: Any, name: str, *, top: bool = False, still: bool = True) -> None:
    """Keeps a picture of each look, light and dark, on a desk and on a phone, which it fits."""
    for width, height in ((1280, 850), (NARROW_WIDTH, 740)):
        page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            photograph(page, f"{name}-{scheme}-{width}", top=top, still=still)
        assert page.evaluate(STICKS_OUT) == []
    page.set_viewport_size({"width": 1280, "height": 850})
    page.emulate_media(color_scheme="light")
    page.wait_for_function(WORKING)


@pytest.fixture(scope="session")
def real_demo(api: Api) -> Iterator[str]:  # noqa: F811 - the fixture
    """The demo over the real API and the sample documents."""
    with demo(api.url, api.key) as url:
        yield url
