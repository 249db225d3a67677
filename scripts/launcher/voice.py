"""What the launcher prints: its own lines, and those lines of its children worth a look."""

import json
import re
import sys
import threading

_ONE_AT_A_TIME = threading.RLock()
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
#: structlog's console lines: ``2026-11-21T01:02:03Z [info     ] event``.
_CONSOLE_LEVEL = re.compile(r"^\S+ \[(debug|info) *\]")
#: What Streamlit prints whatever its log level; the launcher says it better.
_STREAMLIT = re.compile(r"^\s*(You can now view your Streamlit app|URL: http|Stopping\.\.\.)")


def say(text: str, *, speaker: str = "docent") -> None:
    """Print one line; a terminal that has gone away is no reason to stop."""
    with _ONE_AT_A_TIME:
        try:
            sys.stdout.write(f"{speaker:<7}| {text}\n")
            sys.stdout.flush()
        except OSError:
            pass


def readable(line: str) -> str | None:
    """A child's line as people read it; None for one of no interest while all is well."""
    line = _COLOURS.sub("", line).rstrip()
    if not line or _CONSOLE_LEVEL.match(line) or _STREAMLIT.match(line):
        return None
    if line.startswith("{"):
        try:
            entry = json.loads(line)
        except ValueError:
            return line
        level = str(entry.get("level", "")).lower()
        if level in {"debug", "info"}:
            return None
        message = entry.get("event") or entry.get("message")
        return f"{level}: {message}" if message else line
    return line
