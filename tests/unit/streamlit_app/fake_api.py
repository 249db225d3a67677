"""A small real HTTP server that speaks the contract, for tests and for looking at the page.

``python -m tests.unit.streamlit_app.fake_api --port 8900`` serves it by itself; a question that
contains ``#429``, ``#503``, ``#500``, ``#422``, ``#incomplete``, ``#failover``, ``#hostile`` or
``#slow`` gets what it asks for, one about France is abstained on.
"""

import argparse
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.unit.streamlit_app.canned import (
    GUIDE,
    HEALTHY,
    INVALID,
    KEY,
    OSAL,
    PAGES,
    RESET_ANSWER,
    TAGGED,
    TRACE_ID,
    UNAUTHORIZED,
    document,
    model,
    problem,
)


@dataclass
class FakeApi:
    """What the server answers, and what it was asked; tests change and read it freely."""

    url: str = ""
    documents: list[dict[str, Any]] = field(
        default_factory=lambda: [
            document(
                GUIDE,
                "CFS DS Application User's Guide",
                "CFS_DS_User_Guide_Doc_No_582_2013_001.pdf",
            ),
            document(
                OSAL,
                "OSAL Configuration Guide",
                "OSAL_Configuration_guide.pdf",
                version=3,
                page_count=22,
            ),
        ]
    )
    models: list[dict[str, Any]] = field(
        default_factory=lambda: [
            model("google/gemini-2.5-flash", "openrouter", available=False),
            model(
                "llama-3.3-70b-versatile",
                "groq",
                available=False,
                cooling_down_until="2026-11-21T10:00:00Z",
            ),
            model("extractive", "extractive"),
        ]
    )
    health: tuple[int, dict[str, Any]] = (200, HEALTHY)
    #: Sent instead of the next chat answers, in order.
    next_problems: list[dict[str, Any]] = field(default_factory=list)
    #: Sent instead of every list and page.
    read_problem: dict[str, Any] | None = None
    raw_chat: bytes | None = None
    chats: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def chat(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.chats.append(body)
        if self.next_problems:
            found = self.next_problems.pop(0)
            return found["status"], found
        question = body["question"]
        if "#slow" in question:
            time.sleep(3)
        for tag, found in TAGGED.items():
            if tag in question:
                return (found["status"] if "code" in found else 200), found
        return 200, RESET_ANSWER | {"session_id": body["session_id"] or "ses_1"}


_CHAT_FIELDS = {
    *("question", "session_id", "stream", "model", "temperature", "max_tokens", "top_k"),
    *("filters", "as_of"),
}


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Keeps the test output clean."""

    def do_GET(self) -> None:
        self.server.fake.paths.append(self.path)
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path == "/health":
            self._send(*self.server.fake.health)
        elif self._refused():
            return
        elif path == "/api/v1/models":
            self._send(200, {"items": self.server.fake.models})
        elif path == "/api/v1/docs":
            self._send(200, {"items": self.server.fake.documents, "has_more": False, "next": None})
        else:
            self._page(path, query)

    def do_POST(self) -> None:
        self.server.fake.paths.append(self.path)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._refused(reading=False):
            return
        if self.server.fake.raw_chat is not None:
            self._bytes(200, self.server.fake.raw_chat, "application/json")
        elif unknown := set(body) - _CHAT_FIELDS:
            self._send(422, INVALID | {"detail": f"Unknown field: {sorted(unknown)}"})
        else:
            self._send(*self.server.fake.chat(body))

    def _page(self, path: str, query: dict[str, list[str]]) -> None:
        found = re.fullmatch(r"/api/v1/docs/([^/]+)/pages/(\d+)", path)
        key = (unquote(found[1]), int(found[2])) if found else None
        if key in PAGES:
            version = int(query.get("version", ["1"])[0])
            body = {"document_id": key[0], "page": key[1], "version": version}
            self._send(200, body | {"text": PAGES[key]})
        else:
            self._send(404, problem(404, "not_found", "Not found", "No such page."))

    def _refused(self, *, reading: bool = True) -> bool:
        found = self.server.fake.read_problem if reading else None
        if self.headers.get("X-API-Key") != KEY:
            found = UNAUTHORIZED
        if found:
            self._send(found["status"], found)
        return found is not None

    def _send(self, status: int, body: dict[str, Any]) -> None:
        kind = "application/problem+json" if "code" in body else "application/json"
        self._bytes(status, json.dumps(body).encode(), kind, body.get("retry_after_s"))

    def _bytes(self, status: int, data: bytes, kind: str, retry: object = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Request-ID", TRACE_ID)
        if retry is not None:
            self.send_header("Retry-After", str(retry))
        self.end_headers()
        self.wfile.write(data)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.fake = FakeApi(url=f"http://127.0.0.1:{self.server_port}")


@contextmanager
def serve(port: int = 0) -> Iterator[FakeApi]:
    """Serves in a thread until the block is left; port 0 picks a free one."""
    server = _Server(port)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8900)
    parser.add_argument("--empty", action="store_true", help="no documents")
    options = parser.parse_args()
    with serve(options.port) as fake:
        if options.empty:
            fake.documents.clear()
        print(f"DOCENT_API_URL={fake.url} DOCENT_API_KEY={KEY}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
