"""Every statement of ours on a tenant's table says whose rows it means.

Row-level security would hide the others; this is the wall before it. The statements are read out of
the source, so that one which no test runs is looked at as well, and the tables out of the schema.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache

import psycopg
import pytest

from tests.conftest import ROOT, FreshDatabase

#: What means every tenant's rows, by how the query begins, with the reason.
EXCUSED = {
    "SELECT FROM api_keys WHERE key_hash": "an operator's program: a key is known or it is not",
    "SELECT id FROM tenants WHERE name": "an operator's program: by its name a tenant is found",
    "INSERT INTO tenants (id, name) VALUES": "and made",
}
_SQL = re.compile(r"\b(?:SELECT|UPDATE|DELETE|INSERT|FROM|JOIN)\b")
#: Words that follow a table's name and are not what it is called in the query.
_NO_ALIAS = {"on", "set", "where", "join", "left", "values", "cross", "order", "using", "for"}


@pytest.fixture(scope="module")
def tables(database: FreshDatabase) -> set[str]:
    """The tables under row-level security: all that have a tenant, and the tenants."""
    with psycopg.connect(database.database_url) as owner:
        guarded = owner.execute(
            "SELECT relname FROM pg_class"
            " WHERE relrowsecurity AND relnamespace = 'public'::regnamespace"
        ).fetchall()
        owned = owner.execute(
            "SELECT table_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND column_name = 'tenant_id'"
        ).fetchall()
    assert {*owned, ("tenants",)} == set(guarded)
    return {name for (name,) in guarded}


def test_every_statement_names_its_tenant(tables: set[str]) -> None:
    seen, guilty, excused = 0, [], set()
    for place, text in texts():
        for query in queries(text):
            seen += bool(mentions(query, tables))
            if forgets(query, tables):
                excuse = next((start for start in EXCUSED if query.startswith(start)), None)
                excused.add(excuse)
                guilty += [] if excuse else [f"{place}: {query}"]
    assert guilty == []
    assert seen > 150
    assert excused - {None} == set(EXCUSED), "no longer there: take the excuse away"


@pytest.mark.parametrize(
    ("text", "forgotten"),
    [
        ("SELECT id FROM documents WHERE id = %s", 1),
        ("SELECT tenant_id FROM documents WHERE id = %s", 1),
        ("SELECT id FROM documents WHERE id = %s AND tenant_id = %s", 0),
        ("SELECT id FROM documents d WHERE (d.id = %s) AND d.tenant_id = %(tenant)s", 0),
        ("SELECT FROM documents d JOIN pages p ON p.document_id = d.id WHERE d.tenant_id = %s", 1),
        ("SELECT FROM documents d, pages p WHERE d.tenant_id = %s AND p.tenant_id = %s", 0),
        ("SELECT FROM documents d, pages p WHERE d.tenant_id = %s", 1),
        ("SELECT FROM documents d JOIN pages p ON p.tenant_id = d.tenant_id", 1),
        (
            "UPDATE pages p SET number = 1 WHERE p.tenant_id = %s AND EXISTS"
            " (SELECT FROM documents d WHERE d.tenant_id = p.tenant_id AND d.id = %s)",
            0,
        ),
        ("SELECT FROM pages p WHERE tenant_id = %s AND EXISTS (SELECT FROM chunks)", 1),
        ("SELECT FROM chunks WHERE id IN (SELECT id FROM chunks WHERE tenant_id = %s)", 1),
        ("SELECT id FROM chunks WHERE tenant_id = %s UNION SELECT id FROM pages", 1),
        ("UPDATE pages SET text = 'tenant_id = %s' WHERE id = %s", 1),
        ("DELETE FROM pages AS p WHERE p.id = %s -- and tenant_id = %s", 1),
        ("INSERT INTO pages (id, text) VALUES (%s, 'tenant_id')", 1),
        ("INSERT INTO pages (id, tenant_id) VALUES (%s, %s)", 0),
        ("SELECT * FROM tenants WHERE name = %s", 1),
        ("SELECT * FROM pages p JOIN tenants t ON t.id = p.tenant_id WHERE p.tenant_id = %s", 0),
        ("SELECT * FROM index_info", 0),
    ],
)
def test_what_forgets_its_tenant_is_found(text: str, forgotten: int, tables: set[str]) -> None:
    assert sum(forgets(query, tables) for query in queries(text)) == forgotten


def forgets(query: str, tables: set[str]) -> bool:
    """Whether a query means rows of a tenant's table and does not say whose."""
    named = mentions(query, tables)
    for table, name in named:
        column = "id" if table == "tenants" else "tenant_id"
        term = rf"(?<![\w.]){name}\.{column}(?!\w)"
        if len(named) == 1:
            term += rf"|(?<![\w.]){column}(?!\w)"
        if not re.search(rf"(?:{term}) = |= (?:{term})", query):
            return True
    # Tables that only say that they belong together; of a nested query one may be outside.
    known = {name for _, name in named}
    said = "tenant_id = %" in query or set(re.findall(r"(\w+)\.tenant_id", query)) - known
    if {table for table, _ in named} - {"tenants"} and not said:
        return True
    return bool(re.search(rf"INSERT INTO (?:{'|'.join(tables)})(?! \([^)]*\btenant_id\b)", query))


