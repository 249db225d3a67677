"""nginx with its defaults in front of the API: events arrive as they are written."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.faults.buffering_proxy import buffering_proxy
from tests.faults.pair import Pair, started_pair
from tests.faults.running import QUESTION, Program, free_port, until

#: The provider writes a word, and then another, so many seconds apart.
WORDS, APART_S = 20, 0.2
#: How late an event may be behind a proxy (design: faults, O3), and what shared cores add.
LATE_S = 0.1 + 0.1
NGINX = """
daemon off; pid {folder}/nginx.pid; error_log stderr;
events {{}}
http {{
  access_log off; proxy_temp_path {folder}/proxy; client_body_temp_path {folder}/body;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{api}; }} }}
}}
"""


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    model = f"drip:{WORDS}:{APART_S}"
    with started_pair(OPENROUTER_MODEL=model, ATTEMPT_TIMEOUT_S=20, TOTAL_TIMEOUT_S=20) as pair:
        pair.faulty.behave(None)
        yield pair


async def arrivals(pair: Pair, url: str) -> list[float]:
    """When each word came, in seconds after the first."""
    came = []
    headers = {"X-API-Key": pair.docent.key, "Connection": "close"}
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client,
        client.stream(
            "POST", "/api/v1/chat", json={"question": QUESTION, "stream": True}
        ) as response,
    ):
        assert response.status_code == 200
        async for line in response.aiter_lines():
            if line == "event: delta":
                came.append(time.monotonic())
    return [moment - came[0] for moment in came]


def latest(came: list[float]) -> float:
    """By how much the latest word came later than it was written, the first being on time."""
    return max(moment - number * APART_S for number, moment in enumerate(came))


@contextmanager
def nginx(port: int) -> Iterator[str]:
    """The real one, with no setting but where to go."""
    own = free_port()
    with tempfile.TemporaryDirectory(prefix="docent-nginx-") as folder:
        configuration = Path(folder) / "nginx.conf"
        configuration.write_text(NGINX.format(folder=folder, port=own, api=port))
        program = Program(["nginx", "-e", "stderr", "-c", str(configuration)], dict(os.environ))
        try:
            url = f"http://127.0.0.1:{own}"
            until(lambda: answers(url), 10, "nginx answers")
            yield url
        finally:
            program.stop(signal.SIGTERM)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez").status_code == 200
    except httpx.TransportError:
        return False


async def test_every_event_arrives_as_it_is_written(pair: Pair) -> None:
    async with buffering_proxy(pair.docent.port) as url:
        came = await arrivals(pair, url)
    print(f"behind a proxy that buffers: {len(came)} events, {latest(came):.3f} s late at most")
    assert len(came) > WORDS / 2
    assert latest(came) < LATE_S


async def test_a_proxy_that_knows_no_better_keeps_them_back(pair: Pair) -> None:
    """Without which the test above would say nothing."""
    async with buffering_proxy(pair.docent.port, deaf=True) as url:
        came = await arrivals(pair, url)
    assert came[-1] < APART_S * WORDS / 4, "they came together"


@pytest.mark.skipif(shutil.which("nginx") is None, reason="Debian's package nginx is not installed")
async def test_the_same_behind_nginx_itself(pair: Pair) -> None:
    with nginx(pair.docent.port) as url:
        came = await arrivals(pair, url)
    print(f"behind nginx: {len(came)} events, {latest(came):.3f} s late at most")
    assert latest(came) < LATE_S
