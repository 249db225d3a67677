"""What a model is asked so that it answers from a whole document, part by part."""

from collections.abc import Sequence
from dataclasses import replace

from app.chat.prompt import SYSTEM, as_sources, asked_of, shown
from app.llm.completion import CompletionRequest, Message
from app.retrieval.passage import Passage

_WHOLE = "\n- The sources are a whole document in its order. Leave out nothing that is asked for."
_NOTING = (
    "\n- The sources are one part of a longer document; others read the other parts. Note what"
    " matters for the question in this part, in its order, and leave out nothing that is asked for."
)
_NOTES = (
    "\n- The sources are notes that were taken of the parts of one document, in its order. The"
    " markers in them number that document's passages: copy these markers behind what they stand"
    " for, and use no others. Say what several notes say only once; when asked how many, count over"
    " all of them."
)


def noting(
    request: CompletionRequest, part: Sequence[Passage], *, first: int, max_tokens: int
) -> CompletionRequest:
    """``request`` to note what a part holds, whose passages are numbered from ``first``.

    There is no prompt of fewer passages: what it left out nobody would read.
    """
    sources = as_sources(part, first=first)
    messages = _messages(_NOTING, [shown(source) for source in sources], request.question)
    return replace(request, messages=messages, sources=sources, max_tokens=max_tokens)


def answering(
    request: CompletionRequest, passages: Sequence[Passage], *, notes: Sequence[str] = ()
) -> CompletionRequest:
    """``request`` to answer from ``notes``, or from all ``passages`` at once when there are none.

    Extraction goes by the passages either way.
    """
    sources = as_sources(passages)
    if notes:
        labelled = [(f"notes of part {number}", text) for number, text in enumerate(notes, 1)]
        messages = _messages(_NOTES, labelled, request.question)
    else:
        messages = _messages(_WHOLE, [shown(source) for source in sources], request.question)
    return replace(request, messages=messages, sources=sources)


def _messages(more: str, labelled: Sequence[tuple[str, str]], question: str) -> tuple[Message, ...]:
    return Message("system", SYSTEM + more), Message("user", asked_of(labelled, question))
