"""The samples of the guides are run as they stand, and show what they say they show.

Every ``sh``, ``python`` and ``js`` block of a guide is run, each language of a page from top to
bottom in one process; a comment ``<!-- not run: why -->`` before a block leaves it out. A ``json``
or ``text`` block is what the block before it prints, shortened: members may be left out, "…" is
anything, and numbers with a point are measurements.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_openai import JAVASCRIPT
from tests.conftest import ROOT
from tests.docs.conftest import Desk
from tests.docs.pages import PAGES, Block, blocks, named

GUIDES = [
    ROOT / name
    for name in (
        "README.md",
        *(f"docs/{one}.md" for one in ("quickstart", "api", "openai", "client")),
        *(f"docs/{one}.md" for one in ("documents", "people", "oauth", "workspaces")),
    )
]
CUT = "=-=-= the next block"
#: How each language says where a block's output ends.
MARKS = {
    "sh": f"\nprintf '\\n{CUT}\\n'\n",
    "python": f"\nprint('\\n{CUT}')\n",
    "js": f"\nconsole.log('\\n{CUT}');\n",
}


def run(desk: Desk, language: str, code: str) -> list[str]:
    """What each block printed."""
    code = code.replace("http://127.0.0.1:8000", desk.url)
    script = desk.folder / f"guide.{'mjs' if language == 'js' else language}"
    # Aliases are a reader's shell's; a script has to ask for them.
    start = "set -euo pipefail\nshopt -s expand_aliases\n" if language == "sh" else ""
    script.write_text(start + code)
    program = {"sh": "bash", "python": sys.executable, "js": "node"}[language]
    ran = subprocess.run(
        [program, script],
        cwd=desk.folder,
        env={**os.environ, "DOCENT_API_URL": desk.url, "PYTHONPATH": str(desk.folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, f"{ran.stdout[-2000:]}\n{ran.stderr[-2000:]}"
    return ran.stdout.split(f"\n{CUT}\n")[:-1]


@pytest.mark.parametrize("language", ["sh", "python", "js"])
@pytest.mark.parametrize("page", GUIDES, ids=named)
def test_a_guide_runs_as_it_stands(desk: Desk, page: Path, language: str) -> None:
    found = list(blocks(page))
    of_language = [one for one in found if one.language == language and one.runs]
    if not of_language:
        return
    if language == "js":
        if shutil.which("node") is None:
            pytest.skip("node is not installed: the JavaScript samples cannot be run")
        (desk.folder / "node_modules").unlink(missing_ok=True)
        (desk.folder / "node_modules").symlink_to(JAVASCRIPT / "node_modules")
    printed = run(desk, language, "".join(one.text + MARKS[language] for one in of_language))
    assert len(printed) == len(of_language)
    for block, output in zip(of_language, printed, strict=True):
        assert '"type": "urn:docent' not in output or "doc_nobody" in block.text, output
        for shown in said_after(found, block):
            check(shown, output)


@pytest.mark.parametrize("page", sorted(set(PAGES) - set(GUIDES)), ids=named)
def test_what_is_not_run_says_why(page: Path) -> None:
    assert [one.text for one in blocks(page) if one.language == "sh" and one.runs] == []


def said_after(found: list[Block], block: Block) -> list[Block]:
    """The block that shows what ``block`` prints, if there is one."""
    following = found[found.index(block) + 1 :][:1]
    return [one for one in following if one.language in ("json", "text")]


def check(shown: Block, output: str) -> None:
    if shown.language == "json":
        holds(json.loads(shown.text), json.loads(output), "$")
    else:
        assert re.match(pattern(shown.text), output.lstrip("\n"), re.DOTALL), output


def pattern(text: str) -> str:
    return ".*".join(re.escape(part) for part in text.strip("\n").split("…"))


def holds(shown: Any, found: Any, where: str) -> None:
    """All of ``shown`` is in ``found``; lists from their beginning."""
    if isinstance(shown, dict):
        assert set(shown) <= set(found), where
        for name, value in shown.items():
            holds(value, found[name], f"{where}.{name}")
    elif isinstance(shown, list):
        assert len(found) >= len(shown), where
        assert shown or not found, where
        for number, value in enumerate(shown):
            holds(value, found[number], f"{where}[{number}]")
    elif isinstance(shown, str) and isinstance(found, str):
        assert re.fullmatch(pattern(shown), found, re.DOTALL), (where, found)
    elif isinstance(shown, float):
        assert isinstance(found, int | float), where
    else:
        assert shown == found, where


@pytest.mark.parametrize(
    ("shown", "found"),
    [({"a": 1}, {"b": 1}), ({"a": 1}, {"a": 2}), ([], [1]), ([1, 2], [1]), ("doc_…", "job_1"),
     (1.5, None), (None, 0), ({"a": {"b": "x"}}, {"a": {"b": "y"}})],
)  # fmt: skip
def test_a_sample_that_is_wrong_is_found(shown: Any, found: Any) -> None:
    with pytest.raises(AssertionError):
        holds(shown, found, "$")
