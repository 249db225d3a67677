"""Schemathesis reads the OpenAPI document and tries to catch the running API in a lie.

All its checks, stateful ones included. How long it looks is FUZZ_S, in seconds.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.acceptance.conftest import Api, api, worker  # noqa: F401 - fixtures

FUZZ_S = os.environ.get("FUZZ_S", "300")


def test_the_api_is_what_its_openapi_document_says(
    api: Api,  # noqa: F811
    worker: None,  # noqa: F811
    tmp_path: Path,
) -> None:
    """The key is one of a tenant of its own: the fuzzer deletes and rewrites what it finds."""
    key = api.mint("chat", "docs:read", "docs:write", "admin")
    command = [
        sys.executable, "-m", "schemathesis.cli",
        "--config-file", str(Path(__file__).with_name("schemathesis.toml")),
        "run", f"{api.url}/openapi.json",
        "--header", f"X-API-Key: {key}", "--max-time", FUZZ_S,
        # What it finds, it finds again.
        "--seed", "20261126",
        "--continue-on-failure", "--no-color",
    ]  # fmt: skip
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-5_000:]
