"""The demo in a real browser: Chromium of the system's packages, driven by Playwright."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import Api, api, worker  # noqa: F401 - fixtures
from tests.conftest import ROOT

#: Git ignores it; whoever changes a page looks at these.
PICTURES = ROOT / "tests" / "browser" / "pictures"
PATIENCE_MS = 30_000


@contextmanager
def demo(api_url: str, key: str) -> Iterator[str]:
    """Serves the demo against an API until the block is left."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    flags = {"server.port": port, "server.address": "127.0.0.1", "server.headless": "true"}
    flags |= {"server.fileWatcherType": "none", "client.toolbarMode": "minimal"}
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app/home.py"]
    process = subprocess.Popen(
        [*command, *(f"--{name}={value}" for name, value in flags.items())],
        cwd=ROOT,
        env={**os.environ, "DOCENT_API_URL": api_url, "DOCENT_API_KEY": key},
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
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not there: install Debian's package chromium")
    with playwright.sync_playwright() as driver:
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

    def open_it(url: str, *, width: int = 1200, height: int = 850, scheme: str = "light") -> Any:
        size = {"width": width, "height": height}
        window = chromium.new_context(viewport=size, color_scheme=scheme)
        windows.append(window)
        page = window.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        return page

    yield open_it
    for window in windows:
        window.close()
    assert errors == []


def photograph(page: Any, name: str) -> None:
    """Keeps a picture of what the page looks like once it has come to rest."""
    page.wait_for_function("!document.querySelector('[data-testid=stSpinner]')")
    page.wait_for_load_state("networkidle")
    Path(PICTURES).mkdir(exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")


@pytest.fixture(scope="session")
def real_demo(api: Api) -> Iterator[str]:  # noqa: F811 - the fixture
    """The demo over the real API and the sample documents."""
    with demo(api.url, api.key) as url:
        yield url
