# ruff: noqa: RUF001 - letters of many scripts
"""Documents in several languages are found by other forms of their words, in their own language."""

import string
import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.infra.language import language_of
from tests.conftest import FreshDatabase
from tests.integration.workshop import Workshop, open_workshop

DOCUMENTS = {
    "english": "The recorders were closed by the operators because they had filled the disks.",
    "german": "Die Häuser der Stadt wurden von den Bürgern gebaut, weil es nicht genug gab.",
    "russian": "Книги писателя были изданы в столице, потому что читатели просили о них.",
    "arabic": "كانت المدارس الكبيرة في المدينة مفتوحة للطلاب لأن المعلمين طلبوا ذلك من الإدارة.",
    "chinese": "文件大小的上限为十兆字节。系统会自动关闭旧文件。",
    "thai": "ขนาดไฟล์สูงสุดคือสิบเมกะไบต์ ระบบจะปิดไฟล์เก่าโดยอัตโนมัติ",
}
#: Punctuation and symbols, and what parts words in ASCII.
_MARKS = ("Po", "Ps", "Pe", "Pi", "Pf", "Pd", "Sm", "Sc", "Zs")
#: Scripts that documents are written in today, their marks, and those that all have.
_BLOCKS = (
    (0x80, 0x3F0), (0x400, 0x700), (0x900, 0x1100), (0x2000, 0x2070), (0x20A0, 0x20D0),
    (0x2190, 0x2C00), (0x2E00, 0x3100),
)  # fmt: skip
_APART = frozenset(string.punctuation + " ")
#: Other forms of the words, or a part of a text without spaces.
QUESTIONS = [
    ("Why did the operator fill a disk?", "english"),
    ("Was ist mit dem Haus des Bürgers?", "german"),
    ("Кто издал книгу для читателя?", "russian"),
    ("ما هي المدرسة المفتوحة للطالب؟", "arabic"),
    ("上限是多少？", "chinese"),
    ("ไฟล์สูงสุดเท่าไร", "thai"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("languages")


@pytest.fixture
async def shop(database: FreshDatabase, folder: Path) -> AsyncIterator[Workshop]:
    async with open_workshop(database, "polyglot") as opened:
        paths = [folder / f"{name}.txt" for name in DOCUMENTS]  # unchanged from the second test on
        for path in paths:
            path.write_text(DOCUMENTS[path.stem], encoding="utf-8")
        await opened.ingest(*paths)
        yield opened


def test_every_chunk_is_told_its_language(shop: Workshop) -> None:
    rows = shop.rows(
        "SELECT c.language::text AS language, d.filename FROM chunks c"
        " JOIN documents d ON d.id = c.document_id"
    )
    assert {row["filename"].removesuffix(".txt"): row["language"] for row in rows} == {
        name: name if name not in ("chinese", "thai") else "simple" for name in DOCUMENTS
    }
    [tenant] = shop.rows("SELECT languages FROM tenants WHERE id = %s", shop.tenant_id)
    assert tenant["languages"] == ["arabic", "english", "german", "russian", "simple"]


@pytest.mark.parametrize(("question", "document"), QUESTIONS)
async def test_other_forms_of_a_word_find_it(shop: Workshop, question: str, document: str) -> None:
    found = await shop.search(question)
    assert found[0].filename == f"{document}.txt", [passage.filename for passage in found]
    assert found[0].text_rank == 1


async def test_a_question_that_shows_no_language_is_read_in_all(shop: Workshop) -> None:
    assert language_of("Bürger Haus") is None
    found = await shop.search("Bürger Haus")
    assert (found[0].filename, found[0].text_rank) == ("german.txt", 1)


async def test_a_language_stays_when_its_documents_change(shop: Workshop, tmp_path: Path) -> None:
    path = tmp_path / "more.txt"
    path.write_text(DOCUMENTS["german"].replace("Stadt", "Insel"), encoding="utf-8")
    await shop.ingest(path)
    found = await shop.search("Welche Häuser wurden auf den Inseln gebaut?")
    assert found[0].filename == "more.txt"


async def test_marks_beyond_ascii_belong_to_no_word(shop: Workshop, tmp_path: Path) -> None:
    """In the C locale PostgreSQL's parser takes them for letters: the word beside was lost."""
    path = tmp_path / "marks.txt"
    path.write_text(
        "The charter of \u201cRegulus\u201d\u2014signed in the harbour\u2014names"
        " the \ufb01nancial o\ufb03cer. It grants 25,000 acres.\n\n"
        "The soft\u00adware\u2019s licence is infor-\nmation for readers."
    )
    await shop.ingest(path)
    for question in ("Regulus", "signed", "financial officer", "25000", "software", "information"):
        found = await shop.search(question)
        assert (found[0].filename, found[0].text_rank) == ("marks.txt", 1), question
    [row] = shop.rows(
        "SELECT to_tsvector('arabic', searchable(%s)) = to_tsvector('arabic', %s) AS same",
        "ما هي المدرسة؟",
        "ما هي المدرسة",
    )
    assert row["same"]


def test_no_mark_of_any_script_is_a_letter(shop: Workshop) -> None:
    """Whatever the server's locale; and no letter is taken for a mark."""
    every = [
        chr(code)
        for first, last in _BLOCKS
        for code in range(first, last)
        if unicodedata.name(chr(code), "")
    ]
    marks = [one for one in every if unicodedata.category(one) in _MARKS]
    letters = [one for one in every if unicodedata.category(one) in ("Lu", "Ll", "Lo", "Nd", "Mn")]
    rows = shop.rows(
        "SELECT mark, searchable('a' || mark || 'b') AS text FROM unnest(%s::text[]) AS mark",
        [*marks, *letters],
    )
    texts = {row["mark"]: row["text"] for row in rows}
    assert [mark for mark in marks if not set(texts[mark]) & _APART] == []
    assert [one for one in letters if texts[one] == "a b"] == []
