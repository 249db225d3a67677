"""Answers of a real house judged by a provider made of lies, and by none."""

import json
from pathlib import Path

import pytest

from app.auth.keys import tenant_named
from app.llm.extractive import Extractive
from app.llm.openai_compatible import Model, OpenAiCompatible
from app.llm.router import Router
from app.settings import Settings
from app.wiring import open_house
from scripts import evaluate
from scripts.evaluation.dataset import Asked
from scripts.evaluation.judges import has_model, verdicts
from scripts.evaluation.report import Result, tables
from tests.conftest import SECRET, FreshDatabase
from tests.fake_provider import FakeProvider

QUESTIONS = [
    Asked(str(number), text, (), {}, answerable=True)
    for number, text in enumerate(
        (
            "What is in the Packet Filter Table?",
            "Which two build systems can I choose from to build OSAL?",
            "Who won the football world cup in 1998?",
        )
    )
]


async def test_a_model_judges_answers_and_may_fail_to(
    samples_ingested: FreshDatabase, tmp_path: Path
) -> None:
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        docent_home=tmp_path,
        database_url=samples_ingested.database_url,
        redis_url=samples_ingested.redis_url,
        secret_key=SECRET,
        provider_order=["extractive"],
        answer_cache_ttl_s=0,
    )
    tenant_id = tenant_named(samples_ingested.database_url, "default")
    async with FakeProvider() as fake, open_house(settings) as house:
        model = OpenAiCompatible(
            "openai", base_url=fake.url, api_key="k", models=[Model("m", 100_000)]
        )
        judge = Router([model, Extractive()])
        assert has_model(judge)
        fake.behaviour = "echo"  # the prompt asks for YES or NO, so YES is in the echo
        found = await verdicts(house, tenant_id, QUESTIONS, judge)
        assert found == {"faithful": 1.0, "relevant": 1.0, "judged": 2.0, "not judged": 0.0}
        asked = " ".join(message["content"] for message in fake.calls[0].body["messages"])
        assert "Packet Filter Table" in asked
        fake.behaviour = "ok"  # says neither
        found = await verdicts(house, tenant_id, QUESTIONS, judge)
        assert (found["faithful"], found["relevant"]) == (0.0, 0.0)
        fake.behaviour = "status:500"
        found = await verdicts(house, tenant_id, QUESTIONS, judge)
        assert found == {"faithful": None, "relevant": None, "judged": 0.0, "not judged": 2.0}
        await judge.close()


def test_verdicts_stand_in_both_results() -> None:
    judged = {"faithful": 0.5, "relevant": 1.0, "judged": 2.0, "not judged": 0.0}
    result = Result("squad2", 1, 1, 1, 1, 1, {}, judged=judged)
    assert "| judged | faithful | relevant |" in tables([result])
    assert json.loads(json.dumps(result.as_json()))["judged"] == judged


def test_without_a_model_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not has_model(Extractive())
    for name in ("OPENROUTER_API_KEY", "GROQ_API_KEY", "OPENAI_API_KEY", "LOCAL_LLM_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)  # where no .env is
    # A logger that is used meanwhile would keep the program's level for all tests to come.
    monkeypatch.setattr(evaluate, "configure_logging", lambda *_, **__: None)
    passage = {"id": "p1", "title": "Pump", "text": "The pump is tested every nine days."}
    question = {"id": "q1", "question": "How often is the pump tested?", "passage_ids": ["p1"]}
    (tmp_path / "passages.jsonl").write_text(json.dumps(passage), encoding="utf-8")
    (tmp_path / "questions.jsonl").write_text(json.dumps(question), encoding="utf-8")
    assert evaluate.main(["--data", str(tmp_path), "--judge", "1"]) == 0
    told = capsys.readouterr()
    assert told.err.count("no language model is configured: answers are not judged\n") == 1
    assert "judged" not in told.out
