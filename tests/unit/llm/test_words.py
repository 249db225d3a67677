import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.llm.words import seems_english, stem, stems, words


@pytest.mark.parametrize(
    "family",
    [
        "store stores stored storing",
        "plan plans planned planning planner",
        "invent invented inventing invention inventor inventions",
        "city cities",
        "class classes",
        "box boxes",
        "file files filed",
        "quick quickly",
        "Strasse strasse STRASSE",
    ],
)
def test_families_share_a_stem(family):
    assert len({stem(word) for word in family.split()}) == 1


def test_strangers_do_not():
    strangers = ["process", "princess", "status", "state", "static", "bus", "business"]
    assert len({stem(word) for word in strangers}) == len(strangers)


def test_filler_is_dropped_and_identifiers_stay_whole():
    text = "What does OS_API_Init do in DS3000.2.1 with 1,000 files?"
    assert stems(text) == ["os_api_init", "ds3000.2.1", "1000", "fil"]


def test_scripts_without_spaces_are_paired():
    assert words("数据存储 app") == ["数据", "据存", "存储", "app"]
    assert words("水") == ["水"]
    assert set(words("数据存储")) & set(words("存储器"))


@given(st.text(max_size=100))
def test_any_text_has_words(text):
    assert all(isinstance(found, str) and found for found in stems(text))
    assert all(len(found) <= 200 for found in stems(text))


def test_vowel_signs_belong_to_their_word():
    assert words("\u0939\u093f\u0928\u094d\u0926\u0940 x") == [
        "\u0939\u093f\u0928\u094d\u0926\u0940",
        "x",
    ]


def test_inflected_words_beyond_ascii_meet():
    assert stem("größere") == stem("größeren")
    assert stem("документы") == stem("документов")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("How many files are kept?", True),
        ("disk quota", True),
        ("Wie viele Dateien werden gespeichert?", False),
        ("Где находится файл?", False),
        ("文件大小", False),
    ],
)
def test_what_seems_english(text, expected):
    assert seems_english(text) is expected
