"""Whether a text says the opposite of a claim: by the negations beside the words both have.

"Sea water is supported" shares every word that counts with "Sea water is not supported". Clause is
held against clause, so that a negation elsewhere in a long sentence turns nothing round.
"""

import re
from collections.abc import Sequence
from functools import cached_property
from typing import TypeAlias

from app.llm.words import stems

#: Share of a clause's words that another must have to be about the same.
_ABOUT = 0.6
#: Clauses with fewer words that count say too little to be turned round.
_FEWEST_WORDS = 2
#: English, German, French, Spanish, Italian, Portuguese, Dutch.
_NEGATIONS = frozenset(  # a block of words reads better than a list
    """
    not no never none neither nor cannot without nobody nothing unsupported unavailable
    nicht kein keine keinem keinen keiner keines nie niemals ohne weder
    ne pas jamais aucun aucune sans nunca sin ningún ninguna jamás non senza
    não sem niet geen nooit zonder
    """.split()  # noqa: SIM905
)
_WORD = re.compile(r"[^\W\d_]+")
#: What looks like a negation and is a bound, or the opposite of one.
_BOUND = re.compile(
    r"\b(?:no|not)\s+(?:only|(?:more|less|later|fewer|longer|earlier|greater)\s+than)\b"
    r"|\bnicht\s+(?:nur|mehr\s+als|l\u00e4nger\s+als|sp\u00e4ter\s+als)\b|\bno\.\s*\d"
)
_CLAUSE_END = re.compile(
    r"[.!?;:\u3002\uff01\uff1f]+(?:\s+|$)|,\s+|\n+"
    r"|\s(?=(?:but|although|though|whereas|while|unless|except|aber|sondern|obwohl|mais|pero)\b)"
)

#: Words of each clause, and whether it is negated.
_Clauses: TypeAlias = Sequence[tuple[frozenset[str], bool]]


class Polarity:
    """The clauses of a text, each with its words and whether it is negated."""

    def __init__(self, text: str) -> None:
        self._text = text.lower()

    @cached_property
    def _negates(self) -> bool:
        return _negates(self._text)

    @cached_property
    def _clauses(self) -> _Clauses:
        return _clauses(self._text)

    def opposes(self, claim: str) -> bool:
        """Whether a clause of ``claim`` is here with the opposite sign, and not with its own."""
        claim = claim.lower()
        if not self._negates and not _negates(claim):
            return False  # most: their clauses need not be told apart
        return any(self._turns(words, negated) for words, negated in _clauses(claim))

    def _turns(self, words: frozenset[str], negated: bool) -> bool:
        if len(words) < _FEWEST_WORDS:
            return False
        shares = [(len(words & held) / len(words), sign) for held, sign in self._clauses]
        best = max((share for share, _ in shares), default=0.0)
        return best >= _ABOUT and all(sign != negated for share, sign in shares if share == best)


def _negates(text: str) -> bool:
    """Whether a negation stands in ``text``, which is in lower case.

    A set of words, because as one pattern they took ten times as long.
    """
    contracted = "n't" in text or "n\u2019t" in text
    return contracted or not _NEGATIONS.isdisjoint(_WORD.findall(text))


def _clauses(text: str) -> _Clauses:
    parts = _CLAUSE_END.split(_BOUND.sub(" ", text))
    return [(frozenset(stems(part)), _negates(part)) for part in parts if part]
