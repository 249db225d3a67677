"""What the demo is told from outside; the only module of it that reads the environment."""

import os
from dataclasses import dataclass, field

DEFAULT_API_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Config:
    """Where the API is and, when the launcher knows one, which key opens it."""

    api_url: str
    #: None asks the visitor for a key of their own; never printed.
    api_key: str | None = field(default=None, repr=False)


def load_config() -> Config:
    """Reads ``DOCENT_API_URL`` and ``DOCENT_API_KEY``; an empty value counts as unset."""
    environment = os.environ  # noqa: TID251 - the demo may not import app.settings
    url = environment.get("DOCENT_API_URL", "").strip().rstrip("/")
    key = environment.get("DOCENT_API_KEY", "").strip()
    return Config(api_url=url or DEFAULT_API_URL, api_key=key or None)
