"""The measuring stick: metrics on examples worked by hand, and what must hold for any ranking."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidRequest
from app.retrieval.rerank import Rankings
from app.settings import Settings
from scripts import evaluate
from scripts.evaluation.ablation import ablation_table, variants
from scripts.evaluation.answers import Judged, summed_up
from scripts.evaluation.calibration import auroc
from scripts.evaluation.dataset import Asked, load, page_place
from scripts.evaluation.metrics import (
    contains_answer,
    hit,
    mean,
    ndcg,
    normalised,
    precision_recall,
    reciprocal_rank,
)
from scripts.evaluation.rankings import Found, averaged, judge
from scripts.evaluation.remembered import RememberedEmbedder
from scripts.evaluation.report import FLOORS, Result, tables
from tests.fakes import CountingEmbedder

ROOT = Path(__file__).resolve().parents[2]
places = st.lists(st.sampled_from("abcdefghijkl"), unique=True, max_size=12)
grades = st.dictionaries(
    st.sampled_from("abcdefghijkl"), st.integers(1, 4).map(float), min_size=1, max_size=12
)


def test_hit_and_reciprocal_rank_by_hand() -> None:
    assert hit(["x", "a"], {"a"}, 1) == 0
    assert hit(["x", "a"], {"a"}, 2) == 1
    assert reciprocal_rank(["x", "a", "b"], {"a", "b"}, 10) == 0.5
    assert reciprocal_rank(["x", "y", "a"], {"a"}, 2) == 0


def test_ndcg_by_hand() -> None:
    # Gains 3, 2, 3, 0, 1, 2 at ranks 1 to 6: DCG 6.861, ideal order 7.141 (Wikipedia's example).
    graded = {"a": 3.0, "b": 2.0, "c": 3.0, "d": 0.0, "e": 1.0, "f": 2.0}
    assert ndcg("abcdef", graded, 6) == pytest.approx(0.961, abs=5e-4)
    assert ndcg(["c", "a", "b", "f", "e"], graded, 6) == 1
    assert ndcg([], graded, 6) == 0
    assert ndcg("abc", {}, 6) == 0


@given(places, grades, st.integers(1, 10))
def test_every_metric_is_a_share(ranked: list[str], graded: dict[str, float], k: int) -> None:
    for value in (
        hit(ranked, graded, k),
        reciprocal_rank(ranked, graded, k),
        ndcg(ranked, graded, k),
    ):
        assert 0 <= value <= 1 + 1e-9


@given(places, grades, st.integers(1, 10))
def test_looking_further_never_hurts(ranked: list[str], graded: dict[str, float], k: int) -> None:
    assert hit(ranked, graded, k) <= hit(ranked, graded, k + 1)
    assert reciprocal_rank(ranked, graded, k) <= reciprocal_rank(ranked, graded, k + 1)


@given(places.filter(lambda ranked: len(ranked) > 1), grades, st.data())
def test_moving_the_better_place_up_never_hurts(
    ranked: list[str], graded: dict[str, float], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(ranked) - 2))
    swapped = ranked.copy()
    swapped[at], swapped[at + 1] = swapped[at + 1], swapped[at]
    if graded.get(swapped[at], 0) >= graded.get(ranked[at], 0):
        assert ndcg(swapped, graded, 10) >= ndcg(ranked, graded, 10) - 1e-12
        assert reciprocal_rank(swapped, graded, 10) >= reciprocal_rank(ranked, graded, 10)


@given(grades)
def test_the_ideal_order_is_worth_one(graded: dict[str, float]) -> None:
    ideal = sorted(graded, key=lambda place: -graded[place])
    assert ndcg(ideal, graded, 10) == pytest.approx(1)


@given(places.filter(bool), grades)
def test_a_place_counts_once(ranked: list[str], graded: dict[str, float]) -> None:
    doubled = [place for place in ranked for _ in range(2)]
    assert ndcg(doubled, graded, 10) == ndcg(ranked, graded, 10)


def test_answers_are_compared_as_squad_compares_them() -> None:
    assert normalised("The  U.S. Department of Defense.") == "u s department of defense"
    assert contains_answer("It was funded by the US (1958).", ["1958"])
    assert contains_answer("… Distributed Adaptive\nMessage Block …", ["adaptive message"])
    assert not contains_answer("It held 3080 points.", ["308"])
    assert not contains_answer("Nothing.", ["", "the"])
    assert not contains_answer("Nothing.", [])


def test_an_answer_is_found_where_there_are_no_spaces() -> None:
    text = "\u9ed1\u8c79\u961f\u53ea\u4e22\u4e86 308\u5206\u3002"
    assert contains_answer(text, ["308"])
    assert contains_answer(text, ["\u8c79\u961f"])
    assert not contains_answer(text, ["30"])


@given(st.text(max_size=80), st.text(min_size=1, max_size=20), st.text(max_size=80))
def test_what_was_put_in_is_found(before: str, answer: str, after: str) -> None:
    if normalised(answer):
        assert contains_answer(f"{before} | {answer} | {after}", [answer])


def test_precision_and_recall_by_hand() -> None:
    assert precision_recall([True, True, False], [True, False, True]) == (0.5, 0.5)
    assert precision_recall([False], [True]) == (None, 0)
    assert precision_recall([True], [False]) == (0, None)
    assert mean([]) is None


@given(st.lists(st.tuples(st.booleans(), st.booleans())))
def test_precision_and_recall_are_shares(pairs: list[tuple[bool, bool]]) -> None:
    said, true = [one for one, _ in pairs], [other for _, other in pairs]
    for value in precision_recall(said, true):
        assert value is None or 0 <= value <= 1


def test_a_page_counts_where_its_best_chunk_stands() -> None:
    asked = Asked("q", "?", ("42",), {"gold": 1.0}, answerable=True)
    found = [Found(place, "") for place in ("x", "x", "x", "y", "y", "gold")]
    values = judge(asked, [*found, Found("gold", "42")])
    assert values["hit@5"] == 1  # third page
    assert values["MRR@10"] == pytest.approx(1 / 3)
    assert values["served@5"] == 0  # sixth chunk
    assert values["contains@5"] == 0
    assert averaged([values, {"hit@5": 0.0}])["hit@5"] == 0.5


def test_answers_are_summed_up() -> None:
    right = Judged(True, False, 1.0, words=10, citations=2, on_gold_page=1, exact=2)
    silent = Judged(True, True, 0.0, words=20, citations=0, on_gold_page=0, exact=0)
    rightly_silent = Judged(False, True, None, words=20, citations=0, on_gold_page=0, exact=0)
    assert summed_up([right, silent, rightly_silent]) == {
        "contains": 0.5,
        "words": 10,
        "citation precision": 0.5,
        "any citation right": 1,
        "quotes exact": 1,
        "abstention precision": 0.5,
        "abstention recall": 1,
        "wrongly abstained": 0.5,
    }


def write(folder: Path, name: str, rows: list[dict[str, object]]) -> None:
    folder.joinpath(name).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def test_each_language_is_a_corpus_and_each_article_a_document(tmp_path: Path) -> None:
    passages = [("p1", "Rain", "en"), ("p2", "Snow", "en"), ("p3", "Rain", "en"), ("p4", "", "de")]
    write(
        tmp_path,
        "passages.jsonl",
        [{"id": i, "title": t, "text": f"text {i}", "lang": lang} for i, t, lang in passages],
    )
    questions = [("q1", "en"), ("q2", "en"), ("q3", "de")]
    write(
        tmp_path,
        "questions.jsonl",
        [{"id": i, "question": "?", "passage_ids": ["p1"], "lang": lang} for i, lang in questions],
    )
    english, german = load(tmp_path, limit=1).corpora
    assert [(text.title, [place for place, _ in text.pages]) for text in english.texts] == [
        ("Rain", ["p1", "p3"]),
        ("Snow", ["p2"]),
    ]
    assert [asked.id for asked in english.questions] == ["q1"]
    assert [asked.id for asked in german.questions] == ["q3"]
    (everything,) = load(tmp_path, limit=1, together=True).corpora
    assert [asked.id for asked in everything.questions] == ["q1", "q3"]
    assert everything.texts == [*english.texts, *german.texts]


def test_ids_name_pages_of_pdfs(tmp_path: Path) -> None:
    (tmp_path / "pdfs").mkdir()
    row = {"id": "q", "question": "?", "passage_ids": ["fb:BLOCK_2020_10K#p86"], "answers": ["1"]}
    write(tmp_path, "questions.jsonl", [row])
    (corpus,) = load(tmp_path).corpora
    assert corpus.pdf_folder == tmp_path / "pdfs"
    assert corpus.questions[0].grades == {page_place("BLOCK_2020_10K", 86): 1.0}


def test_a_folder_that_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"questions\.jsonl"):
        load(tmp_path)
    write(tmp_path, "questions.jsonl", [])
    with pytest.raises(InvalidRequest, match=r"passages\.jsonl"):
        load(tmp_path)
    (tmp_path / "pdfs").mkdir()
    write(tmp_path, "questions.jsonl", [{"id": "q", "question": "?", "passage_ids": ["p1"]}])
    with pytest.raises(InvalidRequest, match="page of a PDF"):
        load(tmp_path)


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = evaluate.parse(["--data", str(tmp_path), "--limit", "3", "--answers"])
    assert (options.data, options.limit, options.answers) == ([tmp_path], 3, True)
    assert evaluate.main(["--data", str(tmp_path)]) == 1
    assert "questions.jsonl" in capsys.readouterr().err


def test_nothing_of_a_real_house_is_touched(tmp_path: Path) -> None:
    real = Settings(
        _env_file=None,  # type: ignore[call-arg]
        database_url="postgresql://real",
        redis_url="redis://real",
        docent_home=tmp_path / "real",
        openai_api_key="sk-real",
    )
    settings = evaluate.throw_away(real, tmp_path)
    assert settings.docent_home == tmp_path
    assert settings.database_url is settings.migration_database_url is settings.redis_url is None
    assert settings.provider_order == ["extractive"]


def test_floors_stand_beside_what_was_measured() -> None:
    fused = {"hit@1": 0.9, "hit@5": 1.0}
    result = Result("squad2", 2, 72, 80, 859, 346, {"fused": fused}, {"contains": 0.5, "words": 52})
    shown = tables([result])
    assert "346 questions" in shown
    lines = [[cell.strip() for cell in line.split("|")[2:5]] for line in shown.splitlines()]
    assert ["fused", ".900", "1.000"] in lines
    assert ["floor", ".746", ".947"] in lines
    assert ["target", ".820", ".965"] in lines
    assert "52.0" in shown
    assert result.as_json()["floors"] == FLOORS["squad2"]


def test_the_published_tables_are_those_of_the_published_numbers() -> None:
    folder = ROOT / "docs" / "benchmarks"
    rows = json.loads((folder / "retrieval.json").read_text(encoding="utf-8"))
    results = [Result(**{name: row[name] for name in row if name != "floors"}) for row in rows]
    assert tables(results) in (folder / "retrieval.md").read_text(encoding="utf-8")


async def test_what_was_embedded_once_is_read_from_a_file(tmp_path: Path) -> None:
    first = CountingEmbedder()
    remembered = RememberedEmbedder(first, tmp_path)
    rows = await remembered.embed_passages(["one text", "another", "one text"])
    assert first.passages == ["one text", "another"]
    second = CountingEmbedder()
    again = RememberedEmbedder(second, tmp_path)
    assert (await again.embed_passages(["another"]) == rows[1]).all()
    assert (await again.embed_query("one text") == rows[0]).all()
    assert second.passages == []
    assert (await again.embed_passages([])).shape == (0, 384)


def test_ablations_take_one_thing_away_at_a_time() -> None:
    served = Rankings(model="all-MiniLM-L6-v2").for_question("Wie groß darf eine Datei sein?")
    made = variants(served)
    assert [one for one in made if one.ranking == served]
    assert len({one.label for one in made}) == len(made)
    for one in made:
        assert sum(one.ranking.weights) == pytest.approx(1)
    values = {"hit@1": 0.5, "hit@5": 1.0, "MRR@10": 0.7, "nDCG@10": None}
    shown = ablation_table({"xquad en": {"a": values}, "xquad de": {"a": values}, "squad2": {}})
    assert "| **xquad, others** |" in shown
    assert shown.count(".500") == 2


def test_auroc_by_hand() -> None:
    assert auroc([3, 4], [1, 2]) == 1
    assert auroc([1, 2], [1, 2]) == 0.5
    assert auroc([1], [1, 2]) == 0.25
    assert auroc([], [1]) == auroc([1], []) == 0.5


def test_halves_are_the_same_every_time_and_tabled() -> None:
    asked = [Asked(f"q{n}", "", (), {}, answerable=True) for n in range(200)]
    halves = [one.half for one in asked]
    assert halves == [one.half for one in asked]
    assert 80 < halves.count("first") < 120
    assert set(halves) == {"first", "second"}
    rows = [{"hit@1": float(one.half == "first")} for one in asked]
    found = evaluate._halves(asked, rows, [])
    assert found == {"first": {"hit@1": 1.0}, "second": {"hit@1": 0.0}}
    result = Result("squad2", 2, 72, 80, 859, 346, {"fused": {}}, halves=found)
    assert "| squad2 | second | .000" in tables([result])
