"""`make serve`: the API alone, against the configured (or embedded) PostgreSQL and Redis."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from app.errors import AppError
from app.infra.servers import servers
from app.settings import load_settings
from scripts.prepare import prepare

ROOT = Path(__file__).resolve().parents[1]
GUNICORN = [sys.executable, "-m", "gunicorn", "-c", "scripts/gunicorn_conf.py", "app.main:app"]
#: What gunicorn is told when we are told something: its own SIGINT cuts answers off.
PASSED_ON = {
    signal.SIGINT: signal.SIGTERM,
    signal.SIGTERM: signal.SIGTERM,
    signal.SIGHUP: signal.SIGHUP,
}


def main() -> int:
    """Serve until told to stop; the exit code. SIGHUP replaces the workers one by one."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until gunicorn runs: leave the servers
    try:
        settings = load_settings()
        with servers(settings):
            failed = prepare(settings, with_samples=False)
            return failed or _serve()
    except AppError as error:
        sys.stderr.write(f"docent: {error.detail}\n")
        return 1
    except KeyboardInterrupt:
        return 0


def _serve() -> int:
    """Run gunicorn in a process group of its own, tied to our life; its exit code."""
    tether = [sys.executable, "-I", "-S", str(ROOT / "scripts/launcher/tether.py")]
    gunicorn = subprocess.Popen([*tether, str(os.getpid()), *GUNICORN], cwd=ROOT, process_group=0)
    for told, passed in PASSED_ON.items():
        signal.signal(told, lambda *_, number=passed: gunicorn.send_signal(number))
    return gunicorn.wait()


if __name__ == "__main__":
    sys.exit(main())
