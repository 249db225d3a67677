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
from copy import deepcopy
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.unit.streamlit_app.canned import (
    ANALYTICS,
    GUIDE,
    HEALTHY,
    INVALID,
    JOB,
    KEY,
    ME,
    OSAL,
    PAGES,
    PICTURE,
    RESET_ANSWER,
    TAGGED,
    TRACE_ID,
    UNAUTHORIZED,
    VERSIONS,
    document,
    limit,
    model,
    problem,
    stream,
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
    #: Sent instead of taking a file.
    upload_problem: dict[str, Any] | None = None
    raw_chat: bytes | None = None
    chats: list[dict[str, Any]] = field(default_factory=list)
    #: The provider keys that came with the last question.
    provider_keys: dict[str, str] = field(default_factory=dict)
    opinions: list[dict[str, Any]] = field(default_factory=list)
    uploads: list[bytes] = field(default_factory=list)
    scopes: list[str] = field(default_factory=lambda: ["admin", "chat", "docs:read", "docs:write"])
    limits: list[dict[str, Any]] = field(default_factory=lambda: [limit(28), limit(590, 600)])
    #: Events of whatever job is asked for.
    job: list[dict[str, Any]] = field(default_factory=lambda: list(JOB))
    analytics: dict[str, Any] = field(default_factory=lambda: deepcopy(ANALYTICS))
    #: Without pictures, pages are text.
    has_pictures: bool = True
    #: While it is not set, answers and jobs stand still before their end.
    may_end: threading.Event = field(default_factory=threading.Event)
    #: Every request with its method.
    requests: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.may_end.set()

    def listed(self, query: dict[str, list[str]]) -> list[dict[str, Any]]:
        everything = query.get("include_deleted") == ["true"]
        return [found for found in self.documents if everything or found["status"] != "deleted"]

    def chat(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.chats.append(body)
        if self.next_problems:
            found = self.next_problems.pop(0)
            return found["status"], found
        question, answer_id = body["question"], f"ans_{len(self.chats)}"
        if "#slow" in question:
            time.sleep(3)
        for tag, found in TAGGED.items():
            if tag in question:
                if "code" in found:
                    return found["status"], found
                return 200, found | {"answer_id": answer_id}
        told = {"answer_id": answer_id, "session_id": body["session_id"] or "ses_1"}
        return 200, RESET_ANSWER | told


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
        fake = self.server.fake
        path, query = self._came(), parse_qs(urlsplit(self.path).query)
        answers: dict[str, dict[str, Any]] = {
            "/api/v1/models": {"items": fake.models},
            "/api/v1/docs": {"items": fake.listed(query), "has_more": False, "next": None},
            "/api/v1/rate-limit/status": {"limits": fake.limits},
            "/api/v1/me": ME | {"scopes": fake.scopes},
            "/api/v1/admin/analytics": fake.analytics,
        }
        if path == "/health":
            self._send(*fake.health)
        elif self._refused():
            return
        elif path in answers:
            self._send(200, answers[path])
        elif path.endswith("/versions"):
            self._send(200, {"items": VERSIONS})
        elif path.endswith("/events"):
            *under_way, ended = fake.job
            self._stream([*(("progress", event) for event in under_way), ("done", ended)])
        else:
            self._page(path, query)

    def do_POST(self) -> None:
        fake, path = self.server.fake, self._came()
        raw = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self._refused(reading=False):
            return
        if path.endswith("/feedback"):
            fake.opinions.append(json.loads(raw))
            self._bytes(204, b"", "application/json")
        elif path == "/api/v1/docs":
            self._uploaded(raw)
        elif path.endswith(("/restore", "/activate")):
            self._send(200, fake.documents[0])
        elif path == "/oauth/token":
            self._send(200, {"access_token": KEY, "token_type": "Bearer"})
        else:
            fake.provider_keys = {
                name: value for name, value in self.headers.items() if "Provider-Key" in name
            }
            self._chat(json.loads(raw))

    def do_PUT(self) -> None:
        self._came()
        self._uploaded(self.rfile.read(int(self.headers["Content-Length"])))

    def do_DELETE(self) -> None:
        if "/sessions/" in self._came():
            self._bytes(204, b"", "application/json")
        else:
            self.server.fake.documents[0]["status"] = "deleted"
            removed = {"chunks": 9, "vectors": 9, "cache_entries": 1, "memory_turns": 0}
            self._send(200, {"removed": removed})

    def _came(self) -> str:
        self.server.fake.paths.append(self.path)
        self.server.fake.requests.append(f"{self.command} {self.path}")
        return urlsplit(self.path).path

    def _uploaded(self, raw: bytes) -> None:
        if found := self.server.fake.upload_problem:
            self._send(found["status"], found)
            return
        self.server.fake.uploads.append(raw)
        body = {"document": self.server.fake.documents[0], "job": self.server.fake.job[0]}
        self._send(202, body)

    def _chat(self, body: dict[str, Any]) -> None:
        if self.server.fake.raw_chat is not None:
            self._bytes(200, self.server.fake.raw_chat, "text/event-stream")
        elif unknown := set(body) - _CHAT_FIELDS:
            self._send(422, INVALID | {"detail": f"Unknown field: {sorted(unknown)}"})
        else:
            status, found = self.server.fake.chat(body)
            if "code" in found:
                self._send(status, found)
            else:
                words = re.findall(r"\S+\s*", found["answer"])
                deltas = [("delta", {"text": word}) for word in words]
                self._stream([("meta", {"answer_id": "ans_1"}), *deltas, ("done", found)])

    def _page(self, path: str, query: dict[str, list[str]]) -> None:
        found = re.fullmatch(r"/api/v1/docs/([^/]+)/pages/(\d+)(/image)?", path)
        key = (unquote(found[1]), int(found[2])) if found else None
        if key not in PAGES or (found[3] and not self.server.fake.has_pictures):
            self._send(404, problem(404, "not_found", "Not found", "No such page."))
        elif found[3]:
            self._bytes(200, PICTURE, "image/png")
        else:
            version = int(query.get("version", ["1"])[0])
            body = {"document_id": key[0], "page": key[1], "version": version}
            self._send(200, body | {"text": PAGES[key]})

    def _refused(self, *, reading: bool = True) -> bool:
        found = self.server.fake.read_problem if reading else None
        if self.headers.get("Authorization") != f"Bearer {KEY}" and "/oauth/" not in self.path:
            found = UNAUTHORIZED
        if found:
            self._send(found["status"], found)
        return found is not None

    def _stream(self, events: list[tuple[str, dict[str, Any]]]) -> None:
        begun, ended = stream(events[:-1]), stream(events[-1:])
        self._head(200, len(begun) + len(ended), "text/event-stream")
        self.wfile.write(begun)
        self.server.fake.may_end.wait()
        self.wfile.write(ended)

    def _send(self, status: int, body: dict[str, Any]) -> None:
        kind = "application/problem+json" if "code" in body else "application/json"
        self._bytes(status, json.dumps(body).encode(), kind, body.get("retry_after_s"))

    def _bytes(self, status: int, data: bytes, kind: str, retry: object = None) -> None:
        self._head(status, len(data), kind, retry)
        self.wfile.write(data)

    def _head(self, status: int, length: int, kind: str, retry: object = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.send_header("X-Request-ID", TRACE_ID)
        if retry is not None:
            self.send_header("Retry-After", str(retry))
        self.end_headers()


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
