"""`make health-check` and `make chat` against servers that say what a real one may say."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.errors import ConfigurationError
from app.settings import Settings
from scripts.ask import answer, key_of, shown
from scripts.health import ask, verdict


@contextmanager
def saying(status: int, body: dict[str, Any]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """A server that always says the same; its port, and what it was sent."""
    heard: list[dict[str, Any]] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply()

        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            heard.append({**sent, "key": self.headers["X-API-Key"]})
            self.reply()

        def reply(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port, heard
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (200, {"status": "ok"}, 0),
        (200, {"status": "degraded", "checks": {"redis": "failed"}}, 1),
        (503, {"status": "unavailable"}, 1),
    ],
)
def test_health_is_what_the_api_says(status: int, body: dict[str, Any], code: int) -> None:
    with saying(status, body) as (port, _):
        told = ask(f"http://127.0.0.1:{port}/health")
    assert told == (status, json.dumps(body))
    assert verdict(*told) == code


def test_nothing_that_answers_is_not_well() -> None:
    with saying(200, {}) as (port, _):
        pass
    status, said = ask(f"http://127.0.0.1:{port}/health")
    assert (status, verdict(status, said)) == (0, 1)
    assert "nothing answers at" in said
    assert verdict(200, "<html>another server's page</html>") == 1


def settings(port: int, home: Path) -> Settings:
    return Settings(_env_file=None, port=port, docent_home=home)  # type: ignore[call-arg]


def test_a_question_is_answered_with_its_sources(tmp_path: Path) -> None:
    cited = {"marker": 1, "title": "Manual", "page": 3}
    with saying(200, {"answer": "Ten [1].", "citations": [cited]}) as (port, heard):
        told = answer(settings(port, tmp_path), "dk_1", "How many?", "ses")
    assert heard == [{"question": "How many?", "session_id": "ses", "key": "dk_1"}]
    assert shown(told) == "Ten [1].\n  [1] Manual, page 3"


def test_a_refusal_is_one_sentence(tmp_path: Path) -> None:
    with (
        saying(401, {"detail": "A valid API key is required."}) as (port, _),
        pytest.raises(ConfigurationError, match="answers 401: A valid API key"),
    ):
        answer(settings(port, tmp_path), "dk_wrong", "q", "s")
    with pytest.raises(ConfigurationError, match="make run"):
        answer(settings(port, tmp_path), "dk_1", "q", "s")


@contextmanager
def saying_bytes(reply: bytes) -> Iterator[int]:
    """A server of something else, which answers one connection; its port."""

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(reply)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            thread.join()


PAGE = b"HTTP/1.1 %d x\r\ncontent-length: 7\r\n\r\n"


@pytest.mark.parametrize(
    "reply",
    [b"SSH-2.0-x\r\n", PAGE % 200 + b"a page\n", PAGE % 200 + b"[1, 22]", PAGE % 200 + b'{"a":1}'],
)
def test_a_server_of_something_else_is_told_in_one_sentence(reply: bytes, tmp_path: Path) -> None:
    with (
        saying_bytes(reply) as port,
        pytest.raises(ConfigurationError, match=f"Something else answers on port {port}"),
    ):
        answer(settings(port, tmp_path), "dk_1", "q", "s")
    with saying_bytes(reply) as port:
        assert verdict(*ask(f"http://127.0.0.1:{port}/health")) == 1


def test_a_refusal_of_something_else_keeps_its_status(tmp_path: Path) -> None:
    with (
        saying_bytes(PAGE % 502 + b"a page\n") as port,
        pytest.raises(ConfigurationError, match="answers 502"),
    ):
        answer(settings(port, tmp_path), "dk_1", "q", "s")


def test_a_key_is_given_or_lies_in_the_home(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no development key"):
        key_of(settings(1, tmp_path), None)
    (tmp_path / "dev.key").write_text("dk_mine\n")
    assert key_of(settings(1, tmp_path), None) == "dk_mine"
    for wrong in ("dk_\u0142", "dk_1\r\nX-Else: 1"):
        with pytest.raises(ConfigurationError, match="no API key"):
            key_of(settings(1, tmp_path), wrong)
