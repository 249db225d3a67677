# ruff: noqa: RUF001 - letters of many scripts
"""Languages are told by script and small words; names, tables and short texts do not fool them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.infra.language import DEFAULT, language_of, languages_of, small_words

ENGLISH = "The recorder closes a file when it is larger than the limit that was set for it. "
GERMAN = "Die Datei wird geschlossen, wenn sie größer ist als die Grenze, die für sie gilt. "


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How many points did the Panthers defense surrender?", "english"),
        ("Wie viele Punkte gab die Abwehr der Panthers ab?", "german"),
        ("¿Cuántos puntos dejó escapar la defensa de los Panthers?", "spanish"),
        ("Combien de points la défense des Panthers a-t-elle cédés ?", "french"),
        ("Câte puncte a cedat apărarea celor de la Panthers?", "romanian"),
        ("Panthers savunması kaç sayı verdi?", "turkish"),
        ("Có bao nhiêu điểm mà hàng thủ của Panthers đã để thua?", "simple"),
        ("Сколько очков пропустила защита «Пантерз»?", "russian"),
        ("Скільки очок пропустив захист?", "simple"),
        ("Πόσους πόντους δέχτηκε η άμυνα των Panthers;", "greek"),
        ("كم عدد النقاط التي استسلم لها دفاع بانثرز؟", "arabic"),
        ("دفاع چند امتیاز از دست داد؟", "simple"),
        ("पैंथर्स की डिफ़ेंस ने कितने अंक दिए?", "hindi"),
        ("黑豹队的防守丢了多少分？", "simple"),
        ("แนวรับของแพนเธอร์สเสียกี่คะแนน", "simple"),
        ("パンサーズの守備は何点を失いましたか", "simple"),
    ],
)
def test_a_question_tells_its_language(text: str, language: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize(
    "text",
    ["", "10 MB", "disk quota", "Super Bowl 50", "§ 4.2 ±", "papers on shear flow", "World War I"],
)
def test_what_shows_no_language_has_none(text: str) -> None:
    assert language_of(text) is None


def test_names_and_tables_stay_in_the_language_of_their_document() -> None:
    table = "Rio de la Plata | 10 | 20\nLas Vegas | 30 | 40\nLa Paz | 50 | 60"
    assert languages_of([ENGLISH, table, "1 2 3", ENGLISH]) == ["english"] * 4
    assert languages_of([GERMAN, table, GERMAN]) == ["german"] * 3
    assert languages_of([]) == []
    assert languages_of(["1 | 2 | 3"]) == [DEFAULT]


def test_a_passage_in_another_language_is_told() -> None:
    assert languages_of([ENGLISH, GERMAN * 3, ENGLISH, "文件大小的上限是多少"]) == [
        "english", "german", "english", "simple",
    ]  # fmt: skip


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_has_at_most_one_language(one: str, other: str) -> None:
    assert len(languages_of([one, other])) == 2
    language_of(one)


def test_small_words_are_those_of_one_language() -> None:
    assert "der" in small_words("german")
    assert "der" not in small_words("english")
    assert small_words(None) == frozenset()
