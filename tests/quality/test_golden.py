"""Questions a user asks of the samples, and the pages that answer them, through the real parts.

Pages are those of the PDF files, 1-based; where several pages say the same, each is right. The
questions are in a user's words, not in the page's.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.auth.caller import ALL_SCOPES, Caller
from app.auth.keys import tenant_named
from app.chat.answer import ABSTENTION, Question
from app.retrieval.passage import Scope
from app.settings import Settings
from app.wiring import House, open_house
from tests.conftest import SECRET, FreshDatabase

SCH = "CFS_SCH_Requirements_Document_V1_1_080111.pdf"
DS = "cFS_DS_Requirements_Document_V1_3_072915.pdf"
GUIDE = "CFS_DS_User_Guide_Doc_No_582_2013_001.pdf"
OSAL = "OSAL_Configuration_guide.pdf"
GOLDEN: list[tuple[str, str, set[int]]] = [
    ("How many activities fit into one minor frame of the scheduler?", SCH, {7}),
    ("When is the major frame signal called noisy?", SCH, {8}),
    ("What counts as a bad schedule slot resolution, what is the minimum in ms?", SCH, {7}),
    ("What is in the Packet Filter Table?", DS, {7}),
    ("What happens to a message whose X value or N value is zero?", DS, {8}),
    ("What happens when a file would get larger than its maximum size?", GUIDE, {28, 38, 43}),
    ("Which table limits the data that is collected?", GUIDE, {45}),
    ("Which two build systems can I choose from to build OSAL?", OSAL, {7}),
    ("Which file holds the OSAL's configuration parameters?", OSAL, {8}),
    ("How do I cross compile the OSAL with cmake?", OSAL, {12}),
]
#: About things the samples do not speak of, some of them in words that the samples use.
FOREIGN = [
    "Who won the football world cup in 1998?",
    "What was Nike's inventory turnover ratio in fiscal year 2021?",
    "How many calories does a banana have?",
    "Which pharaoh built the great pyramid of Giza?",
    "What is the maximum dose of ibuprofen for an adult?",
]


@pytest.fixture
async def house(samples_ingested: FreshDatabase, tmp_path: Path) -> AsyncIterator[House]:
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        docent_home=tmp_path,
        database_url=samples_ingested.database_url,
        redis_url=samples_ingested.redis_url,
        secret_key=SECRET,
        provider_order=["extractive"],
    )
    async with open_house(settings) as opened:
        yield opened


@pytest.fixture
def caller(samples_ingested: FreshDatabase) -> Caller:
    tenant_id = tenant_named(samples_ingested.database_url, "default")
    return Caller(tenant_id, "key_golden", frozenset(ALL_SCOPES))


async def test_the_right_page_is_found(house: House, caller: Caller) -> None:
    missed = []
    for question, filename, pages in GOLDEN:
        found = await house.retriever.retrieve(question, Scope(caller.tenant_id), top_k=5)
        places = [(passage.filename, passage.page) for passage in found.passages]
        if not {(filename, page) for page in pages} & set(places):
            missed.append((question, places))
    assert 1 - len(missed) / len(GOLDEN) >= 0.85, missed


async def test_every_quote_is_on_its_page(house: House, caller: Caller) -> None:
    cited_right = 0
    for question, filename, pages in GOLDEN:
        answer = await house.chat.answer(caller, Question(question, "ses_golden", top_k=5))
        assert answer.status == "complete", question
        for citation in answer.citations:
            page = await house.archive.page(
                caller.tenant_id, citation.document_id, citation.page, citation.version
            )
            assert page.text[citation.start : citation.end] == citation.quote != ""
            assert citation.verified
        cited = {(citation.filename, citation.page) for citation in answer.citations}
        cited_right += bool(cited & {(filename, page) for page in pages})
    assert cited_right / len(GOLDEN) >= 0.6


@pytest.mark.parametrize("question", FOREIGN)
async def test_what_the_samples_do_not_say_is_not_answered(
    house: House, caller: Caller, question: str
) -> None:
    answer = await house.chat.answer(caller, Question(question, "ses_golden", top_k=5))
    assert (answer.status, answer.citations, answer.text) == ("abstained", (), ABSTENTION)
