"""Questions as people type them in a hurry: one slip of the fingers in each."""

import hashlib
import random
import re
from dataclasses import replace

from app.llm.words import FILLER
from scripts.evaluation.dataset import Asked, Corpus, Dataset

#: A word of five small letters or more: names are left as they are.
_WORD = re.compile(r"(?<![\w'\u2019-])[a-z]{5,}(?![\w'\u2019-])")
#: Keys beside each other.
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def with_slips(dataset: Dataset) -> Dataset:
    """``dataset`` with one slip in each question that has a word for it; the same every time."""
    return replace(dataset, corpora=[_slipped(corpus) for corpus in dataset.corpora])


def _slipped(corpus: Corpus) -> Corpus:
    return replace(corpus, questions=[_with_slip(asked) for asked in corpus.questions])


def _with_slip(asked: Asked) -> Asked:
    chance = random.Random(hashlib.sha256(asked.id.encode()).digest())  # noqa: S311 - no secret
    telling = [found for found in _WORD.finditer(asked.text) if found[0] not in FILLER]
    if not telling:
        return asked
    found = chance.choice(telling)
    while (typed := _misspelled(found[0], chance)) == found[0]:
        pass  # of a double letter two changed places
    return replace(asked, text=asked.text[: found.start()] + typed + asked.text[found.end() :])


def _misspelled(word: str, chance: random.Random) -> str:
    """``word`` with a letter left out, doubled, wrong, or in the place of the one behind it."""
    at = chance.randrange(1, len(word) - 1)
    before, letter, behind, rest = word[:at], word[at], word[at + 1], word[at + 2 :]
    return chance.choice(
        [
            before + behind + rest,
            before + letter + letter + behind + rest,
            before + _beside(letter, chance) + behind + rest,
            before + behind + letter + rest,
        ]
    )


def _beside(letter: str, chance: random.Random) -> str:
    row = next(row for row in _ROWS if letter in row)
    at = row.index(letter)
    return chance.choice(row[max(at - 1, 0) : at] + row[at + 1 : at + 2])
