"""Schemathesis reads the OpenAPI document and tries to catch the running API in a lie.

All its checks, stateful ones included, and the same cases on every machine and every day: the seeds
and the number of cases are fixed, no clock takes part, and no worker changes documents meanwhile.
What it explores grows by another seed here, or by ``max-examples`` in ``schemathesis.toml``.
"""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import Api, api  # noqa: F401 - a fixture

#: Each begins other cases.
SEEDS = (20261126, 7, 11, 23, 42)
#: One takes one to three minutes; a machine that needs six times as long is as good as hung.
LONGEST_S = 1800


@pytest.mark.parametrize("seed", SEEDS)
def test_the_api_is_what_its_openapi_document_says(
    api: Api,  # noqa: F811
    tmp_path: Path,
    seed: int,
) -> None:
    # Made when it is first asked for, which Schemathesis waits for ten seconds only.
    httpx.get(f"{api.url}/openapi.json", timeout=300).raise_for_status()
    key = api.mint("chat", "docs:read", "docs:write", "admin")
    configuration = tmp_path / "schemathesis.toml"
    wanted = Path(__file__).with_name(configuration.name).read_text()
    configuration.write_text(f"seed = {seed}\n{wanted}")
    command = [
        sys.executable, "-m", "schemathesis.cli",
        "--config-file", str(configuration),
        "run", f"{api.url}/openapi.json", "--header", f"X-API-Key: {key}", "--no-color",
    ]  # fmt: skip
    ran = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_S,
    )
    print(ran.stdout[-3_000:])
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-5_000:]
