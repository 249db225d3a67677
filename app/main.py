"""The HTTP door: ``gunicorn app.main:app``."""

from app.factory import create_app
from app.infra.logging import configure_logging
from app.settings import load_settings

_settings = load_settings()
configure_logging(_settings.log_level, as_json=_settings.log_json)
app = create_app(_settings)
