"""A question before it is asked, and the signs of an attack; what may leave is ``outlet.py``.

Nothing here decides what a question means: one that looks like an attack is answered from the
documents like any other, and only counted. A list of phrases is evaded by whoever tries (ADR 0015).
"""

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from app.chat.answer import Question
from app.chat.invisible import visible
from app.errors import InvalidRequest
from app.llm.completion import Message
from app.llm.fit import tokens_of

#: So many words in a row that are our own rules' are not an answer. "The sources do not hold the
#: answer", which a model may well say, is seven.
LEAK_WORDS = 8
_WORD = re.compile(r"\w+")
#: Longer words are none of the rules'.
_MAX_WORD = 64

_ABOVE = r"(?:previous|prior|above|earlier|preceding|existing|original|foregoing|all|any|your|the)"
_RULES = r"(?:instructions?|prompts?|rules?|directions?|guidelines?|commands?|programming)"
_RULE_HINTS = ("instruction", "prompt", "rule", "direction", "guideline", "command", "programming")
_SHAPES = {
    "override": (
        rf"\b(?:ignore|disregard|forget|override|bypass|neglect)\b.{{0,40}}\b{_ABOVE}\b"
        rf".{{0,40}}\b{_RULES}\b",
        rf"\bnew {_RULES}\s*:|\bdo not follow\b.{{0,40}}\b{_RULES}",
    ),
    "prompt": (
        rf"\b(?:system|initial|hidden|secret|developer) {_RULES}\b",
        rf"\b(?:repeat|reveal|print|show|output|tell me)\b.{{0,40}}\byour (?:\w+ )?{_RULES}\b",
        r"\b(?:repeat|print|encode)\b.{0,20}\b(?:everything|all|text|words|conversation)\b"
        r".{0,20}\b(?:above|before|given|back)\b",
    ),
    "role": (
        r"\byou are (?:now|no longer)\b|\bpretend (?:to be|you are|that you)\b|\bact as an? ",
        r"\b(?:developer|god|jailbreak|dan|unrestricted) mode\b|\bjailbr(?:eak|oken)\b",
        r"\bdo anything now\b|\bstay in character\b|\btake on the role of\b",
        r"\byou (?:must|will) (?:pretend|respond as|act as)\b",
    ),
    "markup": (
        r"<\|\w+\|>|\[/?INST\]|<</?SYS>>",
        r"^\s*(?:###\s*)?(?:system|assistant|human)\s*:",
    ),
    "sending": (
        r"!\[[^\]]{0,200}\]\(\s*\w+://|<\s*(?:script|img|iframe)\b|\bjavascript:",
        r"\b(?:send|post|upload|forward|exfiltrate|append)\b.{0,60}\bhttps?://",
    ),
    "encoded": (
        r"\b(?:base64|rot13|hex(?:adecimal)?)\b.{0,40}\b(?:decoded?|follow|execute|answer)\b",
        r"\bdecode\b.{0,40}\b(?:base64|rot13|hex)\b|(?:[A-Za-z0-9+/]{4}){30}",
    ),
}
_KNOWN = {
    name: re.compile("|".join(patterns), re.IGNORECASE | re.DOTALL | re.MULTILINE)
    for name, patterns in _SHAPES.items()
}

#: Of each shape, in lower case, what a text that has it holds: one of these. Searching for all
#: patterns took 20 us of every question.
_HINTS = {
    "override": _RULE_HINTS,
    "prompt": (*_RULE_HINTS, "repeat", "print", "encode"),
    "role": (
        "you ",
        "pretend",
        "act as a",
        " mode",
        "jailbr",
        "anything now",
        "in character",
        "role",
    ),
    "markup": ("<|", "inst]", "sys>>", ":"),
    "sending": ("](", "<", ":"),
    "encoded": ("base64", "rot13", "hex"),
}
#: So long is what looks encoded.
_ENCODED_CHARS = 120

Shingles = frozenset[tuple[str, ...]]


def admit(question: Question, *, max_tokens: int) -> Question:
    """``question`` as it is worked on: without invisible characters, in what was said before too.

    Raises:
        InvalidRequest: nothing is left of it, or more than ``max_tokens`` (estimated).
    """
    text = visible(question.text).strip()
    if not text:
        raise _invalid("The question holds no visible character.")
    if tokens_of(text) > max_tokens:
        raise _invalid(f"The question is longer than {max_tokens} tokens.")
    history = tuple(Message(said.role, visible(said.content)) for said in question.history)
    if (text, history) == (question.text, question.history):  # nearly always
        return question
    return replace(question, text=text, history=history)


def _invalid(message: str) -> InvalidRequest:
    problem = {"field": "question", "message": message, "type": "question"}
    return InvalidRequest(message, errors=[problem])


def shapes_of(text: str) -> tuple[str, ...]:
    """The known shapes of attacks that ``text`` has, for logs and metrics; nothing is refused."""
    if text.isascii() and len(text) < _ENCODED_CHARS:  # others have letters that are read as these
        lower = text.lower()
        known = [name for name, hints in _HINTS.items() if any(map(lower.__contains__, hints))]
    else:
        known = list(_KNOWN)
    return tuple(name for name in known if _KNOWN[name].search(text))


def shingles(text: str) -> Shingles:
    """Every ``LEAK_WORDS`` words that follow each other in ``text``."""
    words = _WORD.findall(text.lower())
    return frozenset(zip(*(words[at:] for at in range(LEAK_WORDS)), strict=False))


class Leaks:
    """Whether a text that comes piece by piece says what it must not."""

    def __init__(self, secret: Shingles) -> None:
        self._secret, self._words = secret, _words_of(secret)
        #: The last words, as far back as all of them are the secret's.
        self._last: deque[str] = deque(maxlen=LEAK_WORDS)
        #: The beginning of a word.
        self._begun = ""

    def found_in(self, text: str) -> bool:
        """Take more of the text; whether the secret has come out with it."""
        words: Sequence[str] = _WORD.findall(self._begun + text.lower())
        self._begun = ""
        if words and (text[-1].isalnum() or text[-1] == "_"):
            *words, begun = words
            self._begun = begun[:_MAX_WORD]
        for word in words:
            if word not in self._words:
                self._last.clear()
                continue
            self._last.append(word)
            if tuple(self._last) in self._secret:
                return True
        return False


@cache
def _words_of(secret: Shingles) -> frozenset[str]:
    return frozenset(word for shingle in secret for word in shingle)
