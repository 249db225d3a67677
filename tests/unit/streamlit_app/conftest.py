"""The fake API, and the page run against it by Streamlit's own test runner."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from docent_client.client import ApiClient
from docent_client.line import open_connection
from tests.unit.streamlit_app.canned import KEY
from tests.unit.streamlit_app.fake_api import FakeApi, serve

HOME = Path(__file__).parents[3] / "streamlit_app" / "home.py"


@pytest.fixture
def fake() -> Iterator[FakeApi]:
    with serve() as fake:
        yield fake


@pytest.fixture
def connection(fake: FakeApi) -> Iterator[httpx.Client]:
    with open_connection(fake.url) as connection:
        yield connection


@pytest.fixture
def client(connection: httpx.Client) -> ApiClient:
    return ApiClient(connection, api_key=KEY, retries=0)


@pytest.fixture
def open_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., AppTest]]:
    """Opens the page against a URL, with a key or none; its connections are closed afterwards."""

    def open_it(url: str, key: str = KEY) -> AppTest:
        monkeypatch.setenv("DOCENT_API_URL", url)
        monkeypatch.setenv("DOCENT_API_KEY", key)
        return AppTest.from_file(str(HOME), default_timeout=20).run()

    yield open_it
    st.cache_resource.clear()


@pytest.fixture
def home(open_home: Callable[..., AppTest], fake: FakeApi) -> AppTest:
    return open_home(fake.url)
