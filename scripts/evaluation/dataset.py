"""A folder of questions with known answers: what is searched, what is asked, what is right.

Two shapes: ``passages.jsonl`` beside ``questions.jsonl``, or ``pdfs/*.pdf`` beside it. Where a
folder has both the PDFs win, because they are what a user has.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.errors import InvalidRequest

HALVES = ("first", "second")
#: "fb:BLOCK_2020_10K#p86": page 86 (1-based) of the PDF with that stem.
_PAGE_ID = re.compile(r"^(?:[^:]*:)?(?P<stem>.+)#p(?P<page>\d+)$")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and what is known about its answer."""

    id: str
    text: str
    #: Any of these is right; empty when only the places are known.
    answers: tuple[str, ...]
    #: Place → how relevant it is; 1 where the data has no grades. Empty when unanswerable.
    grades: Mapping[str, float]
    answerable: bool

    @property
    def half(self) -> str:
        """One of `HALVES`, by a hash of the id: the same half every time, and no one's choice."""
        return HALVES[hashlib.sha256(self.id.encode()).digest()[0] % 2]


@dataclass(frozen=True, slots=True)
class Text:
    """A document made of passages: one page each, because they come in their article's order."""

    title: str
    #: Place and text of each page, in order.
    pages: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Corpus:
    """What one tenant of the evaluation holds and is asked, mostly in one language."""

    lang: str
    questions: Sequence[Asked]
    texts: Sequence[Text] = ()
    pdf_folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """A folder, read."""

    name: str
    corpora: Sequence[Corpus] = field(default_factory=tuple)


def page_place(stem: str, page: int) -> str:
    """The place of a page (1-based) of the PDF called ``stem``.pdf."""
    return f"{stem}#p{page}"


def load(folder: Path, *, limit: int | None = None, together: bool = False) -> Dataset:
    """Read ``folder``; ``limit`` keeps the first so many questions of each language.

    Each language is a corpus of its own, or all are one when they are wanted ``together``.

    Raises:
        InvalidRequest: it is not such a folder.
    """
    if not (folder / "questions.jsonl").is_file():
        raise InvalidRequest(f"{folder} has no questions.jsonl.")
    if (folder / "pdfs").is_dir():
        return _load_pdfs(folder, limit)
    if not (folder / "passages.jsonl").is_file():
        raise InvalidRequest(f"{folder} has neither pdfs/ nor passages.jsonl.")
    questions = _by_lang(_lines(folder / "questions.jsonl"))
    passages = _by_lang(_lines(folder / "passages.jsonl"))
    corpora = [
        Corpus(lang, [_asked(row) for row in questions[lang][:limit]], texts=_texts(passages[lang]))
        for lang in questions
    ]
    return Dataset(folder.name, [_joined(corpora)] if together else corpora)


def _joined(corpora: Sequence[Corpus]) -> Corpus:
    """All of them in one, as a tenant with documents in many languages has them."""
    return Corpus(
        "all",
        [asked for corpus in corpora for asked in corpus.questions],
        [text for corpus in corpora for text in corpus.texts],
    )


def _load_pdfs(folder: Path, limit: int | None) -> Dataset:
    rows = list(_lines(folder / "questions.jsonl"))[:limit]
    questions = [_asked(row, as_pages=True) for row in rows]
    lang = next((row["lang"] for row in rows if "lang" in row), "en")
    return Dataset(folder.name, [Corpus(lang, questions, pdf_folder=folder / "pdfs")])


def _lines(path: Path) -> Iterable[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from (json.loads(line) for line in file if line.strip())


def _by_lang(rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row.get("lang", "en")].append(row)
    return found


def _texts(rows: Iterable[dict[str, Any]]) -> list[Text]:
    titled: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in rows:
        titled[row.get("title", "")].append((row["id"], row["text"]))
    return [Text(title, pages) for title, pages in titled.items()]


def _asked(row: dict[str, Any], *, as_pages: bool = False) -> Asked:
    grades = row.get("grades") or dict.fromkeys(row.get("passage_ids", ()), 1.0)
    if as_pages:
        grades = {_as_place(place): grade for place, grade in grades.items()}
    return Asked(
        id=row["id"],
        text=row["question"],
        answers=tuple(row.get("answers", ())),
        grades=grades,
        answerable=row.get("answerable", True),
    )


def _as_place(passage_id: str) -> str:
    match = _PAGE_ID.match(passage_id)
    if match is None:
        raise InvalidRequest(f"{passage_id} does not name a page of a PDF (name#p12).")
    return page_place(match["stem"], int(match["page"]))
