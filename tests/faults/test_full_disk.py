"""No room for uploads: they are refused, questions are answered, and nothing is left behind."""

import resource
from collections.abc import Iterator

import httpx
import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest

from app.infra.embedded.servers import embedded_servers
from tests.faults.pair import serve
from tests.faults.running import Docent, copy_of_docent, until

#: As full as a disk can be made to be for one process: no file of it grows beyond this.
ROOM_BYTES = 4096


@pytest.fixture(scope="module")
def served() -> Iterator[Docent]:
    with copy_of_docent(WORKERS=1) as docent, embedded_servers(docent.home):
        served = serve(docent)
        yield docent
        served.stop()


def upload(docent: Docent, text: str) -> httpx.Response:
    return httpx.post(
        f"{docent.url}/api/v1/docs",
        headers={"X-API-Key": docent.key},
        files={"file": ("note.txt", text.encode())},
        timeout=60,
    )


def files_of(docent: Docent) -> set[str]:
    return {str(path) for path in (docent.home / "blobs").rglob("*") if path.is_file()}


def test_an_upload_finds_no_room(served: Docent) -> None:
    [gunicorn] = psutil.Process(served.programs[-1].pid).children()
    [worker] = [child.pid for child in gunicorn.children()]
    usual = resource.prlimit(worker, resource.RLIMIT_FSIZE)
    before = files_of(served)
    large = "The gate of the yard is green. " * 1000
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (ROOM_BYTES, usual[1]))
    try:
        refused = upload(served, large)
        assert (refused.status_code, refused.json()["code"]) == (503, "storage_full")
        assert refused.headers["Retry-After"]
        assert files_of(served) == before
        assert served.rows("SELECT 1 FROM document_versions WHERE status <> 'ready'") == []
        assert served.status_of("/livez") == 200
        assert served.status_of("/readyz") == 200
        served.check_intact()
    finally:
        resource.prlimit(worker, resource.RLIMIT_FSIZE, usual)
    accepted = upload(served, large)
    assert accepted.status_code == 202
    program = served.program("app.worker")
    until(
        lambda: served.rows("SELECT 1 FROM document_versions WHERE status <> 'ready'") == [],
        60,
        "it is ingested",
    )
    program.stop()
    served.programs.remove(program)
    served.check_intact()
