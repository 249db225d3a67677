"""What an answer says is held against the passages it cites, sentence by sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat.grounding import SUPPORTED, ground
from app.chat.quotable import Quotable

GUIDE = "A file may be at most 10 MB large. Files older than five days are closed automatically."
FRAMES = "SCH shall schedule a maximum of 5 activities in each minor frame."


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("A file may be at most 10 MB large [1].", 1.0),
        ("A file may be at most 10 MB\nlarge. [1]", 1.0),
        ("Files may have at most 10 MB [1]. Old files are closed automatically [1].", 1.0),
        ("Files close automatically. They may have 10 MB at most [1].", 1.0),
        ("At most 5 activities in a frame, files of 10 MB [2] [1].", 1.0),
        ("A file may be at most 20 MB large [1].", 0.0),
        ("A file may be at most 10 MB large.", 0.0),
        ("A file may be at most 10 MB large [7].", 0.0),
        ("A file may be 10 MB large [1]. Bananas are grown in warm countries [1].", 0.5),
        ("A file may be 10 MB large [1]. It was written by Napoleon", 0.5),
    ],
)
def test_the_share_of_supported_sentences(text: str, share: float) -> None:
    grounding = ground(text, {1: Quotable(GUIDE), 2: Quotable(FRAMES)})
    assert grounding is not None
    assert grounding.share == share
    assert bool(grounding.unsupported) == (share < 1)


def test_what_is_not_supported_is_named_and_scored() -> None:
    text = "A file may be at most 20 MB large [1]. The moon is far away [1]. It shines."
    grounding = ground(text, {1: Quotable(GUIDE)})
    assert grounding is not None
    assert [(one.text, one.support) for one in grounding.unsupported] == [
        ("A file may be at most 20 MB large", 0.4),
        ("The moon is far away", 0.0),
        ("It shines.", 0.0),
    ]
    assert grounding.share == 0.0


def test_scripts_without_spaces() -> None:
    grounding = ground(
        "文件大小上限为十兆字节 [1]。", {1: Quotable("文件大小上限为十兆字节。天气非常好。")}
    )
    assert grounding is not None
    assert grounding.share == 1.0


@pytest.mark.parametrize("text", ["", "  ", "[1]", "... [1]!"])
def test_nothing_said_is_nothing_grounded(text: str) -> None:
    assert ground(text, {1: Quotable(GUIDE)}) is None


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_answer_has_a_share(text: str, passage: str) -> None:
    grounding = ground(text, {1: Quotable(passage)})
    if grounding is not None:
        assert 0 <= grounding.share <= 1
        assert all(0 <= one.support < SUPPORTED for one in grounding.unsupported)


def test_a_sentence_that_its_passage_denies_is_not_supported() -> None:
    passage = "Hot standby is supported. Operation with sea water is not supported."
    grounding = ground(
        "Operation in sea water is supported [1]. Hot standby is [1].", {1: Quotable(passage)}
    )
    assert grounding is not None
    assert [one.text for one in grounding.unsupported] == ["Operation in sea water is supported"]
