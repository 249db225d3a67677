"""What no linter knows of the house: names, sizes, and rooms that only say what they are for."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import Settings, env_example

ROOT = Path(__file__).parents[1]
BANNED = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "misc",
    "base",
    "manager",
    "managers",
    "core",
}
#: Longer files are a smell; a file that has to be longer is listed here with the reason.
LONGEST = 300
EXCUSED: dict[str, str] = {
    "app/settings.py": "every knob on one page, which is what one looks for there",
}


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize(
    "path",
    [p for p in sources("app", "streamlit_app", "docent_client") if p.name == "__init__.py"],
    ids=named,
)
def test_a_rooms_init_holds_one_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert len(tree.body) == 1
    assert ast.get_docstring(tree)


def test_every_room_has_an_init() -> None:
    folders = {path.parent for path in sources("app")}
    assert [named(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_no_module_has_a_name_that_means_nothing() -> None:
    names = {
        part
        for path in sources("app", "streamlit_app", "docent_client", "scripts")
        for part in (*path.parent.parts, path.stem)
    }
    assert not {name for name in names if set(name.split("_")) & BANNED}


def test_no_file_is_long_without_an_excuse() -> None:
    long = {
        named(path): len(path.read_text().splitlines())
        for path in sources("app", "streamlit_app", "docent_client")
        if len(path.read_text().splitlines()) > LONGEST
    }
    assert {name: size for name, size in long.items() if name not in EXCUSED} == {}
    assert set(EXCUSED) <= set(long), "no longer long: take the excuse away"


def test_every_variable_is_in_the_example_file() -> None:
    text = (ROOT / ".env.example").read_text()
    assert text == env_example(), "run `make env-example`"
    variables = re.findall(r"^# ([A-Z][A-Z0-9_]*)=", text, re.MULTILINE)
    assert variables == [name.upper() for name in Settings.model_fields]


def test_the_product_does_not_print() -> None:
    prints = [
        f"{named(path)}:{node.lineno}"
        for path in sources("app", "streamlit_app", "docent_client")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("print", "breakpoint")
    ]
    assert prints == []


def test_the_environment_is_read_in_one_place() -> None:
    """Beside ruff's ban: `from os import environ` and `os.environb` count as well."""
    readers = {
        named(path)
        for path in sources("app")
        if re.search(r"\b(environb?|getenvb?)\b", path.read_text()) and path.name != "settings.py"
    }
    assert readers <= {"app/infra/embedded/account.py", "app/infra/embedded/processes.py"}


def test_the_demo_and_the_client_never_import_the_product() -> None:
    for path in sources("streamlit_app", "docent_client"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in modules if name.split(".")[0] == "app"], named(path)


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        named(path)
        for path in sources("app", "streamlit_app", "docent_client", "scripts")
        if path.name != "__init__.py" and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []
