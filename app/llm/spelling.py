"""What a question means by a misspelled word: the word that the sources have in its place.

One slip of the fingers is put right: a letter left out, doubled or wrong, or two that changed
places. Names are left as they are, for one letter makes another name of them, and so is what is
spelled right: asked for a statue, the sources are not to be quoted on a state (ADR 0049).
"""

import json
import re
from collections import Counter
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path

from app.llm.completion import Source
from app.llm.words import FILLER, stem, words

#: A word in small letters that is long enough to be told from others by one slip, and its like in
#: the sources.
_WORD = re.compile(r"(?<![\w'\u2019-])[a-z]{4,}(?![\w'\u2019-])")
#: What a question begins with: a small word, if it is a slip, for it may be a name.
_FIRST = re.compile(r"^\W*([A-Z][a-z]{3,})(?![\w'\u2019-])")
_LEAST_LETTERS = 5
#: Words of a question that are looked at: one of 4,000 characters would take 60 ms.
_MOST_SLIPS = 12
#: Small words that questions are made of: "waht", "whcih", "thier".
_SMALL = sorted(word for word in FILLER if len(word) >= 4)  # noqa: PLR2004 - as above


@cache
def vocabulary_of(model_dir: Path) -> frozenset[str]:
    """Some 20,000 English words, in small letters: those that the model's tokenizer has whole.

    What is rare or misspelled it has in pieces. Empty where the folder holds no such tokenizer.
    """
    try:
        told = json.loads((model_dir / "tokenizer.json").read_bytes())["model"]["vocab"]
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()
    return frozenset(word for word in told if _WORD.fullmatch(word))


def put_right(question: str, sources: Sequence[Source], vocabulary: Collection[str]) -> str:
    """An English ``question`` without its slips: in their place are words of ``sources``.

    Words of the ``vocabulary``, and of the sources, are no slips. A small word of questions is
    meant first, then the most frequent one of the sources that the question has not got already.
    """
    first = [found[1]] if (found := _FIRST.match(question)) else []
    doubtful = [
        word
        for word in [*first, *_WORD.findall(question)]
        if word.lower() not in vocabulary and stem(word)
    ][:_MOST_SLIPS]
    if not doubtful or not vocabulary:
        return question
    told = Counter(word for source in sources for word in words(_text(source)))
    known = set(map(stem, told))
    there = set(map(stem, words(question)))
    likely = [
        word
        for word, _ in told.most_common()
        if len(word) >= _LEAST_LETTERS and stem(word) not in there
    ]
    for word in dict.fromkeys(doubtful):
        if stem(word) not in known:
            meant = [small.capitalize() for small in _SMALL] if word in first else _SMALL + likely
            right = next((other for other in meant if is_slip(word, other)), word)
            question = re.sub(rf"\b{word}\b", right, question)
    return question


def _text(source: Source) -> str:
    return f"{source.title} {source.heading} {source.text}".casefold()


def is_slip(word: str, other: str) -> bool:
    """Whether two words differ by one letter, or by two neighbours that changed places.

    They begin with the same letter: hardly anybody misses that one.
    """
    short, long = sorted((word, other), key=len)
    if word == other or word[0] != other[0] or len(long) - len(short) > 1:
        return False
    same = 0
    while same < len(short) and short[same] == long[same]:
        same += 1
    if len(short) < len(long):
        return short[same:] == long[same + 1 :]
    turned = long[same : same + 2][::-1]
    return short[same + 1 :] == long[same + 1 :] or (
        short[same : same + 2] == turned and short[same + 2 :] == long[same + 2 :]
    )
