"""What readers said of answers, as rows."""

import orjson

from app.auth.caller import Caller
from app.chat.record import Record
from app.infra.postgres import Connection

_UPSERT = """
    INSERT INTO feedback (answer_id, tenant_id, caller_id, score, comment, question, cited)
    VALUES (%(answer)s, %(tenant)s, %(caller)s, %(score)s, %(comment)s, %(question)s,
            %(cited)s::jsonb)
    ON CONFLICT (answer_id, caller_id) DO UPDATE
    SET score = excluded.score, comment = excluded.comment, said_at = now()"""


async def keep_feedback(
    connection: Connection, caller: Caller, record: Record, *, score: int, comment: str | None
) -> None:
    """Keep one opinion, in place of the caller's earlier one."""
    values = {
        "answer": record.answer_id,
        "tenant": caller.tenant_id,
        "caller": caller.id,
        "score": score,
        "comment": comment,
        "question": record.facts["rephrased"] or record.facts["question"],
        "cited": orjson.dumps(record.facts.get("cited", [])).decode(),
    }
    await connection.execute(_UPSERT, values)
