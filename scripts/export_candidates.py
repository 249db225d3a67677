"""`make export-candidates TENANT=… OUT=…`: what was asked, as questions that evaluations may ask.

    python -m scripts.export_candidates --tenant NAME --out DIR/questions.jsonl

Each line is one question in the shape that ``scripts/evaluate.py`` reads, and why it is there:
``gold`` (answered, and a reader said it was right), ``correct`` (a reader said it was wrong: its
places are those to be corrected) or ``gap`` (nothing was found). Of a question that was asked often
the latest verdict counts. Secrets and e-mail addresses are masked; what is older than
QUERY_LOG_DAYS is left out. A person looks through all of it before it is used.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import psycopg

from app.errors import AppError, NotFound
from app.infra.masking import mask
from app.infra.postgres import PROGRAM_S, open_pool, tenant_transaction, translated
from app.infra.reach import EVERYTHING, reaching
from app.infra.servers import owner_url, urls_of
from app.settings import Settings, load_settings
from scripts.evaluation.dataset import page_place
from scripts.prepare import known_servers

#: One reader who says that an answer is wrong outweighs those who do not.
_JUDGED = """
    SELECT a.id, a.record ->> 'status' AS status, a.record -> 'cited' AS cited,
           coalesce(a.record ->> 'rephrased', a.record ->> 'question') AS question,
           f.score, f.comments
    FROM answers a
    LEFT JOIN (SELECT answer_id, min(score) AS score,
                      array_agg(comment) FILTER (WHERE comment <> '') AS comments
               FROM feedback GROUP BY answer_id) f ON f.answer_id = a.id
    WHERE a.asked_at >= now() - make_interval(days => %(days)s)
      AND (f.score IS NOT NULL OR a.record ->> 'status' = 'abstained')
    ORDER BY a.asked_at, a.id"""
_NAMED = "SELECT id, filename FROM documents WHERE deleted_at IS NULL"


async def candidates(settings: Settings, tenant_id: str) -> list[dict[str, Any]]:
    """The lines, in the order in which the questions were asked.

    Raises:
        DatabaseUnavailable: when the database does not answer.
    """
    async with open_pool(
        urls_of(settings).database_url,
        size=1,
        timeout_s=30,
        statement_timeout_s=PROGRAM_S,
    ) as pool:
        with reaching(EVERYTHING):
            async with tenant_transaction(pool, tenant_id) as connection:
                asked = await connection.execute(_JUDGED, {"days": settings.query_log_days})
                rows = await asked.fetchall()
                known = await (await connection.execute(_NAMED)).fetchall()
    stems = {row["id"]: PurePath(row["filename"]).stem for row in known}
    latest = {row["question"].casefold(): _candidate(row, stems) for row in rows}
    return list(latest.values())


def _candidate(row: dict[str, Any], stems: dict[str, str]) -> dict[str, Any]:
    """A row as a line; what an abstention found is not what answers it."""
    gap = row["status"] == "abstained"
    kind = "gap" if gap and row["score"] != 1 else "gold" if row["score"] == 1 else "correct"
    places = [
        page_place(stems[one["document_id"]], one["page"])
        for one in row["cited"] or ()
        if one["document_id"] in stems
    ]
    return {
        "id": row["id"],
        "question": mask(row["question"]),
        "passage_ids": list(dict.fromkeys(places)),
        "answerable": not gap,
        "candidate": kind,
        "comments": [mask(comment) for comment in row["comments"] or ()],
    }


def tenant_called(settings: Settings, name: str) -> str:
    """The tenant's id.

    Raises:
        NotFound: there is none of that name.
    """
    with translated(), psycopg.connect(owner_url(settings), connect_timeout=5) as connection:
        row = connection.execute("SELECT id FROM tenants WHERE name = %s", (name,)).fetchone()
    if row is None:
        raise NotFound(f"There is no tenant '{name}'.")
    return str(row[0])


def main(arguments: Sequence[str]) -> int:
    """Export; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    options = parser.parse_args(arguments)
    try:
        settings = load_settings()
        with known_servers(settings):
            tenant_id = tenant_called(settings, options.tenant)
            lines = asyncio.run(candidates(settings, tenant_id))
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        options.out.write_text(text, encoding="utf-8")
    except AppError as error:
        print(f"docent: {error.detail}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"docent: {options.out} cannot be written: {error.strerror}.", file=sys.stderr)
        return 1
    print(f"{len(lines)} questions written to {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
