"""Every state of every page in a picture, in light and dark, on a desk and on a phone."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import ask, demo, go, photograph, photograph_looks
from tests.unit.streamlit_app import canned
from tests.unit.streamlit_app.fake_api import FakeApi, serve

OpenPage = Callable[..., Any]


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[FakeApi, str]]:
    with serve() as fake, demo(fake.url, canned.KEY) as url:
        yield fake, url


@pytest.fixture
def fake(served: tuple[FakeApi, str]) -> FakeApi:
    """The fake API as it is at first."""
    fake, _ = served
    vars(fake).update(vars(FakeApi(url=fake.url)))
    return fake


@pytest.fixture
def start(served: tuple[FakeApi, str], fake: FakeApi, open_page: OpenPage) -> OpenPage:
    """Opens the demo once the fake is as it should be."""
    assert fake is served[0]
    return lambda **how: open_page(served[1], **how)


def test_the_first_page(start: OpenPage) -> None:
    page = start()
    page.get_by_text("Try one of these").wait_for()
    page.get_by_role("combobox", name="Model").click()
    page.get_by_role("option", name="Extractive").wait_for()
    photograph(page, "models")
    page.keyboard.press("Escape")
    photograph_looks(page, "welcome")
    page.get_by_text("Answer settings").click()
    page.get_by_text("Set temperature and length").click()
    page.get_by_text("Your own provider keys").click()
    page.get_by_role("button", name="Forget these keys").wait_for()
    photograph(page, "choices")


def test_an_answer_being_written(fake: FakeApi, start: OpenPage) -> None:
    fake.may_end.clear()
    page = start()
    ask(page, "What does DS do on a power-on reset?")
    page.get_by_text("running OSAL application").wait_for()
    photograph_looks(page, "streaming", still=False)
    fake.may_end.set()
    page.get_by_test_id("stFeedback").wait_for()


def test_an_answer_that_its_reader_stops(fake: FakeApi, start: OpenPage) -> None:
    fake.may_end.clear()
    page = start()
    ask(page, "What does DS do on a power-on reset?")
    page.get_by_text("running OSAL application").wait_for()
    page.get_by_role("button", name="Stop").press("Enter")
    page.get_by_text("You stopped this answer").wait_for()
    page.get_by_text("running OSAL application").wait_for()
    photograph_looks(page, "stopped")
    fake.may_end.set()


def test_answers_that_are_not_whole(start: OpenPage) -> None:
    page = start()
    ask(page, "What is the capital of France?")
    page.get_by_text("I could not find an answer").wait_for()
    ask(page, "What else does DS do? #failover")
    page.get_by_text("tried: ").wait_for()
    page.get_by_role("radio", name="Thumbs up").last.click()
    page.get_by_label("What was good about it?").fill("Just what I was looking for.")
    page.get_by_role("button", name="Send comment").click()
    page.get_by_text("Comment sent").wait_for()
    photograph_looks(page, "comment")
    ask(page, "Tell me more. #unsupported")
    page.get_by_text("Not supported by").wait_for()
    photograph_looks(page, "unsupported")
    ask(page, "And then? #incomplete")
    page.get_by_text("Incomplete answer").wait_for()
    photograph_looks(page, "incomplete")
    photograph_looks(page, "history", top=True)


def test_a_source_of_text_only(fake: FakeApi, start: OpenPage) -> None:
    fake.has_pictures = False
    page = start()
    ask(page, "What does DS do on a power-on reset?")
    page.get_by_role("button", name="Open page 39").click()
    page.get_by_text("3.3.1 Power-On Reset").wait_for()
    photograph_looks(page, "text")


def test_refusals(fake: FakeApi, start: OpenPage) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=50)).isoformat()
    fake.limits = [canned.limit(1, reset_at=soon), canned.limit(590, 600)]
    page = start()
    fake.next_problems = [canned.LIMITED | {"retry_after_s": 50}]
    ask(page, "What does DS do on a power-on reset?")
    page.get_by_text("You can ask again in").wait_for()
    photograph_looks(page, "refused-429")
    fake.next_problems = [canned.DOWN]
    ask(page, "What does DS do?")
    page.get_by_text("The database does not answer").wait_for()
    photograph_looks(page, "refused-503")
    fake.read_problem = canned.UNAUTHORIZED
    fake.next_problems = [canned.UNAUTHORIZED]
    ask(page, "And on a processor reset?")
    page.get_by_placeholder("Paste your key").wait_for()
    photograph_looks(page, "refused-401")


def test_nothing_there_yet(fake: FakeApi, start: OpenPage) -> None:
    fake.documents.clear()
    fake.analytics = canned.ANALYTICS | {"totals": canned.ANALYTICS["totals"] | {"questions": 0}}
    page = start()
    page.get_by_text("No documents yet").wait_for()
    photograph_looks(page, "empty-chat")
    go(page, "Documents")
    page.get_by_text("No documents yet").wait_for()
    photograph_looks(page, "empty-documents")
    go(page, "Analytics")
    page.get_by_text("Nothing was asked").wait_for()
    photograph_looks(page, "empty-analytics")


def test_the_life_of_documents(fake: FakeApi, start: OpenPage, tmp_path: Path) -> None:
    fake.documents += [
        canned.document("doc_3", "Scanned minutes", "minutes.pdf", status="processing",
                        page_count=None, tags=["board", "2026"]),
        canned.document("doc_4", "Payroll", "payroll.pdf", status="failed", page_count=None,
                        error={"code": "encrypted", "detail": "The file is encrypted."}),
    ]  # fmt: skip
    page = start()
    page.get_by_text("Still being read").wait_for()
    photograph_looks(page, "indexing")
    go(page, "Documents")
    page.get_by_text("The file is encrypted").last.wait_for()
    page.get_by_text("payroll.pdf").scroll_into_view_if_needed()
    photograph_looks(page, "failed")
    fake.may_end.clear()
    book = tmp_path / "notes-of-the-year-2026-as-corrected-by-the-board.md"
    book.write_text("# Notes")
    page.get_by_test_id("stFileUploaderDropzoneInput").first.set_input_files(book)
    page.get_by_role("button", name="Process").click()
    page.get_by_text("page 40 of 100").wait_for()
    photograph_looks(page, "uploading", still=False)
    fake.job = [canned.JOB[0], canned.FAILED_JOB]
    fake.may_end.set()
    page.get_by_text("Ready to answer from").wait_for()
    page.get_by_test_id("stFileUploaderDropzoneInput").first.set_input_files(book)
    page.get_by_role("button", name="Process").click()
    page.get_by_text("could not be read").wait_for()
    photograph_looks(page, "upload-failed")


def test_deleted_and_restored(fake: FakeApi, start: OpenPage) -> None:
    page = start()
    go(page, "Documents")
    page.get_by_role("button", name="Manage").first.click()
    page.get_by_role("dialog").get_by_text("Nothing is to be answered").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_text("is deleted").wait_for()
    page.get_by_text("Show deleted documents").click()
    page.get_by_role("button", name="Restore").wait_for()
    photograph_looks(page, "deleted")
    page.get_by_role("button", name="Restore").click()
    page.get_by_text("is back and answers again").wait_for()


@pytest.fixture(scope="module")
def lonely() -> Iterator[str]:
    with demo("http://127.0.0.1:9", canned.KEY) as url:
        yield url


def test_the_api_is_not_there(lonely: str, open_page: OpenPage) -> None:
    page = open_page(lonely)
    page.get_by_text("cannot be reached").wait_for()
    photograph_looks(page, "unreachable")


def test_the_figures(fake: FakeApi, start: OpenPage) -> None:
    today = datetime.now(UTC).date()
    asked = (31, 44, 0, 52, 61, 47, 70)
    [day, _] = canned.ANALYTICS["days"]
    fake.analytics["days"] = [
        day | {
            "day": (today - timedelta(days=6 - n)).isoformat(),
            "questions": count, "abstained": count // 9, "answered": count - count // 9,
            "total_ms_p50": 700.0 + 3 * count, "cost_usd": count * 0.0004,
        }
        for n, count in enumerate(asked) if count
    ]  # fmt: skip
    fake.analytics["totals"] |= {"questions": sum(asked), "abstained": 31, "cached": 62}
    page = start()
    go(page, "Analytics")
    page.get_by_text("Comments", exact=True).wait_for()
    photograph_looks(page, "figures", top=True)
    for heading in ("Latency", "Comments"):
        page.get_by_role("heading", name=heading).scroll_into_view_if_needed()
        photograph(page, f"figures-{heading.lower()}")
