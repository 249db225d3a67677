"""`make chat`: ask the running API a question, or one after the other, and print what it says.

    python -m scripts.ask ["QUESTION"] [--key KEY]

Without a key it takes the development key of DOCENT_HOME.
"""

import argparse
import json
import sys
import urllib.error
import urllib.request
import uuid
from http.client import HTTPException
from typing import Any

from app.errors import AppError, ConfigurationError
from app.settings import Settings, load_settings

#: Longer than any answer takes (TOTAL_TIMEOUT_S, by default).
TIMEOUT_S = 90


def answer(settings: Settings, key: str, question: str, session_id: str) -> dict[str, Any]:
    """What the API answers.

    Raises:
        ConfigurationError: it refuses or is not there; the message says which.
    """
    request = urllib.request.Request(
        f"http://127.0.0.1:{settings.port}/api/v1/chat",
        json.dumps({"question": question, "session_id": session_id}).encode(),
        {"Content-Type": "application/json", "X-API-Key": key},
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:  # noqa: S310
            told = json.load(reply)
            return {name: told[name] for name in ("answer", "citations")}
    except urllib.error.HTTPError as error:
        detail = _detail(error.read()) or error.reason
        raise ConfigurationError(f"The API answers {error.code}: {detail}") from error
    except OSError as error:
        raise ConfigurationError(
            f"Nothing answers on port {settings.port}: start it with `make run`."
        ) from error
    except (HTTPException, ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(f"Something else answers on port {settings.port}.") from error


def _detail(body: bytes) -> str | None:
    """What a problem says; None when it is none, as another server's page is."""
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, TypeError, KeyError):
        return None


def key_of(settings: Settings, given: str | None) -> str:
    """The key that was given, or the development key.

    Raises:
        ConfigurationError: there is none, or it is none.
    """
    try:
        key = given or (settings.docent_home / "dev.key").read_text().strip()
    except (OSError, ValueError) as error:
        raise ConfigurationError("There is no development key here: give KEY=...") from error
    if not (key.isascii() and key.isprintable()):
        raise ConfigurationError("That is no API key.")
    return key


def shown(told: dict[str, Any]) -> str:
    """The answer, and below it where it stands."""
    lines = [told["answer"]]
    for cited in told["citations"]:
        lines.append(f"  [{cited['marker']}] {cited['title']}, page {cited['page']}")
    return "\n".join(lines)


def main() -> int:
    """Ask; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("question", nargs="?", default="")
    parser.add_argument("--key")
    options = parser.parse_args()
    session_id = f"make-chat-{uuid.uuid4().hex}"
    try:
        settings = load_settings()
        key = key_of(settings, options.key)
        questions = [options.question] if options.question else iter(lambda: input("> "), "")
        for question in questions:
            print(shown(answer(settings, key, question, session_id)))
    except AppError as error:
        print(f"docent: {error.detail}", file=sys.stderr)
        return 1
    except (EOFError, KeyboardInterrupt):
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
