"""Run a program while the servers of the settings run: `make worker`, `shell`, `db-shell`.

    python -m scripts.with_servers PROGRAM ...
    python -m scripts.with_servers --psql ...      psql as the owner of the tables

The embedded servers that do not run are started, and stopped by their last user.
"""

import os
import signal
import subprocess
import sys

from app.errors import AppError
from app.infra.servers import owner_url, servers
from app.settings import load_settings
from scripts.archives.database import client
from scripts.prepare import prepared_servers


def main(arguments: list[str]) -> int:
    """Run it; its exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the program's
    try:
        settings = load_settings()
        if arguments[:1] == ["--psql"]:  # to look at the database as it is
            with servers(settings), client("psql", owner_url(settings)) as (program, environment):
                return _run([program, "-X", *arguments[1:]], environment)
        with prepared_servers(settings):
            return _run(arguments, dict(os.environ))
    except AppError as error:
        print(f"docent: {error.detail}", file=sys.stderr)
        return 1


def _run(command: list[str], environment: dict[str, str]) -> int:
    started = subprocess.Popen(
        command,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    signal.signal(signal.SIGTERM, lambda *_: started.terminate())
    return started.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
