"""What kind of answer a question asks for, and whether a sentence holds one.

English question words only: in another language nothing is recognised, and extraction falls back
on word overlap alone.
"""

import re
from collections.abc import Callable
from typing import Literal

Kind = Literal[
    "number", "percent", "time", "person", "place", "reason", "definition", "exception", "any"
]

_NUMBER_WORDS = (
    "zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen"
    "|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
    "|hundreds?|thousands?|millions?|billions?|trillions?|dozens?|half|third|quarter|once|twice"
    "|single|pair|both|none|no"
)
_NUMBER = re.compile(rf"\d|\b(?:{_NUMBER_WORDS})\b", re.IGNORECASE)
_PERCENT = re.compile(r"\d\s*(?:%|per\s?cent|percent)|\b(?:half|third|quarter)s?\b", re.IGNORECASE)
_TIME = re.compile(
    r"\b(?:1\d|20)\d\d\b|\b\d{1,2}(?:st|nd|rd|th)\b|\b\d+\s*(?:BC|AD)\b"
    r"|\b(?:January|February|March|April|May|June|July|August|September|October|November|December"
    r"|Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)\b|\b\d{1,2}/\d{1,2}/\d{2,4}\b"
    r"|\b(?:century|decade|day|year|month|week|hour|minute|second|ms|milliseconds?)s?\b"
    r"|\b(?:upon|after|before|during|until|whenever|when|every)\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<![.!?\u201d\"] )(?<!^)\b[A-Z][\w\u2019'-]+")
_PLACE = re.compile(
    r"\b(?:in|at|near|from|to|on|of|into|through|across|under|within)\s+(?:the\s+)?"
    r"(?:[A-Z]|\w*[/_.]\w)"
    r"|\b(?:located|north|south|east|west|directory|folder|path|file|section|table|page)\b"
)
_REASON = re.compile(
    r"\b(?:because|since|due to|in order to|so that|so as to|therefore|thus|hence|as a result|caus"
    r"|reason|to (?:allow|avoid|ensure|prevent|provide|reduce|make|protect|enable|keep)|result)",
    re.IGNORECASE,
)
_DEFINITION = re.compile(
    r"\b(?:is|are|was|were)\s+(?:a|an|the|one|used|defined|called|known)\b"
    r"|\brefers? to\b|\bmeans?\b|\bstands? for\b"
    r"|\bconsists? of\b|\bprovides?\b|\bdefined as\b|\brepresents?\b",
    re.IGNORECASE,
)

_EXCEPTION = re.compile(
    r"\b(?:not|never|no|nor|except\w*|unless|exclu\w+|exempt\w*|other than)\b", re.IGNORECASE
)

_QUESTIONS: tuple[tuple[str, Kind], ...] = (
    (
        r"^\s*(?:what|which|who)\b.*\b(?:not|isn't|aren't|never|except\w*|exclu\w+|exempt\w*)\b",
        "exception",
    ),
    (r"\bpercent(?:age)?\b|\bwhat (?:share|proportion|fraction)\b", "percent"),
    (
        r"\bhow (?:many|much|large|big|long|far|tall|high|old|deep|wide|fast|often|small|heavy)\b"
        r"|\b(?:what|which)(?:\s+\S+){0,3}\s+(?:number|amount|maximum|minimum|size|total|count"
        r"|limit|rate|population|cost|price|value|length|height|width|distance)\b",
        "number",
    ),
    (
        r"\bwhen\b|\b(?:what|which) (?:year|date|day|month|century|decade|time|era|period)\b",
        "time",
    ),
    (r"\bwho(?:m|se)?\b|\bwhich (?:person|president|king|queen|author|actor)\b", "person"),
    (
        r"\bwhere\b|\b(?:what|which) (?:city|country|state|place|region|location|town|county"
        r"|directory|folder|continent|river)\b",
        "place",
    ),
    (
        r"\bwhy\b|\bfor what (?:reason|purpose)\b|\bwhat (?:is|was) the (?:reason|purpose)\b"
        r"|\bwhat causes?d?\b",
        "reason",
    ),
    (
        r"^\s*what (?:is|are|was|were) (?:an? |the )?\S+(?: \S+){0,3}\?*$"
        r"|^\s*(?:define|what does \S+ (?:mean|stand)\b)",
        "definition",
    ),
)
_ASKS = tuple((re.compile(pattern, re.IGNORECASE), kind) for pattern, kind in _QUESTIONS)

