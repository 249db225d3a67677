"""A provider, the router for one, as a LlamaIndex ``LLM`` for its engines, evaluators and agents.

Nothing in the API imports this file: LlamaIndex's model classes take most of a second to import.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, NoReturn, cast

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.llm import LLM
from pydantic import PrivateAttr

from app.errors import Unavailable
from app.llm.completion import Completion, CompletionRequest, Event, Message, Provider, Role
from app.llm.fit import ANSWER_TOKENS

#: Context of a provider none of whose models says; what LlamaIndex takes for granted is no more.
_CONTEXT_TOKENS = 3900
_REFUSAL = "Docent's models are asynchronous; use the method with an a."
_ROLES: dict[MessageRole, Role] = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.MODEL: "assistant",
}


class NoModelAnswered(Unavailable):
    """No language model answered, and there are no sources to quote from."""

    code = "no_model_answered"


class ProviderLlm(LLM):
    """Asynchronous only: the provider's connections belong to the loop it runs on.

    The streaming calls yield the answer in one piece. A provider that dies in mid-stream is
    followed by another that starts over, and LlamaIndex has no way to take back what was said.
    """

    _provider: Provider = PrivateAttr()
    _model: str | None = PrivateAttr()

    def __init__(self, provider: Provider, *, model: str | None = None, **more: Any) -> None:  # noqa: ANN401
        """Ask ``provider``, for ``model`` if one is named; ``more`` is LlamaIndex's."""
        super().__init__(**more)
        self._provider, self._model = provider, model

    @classmethod
    def class_name(cls) -> str:
        """LlamaIndex's name for it."""
        return "docent"

    @property
    def metadata(self) -> LLMMetadata:
        """What fits every model that is there; the router makes no use of what only some can."""
        known = [m for m in self._provider.models() if self._model in {None, m.id, m.provider}]
        sizes = [model.context_tokens for model in known if model.context_tokens]
        return LLMMetadata(
            context_window=min(sizes, default=_CONTEXT_TOKENS),
            num_output=ANSWER_TOKENS,
            is_chat_model=True,
            model_name=self._model or self._provider.name,
        )

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:  # noqa: ANN401
        """Answer a conversation.

        Raises:
            NoModelAnswered: the provider abstained.
            AllProvidersFailed: none answered.
        """
        completion = await self._ask([_message(message) for message in messages], kwargs)
        return ChatResponse(
            message=ChatMessage(role=MessageRole.ASSISTANT, content=completion.text),
            raw=_raw(completion),
        )

    @llm_completion_callback()
    async def acomplete(
        self,
        prompt: str,
        formatted: bool = False,
        **kwargs: Any,  # noqa: ANN401
    ) -> CompletionResponse:
        """Answer a prompt; raises as :meth:`achat`."""
        completion = await self._ask([Message("user", prompt)], kwargs)
        return CompletionResponse(text=completion.text, raw=_raw(completion))

    @llm_chat_callback()
    async def astream_chat(
        self,
        messages: Sequence[ChatMessage],
        **kwargs: Any,  # noqa: ANN401
    ) -> ChatResponseAsyncGen:
        """Answer a conversation, in one piece; raises as :meth:`achat`."""

        async def once() -> ChatResponseAsyncGen:
            response = await self.achat(messages, **kwargs)
            yield response.model_copy(update={"delta": response.message.content})

        return once()

    @llm_completion_callback()
    async def astream_complete(
        self,
        prompt: str,
        formatted: bool = False,
        **kwargs: Any,  # noqa: ANN401
    ) -> CompletionResponseAsyncGen:
        """Answer a prompt, in one piece; raises as :meth:`achat`."""

        async def once() -> CompletionResponseAsyncGen:
            response = await self.acomplete(prompt, formatted, **kwargs)
            yield response.model_copy(update={"delta": response.text})

        return once()

    def chat(self, *_: object, **__: object) -> NoReturn:
        """Refuse: see the class."""
        raise NotImplementedError(_REFUSAL)

    def complete(self, *_: object, **__: object) -> NoReturn:
        """Refuse: see the class."""
        raise NotImplementedError(_REFUSAL)

    def stream_chat(self, *_: object, **__: object) -> NoReturn:
        """Refuse: see the class."""
        raise NotImplementedError(_REFUSAL)

    def stream_complete(self, *_: object, **__: object) -> NoReturn:
        """Refuse: see the class."""
        raise NotImplementedError(_REFUSAL)

    async def _ask(self, messages: list[Message], kwargs: dict[str, Any]) -> Completion:
        request = CompletionRequest(
            messages=tuple(messages),
            question=messages[-1].content,
            sources=(),
            model=self._model,
            temperature=kwargs.get("temperature"),
            max_tokens=kwargs.get("max_tokens"),
        )
        stream = cast("AsyncGenerator[Event]", self._provider.stream(request))
        async with aclosing(stream) as events:
            async for event in events:
                if isinstance(event, Completion) and event.abstained is None:
                    return event
        raise NoModelAnswered


def _message(message: ChatMessage) -> Message:
    return Message(_ROLES.get(message.role, "user"), message.content or "")


def _raw(completion: Completion) -> dict[str, Any]:
    return {
        "provider": completion.provider,
        "model": completion.model,
        "usage": {
            "prompt_tokens": completion.usage.prompt_tokens,
            "completion_tokens": completion.usage.completion_tokens,
            "cost_usd": completion.usage.cost_usd,
        },
    }
