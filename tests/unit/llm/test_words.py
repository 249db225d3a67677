import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.llm.words import count_words, figures, parts, seems_english, spelled, stem, stems, words


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


def test_filler_in_capitals_is_an_acronym_but_where_all_is_in_capitals():
    assert stems("What does CAN stand for?") == ["can"]
    assert stems("WHAT DOES IT SAY OF FILES?") == stems("what does it say of files?")


def test_scripts_without_spaces_are_paired():
    assert words("数据存储 app") == ["数据", "据存", "存储", "app"]
    assert words("水") == ["水"]
    assert words("2015年黑豹队、第3名") == ["2015", "年黑", "黑豹", "豹队", "第", "3", "名"]
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
        ("Was steht in der Richtlinie?", False),
        ("Где находится файл?", False),
        ("文件大小", False),
    ],
)
def test_what_seems_english(text, expected):
    assert seems_english(text) is expected


def test_a_word_is_the_same_however_it_is_set():
    assert words("\ufb01le of\ufb01ce") == ["file", "office"]
    assert words("e\u0301te\u0301") == words("\u00e9t\u00e9")
    assert words("infor-\nmation, long- and short-term") == [
        "information",
        "long",
        "and",
        "short",
        "term",
    ]
    assert words("Daten\u00adschutz") == ["Datenschutz"]
    assert words("\u062a\u064f\u0639\u064e\u0648\u0651\u0636") == words("\u062a\u0639\u0648\u0636")
    assert stem("\u0627\u0644\u0634\u0631\u0643\u0629") == stem(
        "\u0648\u0627\u0644\u0634\u0631\u0643\u0647"
    )


def test_words_are_counted_where_there_are_no_spaces():
    assert count_words("four words of text") == 4
    assert count_words("\u6570\u636e\u5b58\u50a8 in 2024") == 5
    assert count_words("\u0e1e" * 20) == 6


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Was ist die Haftung?", "Haftungsh\u00f6chstgrenze"),
        ("Was ist die H\u00f6chstgrenze?", "Haftungsh\u00f6chstgrenze"),
        ("Какие документы?", "документов"),
        ("Ist ein Hund da?", "Da sind Hunde"),
    ],
)
def test_the_parts_of_a_question_are_found_inflected_and_in_compounds(question, text):
    assert all(part in spelled(text) for part in parts(question))
    assert not any(part in spelled("Etwas ganz anderes") for part in parts(question))


def test_a_question_of_small_words_alone_keeps_them():
    assert parts("Was ist das?") == [" was ", " ist ", " das "]


def test_a_figure_is_the_same_however_its_thousands_are_set():
    assert (
        figures("1,048,576")
        == figures("1 048 576")
        == figures("1\u202f048\u202f576")
        == {"1048576"}
    )
    assert figures("in 2011 300 people, 5.5 %") == {"2011", "300", "5.5"}


@pytest.mark.parametrize(
    ("question", "telling"),
    [
        ("Y a-t-il du wifi ?", [" wifi"]),
        ("Wi-Fiはありますか。", [" wi ", " fi "]),
        ("ありますか。", [" あり ", " りま ", " ます ", " すか "]),
    ],
)
def test_what_only_asks_is_no_part_of_a_question(question, telling):
    assert parts(question) == telling
