"""Whether a prompt fits a model, and the same prompt over fewer passages when it does not.

And how much of quotes fits what was asked for.
"""

import re

from app.llm.completion import CompletionRequest

#: Bytes of UTF-8 a token stands for, at the least: English has 4 and more, German and code about
#: 3, scripts of three bytes a character about one character a token. Rather too many tokens
#: are estimated than too few.
BYTES_PER_TOKEN = 3
#: Tokens that an answer is taken to need when nobody limits it.
ANSWER_TOKENS = 1024
#: Tokens around every message of a chat.
_MESSAGE_TOKENS = 4
#: The end of a quote: its marker.
_QUOTE_END = re.compile(r"\s\[\d{1,3}\](?=\s|$)")


def tokens_of(text: str) -> int:
    """About how many tokens ``text`` has."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


def prompt_tokens(request: CompletionRequest) -> int:
    """About how many tokens the prompt has."""
    return sum(tokens_of(message.content) + _MESSAGE_TOKENS for message in request.messages)


def fitted(request: CompletionRequest, context_tokens: int | None) -> CompletionRequest | None:
    """``request``, or the same over its best passages, so that prompt and answer fit.

    None when not even one passage does: a question is never cut.
    """
    if context_tokens is None:
        return request
    # A small model may use most of its context to read: an answer gets a quarter at the most.
    room = context_tokens - min(request.max_tokens or ANSWER_TOKENS, context_tokens // 4)
    fits: CompletionRequest | None = request
    while fits is not None and prompt_tokens(fits) > room:
        fits = halved(fits)
    return fits


def halved(request: CompletionRequest) -> CompletionRequest | None:
    """The same prompt over the better half of its passages; None when there is no such thing."""
    count = len(request.sources) // 2
    return request.fewer(count) if request.fewer and count else None


def shortened(text: str, most_tokens: int | None) -> tuple[str, bool]:
    """As many of the quotes in ``text`` as have ``most_tokens``, and whether one had to be parted.

    Only when the first has more: it then ends between two words, before its marker, of which there
    is always one word and the marker.
    """
    if most_tokens is None or tokens_of(text) <= most_tokens:
        return text, False
    ends = [end.span() for end in _QUOTE_END.finditer(text)]
    whole = [stop for _, stop in ends if tokens_of(text[:stop]) <= most_tokens]
    if whole or not ends:
        return text[: whole[-1]] if whole else text, False
    start, stop = ends[0]
    said, marker = text[:start].split(" "), text[start:stop]
    count = len(said)
    while count > 1 and tokens_of(" ".join(said[:count]) + marker) > most_tokens:
        count -= 1
    return " ".join(said[:count]) + marker, True
