"""The wire shapes of ``/v1``, as OpenAI's clients send and read them (ADR 0010).

Fields that are not named here are ignored, as those clients expect; what would not be what was
asked for if it were ignored is refused.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    StrictBool,
    StringConstraints,
    WithJsonSchema,
)

from app.chat.answer import Question
from app.chat.history import recent
from app.chat.schemas import Whole
from app.errors import InvalidRequest
from app.llm.completion import Message, ModelInfo

#: The model that stands for all of them, in the order in which they are tried.
ROUTER_MODEL = "docent"
MAX_QUESTION_CHARS = 4000
#: More than any model gives; asking for more is no error, as most clients' defaults are generous.
MAX_TOKENS = 32_768
_TOP_K = 5
_StopText = Annotated[str, StringConstraints(max_length=256)]


class NotSupported(InvalidRequest):
    """That is part of the OpenAI API, but cannot be had here."""

    status, code = 400, "unsupported_value"


class PartIn(BaseModel):
    """A piece of a message; only text can be answered."""

    type: str
    # Half a surrogate pair is let through unless there is a constraint: no model can be sent one.
    text: Annotated[str, StringConstraints(min_length=0)] = ""


def _as_parts(content: object) -> object:
    if content is None:
        return []
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


_PARTS = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"type": {"type": "string"}, "text": {"type": "string"}},
                "required": ["type"],
            },
        },
        {"type": "null"},
    ]
}


class MessageIn(BaseModel):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Annotated[
        list[PartIn], BeforeValidator(_as_parts), WithJsonSchema(_PARTS, mode="validation")
    ] = []

    @property
    def text(self) -> str:
        """All of its text."""
        return "\n".join(part.text for part in self.content if part.type == "text").strip()

    def said_before(self) -> Message:
        """The message as part of a prompt: nobody but us speaks as ``system`` there."""
        return Message("assistant" if self.role == "assistant" else "user", self.text)


class StreamOptions(BaseModel):
    """What a stream ends with."""

    include_usage: StrictBool = False


class CompletionIn(BaseModel):
    """A conversation; its last user message is the question."""

    model: str = Field(ROUTER_MODEL, examples=[ROUTER_MODEL])
    messages: list[MessageIn] = Field(
        min_length=1,
        examples=[[{"role": "user", "content": "How many data storage files can be open?"}]],
    )
    stream: StrictBool | None = False
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(None, ge=0, le=2, strict=True)
    max_tokens: Whole | None = Field(None, ge=1)
    max_completion_tokens: Whole | None = Field(None, ge=1, description="Goes before max_tokens.")
    stop: _StopText | Annotated[list[_StopText], Field(max_length=16)] | None = Field(
        None, description="The text ends before the first of these.", examples=[["\n\n"]]
    )
    n: Whole | None = Field(None, ge=1, description="Only 1.")
    tool_choice: Any = Field(None, description="Only none and auto: no tool is ever called.")
    function_call: Any = Field(None, description="As tool_choice, which took its place.")
    response_format: dict[str, Any] | None = Field(None, description="Only text.")
    modalities: list[str] | None = Field(None, description="Only text.")
    logprobs: StrictBool | None = Field(None, description="Only false.")

    @property
    def stops(self) -> tuple[str, ...]:
        """What the text ends before; an empty one, as some clients send, is none."""
        sent = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(filter(None, sent))

    def to_question(self, keys: Mapping[str, str]) -> Question:
        """The last user message, after what was said before it; what follows it is left out.

        Raises:
            NotSupported: a part that is not text, more than one choice, tools that must be called …
            InvalidRequest: there is no question, or it is too long.
        """
        self._refuse_what_cannot_be_had()
        asked = max((at for at, said in enumerate(self.messages) if said.role == "user"), default=0)
        before = tuple(said.said_before() for said in self.messages[:asked])
        chosen = self.max_completion_tokens or self.max_tokens
        return Question(
            text=_question(self.messages[asked], f"messages.{asked}.content"),
            session_id="",  # the caller keeps the conversation
            top_k=_TOP_K,
            model=None if self.model == ROUTER_MODEL else self.model,
            temperature=self.temperature,
            max_tokens=None if chosen is None else min(chosen, MAX_TOKENS),
            history=recent(before),
            keys=keys,
        )

    def _refuse_what_cannot_be_had(self) -> None:
        for at, said in enumerate(self.messages):
            for place, part in enumerate(said.content):
                if said.role == "user" and part.type != "text":
                    raise NotSupported(
                        "Only text can be asked.", param=f"messages.{at}.content.{place}"
                    )
        wanted = (self.response_format or {}).get("type", "text")
        for param, has, told in (
            ("n", (self.n or 1) > 1, "There is one answer: n must be 1."),
            ("response_format", wanted != "text", "Answers are text."),
            ("modalities", self.modalities not in (None, [], ["text"]), "Answers are text."),
            ("logprobs", bool(self.logprobs), "There are no log probabilities."),
            ("tool_choice", self.tool_choice not in (None, "none", "auto"), "No tool is called."),
            (
                "function_call",
                self.function_call not in (None, "none", "auto"),
                "No tool is called.",
            ),
        ):
            if has:
                raise NotSupported(told, param=param)


def _question(said: MessageIn, param: str) -> str:
    if said.role != "user":
        raise InvalidRequest("There is no user message, so no question.", param="messages")
    if not said.text:
        raise InvalidRequest("The last user message is empty.", param=param)
    if len(said.text) > MAX_QUESTION_CHARS:
        raise InvalidRequest(
            f"The last user message is longer than {MAX_QUESTION_CHARS} characters.", param=param
        )
    if "\0" in said.text:  # the one character PostgreSQL's text cannot hold
        raise InvalidRequest("The last user message holds a NUL character.", param=param)
    return said.text


class OpenAiModel(BaseModel):
    """A model that a completion may name."""

    id: str = Field(examples=[ROUTER_MODEL])
    object: Literal["model"] = "model"
    created: int = Field(0, description="Not known: always 0.")
    owned_by: str = Field(examples=["docent"])


class OpenAiModelList(BaseModel):
    """All of them; the first stands for the others in the order in which they are tried."""

    object: Literal["list"] = "list"
    data: list[OpenAiModel]

    @classmethod
    def of(cls, models: tuple[ModelInfo, ...]) -> "OpenAiModelList":
        """The wire shape of ``models``, each id once.

        Those that take a key of the caller's are left out: this list cannot say so.
        """
        owners = {ROUTER_MODEL: "docent"}
        for model in models:
            if model.available or model.cooling_down_until is not None:
                owners.setdefault(model.id, model.provider)
        return cls(data=[OpenAiModel(id=name, owned_by=owner) for name, owner in owners.items()])