_HOLDS: dict[Kind, Callable[[str], re.Match[str] | None]] = {
    "number": _NUMBER.search,
    "percent": _PERCENT.search,
    "time": _TIME.search,
    "person": _NAME.search,
    "place": _PLACE.search,
    "reason": _REASON.search,
    "definition": _DEFINITION.search,
    "exception": _EXCEPTION.search,
}

_COUNTS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
#: How many are asked for: "which four risks", "the three main reasons".
_COUNTED = re.compile(
    rf"\b(?:which|what|the|all|list|name|give)\s+(?:me\s+)?({'|'.join(_COUNTS)}|\d{{1,2}})"
    r"(?=\s+(?:[a-z-]+\s+)?[a-z-]+s\b)",
    re.IGNORECASE,
)
_SEVERAL = re.compile(r"\b(?:which|list|all|every|each|compare|differences?|what are)\b", re.I)
#: Two things side by side; the first may begin with what is asked of both: "the price of A".
_COMPARED = re.compile(
    r"\b(?:compare|(?:differences?|comparison|choose|distinguish|differ)\b.*?\b(?:between|of))\s+(.+)"
    r"\s+(?:and|with|to|or|versus|vs\.?)\s+(.+?)[\s?.!]*$"
    r"|^(?:which|who|what)\b[^,]*,\s*(.+)\s+or\s+(.+?)[\s?.!]*$"
    r"|^(.+)\s+(?:versus|vs\.?)\s+(.+?)[\s?.!]*$",
    re.IGNORECASE,
)
#: Characters of a question that is looked at for it: longer ones are none, and would take long.
_COMPARED_CHARS = 300
_OF_BOTH = re.compile(r"^(.*\b(?:of|in|for)\s+)(?=\S)", re.IGNORECASE)


def kind_of(question: str) -> Kind:
    """The kind of answer ``question`` asks for; ``any`` when its words do not say."""
    for asks, kind in _ASKS:
        if asks.search(question):
            return kind
    return "any"


def holds(kind: Kind, sentence: str, question: str) -> bool:
    """Whether ``sentence`` holds something of ``kind`` that ``question`` does not already say."""
    if kind == "any":
        return False
    if kind == "definition" and _spells_out(sentence, question):
        return True
    if kind == "number":
        asked = {match[0].lower() for match in re.finditer(r"\d[\d.,]*", question)}
        found = re.findall(rf"\d[\d.,]*|\b(?:{_NUMBER_WORDS})\b", sentence, re.IGNORECASE)
        return any(number.lower() not in asked for number in found)
    if kind == "person":
        asked = set(re.findall(r"\w+", question.lower()))
        return any(name.lower().rstrip("'\u2019s") not in asked for name in _NAME.findall(sentence))
    return _HOLDS[kind](sentence) is not None


def _spells_out(sentence: str, question: str) -> bool:
    """Whether ``sentence`` introduces an abbreviation of the question: "Flight Team (FT)"."""
    return any(f"({word})" in sentence for word in re.findall(r"\b[A-Z]\w*[A-Z]\w*", question))


def count_asked(question: str) -> int | None:
    """How many things ``question`` asks for, where it says so: "which four risks"."""
    if (found := _COUNTED.search(question)) is None:
        return None
    said = found[1].lower()
    return int(said) if said.isdigit() else _COUNTS.index(said) + 2


def without_count(question: str) -> str:
    """``question`` without that number, which a list need not say."""
    found = _COUNTED.search(question)
    return question if found is None else question[: found.start(1)] + question[found.end() :]


def wants_several(question: str) -> bool:
    """Whether ``question`` may be answered by more than one row of a table."""
    return _SEVERAL.search(question) is not None


def sides_of(question: str) -> tuple[str, ...]:
    """What ``question`` compares, as two questions; nothing when it compares nothing.

    What is asked of both stands before the first: "Compare the price of A and B".
    """
    if len(question) > _COMPARED_CHARS or (found := _COMPARED.search(question)) is None:
        return ()
    one, other = (said for said in found.groups() if said is not None)
    of_both = None if _OF_BOTH.match(other) else _OF_BOTH.match(one)
    return one, f"{of_both[1] if of_both else ''}{other}"
