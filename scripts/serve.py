"""`make serve`: the API alone, against the configured (or embedded) PostgreSQL and Redis."""

import subprocess
import sys
from pathlib import Path

from app.errors import AppError
from app.settings import load_settings
from app.wiring import servers
from scripts.prepare import prepare

ROOT = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, "-m", "gunicorn", "-c", "scripts/gunicorn_conf.py", "app.main:app"]


def main() -> int:
    """Serve until told to stop; the exit code."""
    try:
        settings = load_settings()
        with servers(settings):
            failed = prepare(settings, with_samples=False)
            return failed or subprocess.run(COMMAND, cwd=ROOT, check=False).returncode
    except AppError as error:
        sys.stderr.write(f"docent: {error.detail}\n")
        return 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
