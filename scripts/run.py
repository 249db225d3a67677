"""Starts all of Docent and stops it on Ctrl-C: what ``make run`` does once things are installed.

``--no-demo`` leaves the Streamlit demo out, and so does a missing ``.venv-demo``.
"""

import os
import signal
import sys
from pathlib import Path

# A Ctrl-C during the imports below; the launcher then takes the signals over.
for _number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(_number, lambda *_: os._exit(0))

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from app.errors import AppError  # noqa: E402 - needs the line above
from app.settings import load_settings  # noqa: E402
from scripts.launcher.launch import Launcher, Step  # noqa: E402
from scripts.launcher.voice import say  # noqa: E402

#: Run in this order once the servers answer and before the API opens; each must exit 0, and its
#: last line is what is shown when it does not. An empty command is skipped.
STEPS = [
    Step("schema, key and samples", [sys.executable, "-m", "scripts.prepare", "--samples"]),
]
#: Asked by the curl line that is printed; the samples answer it.
QUESTION = "What happens to open files on a processor reset?"


def main() -> int:
    """Run until told to stop; the exit code."""
    os.chdir(ROOT)  # relative paths in the environment and .env are meant from here
    try:
        Launcher(load_settings(), STEPS, QUESTION, demo="--no-demo" not in sys.argv[1:]).run()
    except AppError as error:
        say(error.detail)
        return 1
    say("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
