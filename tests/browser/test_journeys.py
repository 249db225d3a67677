"""What visitors do, in a real browser: against the real API, and against one that fails."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import ask, demo, go, photograph
from tests.integration.workshop import write_book
from tests.unit.streamlit_app import canned
from tests.unit.streamlit_app.fake_api import FakeApi, serve

OpenPage = Callable[..., Any]
QUESTION = "What does DS do on a power-on reset?"


@pytest.fixture
def fake() -> Iterator[FakeApi]:
    with serve() as fake:
        yield fake


@pytest.fixture
def fake_demo(fake: FakeApi) -> Iterator[str]:
    with demo(fake.url, canned.KEY) as url:
        yield url


def test_first_question_source_and_figures(real_demo: str, open_page: OpenPage) -> None:
    page = open_page(real_demo)
    page.get_by_role("button", name=QUESTION).click()
    page.get_by_role("button", name="Open page").first.wait_for()
    page.get_by_role("img", name="quote marked").first.wait_for()
    page.get_by_test_id("stFeedback").wait_for()
    photograph(page, "answer", top=True)
    page.get_by_role("button", name="Open page").first.click()
    page.get_by_role("dialog").get_by_role("img", name="Page").wait_for()
    photograph(page, "page")
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    go(page, "Analytics")
    page.get_by_text("Most cited documents").wait_for()
    photograph(page, "analytics")
    page.get_by_text("Today", exact=True).click()
    page.get_by_text("Charts compare days").wait_for()
    photograph(page, "today")
    go(page, "Chat")
    page.get_by_role("button", name="Open page").first.wait_for()
    page.get_by_role("button", name="Reset conversation").click()
    page.get_by_role("button", name=QUESTION).wait_for()
    page.get_by_role("button", name="Open page").first.wait_for(state="detached")


@pytest.mark.usefixtures("worker")
def test_upload_process_ask(real_demo: str, open_page: OpenPage, tmp_path: Path) -> None:
    words = ["Notes on the greenhouse", "The tomatoes are watered at dawn on Tuesdays."]
    book = write_book(tmp_path / "greenhouse.pdf", [words])
    page = open_page(real_demo, scheme="dark")
    go(page, "Documents")
    page.get_by_test_id("stFileUploaderDropzoneInput").first.set_input_files(book)
    page.get_by_role("button", name="Process").click()
    page.get_by_text("Ready to answer from: greenhouse.pdf").wait_for()
    photograph(page, "documents", top=True)
    go(page, "Chat")
    ask(page, "When are the tomatoes watered?")
    page.get_by_text("watered at dawn on Tuesdays").first.wait_for()
    page.get_by_role("button", name="Open page 1").first.click()
    page.get_by_role("dialog").get_by_role("img", name="Page 1").wait_for()
    photograph(page, "uploaded")


def test_a_file_too_large_is_refused_in_the_browser(
    fake: FakeApi, fake_demo: str, open_page: OpenPage, tmp_path: Path
) -> None:
    big = tmp_path / "big.pdf"
    big.write_bytes(bytes(10 * 1024 * 1024 + 1))
    page = open_page(fake_demo)
    go(page, "Documents")
    page.get_by_test_id("stFileUploaderDropzoneInput").first.set_input_files(big)
    page.get_by_text(re.compile(r"File must be 10(\.0)? ?MB or smaller")).wait_for()
    photograph(page, "too-large")
    assert not fake.uploads


def test_who_leaves_an_upload_loses_no_file(
    fake: FakeApi, fake_demo: str, open_page: OpenPage, tmp_path: Path
) -> None:
    fake.may_end.clear()  # nothing is read to its end
    books = [tmp_path / f"book-{n}.md" for n in range(5)]
    for book in books:
        book.write_text(f"# {book.name}")
    page = open_page(fake_demo)
    go(page, "Documents")
    page.get_by_test_id("stFileUploaderDropzoneInput").first.set_input_files(books)
    page.get_by_role("button", name="Process").click()
    page.get_by_text("page 40 of 100").wait_for()
    photograph(page, "uploading-many", still=False)
    go(page, "Chat")
    assert len(fake.uploads) == len(books)
    fake.may_end.set()


#: Where a character of the last question is, in pixels from the left.
_LEFT = """(at) => {
    const said = [...document.querySelectorAll('[data-testid=stChatMessage] p')]
        .findLast(one => one.textContent.includes('שלום')).firstChild;
    const range = document.createRange();
    range.setStart(said, at);
    range.setEnd(said, at + 1);
    return range.getBoundingClientRect().left;
}"""


def test_what_is_written_from_right_to_left(fake_demo: str, open_page: OpenPage) -> None:
    page = open_page(fake_demo)
    ask(page, "שלום DS!")
    page.get_by_test_id("stFeedback").wait_for()
    photograph(page, "right-to-left", top=True)
    assert page.evaluate(_LEFT, 0) > page.evaluate(_LEFT, 5), "words go on to the left"
    assert page.evaluate(_LEFT, 5) > page.evaluate(_LEFT, 7), "the sentence ends at the left"
    assert page.evaluate(_LEFT, 0) > page.viewport_size["width"] / 2, "it begins at the right"


def test_another_model_a_limit_and_an_outage(
    fake: FakeApi, fake_demo: str, open_page: OpenPage
) -> None:
    page = open_page(fake_demo)
    page.get_by_role("combobox", name="Model").click()
    page.get_by_role("option", name="Extractive").click()
    page.get_by_text("Automatic").wait_for(state="detached")
    soon = (datetime.now(UTC) + timedelta(seconds=50)).isoformat()
    fake.limits = [canned.limit(1, reset_at=soon)]
    ask(page, "first")
    page.get_by_text("Nearly used up").wait_for()
    assert fake.chats[0]["model"] == "extractive"
    fake.next_problems = [canned.LIMITED | {"retry_after_s": 20}]
    ask(page, "second")
    page.get_by_text("You can ask again in").wait_for()
    photograph(page, "limit")
    fake.next_problems = [canned.DOWN]
    ask(page, "third")
    page.get_by_text("The database does not answer").wait_for()
    photograph(page, "outage")


def test_a_phone_and_the_keyboard(fake_demo: str, open_page: OpenPage) -> None:
    page = open_page(fake_demo, width=375)
    ask(page, "What does DS do?")
    page.get_by_role("button", name="Open page 39").wait_for()
    photograph(page, "phone")
    go(page, "Documents")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('button, input, textarea, img')].filter(one =>
            one.offsetParent && !(one.ariaLabel || one.labels?.length || one.alt || one.title
                || one.placeholder || one.textContent.trim())).map(one => one.outerHTML)"""
    )
    assert unnamed == []
