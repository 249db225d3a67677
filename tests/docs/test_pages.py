"""What the pages name exists: links, settings, targets, scripts; made pages are as made."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from app.factory import create_app
from app.settings import Settings
from scripts.check_site import loads_from_elsewhere
from scripts.reference import pages as made_pages
from scripts.reference import settings_page
from tests.conftest import ROOT
from tests.docs.pages import PAGES, blocks, named, prose

SETTINGS = {name.upper() for name in Settings.model_fields}
#: Words in capitals that are variables of something else, by who reads them.
OTHERS = {
    "DOCENT_API_URL", "DOCENT_API_KEY",  # the client and the demo
    "DOCENT_DEMO_URL", "DOCENT_OAUTH_CLIENT_ID",
    "BUDGET_USD",  # make
    "ENGLISH_MODELS",  # a name in the code
}  # fmt: skip
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_VARIABLE = re.compile(r"(?<![\w/$./{<-])([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?![\w(.-])")


def anchors(page: Path) -> set[str]:
    """As GitHub and MkDocs make them of headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", one).strip().replace(" ", "-") for one in plain}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in _LINK.findall(re.sub(r"`[^`\n]*`", "", prose(page))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / unquote(path)).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", [p for p in PAGES if "benchmarks" not in p.parts], ids=named)
def test_every_variable_is_a_setting(page: Path) -> None:
    spans = re.findall(r"`([^`\n]+)`", prose(page))
    shells = [block.text for block in blocks(page) if block.language == "sh"]
    found = {name for text in [*spans, *shells] for name in _VARIABLE.findall(text)}
    defined = set(re.findall(r"\b([A-Z_]+)=\$?\(?", "\n".join(shells)))
    assert found - SETTINGS - OTHERS - defined == set()


def test_every_target_and_script_exists() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        text = page.read_text()
        shells = "\n".join(block.text for block in blocks(page) if block.language == "sh")
        told = re.findall(r"`make ([a-z][a-z-]*)", text)
        told += re.findall(r"^make ([a-z][a-z-]*)", shells, re.MULTILINE)
        assert set(told) <= targets, named(page)
        for module in re.findall(r"python -m ((?:scripts|app)\.[\w.]*\w)", text):
            path = ROOT / module.replace(".", "/")
            assert path.with_suffix(".py").exists() or path.is_dir(), (named(page), module)
        for script in re.findall(r"`(scripts/[\w/]+\.py)`", text):
            assert (ROOT / script).exists(), (named(page), script)


def test_every_route_in_a_guide_is_served() -> None:
    served = [
        (method.upper(), re.sub(r"\{[^}]*\}", "[^/]+", path))
        for path, methods in create_app(Settings(_env_file=None)).openapi()["paths"].items()
        for method in methods
    ]
    for page in PAGES:
        for verbs, path in re.findall(
            r"`((?:GET|POST|PUT|PATCH|DELETE)(?:`?, `?(?:GET|POST|PUT|PATCH|DELETE))*) (/[^\s`?]*)",
            prose(page),
        ):
            if "…" in path:
                continue
            plain = re.sub(r"\{[^}]*\}", "x", path)
            for verb in re.findall(r"[A-Z]+", verbs):
                assert any(
                    verb == known and re.fullmatch(shape, plain) for known, shape in served
                ), (
                    named(page),
                    verb,
                    path,
                )


def test_made_pages_are_what_the_code_says() -> None:
    made = made_pages()
    stale = [str(path) for path, text in made.items() if (ROOT / path).read_text() != text]
    assert stale == [], "run `make reference`"


def test_the_settings_page_holds_every_setting_once() -> None:
    text = settings_page()
    assert re.findall(r"^\| `([A-Z0-9_]+)`", text, re.MULTILINE) == [
        name.upper() for name in Settings.model_fields
    ]


def test_json_in_the_pages_is_json() -> None:
    for page in PAGES:
        for block in blocks(page):
            if block.language == "json" and "…}" not in block.text:
                json.loads(block.text.replace(" …}", "}"))


@pytest.mark.parametrize(
    ("html", "loads"),
    [('<script src="https://cdn.example/x.js"></script>', True),
     ('<img alt="" src="//pics.example/x.png">', True),
     ('<link href="https://fonts.example/x.css" rel="stylesheet">', True),
     ('<pre class="mermaid">graph</pre>', True),
     ('<a href="https://www.example.com/">read</a><script src="x.js"></script>', False),
     ('<link href="https://docs.example/" rel="canonical">', False)],
)  # fmt: skip
def test_a_site_that_calls_elsewhere_is_found(tmp_path: Path, html: str, loads: bool) -> None:
    (tmp_path / "index.html").write_text(html)
    assert bool(loads_from_elsewhere(tmp_path)) is loads
