"""The semantic cache held against questions that ask the same, and those that nearly do.

A pair file has a question a line, with others that ask the ``same`` and others that are ``near``
and do not. ``half`` says what the rules were written by: *tuned* and *adverse* pairs were looked
at, *held* ones were not.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.chat.neighbours import interchangeable
from app.retrieval.embedding import Embedder

STEPS = [round(0.5 + 0.05 * step, 2) for step in range(8)] + [0.9, 0.93, 0.96]


@dataclass(frozen=True, slots=True)
class Pair:
    """A question that was answered, and one that is asked."""

    half: str
    #: ``same``, or in what they differ.
    kind: str
    answered: str
    asked: str
    cosine: float = 0.0
    #: By the rules alone.
    interchangeable: bool = False

    def hit(self, threshold: float, *, rules: bool = True) -> bool:
        """Whether the answer would be given."""
        return self.cosine >= threshold and (self.interchangeable or not rules)


@dataclass(frozen=True, slots=True)
class Point:
    """Shares of pairs for which the answer is given, at one threshold."""

    threshold: float
    hits: float
    false_hits: float
    #: The same by vectors alone.
    bare_hits: float
    bare_false_hits: float


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a file, not judged yet."""
    pairs = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        others = [("same", asked) for asked in row["same"]] + [tuple(near) for near in row["near"]]
        pairs += [Pair(row["half"], kind, row["question"], asked) for kind, asked in others]
    return pairs


def different(questions: Sequence[str]) -> list[Pair]:
    """Every two of a data set's questions: they ask different things."""
    known = list({question.casefold().strip(" ?"): question for question in questions}.values())
    return [
        Pair("wild", "other", one, other)
        for at, one in enumerate(known)
        for other in known[:at]
    ]  # fmt: skip


async def judged(embedder: Embedder, pairs: Sequence[Pair], *, least: float = 0.0) -> list[Pair]:
    """``pairs`` with their cosines, those below ``least`` left out."""
    texts = list(dict.fromkeys(text for pair in pairs for text in (pair.answered, pair.asked)))
    vectors = await embedder.embed_passages(texts)
    at = {text: number for number, text in enumerate(texts)}
    found = []
    for pair in pairs:
        cosine = float(vectors[at[pair.answered]] @ vectors[at[pair.asked]])
        if cosine >= least:
            same = interchangeable(pair.asked, pair.answered)
            found.append(Pair(pair.half, pair.kind, pair.answered, pair.asked, cosine, same))
    return found


def curve(pairs: Sequence[Pair]) -> list[Point]:
    """What each threshold gives."""
    same = [pair for pair in pairs if pair.kind == "same"]
    near = [pair for pair in pairs if pair.kind != "same"]

    def share(of: Sequence[Pair], threshold: float, *, rules: bool) -> float:
        return round(sum(pair.hit(threshold, rules=rules) for pair in of) / max(len(of), 1), 3)

    return [
        Point(
            step,
            share(same, step, rules=True),
            share(near, step, rules=True),
            share(same, step, rules=False),
            share(near, step, rules=False),
        )
        for step in STEPS
    ]
