"""What the query log and the feedback say of a tenant's last days, counted by the database."""

from dataclasses import dataclass
from typing import Any

from app.infra.postgres import LONG_S, Connection, Pool, tenant_transaction

#: Rows of each list; what is looked at are the first few.
_ROWS = 20
Row = dict[str, Any]

# Each record is taken apart once: everything below reads the few columns that it counts.
_ASKED = """
    CREATE TEMPORARY TABLE asked ON COMMIT DROP AS
    SELECT a.id, a.asked_at, r.question, r.status, r.cached IS NOT NULL AS cached, r.groundedness,
           r.attempts, r.cited, (r.usage ->> 'cost_usd')::float8 AS cost_usd,
           (r.timings ->> 'total_ms')::float8 AS total_ms,
           (r.timings ->> 'first_token_ms')::float8 AS first_token_ms
    FROM answers a, jsonb_to_record(a.record) AS r (
        question text, status text, cached text, groundedness float8, attempts jsonb, cited jsonb,
        usage jsonb, timings jsonb)
    WHERE a.tenant_id = %(tenant)s
      AND a.asked_at >= date_trunc('day', now()) - make_interval(days => %(days)s - 1)"""
_TOTALS = """
    SELECT count(*) AS questions,
           count(*) FILTER (WHERE cached) AS cached,
           count(*) FILTER (WHERE status = 'abstained') AS abstained,
           count(*) FILTER (WHERE status = 'incomplete') AS incomplete,
           coalesce(sum(cost_usd), 0) AS cost_usd,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY total_ms) AS total_ms_p50,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY total_ms) AS total_ms_p95,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY first_token_ms) AS first_token_ms_p50,
           avg(groundedness) AS groundedness
    FROM asked"""
_DAYS = """
    SELECT asked_at::date::text AS day, count(*) AS questions,
           count(*) FILTER (WHERE status <> 'abstained') AS answered,
           count(*) FILTER (WHERE status = 'abstained') AS abstained,
           count(*) FILTER (WHERE cached) AS cached,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY total_ms) AS total_ms_p50,
           coalesce(sum(cost_usd), 0) AS cost_usd
    FROM asked GROUP BY 1 ORDER BY 1"""
_PROVIDERS = """
    SELECT attempt ->> 'provider' AS provider, count(*) AS attempts,
           count(*) FILTER (WHERE attempt ->> 'outcome' = 'ok') AS succeeded,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY (attempt ->> 'ms')::float8)
               FILTER (WHERE attempt ->> 'outcome' = 'ok') AS ms_p50,
           coalesce(sum((attempt ->> 'cost_usd')::float8), 0) AS cost_usd
    FROM asked, jsonb_array_elements(attempts) AS attempt
    GROUP BY 1 ORDER BY attempts DESC"""
_CITED = """
    SELECT document_id, title, count(DISTINCT asked.id) AS answers
    FROM asked, jsonb_to_recordset(cited) AS page (document_id text)
    LEFT JOIN documents d ON d.tenant_id = %(tenant)s AND d.id = document_id
    GROUP BY 1, 2 ORDER BY answers DESC, document_id LIMIT %(rows)s"""
_UNANSWERED = """
    SELECT question, count(*) AS times, max(asked_at) AS last_asked_at
    FROM asked WHERE status = 'abstained'
    GROUP BY 1 ORDER BY times DESC, last_asked_at DESC LIMIT %(rows)s"""
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
    """Count the last ``days`` days (UTC), today included; a second or two for 200,000 answers.

    Raises:
        DatabaseUnavailable: when the database does not answer.
    """
    values = {"tenant": tenant_id, "days": days, "rows": _ROWS}
    async with tenant_transaction(pool, tenant_id, allow_s=LONG_S) as connection:
        await connection.execute(_ASKED, values)
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
