"""What the query log and the feedback say of a tenant's last days, counted by the database."""

from dataclasses import dataclass
from typing import Any

from app.infra.postgres import Connection, Pool, tenant_transaction

#: Rows of each list; what is looked at are the first few.
_ROWS = 20
Row = dict[str, Any]

_ASKED = """
    WITH asked AS MATERIALIZED (
        SELECT asked_at, record, record ->> 'status' AS status,
               (record -> 'timings' ->> 'total_ms')::float8 AS total_ms,
               (record -> 'timings' ->> 'first_token_ms')::float8 AS first_token_ms,
               (record -> 'usage' ->> 'cost_usd')::float8 AS cost_usd
        FROM answers
        WHERE tenant_id = %(tenant)s
          AND asked_at >= date_trunc('day', now()) - make_interval(days => %(days)s - 1))"""
_TOTALS = f"""{_ASKED}
    SELECT count(*) AS questions,
           count(*) FILTER (WHERE record ->> 'cached' IS NOT NULL) AS cached,
           count(*) FILTER (WHERE status = 'abstained') AS abstained,
           count(*) FILTER (WHERE status = 'incomplete') AS incomplete,
           coalesce(sum(cost_usd), 0) AS cost_usd,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY total_ms) AS total_ms_p50,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY total_ms) AS total_ms_p95,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY first_token_ms) AS first_token_ms_p50,
           avg((record ->> 'groundedness')::float8) AS groundedness
    FROM asked"""  # noqa: S608 - constants
_DAYS = f"""{_ASKED}
    SELECT asked_at::date::text AS day, count(*) AS questions,
           count(*) FILTER (WHERE status <> 'abstained') AS answered,
           count(*) FILTER (WHERE status = 'abstained') AS abstained,
           count(*) FILTER (WHERE record ->> 'cached' IS NOT NULL) AS cached,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY total_ms) AS total_ms_p50,
           coalesce(sum(cost_usd), 0) AS cost_usd
    FROM asked GROUP BY 1 ORDER BY 1"""  # noqa: S608 - constants
_PROVIDERS = f"""{_ASKED}
    SELECT attempt ->> 'provider' AS provider, count(*) AS attempts,
           count(*) FILTER (WHERE attempt ->> 'outcome' = 'ok') AS succeeded,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY (attempt ->> 'ms')::float8)
               FILTER (WHERE attempt ->> 'outcome' = 'ok') AS ms_p50,
           coalesce(sum((attempt ->> 'cost_usd')::float8), 0) AS cost_usd
    FROM asked, jsonb_array_elements(record -> 'attempts') AS attempt
    GROUP BY 1 ORDER BY attempts DESC"""  # noqa: S608 - constants
_CITED = f"""{_ASKED},
    cited AS (
        SELECT DISTINCT record ->> 'answer_id' AS answer_id, page ->> 'document_id' AS document_id
        FROM asked, jsonb_array_elements(record -> 'cited') AS page)
    SELECT document_id, title, count(*) AS answers
    FROM cited LEFT JOIN documents ON documents.tenant_id = %(tenant)s AND id = document_id
    GROUP BY 1, 2 ORDER BY answers DESC, document_id LIMIT %(rows)s"""  # noqa: S608 - constants
_UNANSWERED = f"""{_ASKED}
    SELECT record ->> 'question' AS question, count(*) AS times, max(asked_at) AS last_asked_at
    FROM asked WHERE status = 'abstained'
    GROUP BY 1 ORDER BY times DESC, last_asked_at DESC LIMIT %(rows)s"""  # noqa: S608 - constants
_SAID = """
    FROM feedback
    WHERE tenant_id = %(tenant)s
      AND said_at >= date_trunc('day', now()) - make_interval(days => %(days)s - 1)"""
_OPINIONS = f"""
    SELECT count(*) FILTER (WHERE score > 0) AS liked,
           count(*) FILTER (WHERE score < 0) AS disliked {_SAID}"""
_COMMENTS = f"""
    SELECT score, comment, question, said_at {_SAID} AND comment <> ''
    ORDER BY said_at DESC LIMIT %(rows)s"""


@dataclass(frozen=True, slots=True)
class Figures:
    """The rows of each part, as the wire shapes name their columns."""

    totals: Row
    days: list[Row]
    providers: list[Row]
    cited: list[Row]
    unanswered: list[Row]
    comments: list[Row]


async def figures_of(pool: Pool, tenant_id: str, *, days: int) -> Figures:
    """Count the last ``days`` days (UTC), today included.

    Raises:
        DatabaseUnavailable: when the database does not answer.
    """
    values = {"tenant": tenant_id, "days": days, "rows": _ROWS}
    async with tenant_transaction(pool, tenant_id) as connection:
        [totals] = await _rows(connection, _TOTALS, values)
        [opinions] = await _rows(connection, _OPINIONS, values)
        return Figures(
            totals=totals | opinions,
            days=await _rows(connection, _DAYS, values),
            providers=await _rows(connection, _PROVIDERS, values),
            cited=await _rows(connection, _CITED, values),
            unanswered=await _rows(connection, _UNANSWERED, values),
            comments=await _rows(connection, _COMMENTS, values),
        )


async def _rows(connection: Connection, query: str, values: Row) -> list[Row]:
    cursor = await connection.execute(query, values)
    return await cursor.fetchall()
