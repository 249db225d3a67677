"""What answers gain from more text around what was found: neighbouring chunks, whole pages.

A variant turns the passages that a search brought into the sources of a prompt. Measured is whether
the right page and the known answer are in them, how much there is to read for it, and what the
extractive provider makes of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean, median

from app.chat.answer import Timings
from app.chat.draft import Draft
from app.chat.prompt import as_sources
from app.infra.postgres import tenant_transaction
from app.llm.completion import Completion, CompletionRequest, Event
from app.llm.evidence import gather
from app.llm.extractive import Extractive
from app.llm.spelling import vocabulary_of
from app.retrieval.passage import Passage, Scope
from app.settings import MODEL_DIR
from app.wiring import House
from scripts.evaluation.corpus import Places
from scripts.evaluation.dataset import Asked
from scripts.evaluation.metrics import contains_answer
from scripts.evaluation.rankings import SERVED
from scripts.evaluation.report import shown, table

#: Passages that are looked through for so many different pages.
_DEPTH = 20
NO_TIME = Timings(0, 0, None, 0, 0)
METRICS = ("page", "contains", "words", "answer contains", "answer's page", "abstained")
#: All chunks of a tenant, by document and page, in reading order: start, end, text.
Shelf = Mapping[tuple[str, int], Sequence[tuple[int, int, str]]]


def served(question: str, found: Sequence[Passage], shelf: Shelf) -> list[Passage]:
    """As callers get it."""
    return list(found[:SERVED])


def neighbours(question: str, found: Sequence[Passage], shelf: Shelf) -> list[Passage]:
    """A passage whose best sentence is its first or last takes the chunk beside it along."""
    wider = []
    for passage in found[:SERVED]:
        ranked = gather(question, as_sources([passage])).ranked
        places = [scored.sentence.position for scored in ranked]
        edges = bool(places) and places[0] == min(places), bool(places) and places[0] == max(places)
        wider.append(_widened(passage, shelf, before=edges[0], after=edges[1]))
    return grouped(question, wider, shelf)


def both_sides(question: str, found: Sequence[Passage], shelf: Shelf) -> list[Passage]:
    """Every passage takes the chunks before and behind it on its page along."""
    wider = [_widened(one, shelf, before=True, after=True) for one in found[:SERVED]]
    return grouped(question, wider, shelf)


def _widened(passage: Passage, shelf: Shelf, *, before: bool, after: bool) -> Passage:
    beside = shelf[passage.document_id, passage.page]
    at = [start for start, _, _ in beside].index(passage.start)
    first = beside[at - 1 if before and at else at]
    last = beside[min(at + 1, len(beside) - 1) if after else at]
    return _spanning(passage, first[0], last[1], beside)


def grouped(question: str, found: Sequence[Passage], shelf: Shelf) -> list[Passage]:
    """Passages of one page that touch each other are one source, where the best of them stood."""
    kept: list[Passage] = []
    for passage in found[:SERVED]:
        beside = shelf[passage.document_id, passage.page]
        for index, other in enumerate(kept):
            same = (other.document_id, other.page) == (passage.document_id, passage.page)
            if same and _touch(other, passage, beside):
                start, end = min(other.start, passage.start), max(other.end, passage.end)
                kept[index] = _spanning(other, start, end, beside)
                break
        else:
            kept.append(passage)
    return kept


def five_pages(question: str, found: Sequence[Passage], shelf: Shelf) -> list[Passage]:
    """Five different pages, each the passages of it that were found, joined where they touch."""
    pages = list(dict.fromkeys((one.document_id, one.page) for one in found))[:SERVED]
    chosen = [one for one in found if (one.document_id, one.page) in pages]
    joined: list[Passage] = []
    for page in pages:
        of_page = [one for one in chosen if (one.document_id, one.page) == page]
        joined += grouped(question, of_page, shelf)
    return joined


def whole_pages(question: str, found: Sequence[Passage], shelf: Shelf) -> list[Passage]:
    """The whole page of each passage."""
    pages = {(one.document_id, one.page): one for one in reversed(found[:SERVED])}
    order = dict.fromkeys((one.document_id, one.page) for one in found[:SERVED])
    return [
        _spanning(pages[page], shelf[page][0][0], shelf[page][-1][1], shelf[page]) for page in order
    ]


Variant = Callable[[str, Sequence[Passage], Shelf], list[Passage]]
VARIANTS: Mapping[str, Variant] = {
    "**as served: five chunks**": served,
    "neighbours of sentences at an edge": neighbours,
    "neighbours on both sides": both_sides,
    "chunks of a page that touch as one": grouped,
    "five pages, what was found of each": five_pages,
    "the whole page of each chunk": whole_pages,
}


def _touch(one: Passage, other: Passage, beside: Sequence[tuple[int, int, str]]) -> bool:
    """Whether no chunk stands between two passages of a page."""
    low, high = sorted(((one.start, one.end), (other.start, other.end)))
    return not any(low[1] <= start and end <= high[0] for start, end, _ in beside)


def _spanning(
    passage: Passage, start: int, end: int, beside: Sequence[tuple[int, int, str]]
) -> Passage:
    texts = [text for first, last, text in beside if start <= first and last <= end]
    return replace(passage, start=start, end=end, text="\n".join(texts))


async def shelf_of(house: House, tenant_id: str) -> Shelf:
    """Every chunk of the tenant."""
    async with tenant_transaction(house.pool, tenant_id) as connection:
        cursor = await connection.execute(
            "SELECT document_id, page, start_offset, end_offset, text FROM chunks WHERE live"
            " ORDER BY document_id, page, start_offset"
        )
        shelf: dict[tuple[str, int], list[tuple[int, int, str]]] = {}
        for document_id, page, *chunk in [tuple(row.values()) for row in await cursor.fetchall()]:
            shelf.setdefault((document_id, page), []).append((chunk[0], chunk[1], chunk[2]))
    return shelf


async def compare_contexts(
    house: House, tenant_id: str, places: Places, questions: Sequence[Asked]
) -> dict[str, dict[str, float | None]]:
    """Variant → metric → value, over the answerable ``questions``."""
    shelf = await shelf_of(house, tenant_id)
    rows: dict[str, list[dict[str, float]]] = {}
    for asked in questions:
        found = await house.retriever.retrieve(asked.text, Scope(tenant_id), top_k=_DEPTH)
        for label, variant in VARIANTS.items():
            passages = variant(asked.text, found.passages, shelf)
            judged = await _judged(asked, passages, places)
            rows.setdefault(label, []).append(judged)
    return {label: _summed_up(many) for label, many in rows.items()}


async def _judged(asked: Asked, passages: Sequence[Passage], places: Places) -> dict[str, float]:
    def right(document_id: str, page: int) -> bool:
        return asked.grades.get(places[document_id, page], 0) > 0

    draft = Draft(tuple(passages))
    text, cited, abstained = await _answered(asked.text, passages, draft)
    values = {
        "page": float(any(right(one.document_id, one.page) for one in passages)),
        "words": float(sum(len(one.text.split()) for one in passages)),
        "answer's page": float(any(right(*place) for place in cited)),
        "abstained": float(abstained),
    }
    if asked.answers:
        sources = "\n".join(one.text for one in passages)
        values["contains"] = contains_answer(sources, asked.answers)
        values["answer contains"] = 0.0 if abstained else contains_answer(text, asked.answers)
    return values


async def _answered(
    question: str, passages: Sequence[Passage], draft: Draft
) -> tuple[str, list[tuple[str, int]], bool]:
    request = CompletionRequest((), question, as_sources(passages))
    event: Event
    async for event in Extractive(vocabulary=vocabulary_of(MODEL_DIR)).stream(request):
        if isinstance(event, Completion):
            list(draft.end(event))
            answer = draft.answer(event, NO_TIME)
            cited = [(one.document_id, one.page) for one in answer.citations]
            return answer.text, cited, answer.status == "abstained"
        list(draft.take(event))
    raise AssertionError


def _summed_up(many: Sequence[Mapping[str, float]]) -> dict[str, float | None]:
    means = {
        name: fmean(row[name] for row in many if name in row)
        for name in dict.fromkeys(name for row in many for name in row)
    }
    return {**means, "words": median(row["words"] for row in many)}


def context_table(measured: Mapping[str, Mapping[str, Mapping[str, float | None]]]) -> str:
    """Set → what ``compare_contexts`` gave, as Markdown."""
    rows = []
    for name, of_variant in measured.items():
        rows.append([f"**{name}**", *("" for _ in METRICS)])
        for label, values in of_variant.items():
            rows.append([label, *(shown(values.get(metric)) for metric in METRICS)])
    return table(["sources", *METRICS], rows)
