"""Where the API is and which key opens it; the client reads the environment only here."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_API_URL = "http://127.0.0.1:8000"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Config:
    """Where to ask, with which key, and where a server on this machine keeps its data."""

    api_url: str
    #: Never printed.
    api_key: str | None = field(default=None, repr=False)
    home: Path = Path(".docent")

    @property
    def is_local(self) -> bool:
        return on_this_machine(self.api_url)


def on_this_machine(api_url: str) -> bool:
    """Whether the address is a loopback one; what is no address is not."""
    try:
        return urlsplit(api_url).hostname in _LOOPBACK
    except ValueError:
        return False


def load_config(api_url: str | None = None, environment: Mapping[str, str] | None = None) -> Config:
    """Reads ``DOCENT_API_URL``, ``DOCENT_API_KEY`` and ``DOCENT_HOME``; empty counts as unset.

    Without a key, and for a server on this machine only, it is the one that ``make run`` made:
    ``dev.key`` in the home. A key is no command-line option, where every process could read it.
    """
    given = os.environ if environment is None else environment  # noqa: TID251 - not app.settings
    url = (api_url or given.get("DOCENT_API_URL", "").strip() or DEFAULT_API_URL).rstrip("/")
    home = Path(given.get("DOCENT_HOME", "").strip() or ".docent").expanduser()
    key = given.get("DOCENT_API_KEY", "").strip()
    if not key and on_this_machine(url):
        key = _read(home / "dev.key")
    return Config(api_url=url, api_key=key or None, home=home)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
