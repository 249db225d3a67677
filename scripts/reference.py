"""Write the pages that are made from the code: settings, error codes and the index of decisions.

``python -m scripts.reference`` writes them; a test holds them and the code together.
"""

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import app
from app.errors import AppError
from app.settings import Settings

ROOT = Path(__file__).parents[1]
_MADE = "<!-- Made by `make reference` from {}; not edited by hand. -->\n"
#: Set from the virtual environment, so the default differs from machine to machine.
_OF_THE_MACHINE = {"embedding_model_dir", "docent_home"}


def pages() -> dict[Path, str]:
    """Every page that is made, by its path below the root."""
    return {
        Path("docs/reference/settings.md"): settings_page(),
        Path("docs/reference/errors.md"): errors_page(),
        Path("docs/adr/README.md"): decisions_page(),
    }


def settings_page() -> str:
    """A table for each section of ``app/settings.py``."""
    lines = ["# Settings", "", _MADE.format("app/settings.py")]
    lines += ["Read from the environment, then from `.env`, then from files (`SECRETS_DIR`).", ""]
    for section, names in _sections():
        lines += [f"## {section}", "", "| variable | default | |", "|---|---|---|"]
        for name in names:
            text = (Settings.model_fields[name].description or "").replace("|", "\\|")
            default = _default(name)
            shown = f"`{default}`" if default else ""
            lines.append(f"| `{name.upper()}` | {shown} | {text} |")
        lines.append("")
    return "\n".join(lines)


def _sections() -> Iterator[tuple[str, list[str]]]:
    """The headings in the source with the settings below them; all settings are in one."""
    source = (ROOT / "app" / "settings.py").read_text()
    source = source.partition("class Settings")[2].partition("def load_settings")[0]
    title, names = "", list[str]()
    for line in source.splitlines():
        if found := re.fullmatch(r"    # ([A-Z][^.]*)", line):
            if names:
                yield title, names
            title, names = found[1].partition(";")[0], []
        elif (found := re.match(r"    (\w+): ", line)) and found[1] in Settings.model_fields:
            names.append(found[1])
    yield title, names


def _default(name: str) -> str:
    default = Settings.model_fields[name].default
    if name in _OF_THE_MACHINE or default is None:
        return ".docent" if name == "docent_home" else ""
    if isinstance(default, list):
        return ",".join(default)
    return json.dumps(default) if isinstance(default, dict) else str(default)


def errors_page() -> str:
    """Every ``code`` an answer may carry, with its status and first line."""
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if module.name not in ("app.main", "app.worker") and "_child" not in module.name:
            importlib.import_module(module.name)
    rows = {
        (kind.status, kind.code, kind.retryable, (kind.__doc__ or "").strip().splitlines()[0])
        for kind in _descendants(AppError)
        if kind.__doc__ and kind.status >= 400
    }
    lines = ["# Error codes", "", _MADE.format("the error classes below app/")]
    lines += [
        "`code` of a problem is stable; `detail` may say more than the text here. What is",
        "retryable comes with `Retry-After`. Why a document failed is in",
        "[its job](../documents.md#follow-the-job).",
        "",
        "| status | code | retryable | |",
        "|---|---|---|---|",
    ]
    for status, code, retryable, text in sorted(rows):
        lines.append(f"| {status} | `{code}` | {'yes' if retryable else ''} | {text} |")
    return "\n".join([*lines, ""])


def _descendants(kind: type[AppError]) -> Iterator[type[AppError]]:
    for below in kind.__subclasses__():
        if below.__module__.startswith("app."):
            yield below
            yield from _descendants(below)


def decisions_page() -> str:
    """The decisions in their order, by their own titles."""
    lines = ["# Decisions", "", _MADE.format("the headings of these files")]
    for path in sorted((ROOT / "docs" / "adr").glob("[0-9]*.md")):
        title = path.read_text().partition("\n")[0]
        said = re.sub(r"^# \d+[.:]? ", "", title)
        lines.append(f"- [{path.stem[:4]}]({path.name}): {said}")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    for page, text in pages().items():
        (ROOT / page).write_text(text)
