"""The least a FastAPI POST costs: a model in, a model out. It says how fast the machine is."""

from fastapi import APIRouter, FastAPI
from pydantic import BaseModel

router = APIRouter()


class Body(BaseModel):
    """A question."""

    question: str
    stream: bool = False


class AnswerOut(BaseModel):
    """No answer."""

    answer: str


@router.post("/chat")
async def chat(body: Body) -> AnswerOut:
    """Say what was asked."""
    return AnswerOut(answer=body.question)


@router.get("/ready")
async def ready() -> str:
    """Answer once the application is open."""
    return "ok"


app = FastAPI()
app.include_router(router)
