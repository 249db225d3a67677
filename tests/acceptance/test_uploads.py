"""Uploads as callers really send them: odd forms, URLs, fields beside the file, keys sent again."""

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.acceptance.conftest import Api, serving

FORM = "multipart/form-data; boundary=edge"


def form(*parts: tuple[str, bytes]) -> bytes:
    """A multipart body of (headers after the name's, content)."""
    written = [
        b"--edge\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (head.encode(), content)
        for head, content in parts
    ]
    return b"".join(written) + b"--edge--\r\n"


def send(client: httpx.Client, body: bytes, kind: str = FORM) -> httpx.Response:
    return client.post("/api/v1/docs", content=body, headers={"Content-Type": kind})


def text_file(name: str = "a.txt") -> tuple[str, bytes]:
    """A file nobody has sent before."""
    return f'name="file"; filename="{name}"', f"Words of {uuid.uuid4()}.".encode()


@pytest.mark.parametrize("charset", ["undefined", "punycode", "idna", "utf-16", "hex", "x" * 500])
def test_a_form_may_name_any_codec(tenant: httpx.Client, charset: str) -> None:
    """Two of Python's codecs raise what no form parser expects: it was a 500."""
    body = form(text_file(), ('name="title"', b"\xff\xd8"))
    reply = send(tenant, body, f"{FORM}; charset={charset}")
    assert reply.status_code in (202, 422), reply.text


@pytest.mark.parametrize(
    ("head", "values", "field"),
    [
        ('name="title"', [b" "], "title"),
        ('name="title"', [b"a\0b"], "title"),
        ('name="title"', [b"one", b"two"], "title"),
        ('name="author"', [b"a\nb"], "author"),
        ('name="tags"', [b""], "tags.0"),
        ('name="tags"', [b"%d" % number for number in range(51)], "tags"),
        ('name="api_base"', [b"http://x"], "api_base"),
        ('name="file"', [b"no file"], "file"),
    ],
)
def test_a_wrong_field_of_a_form_is_named(
    tenant: httpx.Client, head: str, values: list[bytes], field: str
) -> None:
    reply = send(tenant, form(text_file(), *((head, value) for value in values)))
    assert reply.status_code == 422, reply.text
    assert [error["field"] for error in reply.json()["errors"]] == [field]
    assert tenant.get("/api/v1/docs").json()["items"] == []


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\x\\y.txt", "y.txt"),
        ("..", "unnamed"),
        ("n" * 300 + ".txt", "n" * 239 + ".txt"),
    ],
)
def test_a_name_is_only_a_name(tenant: httpx.Client, sent: str, stored: str) -> None:
    reply = send(tenant, form(text_file(sent)))
    assert reply.status_code == 202, reply.text
    document = reply.json()["document"]
    assert document["filename"] == stored
    content = tenant.get(f"/api/v1/docs/{document['id']}/content")
    assert content.headers["content-disposition"] == f"attachment; filename*=UTF-8''{stored}"


def test_what_is_said_beside_a_new_version_is_said_of_the_document(tenant: httpx.Client) -> None:
    document = send(tenant, form(text_file())).json()["document"]
    said = {"title": "Second", "author": "Ann", "tags": ["x/y"]}
    path = f"/api/v1/docs/{document['id']}"
    reply = tenant.put(path, files={"file": ("b.txt", text_file()[1])}, data=said)
    assert reply.status_code == 202, reply.text
    assert {name: reply.json()["document"][name] for name in said} == said
    silent = tenant.put(path, files={"file": ("c.txt", text_file()[1])})
    assert {name: silent.json()["document"][name] for name in said} == said


def test_any_tag_can_be_renamed_and_removed(tenant: httpx.Client) -> None:
    """A slash in a tag ended the path's parameter: such a tag could never be removed."""
    tags = ["a/b", "c'd", 'e"f', "%2F", "?#"]
    said = [('name="tags"', tag.encode()) for tag in tags]
    send(tenant, form(text_file(), *said))
    for tag in tags:
        path = f"/api/v1/docs/tags/{quote(tag, safe='')}"
        renamed = tenant.patch(path, json={"name": f"{tag}!"})
        assert (renamed.status_code, renamed.json()) == (200, {"documents": 1}), tag
    removed = tenant.delete("/api/v1/docs/tags/a%2Fb!")
    assert removed.json() == {"documents": 1}
    left = [item["tag"] for item in tenant.get("/api/v1/docs/tags").json()["items"]]
    assert sorted(left) == sorted(f"{tag}!" for tag in tags[1:])


class Page(BaseHTTPRequestHandler):
    """Answers once it is told to, and counts how often it was asked."""

    asked: list[str]
    came: threading.Event
    open: threading.Event
    text = f"Words from the web, {uuid.uuid4()}.".encode()

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.came.set()
        assert self.open.wait(30)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.text)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def web() -> Iterator[tuple[str, type[Page]]]:
    own = {"asked": [], "came": threading.Event(), "open": threading.Event()}
    handler = type("Handler", (Page,), own)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/page.txt", handler
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def indoors(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Another API over the same database, which may fetch from this machine."""
    home: Path = tmp_path_factory.mktemp("indoors")
    with serving(api.database, home, ALLOW_PRIVATE_URLS="true") as (url, _):
        httpx.get(f"{url}/livez", timeout=180).raise_for_status()
        yield url


def test_a_url_is_fetched_once_for_a_key(indoors: str, new_key: str) -> None:
    """It was fetched before the key was looked at: again each time, and an error when it was gone.

    While the first request waits for the page, the second is told so.
    """
    headers = {"X-API-Key": new_key, "Idempotency-Key": "once"}
    with (
        web() as (url, page),
        httpx.Client(base_url=indoors, headers=headers, timeout=30) as client,
        ThreadPoolExecutor(1) as pool,
    ):

        def ask() -> httpx.Response:
            return client.post("/api/v1/docs", json={"url": url, "tags": ["web"]})

        first = pool.submit(ask)
        assert page.came.wait(30)
        second = ask()
        assert (second.status_code, second.json()["code"]) == (409, "idempotency_in_progress")
        page.open.set()
        accepted = first.result()
        assert accepted.status_code == 202, accepted.text
        assert accepted.json()["document"]["url"] == url
        again = ask()
        assert (again.status_code, again.json()) == (202, accepted.json())
        assert again.headers["idempotent-replayed"] == "true"
        assert len(page.asked) == 1
        other = client.post("/api/v1/docs", json={"url": url})
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    gone = httpx.post(f"{indoors}/api/v1/docs", json={"url": url}, headers={"X-API-Key": new_key})
    assert (gone.status_code, gone.json()["code"]) == (422, "url_unreachable")


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"title": "a\0"}, "title"),
        ({"title": "\n"}, "title"),
        ({"author": "a\0"}, "author"),
        ({"tags": [""]}, "tags.0"),
        ({"tags": ["a\0"]}, "tags.0"),
        ({"tags": ["x"] * 51}, "tags"),
    ],
)
def test_what_cannot_be_stored_is_refused_before_anything_is_fetched(
    tenant: httpx.Client, more: dict, field: str
) -> None:
    reply = tenant.post("/api/v1/docs", json={"url": "http://example.invalid/", **more})
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_request")
    assert [error["field"] for error in reply.json()["errors"]] == [field]
