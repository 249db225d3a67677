"""Fault row O4: a newer release has migrated the database while this one still runs.

Migrations that only add leave this one working until it is replaced; started anew it says why it
does not.
"""

from collections.abc import Iterator

import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest

from app.infra.embedded.servers import embedded_servers
from tests.faults.pair import serve
from tests.faults.running import Docent, copy_of_docent, kill, until, write_paper

#: More often than a driver needs to keep a statement prepared.
OFTEN = 8


@pytest.fixture(scope="module")
def running() -> Iterator[Docent]:
    """`make serve` and `make worker`, whose statements are prepared, and then the migration."""
    with copy_of_docent(WORKERS=1) as docent, embedded_servers(docent.home):
        served = serve(docent)
        docent.program("app.worker")
        upload(docent, *(f"before-{number}" for number in range(OFTEN)))
        for _ in range(OFTEN):
            docent.check_intact()
        migrate(docent)
        yield docent
        assert served.process.poll() is None


def migrate(docent: Docent) -> None:
    """What additive migrations do: a column in every table, a table, a revision that is new."""
    tables = docent.rows(
        "SELECT table_schema || '.' || table_name AS name FROM information_schema.tables"
        " WHERE table_type = 'BASE TABLE' AND table_schema IN ('public', 'jobs')"
    )
    assert len(tables) > 20
    for table in tables:
        docent.rows(f"ALTER TABLE {table['name']} ADD COLUMN of_the_next_release text DEFAULT 'x'")
    docent.rows("CREATE TABLE of_the_next_release (id text)")
    docent.rows("UPDATE alembic_version SET version_num = '9999'")


def upload(docent: Docent, *names: str) -> None:
    papers = [
        write_paper(docent.home / "papers" / f"{name}.pdf", [[name, f"The {name} is green."]])
        for name in names
    ]
    for document_id in [docent.submit(paper) for paper in papers]:
        docent.until_ingested(document_id, 30)


def test_it_goes_on(running: Docent) -> None:
    for _ in range(OFTEN):
        running.check_intact()
    upload(running, "after")
    said = [line for program in running.programs for line in program.lines]
    assert not [line for line in said if "Traceback" in line]


def test_a_worker_that_dies_is_replaced(running: Docent) -> None:
    api = running.programs[0]
    [gunicorn] = psutil.Process(api.pid).children()
    [worker] = gunicorn.children()
    kill(worker.pid)
    until(lambda: gunicorn.children() not in ([], [worker]), 60, "another worker")
    running.until_ready()
    running.check_intact()


def test_started_anew_it_refuses_in_one_sentence(running: Docent) -> None:
    for program in ("scripts.serve", "scripts.migrate"):
        running.command(program, PORT=running.demo_port).check_one_sentence("newer Docent")
