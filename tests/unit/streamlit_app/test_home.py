"""The page as a visitor uses it, run by Streamlit's test runner against the fake API."""

import base64
import re
import time
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from streamlit_app.suggestions import SUGGESTIONS
from tests.unit.streamlit_app import canned
from tests.unit.streamlit_app.fake_api import FakeApi

OpenHome = Callable[..., AppTest]


def ask(home: AppTest, question: str) -> AppTest:
    return home.chat_input[0].set_value(question).run()


def click(home: AppTest, label: str) -> AppTest:
    return next(item for item in home.button if item.label == label).click().run()


def labels(home: AppTest) -> list[str]:
    return [item.label for item in home.button]


def texts(elements: object) -> str:
    return "\n".join(str(item.value) for item in elements).replace("\\", "")


def test_first_paint(home: AppTest, fake: FakeApi) -> None:
    assert not home.exception
    assert home.title[0].value == "Docent"
    assert "tied to the page" in home.caption[0].value
    assert [item.question for item in SUGGESTIONS] == [
        label for label in labels(home) if label not in ("Reset conversation", "Forget these keys")
    ]
    side = texts(home.sidebar.markdown)
    assert "CFS DS Application User's Guide" in side
    assert "22 pages · version 3 · :green[ready]" in side
    assert "Running" in side
    assert home.sidebar.selectbox[0].options == [
        "Automatic",
        "Gemini (OpenRouter), not available",
        "Llama 3 (Groq), resting",
        "Extractive",
    ]
    assert "API key" not in [item.label for item in home.text_input]
    assert canned.KEY not in "".join(fake.paths)


def test_asking_shows_the_answer_and_a_card_per_citation(home: AppTest, fake: FakeApi) -> None:
    ask(home, "What does DS do?")
    assert not home.exception
    assert [message.name for message in home.chat_message] == ["user", "assistant"]
    said = texts(home.chat_message[1].markdown)
    assert ":primary[**[1]**]" in said
    assert "**CFS DS Application User's Guide** :gray-badge[p. 39] :gray-badge[v1]" in said
    assert ":blue-badge[data storage]" in said
    assert [item.value for item in home.chat_message[1].text] == [
        " ".join(canned.RESET_QUOTE.split()),
        " ".join(canned.OSAL_QUOTE.split()),
    ]
    assert texts(home.chat_message[1].caption) == "Extractive · 22 ms · search 4 ms"
    assert fake.chats[0]["session_id"] is None
    assert not home.chat_input[0].disabled


def test_a_follow_up_carries_the_session_on(home: AppTest, fake: FakeApi) -> None:
    ask(ask(home, "first"), "second")
    assert [chat["session_id"] for chat in fake.chats] == [None, "ses_1"]
    assert len(home.chat_message) == 4


def test_a_suggestion_asks_its_question(home: AppTest, fake: FakeApi) -> None:
    click(home, SUGGESTIONS[0].question)
    assert [chat["question"] for chat in fake.chats] == [SUGGESTIONS[0].question]
    assert SUGGESTIONS[1].question not in labels(home)


def test_the_page_opens_with_the_quote_highlighted(home: AppTest, fake: FakeApi) -> None:
    click(ask(home, "What does DS do?"), "Open page 39")
    assert not home.exception
    assert "version 1" in texts(home.caption)
    shown = texts(home.markdown)
    assert ":orange-background[On power-on reset, DS performs a cFE application-specific" in shown
    assert ":orange-background[1. Initializes housekeeping data and global variables.]" in shown
    assert "3.3.2 Processor Reset" in shown
    assert f"/api/v1/docs/{canned.GUIDE}/pages/39?version=1" in fake.paths


def test_a_page_that_has_gone_is_a_friendly_problem(home: AppTest, fake: FakeApi) -> None:
    ask(home, "x")
    fake.read_problem = canned.problem(404, "not_found", "Not found", "No such page.")
    click(home, "Open page 39")
    assert "**Not found**" in texts(home.error)


def test_a_card_shows_the_page_it_quotes(home: AppTest, fake: FakeApi) -> None:
    ask(home, "What does DS do?")
    wanted = f"GET /api/v1/docs/{canned.GUIDE}/pages/39/image?version=1&highlight=ans_1"
    assert fake.requests.count(wanted) == 1
    pictures = home.get("image")
    assert len(pictures) == 2
    for picture in pictures:
        head, _, encoded = picture.proto.imgs[0].url.partition(",")
        assert head == "data:image/png;base64", "not on Streamlit's server, where anybody reads it"
        assert base64.b64decode(encoded) == canned.PICTURE
    home.run()
    assert fake.requests.count(wanted) == 1, "asked for once, however often the page is drawn"


def test_a_page_missed_in_an_outage_is_shown_after_it(home: AppTest, fake: FakeApi) -> None:
    fake.read_problem = canned.DOWN
    assert not ask(home, "What does DS do?").get("image")
    fake.read_problem = None
    assert len(home.run().get("image")) == 2


