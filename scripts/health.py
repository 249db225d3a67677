"""`make health-check`: ask the API of PORT how it is; the exit code says whether all is well.

python -m scripts.health [/livez | /readyz | /health] [--port PORT]
"""

import argparse
import json
import sys
import urllib.error
import urllib.request
from http import HTTPStatus
from http.client import HTTPException

from app.errors import AppError
from app.settings import load_settings

TIMEOUT_S = 4


def ask(url: str) -> tuple[int, str]:
    """Status and body of what answers; 0 and a sentence when nothing does."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - our own URL
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except (OSError, HTTPException) as error:
        return 0, f"nothing answers at {url} ({error})"


def verdict(status: int, body: str) -> int:
    """The exit code: 0 when it is well."""
    try:
        return 0 if status == HTTPStatus.OK and json.loads(body)["status"] == "ok" else 1
    except (ValueError, KeyError, TypeError):
        return 1  # something else listens there


def main() -> int:
    """Ask; 0 when it is well."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "path", nargs="?", default="/health", choices=["/livez", "/readyz", "/health"]
    )
    parser.add_argument("--port", type=int, help="other than PORT")
    options = parser.parse_args()
    try:
        port = options.port or load_settings().port
    except AppError as error:
        print(f"docent: {error.detail}", file=sys.stderr)
        return 2
    status, body = ask(f"http://127.0.0.1:{port}{options.path}")
    print(body)
    return verdict(status, body)


if __name__ == "__main__":
    sys.exit(main())
