"""One API process for each xdist worker, over two tenants: the samples, and a canary."""

import asyncio
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from app.auth.keys import create_key
from app.retrieval.minilm import MiniLmEmbedder
from app.settings import MODEL_DIR
from tests.conftest import ROOT, SECRET, FreshDatabase, environment
from tests.integration.workshop import open_workshop, write_book

if TYPE_CHECKING:
    from tests.acceptance.oauth_parts import App, Browser
    from tests.acceptance.test_people import Firm

#: Stands in every page, the title and the file name of the other tenant's document.
CANARY = "xylophone7731"
SERVE = """
import asyncio, signal, socket, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
import uvicorn
import uvloop
from app.http.protocol import BoundedHttp
from app.main import app
config = uvicorn.Config(
    app, http=BoundedHttp, log_config=None, access_log=False, server_header=False
)
uvloop.run(uvicorn.Server(config).serve(sockets=[socket.socket(fileno=int(sys.argv[1]))]))
"""


@dataclass(frozen=True)
class Api:
    """A running API and the keys to it."""

    url: str
    database: FreshDatabase
    #: May do everything, in the tenant of the samples.
    key: str
    #: May do everything, in the tenant of the canary.
    other_key: str
    other_document_id: str
    process: "subprocess.Popen[bytes]"

    def client(self, key: str | None = None, **headers: str) -> httpx.Client:
        """A client with the samples' key, another one, or ("") none."""
        used = self.key if key is None else key
        credential = {"X-API-Key": used} if used else {}
        return httpx.Client(base_url=self.url, headers={**credential, **headers}, timeout=30)

    def mint(self, *scopes: str) -> str:
        """Another key for the samples' tenant."""
        return create_key(
            self.database.database_url,
            SECRET.encode(),
            tenant="default",
            name="test",
            scopes=scopes,
        )


@contextmanager
def serving(
    database: FreshDatabase, home: Path, **settings: str
) -> "Iterator[tuple[str, subprocess.Popen[bytes]]]":
    """Run the API; requests wait from the first moment, because we hold the listening socket."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        port = listening.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(listening.fileno())],
            cwd=ROOT,
            env=environment(database, home, LOG_LEVEL="WARNING", PORT=str(port), **settings),
            pass_fds=[listening.fileno()],
        )
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.terminate()
        assert process.wait(timeout=20) == 0


@pytest.fixture(scope="session")
def api(samples_ingested: FreshDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    home = tmp_path_factory.mktemp("api")
    document_id = asyncio.run(add_canary(samples_ingested, home))
    keys = [
        create_key(samples_ingested.database_url, SECRET.encode(), tenant=tenant, name="test")
        for tenant in ("default", CANARY)
    ]
    with serving(samples_ingested, home) as (url, process):
        httpx.get(f"{url}/livez", timeout=180).raise_for_status()
        yield Api(url, samples_ingested, keys[0], keys[1], document_id, process)


@pytest.fixture(scope="session")
def proxied(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A second API over the same database, to which a caller can come from any address.

    Redis is shared by all tests: what counts addresses is tried from an address of its own.
    """
    home = tmp_path_factory.mktemp("proxied")
    with serving(api.database, home, TRUSTED_PROXIES="127.0.0.0/8") as (url, process):
        httpx.get(f"{url}/livez", timeout=180).raise_for_status()
        yield replace(api, url=url, process=process)


async def add_canary(database: FreshDatabase, folder: Path) -> str:
    """Two versions of a document that tells a secret; its id."""
    embedder = MiniLmEmbedder(MODEL_DIR, threads=1)
    path = folder / f"{CANARY}.pdf"
    pages = [
        ["The Data Storage secret", f"The code word of the data storage file table is {CANARY}."],
        ["Scheduler secret", f"The scheduler opens the {CANARY} file at each major frame."],
    ]
    async with open_workshop(database, CANARY, embedder=embedder) as shop:  # type: ignore[arg-type]
        await shop.ingest(write_book(path, pages))
        [received] = await shop.ingest(write_book(path, [*pages, [f"Appendix about {CANARY}."]]))
    await embedder.close()
    assert received.document_id is not None
    return received.document_id


@pytest.fixture
def client(api: Api) -> Iterator[httpx.Client]:
    with api.client() as client:
        yield client


@pytest.fixture
def stranger(api: Api) -> Iterator[httpx.Client]:
    """Somebody without a key."""
    with api.client("") as client:
        yield client


@pytest.fixture(scope="module")
def worker(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    home = tmp_path_factory.mktemp("worker")
    process = subprocess.Popen(
        [sys.executable, "-m", "app.worker"],
        cwd=ROOT,
        env=environment(api.database, home, LOG_LEVEL="WARNING"),
    )
    yield
    process.terminate()
    # On a loaded machine it may not have come so far as to end in order.
    assert process.wait(timeout=20) in (0, -signal.SIGTERM)


@pytest.fixture
def new_key(api: Api) -> str:
    """A key that may do everything, in a tenant that has no documents yet."""
    return create_key(
        api.database.database_url, SECRET.encode(), tenant=uuid.uuid4().hex, name="test"
    )


@pytest.fixture
def tenant(api: Api, new_key: str, worker: None) -> Iterator[httpx.Client]:
    """A client of a tenant that has no documents yet."""
    with api.client(new_key) as client:
        yield client


# The parties of OAuth's tests. Their parts are made of other tests' parts, which need this file.


@pytest.fixture
def url(proxied: Api) -> str:
    return proxied.url


@pytest.fixture
def firm(proxied: Api) -> "Iterator[Firm]":
    from tests.acceptance.test_people import Firm

    firm = Firm(proxied)
    with firm.boss:
        yield firm


@pytest.fixture
def other(proxied: Api) -> "Iterator[Firm]":
    """Another tenant."""
    from tests.acceptance.test_people import Firm

    firm = Firm(proxied)
    with firm.boss:
        yield firm


@pytest.fixture
def app(firm: "Firm") -> "App":
    from tests.acceptance.oauth_parts import register

    return register(firm)


@pytest.fixture
def browser(url: str) -> "Browser":
    from tests.acceptance.oauth_parts import Browser

    return Browser(url)