def mentions(query: str, tables: set[str]) -> list[tuple[str, str]]:
    """The tenant's tables that a query reads or changes, each with what it is called there."""
    found = re.findall(
        rf"(?:\b(?:FROM|JOIN|UPDATE)|,) ({'|'.join(tables)})\b(?: (?:AS )?([a-z]\w*)\b)?", query
    )
    return [(table, table if alias in {"", *_NO_ALIAS} else alias) for table, alias in found]


def queries(text: str) -> Iterator[str]:
    """The queries of a statement, each without those that are nested in it."""
    text = re.sub(r"--[^\n]*", "", text).replace("current_setting('app.tenant')", "%s")
    text = " ".join(re.sub(r"'[^']*'", "''", text).split())
    plain = re.compile(r"\(([^()]*)\)")
    while (inner := plain.search(text)) is not None:
        said = inner[1]
        if re.match(r" ?(?:SELECT|UPDATE|INSERT|DELETE|WITH)\b", said):
            yield from _united(said)
            said = ""
        text = f"{text[: inner.start()]}⟨{said}⟩{text[inner.end() :]}"
    yield from _united(text)


def _united(query: str) -> Iterator[str]:
    for part in re.split(r"\bUNION(?: ALL)?\b", query):
        yield part.replace("⟨", "(").replace("⟩", ")").strip()


def texts() -> Iterator[tuple[str, str]]:
    """Every text in the product, with its place; what is put together is read together."""
    for path in sorted((ROOT / "app").rglob("*.py")):
        if not _SQL.search(path.read_text()):
            continue
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        waiting: list[ast.AST] = [tree_of(module)]
        while waiting:
            node = waiting.pop()
            text = text_of(module, node) if isinstance(node, ast.expr) else None
            if text is None:
                waiting.extend(ast.iter_child_nodes(node))
            elif _SQL.search(text):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", text


def text_of(module: str, node: ast.AST) -> str | None:  # noqa: PLR0911 - one a kind of node
    """What an expression says, as far as it can be read; None when it is no text."""
    match node:
        case ast.Constant(str(text)):
            return text
        case ast.Name(name):
            return constant(module, name)
        case ast.FormattedValue(value):
            return text_of(module, value)
        case ast.JoinedStr(parts):
            return "".join(text_of(module, part) or "" for part in parts)
        case ast.BinOp(left, ast.Add(), right):
            said = [text_of(module, part) for part in (left, right)]
            return None if said == [None, None] else "".join(part or "" for part in said)
    return None


@cache
def constant(module: str, name: str) -> str | None:
    """The text that a name stands for in a module: one of its own, or one that it imports."""
    for node in tree_of(module).body:
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
            known = (ROOT / f"{str(node.module).replace('.', '/')}.py").is_file()
            return constant(str(node.module), name) if known else None
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return text_of(module, node.value)
    return None


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
