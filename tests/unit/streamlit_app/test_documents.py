"""The pages of documents and of figures, run by Streamlit's test runner against the fake API."""

from collections.abc import Callable, Iterator

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from streamlit_app.sign_in import Waiting, token_of
from streamlit_app.uploads import MAX_FILE_MB
from tests.unit.streamlit_app import canned
from tests.unit.streamlit_app.fake_api import FakeApi
from tests.unit.streamlit_app.test_home import OpenHome, click, labels, texts


@pytest.fixture
def desk(home: AppTest) -> AppTest:
    return home.switch_page("views/documents.py").run()


def choose(desk: AppTest, name: str, content: bytes) -> AppTest:
    return desk.file_uploader[0].upload(name, content, "application/pdf").run()


def press(desk: AppTest, key: str) -> AppTest:
    return desk.button(key=key).click().run()


def test_nothing_is_sent_before_process_is_pressed(desk: AppTest, fake: FakeApi) -> None:
    assert "CFS_DS_User_Guide" in texts(desk.main.markdown)
    choose(desk, "new.pdf", b"%PDF-1.7 new")
    assert not fake.uploads
    desk.text_input(key="tags-0").set_value("hr, travel ")
    click(desk, "Process")
    assert not desk.exception
    assert b"%PDF-1.7 new" in fake.uploads[0]
    assert b"hr" in fake.uploads[0]
    assert b"travel" in fake.uploads[0]
    assert "Ready to answer from: new.pdf" in texts(desk.success)
    assert not desk.file_uploader[0].value


def test_a_file_above_the_limit_is_not_sent(desk: AppTest, fake: FakeApi) -> None:
    choose(desk, "big.pdf", bytes(MAX_FILE_MB * 1024 * 1024 + 1))
    if "Process" in labels(desk):
        click(desk, "Process")
    assert not fake.uploads


def test_all_files_are_sent_before_the_first_is_followed(desk: AppTest, fake: FakeApi) -> None:
    files = [(f"{name}.pdf", name.encode(), "application/pdf") for name in ("one", "two")]
    desk.file_uploader[0].set_value(files).run()
    click(desk, "Process")
    done = [one for one in fake.requests if "POST /api/v1/docs" in one or "/events" in one]
    assert [one.split()[0] for one in done] == ["POST", "POST", "GET", "GET"]
    assert "Ready to answer from: one.pdf, two.pdf" in texts(desk.success)


def test_a_file_that_is_refused_is_told_in_words(desk: AppTest, fake: FakeApi) -> None:
    fake.upload_problem = canned.problem(422, "empty_file", "Unprocessable Entity", "It is empty.")
    click(choose(desk, "empty.pdf", b"%PDF"), "Process")
    assert "empty.pdf: It is empty." in texts(desk.error)


def test_a_file_that_cannot_be_read_is_told_with_its_reason(desk: AppTest, fake: FakeApi) -> None:
    fake.job = [canned.job("queued", 0), canned.FAILED_JOB]
    click(choose(desk, "secret.pdf", b"%PDF"), "Process")
    assert "secret.pdf could not be read: The file is encrypted." in texts(desk.error)


def desk_of_the_guide(url: str, key: str) -> None:
    """A page that opens the dialog whenever it is drawn: the runner draws whole pages only."""
    import streamlit as st

    from streamlit_app.config import Config
    from streamlit_app.document_desk import open_desk
    from streamlit_app.session import connect, current_visit

    client, visit = connect(Config(url, key)), current_visit()
    visit.library.refresh(client, with_key=True)
    if notice := visit.take_notice():
        st.success(notice)
    elif visit.library.documents and visit.library.documents.items:
        open_desk(visit.library.documents.items[0], visit, client)


@pytest.fixture
def dialog(fake: FakeApi) -> Iterator[AppTest]:
    yield AppTest.from_function(
        desk_of_the_guide, args=(fake.url, canned.KEY), default_timeout=20
    ).run()
    st.cache_resource.clear()


def test_a_former_version_is_made_the_current_one(dialog: AppTest, fake: FakeApi) -> None:
    assert "**Version 3**" in texts(dialog.markdown)
    assert "· 1 page ·" in texts(dialog.markdown)
    assert "The file is encrypted." in texts(dialog.caption)
    assert "use-3" not in [item.key for item in dialog.button], "it could not be read"
    press(dialog, "use-1")
    assert f"POST /api/v1/docs/{canned.GUIDE}/versions/1/activate" in fake.requests
    assert "answers from version 1 now" in texts(dialog.success)