def test_a_source_without_picture_is_shown_as_text(home: AppTest, fake: FakeApi) -> None:
    fake.has_pictures = False
    ask(home, "What does DS do?")
    assert not home.get("image")
    click(home, "Open page 39")
    assert not home.error
    assert "3.3.2 Processor Reset" in texts(home.markdown)


def test_what_the_sources_do_not_carry_is_told(home: AppTest) -> None:
    ask(home, "#unsupported")
    assert "Not supported by the pages cited" in texts(home.warning)
    assert "](http" not in "".join(item.value for item in home.warning)
    assert "50% supported by its sources" in texts(home.caption)


def test_a_thumb_and_a_comment_reach_the_api(home: AppTest, fake: FakeApi) -> None:
    ask(home, "What does DS do?")
    home.feedback[0].set_value(0).run()
    assert fake.opinions == [{"score": -1, "comment": None}]
    home.text_area[0].set_value("The page is wrong.")
    click(home, "Send comment")
    assert fake.opinions[1:] == [{"score": -1, "comment": "The page is wrong."}]
    home.run()
    assert len(fake.opinions) == 2


def test_own_keys_serve_until_they_are_forgotten(home: AppTest, fake: FakeApi) -> None:
    home.sidebar.text_input(key="provider_key_openrouter").set_value("or_mine").run()
    assert "Gemini (OpenRouter), your key" in home.sidebar.selectbox[0].options
    ask(home, "x")
    assert fake.provider_keys == {"X-Provider-Key-OpenRouter": "or_mine"}
    click(home, "Forget these keys")
    ask(home, "y")
    assert fake.provider_keys == {}


def test_signing_out_forgets_everything(open_home: OpenHome, fake: FakeApi) -> None:
    home = open_home(fake.url, key="")
    home.sidebar.text_input(key="api_key_input").set_value(canned.KEY).run()
    home.sidebar.text_input(key="provider_key_groq").set_value("gsk_mine").run()
    ask(home, "x")
    click(home, "Sign out")
    assert not home.chat_message
    assert not {canned.KEY, "gsk_mine"} & {item.value for item in home.text_input}
    assert "Enter your API key" in texts(home.info)


def test_limits_are_shown_and_warned_of(home: AppTest, fake: FakeApi) -> None:
    assert not home.sidebar.warning
    fake.limits = [canned.limit(2), canned.limit(0, 600)]
    ask(home, "x")
    assert "Nearly used up" in texts(home.sidebar.warning)
    assert "Used up" in texts(home.sidebar.warning)


def test_an_abstention_is_a_friendly_box_without_citations(home: AppTest) -> None:
    ask(home, "What is the capital of France?")
    assert "could not find an answer" in texts(home.info)
    assert "Nothing in the documents matches" in texts(home.info)
    assert not home.error
    assert not [label for label in labels(home) if label.startswith("Open page")]


def test_an_incomplete_answer_is_labelled(home: AppTest) -> None:
    ask(home, "#incomplete")
    assert "Incomplete answer" in texts(home.warning)
    assert canned.TRACE_ID in texts(home.warning)
    assert "Open page 39" in labels(home)


def test_failover_and_cost_stand_in_the_caption(home: AppTest) -> None:
    ask(home, "#failover")
    assert texts(home.chat_message[1].caption) == (
        "Llama 3 (Groq), llama-3.3-70b-versatile · 1.8 s · first word 310 ms · search 4 ms"
        " · 876 tokens · $0.0004 · tried: openrouter rate limited, then groq ok"
    )


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("#422", "temperature: must be at most 2."),
        ("#500", "Something went wrong here."),
        ("#503", "it usually recovers soon"),
    ],
)
def test_problems_are_told_with_a_trace_id_and_another_try(
    home: AppTest, question: str, expected: str
) -> None:
    ask(home, question)
    assert not home.exception
    assert expected in texts(home.error)
    assert canned.TRACE_ID in texts(home.error)
    assert "Ask again" in labels(home)


def test_asking_again_after_a_503(home: AppTest, fake: FakeApi) -> None:
    fake.next_problems = [canned.DOWN]
    click(ask(home, "x"), "Ask again")
    assert not home.error
    assert len(home.chat_message) == 2
    assert [chat["question"] for chat in fake.chats] == ["x", "x"]


def test_a_limit_counts_down_before_another_try(home: AppTest, fake: FakeApi) -> None:
    fake.next_problems = [canned.LIMITED | {"retry_after_s": 1}]
    ask(home, "x")
    assert "Too many requests" in texts(home.warning)
    assert "You can ask again in 1 s." in texts(home.caption)
    assert "Ask again" not in labels(home)
    time.sleep(1)
    assert "Ask again" in labels(home.run())


def test_the_api_is_down(open_home: OpenHome) -> None:
    home = open_home("http://127.0.0.1:9")
    assert not home.exception
    assert "cannot be reached" in texts(home.error)
    assert "make run" in texts(home.error)
    assert "Not reachable" in texts(home.sidebar.markdown)
    ask(home, "anyone?")
    assert "cannot be reached" in texts(home.error)


