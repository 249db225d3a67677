"""An answer as OpenAI's clients read it: a message with annotations (ADR 0010)."""

import time
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from app.chat.answer import Answer, AnswerStatus, Citation, Reason
from app.chat.schemas import AttemptOut
from app.llm.completion import Usage
from app.llm.markers import GIVEN

FinishReason = Literal["stop", "length", "content_filter"]


class CitedOut(BaseModel):
    """Where the message cites, and the exact text on the page that it cites."""

    file_id: str = Field(description="The document.", examples=["doc_ks2v7m4q6x3y5z7a2b4c6d8e9f"])
    filename: str
    quote: str
    page: int
    start_index: int = Field(description="The marker's first character in the message.")
    end_index: int = Field(description="The character after its last one.")
    version: int
    title: str
    verified: bool


class AnnotationOut(CitedOut):
    """An annotation as all clients get it that do not ask for the other."""

    type: Literal["file_citation"] = "file_citation"


class UrlCitationOut(BaseModel):
    """The one kind of citation that OpenAI's own schema has for a message."""

    start_index: int
    end_index: int
    title: str
    url: str = Field(description="The document's own, or the path of the page in this API.")


class LinkedAnnotationOut(CitedOut):
    """The same for clients that check an annotation by OpenAI's schema (ADR 0048)."""

    type: Literal["url_citation"] = "url_citation"
    url_citation: UrlCitationOut


#: Its type says which.
Annotation = Annotated[LinkedAnnotationOut | AnnotationOut, Field(discriminator="type")]


class MessageOut(BaseModel):
    """The answer; each marker `[n]` in it has an annotation."""

    role: Literal["assistant"] = "assistant"
    content: str = Field(examples=["The limit is 10 MB [1]."])
    refusal: None = None
    annotations: list[Annotation]


class ChoiceOut(BaseModel):
    """The one answer."""

    index: int = 0
    message: MessageOut
    logprobs: None = None
    finish_reason: FinishReason


class TokensOut(BaseModel):
    """Tokens as the provider counted them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int

    @classmethod
    def of(cls, usage: Usage) -> "TokensOut":
        """The wire shape of ``usage``."""
        return cls(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            total_tokens=usage.prompt_tokens + usage.completion_tokens,
        )


class DocentOut(BaseModel):
    """What this dialect has no words for: how the answer came about."""

    status: AnswerStatus
    reason: Reason | None
    groundedness: float | None
    provider: str
    model: str
    attempts: list[AttemptOut]

    @classmethod
    def of(cls, answer: Answer) -> "DocentOut":
        """The wire shape of what is known of ``answer``."""
        return cls.model_construct(
            status=answer.status,
            reason=answer.reason,
            groundedness=answer.groundedness,
            provider=answer.provider,
            model=answer.model,
            attempts=[
                AttemptOut(provider=a.provider, model=a.model, outcome=a.outcome, ms=round(a.ms, 1))
                for a in answer.attempts
            ],
        )


class CompletionOut(BaseModel):
    """An answer with its citations; `id` is the answer's, of the native API too."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(description="Unix time in seconds.")
    model: str = Field(description="The model that was asked for.", examples=["docent"])
    choices: list[ChoiceOut]
    usage: TokensOut
    docent: DocentOut

    @classmethod
    def of(cls, answer: Answer, model: str, *, linked: bool = False) -> "CompletionOut":
        """The wire shape of ``answer``, given to somebody who asked for ``model``."""
        found = annotations(answer, linked=linked)
        message = MessageOut.model_construct(content=answer.text, annotations=found)
        choice = ChoiceOut.model_construct(message=message, finish_reason=finish_reason(answer))
        return cls.model_construct(
            id=answer.answer_id,
            created=int(time.time()),
            model=model,
            choices=[choice],
            usage=TokensOut.of(answer.usage),
            docent=DocentOut.of(answer),
        )


def finish_reason(answer: Answer) -> FinishReason:
    """Why the text ends where it does; other abstentions are answers like any other."""
    if answer.reason == "refused":
        return "content_filter"
    return "length" if answer.status == "incomplete" else "stop"


def annotations(answer: Answer, *, linked: bool = False) -> list[Annotation]:
    """One for each marker in the text, in its order."""
    cited = {str(citation.marker): citation for citation in answer.citations}
    make = _linked if linked else _annotation
    return [
        make(cited[found[1]], found.start(), found.end())
        for found in GIVEN.finditer(answer.text)
        if found[1] in cited
    ]


def _annotation(citation: Citation, start: int, end: int) -> AnnotationOut:
    return AnnotationOut.model_construct(
        file_id=citation.document_id,
        filename=citation.filename,
        quote=citation.quote,
        page=citation.page,
        start_index=start,
        end_index=end,
        version=citation.version,
        title=citation.title,
        verified=citation.verified,
    )


def _linked(citation: Citation, start: int, end: int) -> LinkedAnnotationOut:
    page = f"/api/v1/docs/{citation.document_id}/pages/{citation.page}?version={citation.version}"
    link = UrlCitationOut.model_construct(
        start_index=start, end_index=end, title=citation.title, url=citation.url or page
    )
    told = {**dict(_annotation(citation, start, end)), "type": "url_citation"}
    return LinkedAnnotationOut.model_construct(**told, url_citation=link)
