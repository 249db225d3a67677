"""What an address looks like that a reader's program would follow, whole or begun."""

import re

_SCHEMES = "https?|ftps?|wss?|file"
_OPAQUE = "javascript|vbscript|mailto"
_PREFIXES = "|".join(
    sorted(
        {
            word[:end]
            for word in ("https", "ftps", "wss", "www", "file", "data", *_OPAQUE.split("|"))
            for end in range(1, len(word) + 1)
        },
        key=len,
        reverse=True,
    )
)
#: Also in full width, which looks the same and is read as the same by some.
_SLASHES = "[:\uff1a][/\uff0f]{2}"
_IN_URL = r"[^\s<>\"`\[\]]"
#: An address, and what is more of one.
URL = re.compile(
    rf"(?:(?:\b(?:{_SCHEMES}))?{_SLASHES}|\bwww\.|\b(?:{_OPAQUE}):|\bdata:){_IN_URL}*",
    re.IGNORECASE,
)
REST = re.compile(f"{_IN_URL}*")
#: What has to be looked at closely.
START = re.compile(
    rf"(?P<url>(?:\b(?:{_SCHEMES}))?{_SLASHES}|\bwww\.(?={_IN_URL})|\b(?:{_OPAQUE}):(?=\S)"
    r"|\bdata:[a-z]{1,20}/[\w.+-]{1,60}[;,])|[<&!\]]",
    re.IGNORECASE,
)
#: The end of a text that is not whole yet, and may become one of these.
TAIL = re.compile(
    rf"(?:\b(?:{_PREFIXES})|(?:\b(?:{_SCHEMES}))?[:\uff1a][/\uff0f]?|\bwww\.|\b(?:{_OPAQUE}):"
    r"|\bdata:[\w.+/-]{0,90})\Z",
    re.IGNORECASE,
)
#: Of a text with a colon, and of one that ends with letters: what may be an address.
_COLON = re.compile(rf"[:\uff1a](?=[/\uff0f]|\Z)|\b(?:{_OPAQUE}|data):", re.IGNORECASE)
_BEGUN = re.compile(rf"\b(?:{_PREFIXES})\Z", re.IGNORECASE)
_LONGEST_BEGUN = max(map(len, _PREFIXES.split("|")))
#: Addresses that do something else than lead to a page; no passage makes them good.
RUN = re.compile(r"(?:javascript|vbscript|data|file):", re.IGNORECASE)


def is_plain(text: str) -> bool:
    """Whether nothing of ``text`` but its end has to be looked at closely; nearly always."""
    # Not by one pattern, which looks at every character: whole answers took 25 times as long.
    return not (
        "<" in text
        or "&" in text
        or "!" in text
        or "](" in text
        or "]:" in text
        or "www." in text.lower()
    )


def begins_an_address(given: str, at: int) -> bool:
    """Whether an address may begin at ``at`` or behind it, or may have begun at the end."""
    if (":" in given or "\uff1a" in given) and _COLON.search(given, at):
        return True
    return _BEGUN.search(given, max(at, len(given) - _LONGEST_BEGUN)) is not None
