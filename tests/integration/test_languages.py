# ruff: noqa: RUF001 - letters of many scripts
"""Documents in several languages are found by other forms of their words, in their own language."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.retrieval.language import language_of
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