def test_an_address_that_is_none(open_home: OpenHome) -> None:
    home = open_home("http://host:port")
    assert not home.exception
    assert "not an address" in texts(home.error)


def test_no_key_asks_for_one_and_takes_it(open_home: OpenHome, fake: FakeApi) -> None:
    home = open_home(fake.url, key="")
    assert "Enter your API key in the sidebar" in texts(home.info)
    assert home.chat_input[0].disabled
    assert set(fake.paths) == {"/health"}
    home.sidebar.text_input[0].set_value(canned.KEY).run()
    assert not home.info
    assert "Documents (2)" in texts(home.sidebar.subheader)
    ask(home, "x")
    assert "Open page 39" in labels(home)


def test_a_wrong_key_is_told_and_can_be_replaced(open_home: OpenHome, fake: FakeApi) -> None:
    home = open_home(fake.url, key="dk_wrong")
    assert "The API key is not known." in texts(home.warning)
    home.sidebar.text_input[0].set_value(canned.KEY).run()
    assert not home.warning
    assert SUGGESTIONS[0].question in labels(home)


def test_a_key_revoked_in_mid_conversation_brings_the_input(home: AppTest, fake: FakeApi) -> None:
    fake.next_problems = [canned.UNAUTHORIZED]
    fake.read_problem = canned.UNAUTHORIZED
    ask(home, "x")
    assert home.sidebar.text_input[0].label == "API key"


def test_reset_forgets_turns_and_session(home: AppTest, fake: FakeApi) -> None:
    click(ask(home, "first"), "Reset conversation")
    assert not home.chat_message
    assert SUGGESTIONS[0].question in labels(home)
    ask(home, "second")
    assert [chat["session_id"] for chat in fake.chats] == [None, None]
    assert "DELETE /api/v1/sessions/ses_1" in fake.requests


def test_choices_of_the_sidebar_are_sent(home: AppTest, fake: FakeApi) -> None:
    home.sidebar.selectbox[0].select("extractive")
    home.sidebar.slider[0].set_value(9)
    home.sidebar.toggle[0].set_value(True).run()
    home.sidebar.slider[1].set_value(0.3)
    home.sidebar.slider[2].set_value(256)
    ask(home, "x")
    sent = fake.chats[0]
    assert (sent["model"], sent["top_k"], sent["temperature"], sent["max_tokens"]) == (
        "extractive",
        9,
        0.3,
        256,
    )


def test_an_unavailable_model_is_pointed_out(home: AppTest) -> None:
    home.sidebar.selectbox[0].select("google/gemini-2.5-flash").run()
    assert "not available right now" in texts(home.sidebar.caption)


def test_an_empty_corpus_says_how_to_fill_it(open_home: OpenHome, fake: FakeApi) -> None:
    fake.documents.clear()
    home = open_home(fake.url)
    assert "No documents yet" in texts(home.info)
    assert home.code[0].value == "make ingest DIR=path/to/folder"
    assert [link.proto.label for link in home.get("page_link")] == ["Upload documents"]
    assert labels(home) == ["Reset conversation", "Forget these keys"]


def test_an_empty_corpus_offers_a_reader_no_upload(open_home: OpenHome, fake: FakeApi) -> None:
    fake.documents.clear()
    fake.scopes = ["chat", "docs:read"]
    home = open_home(fake.url)
    assert "may not upload" in texts(home.info)
    assert not home.get("page_link")


def test_documents_on_their_way_and_broken_ones_are_told(
    open_home: OpenHome, fake: FakeApi
) -> None:
    fake.documents[0]["status"] = "processing"
    fake.documents[1] |= {"status": "failed", "error": {"code": "encrypted"}}
    home = open_home(fake.url)
    assert "Still being read: 1 of 2 documents" in texts(home.info)
    side = texts(home.sidebar.markdown)
    assert ":orange[processing]" in side
    assert ":red[failed]" in side
    assert "encrypted" in side


def test_a_long_list_and_a_sick_api(open_home: OpenHome, fake: FakeApi) -> None:
    fake.documents += [canned.document(f"doc_{n}", f"Book {n}", f"{n}.pdf") for n in range(9)]
    checks = {"postgres": "ok", "redis": "down"}
    fake.health = (200, {"status": "degraded", "version": "0.1.0", "checks": checks})
    home = open_home(fake.url)
    assert "Documents (11)" in texts(home.sidebar.subheader)
    assert "Not well: redis" in texts(home.sidebar.caption)


def test_hostile_text_reaches_the_page_only_as_text(home: AppTest) -> None:
    ask(home, "#hostile")
    click(home, "Open page 1")
    assert not home.exception
    for element in (*home.markdown, *home.caption):
        assert not element.allow_html
        assert "](http" not in element.value
        assert not re.search(r"(?<!\\)<script", element.value)
    assert canned.HOSTILE_TEXT in [item.value for item in home.text]
