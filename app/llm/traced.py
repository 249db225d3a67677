"""Attempts as spans, in the words of OpenTelemetry's conventions for generative AI.

https://github.com/open-telemetry/semantic-conventions-genai (0.1.0). A key that was used, the
server's or a caller's, is in no span.
"""

from collections.abc import Sequence

import orjson

from app.infra.tracing import MOST_CHARS, Masked, Span, begin_span, masked
from app.llm.completion import Attempt, Completion, CompletionRequest, Message
from app.llm.order import Hop


def begin_attempt(hop: Hop, request: CompletionRequest) -> Span:
    """Begin the span of a try at a provider that is asked now."""
    span = begin_span(
        f"chat {hop.model.id}",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": hop.provider.name,
            "gen_ai.request.model": hop.model.id,
            "gen_ai.request.temperature": request.temperature,
            "gen_ai.request.max_tokens": request.max_tokens,
        },
        kind="internal" if hop.is_builtin else "client",
    )
    _quote(span, "gen_ai.input.messages", request.messages)
    return span


def end_attempt(span: Span, attempt: Attempt, completion: Completion | None) -> None:
    """Say how it ended; without a ``completion`` it did not come to its end."""
    used, first_token_ms = attempt.usage, attempt.first_token_ms
    reasons = None
    if completion is not None:
        reasons = ["length" if completion.truncated else "stop"]
    span.note(
        {
            "gen_ai.usage.input_tokens": used.prompt_tokens,
            "gen_ai.usage.output_tokens": used.completion_tokens,
            "gen_ai.response.finish_reasons": reasons,
            "gen_ai.response.time_to_first_chunk": first_token_ms and first_token_ms / 1e3,
            # Who brings a key pays for it.
            "docent.usage.cost_usd": None if attempt.brought else used.cost_usd,
            "docent.key.brought": attempt.brought,
            "docent.attempt.outcome": attempt.outcome,
        }
    )
    if completion is not None:
        _quote(span, "gen_ai.output.messages", [Message("assistant", completion.text)])
    span.end(None if attempt.outcome == "ok" else attempt.outcome)


def _quote(span: Span, name: str, messages: Sequence[Message]) -> None:
    span.quote(name, lambda: said(messages), sum(len(one.content) for one in messages))


def said(messages: Sequence[Message]) -> Masked:
    """Messages as the conventions have them, the last ones, each masked before it is encoded."""
    left, kept = MOST_CHARS, []
    for message in reversed(messages):
        content = masked(message.content)[:left]
        left -= len(content)
        if content:
            kept.append({"role": message.role, "parts": [{"type": "text", "content": content}]})
    return Masked(orjson.dumps(kept[::-1]).decode())
