"""The tables: what was measured, beside the floors it has to pass."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

METRICS = ("hit@1", "hit@5", "hit@10", "MRR@10", "nDCG@10", "served@5", "contains@5")
#: What is told of each half of the questions.
HALVED = ("hit@1", "hit@5", "nDCG@10", "contains", "wrongly abstained")
#: Design floors, by data set and then by ranking. They were measured on larger splits of the same
#: sets (squad2 2,564 questions, cranfield 182, financebench 63 over 2,692 pages with titles, xquad
#: 954 a language), so they say what to expect rather than what to equal.
FLOORS: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    "squad2": {
        "dense": {"hit@1": 0.654, "hit@5": 0.887},
        "text": {"hit@1": 0.776, "hit@5": 0.926},
        "fused": {"hit@1": 0.746, "hit@5": 0.947},
        "target": {"hit@1": 0.82, "hit@5": 0.965},
    },
    "cranfield": {
        "dense": {"hit@1": 0.319, "hit@5": 0.797},
        "text": {"hit@1": 0.280, "hit@5": 0.780},
        "fused": {"hit@1": 0.357, "hit@5": 0.841},
    },
    "financebench": {
        "dense": {"hit@5": 0.429, "hit@10": 0.524},
        "text": {"hit@5": 0.206, "hit@10": 0.270},
        "fused": {"hit@5": 0.333, "hit@10": 0.460},
        "target": {"hit@5": 0.50},
    },
    **{
        f"xquad {lang}": {
            "dense": {"hit@5": dense},
            "text": {"hit@5": text},
            "fused": {"hit@5": fused},
            "target": {"hit@5": 0.95},
        }
        for lang, dense, text, fused in (
            ("en", 0.979, 0.982, 0.991),
            ("de", 0.796, 0.953, 0.919),
            ("ru", 0.271, 0.909, 0.603),
            ("zh", 0.288, 0.117, 0.172),
            ("ar", 0.028, 0.931, 0.430),
        )
    },
}


@dataclass(frozen=True)
class Result:
    """What was measured on one corpus."""

    #: The data set's name, with the language behind it where there are several.
    name: str
    documents: int
    pages: int
    chunks: int
    questions: int
    answerable: int
    #: Ranking → metric → value.
    rankings: Mapping[str, Mapping[str, float | None]]
    answers: Mapping[str, float | None] = field(default_factory=dict)
    #: Half of the questions → metric → value: how far the figures are those of other questions.
    halves: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    #: Variant of the search → metric → value; empty unless it was asked for.
    ablation: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    #: What the sources of a prompt are made of → metric → value; with the ablation.
    contexts: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    #: What a language model thinks of the answers; empty unless it was asked.
    judged: Mapping[str, float | None] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Everything, with the floors beside it."""
        return {**asdict(self), "floors": FLOORS.get(self.name, {})}


def tables(results: Sequence[Result]) -> str:
    """All tables, in Markdown that also reads well in a terminal."""
    parts = [table(["set", "ranking", *METRICS], _ranking_rows(results))]
    parts.append(
        "Floors are those of larger splits of the same sets. Pages (or passages) are ranked by"
        " their best chunk; served@5 and contains@5 look at the first five chunks."
    )
    for label in ("answers", "judged"):
        values = {one.name: getattr(one, label) for one in results if getattr(one, label)}
        if values:
            names = list(next(iter(values.values())))
            rows = [[name, *(shown(of[metric]) for metric in names)] for name, of in values.items()]
            parts.append(table([label, *names], rows))
    halves = [
        [one.name, half, *(shown(values.get(metric)) for metric in HALVED)]
        for one in results
        for half, values in one.halves.items()
    ]
    if halves:
        parts.append(table(["set", "half", *HALVED], halves))
    return "\n\n".join(parts)


def _ranking_rows(results: Sequence[Result]) -> list[list[str]]:
    rows = []
    for one in results:
        size = f"{one.answerable} questions, {one.pages} pages, {one.chunks} chunks"
        rows.append([f"**{one.name}**", size, *("" for _ in METRICS)])
        floors = FLOORS.get(one.name, {})
        for mode, values in one.rankings.items():
            rows.append(["", mode, *(shown(values.get(name)) for name in METRICS)])
            if mode in floors:
                rows.append(["", "floor", *(shown(floors[mode].get(name)) for name in METRICS)])
        if "target" in floors:
            rows.append(["", "target", *(shown(floors["target"].get(name)) for name in METRICS)])
    return rows


def shown(value: float | None) -> str:
    """A share as it stands in a table; nothing for None."""
    if value is None:
        return ""
    return f"{value:.1f}" if value > 1 else f"{value:.3f}".removeprefix("0")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    )
