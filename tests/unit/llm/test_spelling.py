import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.llm.spelling import is_slip, put_right, vocabulary_of
from app.settings import MODEL_DIR
from tests.unit.llm.asking import source

VOCABULARY = vocabulary_of(MODEL_DIR)
LETTERS = st.text(string.ascii_lowercase, min_size=2, max_size=12)
QUOTA = source(
    "A quota is the disk space that a department may occupy. Quotas are raised by the "
    "administrator once the statue in the palace of Zamosc was characterised."
)


@pytest.mark.parametrize(
    ("question", "meant"),
    [
        ("Who raises a quoat?", "Who raises a quota?"),
        ("Who is the admnistrator?", "Who is the administrator?"),
        ("Who is the administtrator?", "Who is the administrator?"),
        ("Which departnent is it?", "Which department is it?"),
        ("waht may a department occupy, and wich quota?", None),
        ("Waht is a quota?", "What is a quota?"),
        ("\u00bfWhcih department is it?", "\u00bfWhich department is it?"),
        ("How was it charecterised?", "How was it characterised?"),
    ],
)
def test_a_slip_is_put_right(question: str, meant: str | None) -> None:
    meant = meant or "what may a department occupy, and which quota?"
    assert put_right(question, [QUOTA], VOCABULARY) == meant


@pytest.mark.parametrize(
    "question",
    [
        "Where is the state?",  # a statue is not meant
        "How many places are there?",  # nor a palace
        "Who is Admnistrator Quoat?",  # one letter makes another name
        "Quoat is what?",  # so it may
        "Zamocs is where?",
        "Who raises a qouat?",  # two slips
        "Who pays for kubernetes?",  # nothing near it is told
        "What is a X-quoat or a quoat's?",  # parts of other words
        "Whose quota is a quoat?",  # it is there already
        "",
    ],
)
def test_what_is_none_is_left_as_it_is(question: str) -> None:
    assert put_right(question, [QUOTA], VOCABULARY) == question


def test_without_a_vocabulary_nothing_is() -> None:
    assert put_right("Who raises a quoat?", [QUOTA], ()) == "Who raises a quoat?"
    assert put_right("Who raises a quoat?", [], VOCABULARY) == "Who raises a quoat?"


def test_the_most_frequent_of_several_is_meant() -> None:
    told = [source("Of Gordon, his garden and other gardens, above all the garden of Kent.")]
    assert put_right("What of the gorden?", told, VOCABULARY) == "What of the garden?"


def test_a_vocabulary_is_read_from_the_models_folder(tmp_path) -> None:
    assert {"statue", "state", "palaces", "department"} <= VOCABULARY
    assert not {"charecterised", "departnent", "the", "Zamosc"} & VOCABULARY
    assert vocabulary_of(tmp_path) == frozenset()
    for damaged in (b"{", b"[]", json.dumps({"model": {}}).encode()):
        folder = tmp_path / str(len(damaged))
        folder.mkdir()
        (folder / "tokenizer.json").write_bytes(damaged)
        assert vocabulary_of(folder) == frozenset()


@given(LETTERS, st.data())
def test_one_slip_is_one_and_two_words_agree_on_it(word: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(1, len(word) - 1))
    letter = data.draw(st.sampled_from(string.ascii_lowercase))
    for other in (
        word[:at] + word[at + 1 :],
        word[:at] + letter + word[at:],
        word[:at] + letter + word[at + 1 :],
        word[:at] + word[at : at + 2][::-1] + word[at + 2 :],
    ):
        assert is_slip(word, other) is is_slip(other, word) is (word != other)
    assert not is_slip(word, "".join(reversed(word)) + "xx")
