"""What the demo is told from outside; the only module of it that reads the environment."""

import os
from dataclasses import dataclass, field

DEFAULT_API_URL = "http://127.0.0.1:8000"
DEFAULT_DEMO_URL = "http://127.0.0.1:8501"


@dataclass(frozen=True)
class Config:
    """Where the API is, which key opens it if the launcher knows one, and how one signs in."""

    api_url: str
    #: None asks the visitor for a key of their own; never printed.
    api_key: str | None = field(default=None, repr=False)
    #: The public OAuth client that the demo is; empty offers no sign-in.
    oauth_client_id: str = ""
    #: Where the demo is for a browser: the client's redirect URI, to the letter.
    demo_url: str = DEFAULT_DEMO_URL


def load_config() -> Config:
    """Reads the variables that begin with ``DOCENT_``; an empty value counts as unset.

    They are ``_API_URL``, ``_API_KEY``, ``_OAUTH_CLIENT_ID`` and ``_DEMO_URL``.
    """
    environment = os.environ  # noqa: TID251 - the demo may not import app.settings
    url = environment.get("DOCENT_API_URL", "").strip().rstrip("/")
    key = environment.get("DOCENT_API_KEY", "").strip()
    return Config(
        api_url=url or DEFAULT_API_URL,
        api_key=key or None,
        oauth_client_id=environment.get("DOCENT_OAUTH_CLIENT_ID", "").strip(),
        demo_url=environment.get("DOCENT_DEMO_URL", "").strip() or DEFAULT_DEMO_URL,
    )
