"""The conversation that a caller sends along, as much of it as a prompt takes."""

from collections.abc import Sequence

from app.chat.turn import Turn
from app.llm.completion import Message
from app.llm.markers import without_references

#: About 3,000 tokens: twice what five passages take, and room for both in 8,192 of context.
HISTORY_CHARS = 12_000
#: Twenty questions and their answers.
HISTORY_MESSAGES = 40
_STALE = "(I answered from a document that has changed since.)"


def recent(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The last of ``messages`` that fit, in their order; each whole, empty ones left out.

    What answers quoted then is not what their markers would name now, so those are taken out: a
    model that copied one would cite another page.
    """
    kept: list[Message] = []
    left = HISTORY_CHARS
    for message in reversed(messages):
        text = message.content.strip()
        if message.role == "assistant":
            text = without_references(text)
        if not text:
            continue
        left -= len(text)
        if left < 0 or len(kept) == HISTORY_MESSAGES:
            break
        kept.append(Message(message.role, text))
    return tuple(reversed(kept))


def said_in(turns: Sequence[Turn]) -> tuple[Message, ...]:
    """The turns of a session as messages, as many as a prompt takes.

    What was answered from what has changed since is not repeated, nor what was never finished.
    """
    messages: list[Message] = []
    for turn in turns:
        messages.append(Message("user", turn.question))
        if turn.stale:
            messages.append(Message("assistant", _STALE))
        elif turn.status == "complete":
            messages.append(Message("assistant", turn.text))
    return recent(messages)


def told_of(turns: Sequence[Turn]) -> frozenset[str]:
    """The documents that the answers of ``turns`` rest on, as far as they are still there."""
    return frozenset(cite.document_id for turn in turns if turn.text for cite in turn.cites)
