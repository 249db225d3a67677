"""``/api/v1/answers``: how an answer came about, and what its reader thinks of it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from app.chat.answer_log import AnswerLog
from app.chat.answer_schemas import AnswerRecord, FeedbackIn
from app.chat.routes import Asker
from app.http.problems import documented_problems
from app.infra.tracing import Score, Tracer

router = APIRouter(prefix="/api/v1/answers", tags=["chat"])

AnswerId = Annotated[str, Path(max_length=64, examples=["ans_ks2v7m4q6x3y5z7a2b4c6d8e9f"])]


async def answer_log(request: Request) -> AnswerLog:
    """The query log of this process."""
    found: AnswerLog = request.app.state.house.answers
    return found


async def tracer(request: Request) -> Tracer:
    """The tracer of this process."""
    found: Tracer = request.app.state.house.tracer
    return found


Answers = Annotated[AnswerLog, Depends(answer_log)]


@router.get(
    "/{answer_id}",
    operation_id="get_answer",
    responses=documented_problems(401, 403, 404, 422, 503),
)
async def get_answer(caller: Asker, answers: Answers, answer_id: AnswerId) -> AnswerRecord:
    """Explain an answer: the question as searched for, candidates, attempts, cost.

    For whoever asked, and for admins; as long as the query log keeps it.
    """
    record = await answers.find(caller, answer_id)
    return AnswerRecord.model_validate(record.facts)


@router.post(
    "/{answer_id}/feedback",
    status_code=204,
    operation_id="give_feedback",
    responses=documented_problems(401, 403, 404, 413, 415, 422, 503),
)
async def give_feedback(
    caller: Asker,
    answers: Answers,
    tracer: Annotated[Tracer, Depends(tracer)],
    answer_id: AnswerId,
    body: FeedbackIn,
) -> Response:
    """Say whether an answer was good; saying it again replaces what was said before."""
    record = await answers.judge(caller, answer_id, score=body.score, comment=body.comment)
    if trace_id := record.facts.get("trace_id"):
        tracer.score(Score(f"{answer_id}-{caller.id}", trace_id, body.score, body.comment))
    return Response(status_code=204)
