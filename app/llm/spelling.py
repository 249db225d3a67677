"""What a question means by a misspelled word: the word that the sources have in its place.

One slip of the fingers is put right, where it is clearly one. What is spelled right is left, and so
are names, for one letter makes another name of them, and what may be a rare word: asked for nitrite
or for strcpy, the sources are not to be quoted on nitrate or strncpy (ADR 0049).
"""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from string import ascii_lowercase

from app.llm.completion import Source
from app.llm.words import FILLER, stem

#: A word in small letters that a slip can be told in.
_WORD = re.compile(r"(?<![\w'\u2019-])[a-z]{4,24}(?![\w'\u2019-])")
#: What a question begins with: a small word or a name.
_FIRST = re.compile(r"^\W*([A-Z][a-z]{3,23})(?![\w'\u2019-])")
#: Words of a question that are looked at.
_MOST_SLIPS = 8
#: Small words that questions are made of: "waht", "whcih", "thier".
_SMALL = {word for word in FILLER if len(word) >= 4}  # noqa: PLR2004 - as above
#: Letters that a typed word has at least.
_LEAST_LETTERS = 5
#: The first two letters are taken as they are ("adsorption", "absorption").
_BEGINNING = 2
#: Before its last so many letters a word may have a wrong vowel; in them that makes another word
#: ("nitrite", "nitrate").
_END = 3
_VOWELS = frozenset("aeiou")
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
#: A letter → those beside it on the keyboard.
_BESIDE = {
    letter: frozenset(keys[max(at - 1, 0) : at + 2]) - {letter}
    for keys in _KEYS
    for at, letter in enumerate(keys)
}


@cache
def vocabulary_of(model_dir: Path) -> frozenset[str]:
    """Some 20,000 English words, in small letters: those that the model's tokenizer has whole.

    What is rare or misspelled it has in pieces. Empty where the folder holds no such tokenizer.
    """
    try:
        told = json.loads((model_dir / "tokenizer.json").read_bytes())["model"]["vocab"]
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()
    if not isinstance(told, dict):  # of another kind: a list of pieces
        return frozenset()
    return frozenset(word for word in told if _WORD.fullmatch(word))


def put_right(question: str, sources: Sequence[Source], vocabulary: Collection[str]) -> str:
    """An English ``question`` without its slips: in their place are words of ``sources``.

    Words of the ``vocabulary``, and of the sources, are no slips. A small word of questions is
    meant first, then the most frequent one of the sources that the question has not got already.
    """
    first = [found[1]] if (found := _FIRST.match(question)) else []
    written = dict.fromkeys([*first, *_WORD.findall(question)])
    doubtful = [word for word in written if word.lower() not in vocabulary and stem(word)]
    if not doubtful or not vocabulary:
        return question
    told = _told({word[0].lower() for word in doubtful}, sources)
    known, there = set(map(stem, told)), set(map(stem, written))
    for word in doubtful[:_MOST_SLIPS]:
        if stem(word) in known:
            continue
        if word in first:
            right = _small(_turned(word.lower())).capitalize()
        else:
            right = _small(chain(_turned(word), _completed(word))) or _likely(word, told, there)
        if right:
            question = re.sub(rf"(?<![\w'\u2019-]){word}(?![\w'\u2019-])", right, question)
    return question


def _small(near: Iterable[str]) -> str:
    """The small word among ``near``; empty if there is none."""
    return min(_SMALL.intersection(near), default="")


def _likely(word: str, told: Counter[str], there: Collection[str]) -> str:
    """The most frequent word of those ``told`` that may be meant; empty if there is none."""
    if len(word) < _LEAST_LETTERS:
        return ""
    near = [one for one in told.keys() & set(_meant(word)) if stem(one) not in there]
    return min(near, key=lambda one: (-told[one], one), default="")


def _told(letters: Collection[str], sources: Sequence[Source]) -> Counter[str]:
    """How often ``sources`` have each word that begins with one of ``letters``."""
    begun = re.compile(rf"(?<![^\W\d_])[{''.join(sorted(letters))}][a-z]+(?![^\W\d_])")
    texts = (f"{source.title} {source.heading} {source.text}" for source in sources)
    return Counter(word for text in texts for word in begun.findall(text.casefold()))


def _meant(word: str) -> Iterator[str]:
    """What may be meant by ``word``, of which one slip made it; most of it is no word."""
    yield from _turned(word)
    yield from _doubled(word)
    if _VOWELS.isdisjoint(word):
        return  # an identifier or an abbreviation: "strcpy"
    yield from _completed(word, _BEGINNING)
    for at in range(_BEGINNING, len(word)):
        before, letter, behind = word[:at], word[at], word[at + 1 :]
        beside = _BESIDE[letter]
        if letter in _VOWELS:
            beside = beside | _VOWELS if len(behind) >= _END else beside - _VOWELS
        yield before + behind
        yield from (before + one + behind for one in beside)


def _turned(word: str) -> Iterator[str]:
    """``word`` with two neighbours in each other's places, the first letter in its own."""
    for at in range(1, len(word) - 1):
        yield word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def _doubled(word: str) -> Iterator[str]:
    """``word`` with a letter twice that it has once, or once that it has twice."""
    for at in range(1, len(word)):
        yield word[:at] + word[at] + word[at:]
        if word[at] == word[at - 1] and at > 1:
            yield word[:at] + word[at + 1 :]


def _completed(word: str, begin: int = 1) -> Iterator[str]:
    """``word`` with one letter more, from ``begin`` on."""
    for at in range(begin, len(word) + 1):
        yield from (word[:at] + one + word[at:] for one in ascii_lowercase)
