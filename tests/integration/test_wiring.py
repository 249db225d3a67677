"""The house with its real parts: it opens, answers, refuses to start wrongly, and closes."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from app.auth.caller import Caller
from app.chat.answer import Question
from app.errors import ConfigurationError
from app.ingestion.folder import watch
from app.settings import Settings
from app.wiring import open_house, secret_of
from app.worker import main as worker_main
from tests import forks
from tests.conftest import SECRET, FreshDatabase, environment
from tests.integration.workshop import open_workshop, owner_rows, write_book


def settings_for(database: FreshDatabase, home: Path, **changes: object) -> Settings:
    values = {
        "database_url": database.database_url, "redis_url": database.redis_url, "docent_home": home,
        "secret_key": SecretStr(SECRET), "database_pool_size": 3, "provider_order": ["extractive"],
        **changes,
    }  # fmt: skip
    return Settings(_env_file=None, **values)  # type: ignore[call-arg, arg-type]


async def test_every_part_answers_and_nothing_stays_open(
    database: FreshDatabase, tmp_path: Path
) -> None:
    async with open_house(settings_for(database, tmp_path)) as house:
        assert await house.checks() == dict.fromkeys(
            ("postgres", "redis", "index", "embedding"), True
        )
        caller = Caller("ten_nobody", "key_x", frozenset({"chat"}))
        answer = await house.chat.answer(caller, Question("Anything?", "ses_1", 5))
        assert (answer.status, answer.reason) == ("abstained", "no_match")
    left = owner_rows(
        database.database_url,
        "SELECT pid FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    assert left == []


async def test_checks_name_what_is_away(database: FreshDatabase, tmp_path: Path) -> None:
    settings = settings_for(database, tmp_path, redis_url=f"unix://{tmp_path}/no.sock")
    async with open_house(settings) as house:
        await house.pool.close()
        await house.embedder.close()
        assert await house.checks() == dict.fromkeys(
            ("postgres", "redis", "index", "embedding"), False
        )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"embedding_model": "text-3"}, r"EMBEDDING_MODEL=text-3 .* needs EMBEDDING_BASE_URL"),
        ({"embedding_base_url": "http://127.0.0.1:1/v1", "embedding_model": "text-3",
          "embedding_dimension": 768},
          r"holds vectors of all-MiniLM-L6-v2 \(384 .* name text-3 \(768"),
        ({"redis_url": "http://x"}, "REDIS_URL must start with"),
        ({"default_llm_model": "gpt-9"}, "DEFAULT_LLM_MODEL"),
    ],
    ids=["model without an endpoint", "index of another model", "redis url", "unknown model"],
)  # fmt: skip
async def test_a_wrong_start_is_one_sentence(
    database: FreshDatabase, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        async with open_house(settings_for(database, tmp_path, **changes)):
            raise AssertionError("it must not start")
    assert "\n" not in caught.value.detail


def test_the_secret_is_the_configured_one_or_the_homes(
    database: FreshDatabase, tmp_path: Path
) -> None:
    assert secret_of(settings_for(database, tmp_path)) == SECRET.encode()
    minted = secret_of(settings_for(database, tmp_path, secret_key=None))
    assert minted == (tmp_path / "secret.key").read_bytes().strip()


async def test_the_worker_ingests_and_stops_when_asked(
    database: FreshDatabase, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    worker = forks.fork(forks.work, env=environment(database, tmp_path), err=log)
    async with open_workshop(database, "worker") as shop:
        [received] = await shop.receive(write_book(tmp_path / "book.pdf"))
        assert received.document_id is not None
        async for progress in watch(shop.pool, shop.tenant_id, [(received.document_id, 1)]):
            assert progress.failures == {}
            assert worker.is_alive()
        [document] = await shop.documents()
        assert (document.status, document.page_count) == ("ready", 3)
    assert forks.end(worker) == 0
    said = log.read_text()
    assert "worker_started" in said
    assert "worker_stopped" in said
    assert "Traceback" not in said


def test_a_worker_with_a_wrong_setting_says_so_and_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JOB_ATTEMPTS", "none")
    assert worker_main() == 1
    out, said = capsys.readouterr()
    assert out == ""
    assert said.startswith("docent: The configuration is not valid: JOB_ATTEMPTS: ")
    assert said.count("\n") == 1
