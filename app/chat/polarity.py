"""Whether a text says the opposite of a claim: by the negations beside the words both have.

"Sea water is supported" shares every word that counts with "Sea water is not supported". Clause is
held against clause, so that a negation elsewhere in a long sentence turns nothing round.
"""

import re
from collections.abc import Sequence

from app.llm.words import stems

#: Share of a clause's words that another must have to be about the same.
_ABOUT = 0.6
#: Clauses with fewer words that count say too little to be turned round.
_FEWEST_WORDS = 2
#: English, German, French, Spanish, Italian, Portuguese, Dutch.
_NEGATION = re.compile(
    r"\b(?:not|no|never|none|neither|nor|cannot|without|nobody|nothing|unsupported|unavailable"
    r"|nicht|kein\w{0,2}|nie|niemals|ohne|weder|ne|pas|jamais|aucune?|sans"
    r"|nunca|sin|ning\u00fan|ninguna|jam\u00e1s|non|senza|n\u00e3o|sem|niet|geen|nooit|zonder)\b|n['\u2019]t\b",
    re.IGNORECASE,
)
#: What looks like a negation and is a bound, or the opposite of one.
_BOUND = re.compile(
    r"\b(?:no|not)\s+(?:only|(?:more|less|later|fewer|longer|earlier|greater)\s+than)\b"
    r"|\bnicht\s+(?:nur|mehr\s+als|l\u00e4nger\s+als|sp\u00e4ter\s+als)\b|\bno\.\s*\d",
    re.IGNORECASE,
)
_CLAUSE_END = re.compile(
    r"[.!?;:\u3002\uff01\uff1f]+(?:\s+|$)|,\s+|\n+"
    r"|\s(?=(?:but|although|though|whereas|while|unless|except|aber|sondern|obwohl|mais|pero)\b)",
    re.IGNORECASE,
)


class Polarity:
    """The clauses of a text, each with its words and whether it is negated."""

    def __init__(self, text: str) -> None:
        self._clauses = _clauses(text)

    def opposes(self, claim: str) -> bool:
        """Whether a clause of ``claim`` is here with the opposite sign, and not with its own."""
        return any(self._turns(words, negated) for words, negated in _clauses(claim))

    def _turns(self, words: frozenset[str], negated: bool) -> bool:
        if len(words) < _FEWEST_WORDS:
            return False
        shares = [(len(words & held) / len(words), sign) for held, sign in self._clauses]
        best = max((share for share, _ in shares), default=0.0)
        return best >= _ABOUT and all(sign != negated for share, sign in shares if share == best)


def _clauses(text: str) -> Sequence[tuple[frozenset[str], bool]]:
    parts = _CLAUSE_END.split(_BOUND.sub(" ", text))
    return [(frozenset(stems(part)), bool(_NEGATION.search(part))) for part in parts if part]