def test_the_next_version_is_sent_for_this_document(dialog: AppTest, fake: FakeApi) -> None:
    dialog.file_uploader[0].upload("next.pdf", b"%PDF-1.7 next", "application/pdf").run()
    assert not fake.uploads
    press(dialog, f"process-{canned.GUIDE}")
    assert f"PUT /api/v1/docs/{canned.GUIDE}" in fake.requests
    assert "answers from its new version" in texts(dialog.success)


def test_deletion_asks_first_and_tells_what_went(dialog: AppTest, fake: FakeApi) -> None:
    assert dialog.button(key=f"delete-{canned.GUIDE}").disabled
    dialog.checkbox[0].check().run()
    press(dialog, f"delete-{canned.GUIDE}")
    assert f"DELETE /api/v1/docs/{canned.GUIDE}" in fake.requests
    assert "Removed: 9 chunks, 9 vectors, 1 cache entries, 0 memory turns" in texts(dialog.success)


def test_a_deletion_is_taken_back(desk: AppTest, fake: FakeApi) -> None:
    fake.documents[0]["status"] = "deleted"
    deleted = next(item for item in desk.toggle if item.label == "Show deleted documents")
    deleted.set_value(True).run()
    assert f"Open-{canned.GUIDE}" not in [item.key for item in desk.button]
    press(desk, f"Restore-{canned.GUIDE}")
    assert f"POST /api/v1/docs/{canned.GUIDE}/restore" in fake.requests
    assert "is back" in texts(desk.success)


def test_a_way_to_sign_in_is_good_once_and_in_its_own_browser() -> None:
    waiting = Waiting()
    state, verifier = waiting.begin("mine")
    other, _ = waiting.begin("mine")
    assert waiting.redeem(state, "mine") == verifier
    assert waiting.redeem(state, "mine") is None
    assert waiting.redeem(other, "somebody else's") is None
    assert waiting.redeem("unknown", "mine") is None


def test_a_cookie_is_the_same_however_it_is_masked() -> None:
    token = bytes(range(16))
    masked = [
        f"2|{mask.hex()}|{bytes(b ^ mask[n % 4] for n, b in enumerate(token)).hex()}|1795000000"
        for mask in (b"abcd", b"wxyz")
    ]
    assert masked[0] != masked[1]
    assert token_of(masked[0]) == token_of(masked[1]) == token.hex()
    assert [token_of(cookie) for cookie in ("", "2|x", "2||00|1", "2|zz|zz|1")] == [""] * 4


def test_a_reader_is_offered_nothing_that_is_refused(open_home: OpenHome, fake: FakeApi) -> None:
    fake.scopes = ["chat", "docs:read"]
    desk = open_home(fake.url).switch_page("views/documents.py").run()
    assert "Process" not in labels(desk)
    press(desk, f"Versions-{canned.GUIDE}")
    assert "Use this version" not in labels(desk)
    assert "Delete" not in labels(desk)


def test_the_list_is_searched(desk: AppTest) -> None:
    search = next(item for item in desk.text_input if item.label.startswith("Search"))
    search.set_value("osal").run()
    assert [item.key for item in desk.button if item.label == "Open"] == [f"Open-{canned.OSAL}"]


def test_the_figures_and_what_was_not_answered(home: AppTest, fake: FakeApi) -> None:
    page = home.switch_page("views/analytics.py").run()
    assert not page.exception
    assert "GET /api/v1/admin/analytics?days=7" in fake.requests
    figures = {item.label: item.value for item in page.metric}
    assert (figures["Questions"], figures["From the cache"], figures["Thumbs up"]) == (
        "20",
        "25%",
        "75%",
    )
    tables = [item.value.to_dict("records") for item in page.dataframe]
    assert tables[2] == [{"Question": "What is for lunch?", "Times": 2, "Last": "2026-11-20"}]
    assert "](http" not in "".join(item.value for item in page.markdown)


def test_a_period_without_questions(home: AppTest, fake: FakeApi) -> None:
    fake.analytics["totals"] = canned.ANALYTICS["totals"] | {"questions": 0}
    page = home.switch_page("views/analytics.py").run()
    assert "Nothing was asked" in texts(page.info)


def test_signing_in_comes_back_once_and_only_to_its_own_browser(
    open_home: Callable[..., AppTest], fake: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCENT_OAUTH_CLIENT_ID", "cli_1")
    home = open_home(fake.url, key="")
    state = home.session_state["sign_in_link"].partition("state=")[2].partition("&")[0]
    assert "code_challenge_method=S256" in home.session_state["sign_in_link"]
    home.query_params["state"], home.query_params["code"] = state, "abc"
    home.run()
    assert home.session_state["access_token"] == canned.KEY
    assert "code" not in home.query_params
    again = open_home(fake.url, key="")
    again.query_params["state"], again.query_params["code"] = state, "abc"
    again.run()
    assert "You are not signed in" in texts(again.error)
