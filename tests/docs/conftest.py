"""A reader's machine: a server with the samples and a worker, and the folder of a checkout."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.auth.keys import create_key
from tests import forks
from tests.acceptance.conftest import serving
from tests.conftest import ROOT, SECRET, FreshDatabase, environment


@dataclass(frozen=True)
class Desk:
    """Where a guide's samples run: ``folder`` looks like a checkout after ``make run``."""

    url: str
    key: str
    folder: Path
    database: FreshDatabase


@pytest.fixture(scope="module")
def desk(samples: FreshDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("checkout")
    home = folder / ".docent"
    home.mkdir()
    for name in ("docs", "docent_client", "scripts", "app", ".venv"):
        (folder / name).symlink_to(ROOT / name)
    key = create_key(samples.database_url, SECRET.encode(), tenant="default", name="dev")
    (home / "dev.key").write_text(f"{key}\n")
    metrics = folder / "metrics"
    metrics.mkdir()
    shared = {"LOG_LEVEL": "WARNING", "PROMETHEUS_MULTIPROC_DIR": str(metrics)}
    worker = forks.fork(forks.work, env=environment(samples, home, **shared))
    del shared["LOG_LEVEL"]  # serving says it
    try:
        with serving(samples, home, **shared) as (url, _):
            httpx.get(f"{url}/livez", timeout=180).raise_for_status()
            yield Desk(url, key, folder, samples)
    finally:
        forks.end(worker)
