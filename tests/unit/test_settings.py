"""Every knob can be set by its name, is checked, and never shows its value in an error."""

import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.errors import ConfigurationError
from app.settings import ModelFacts, Settings, env_example, load_settings

ROOT = Path(__file__).parents[2]
CANARY = "hunter2-canary"
#: One good value of every knob, as text, and what it becomes. A new knob needs a row here.
GOOD = {
    "answer_cache_ttl_s": ("60", 60),
    "semantic_cache": ("false", False),
    "query_log_days": ("7", 7),
    "bind_address": ("0.0.0.0", "0.0.0.0"),
    "port": ("9000", 9000),
    "tenant_budget_usd": ("12.5", 12.5),
    "key_budget_usd": ("0", 0.0),
    "demo_port": ("9001", 9001),
    "workers": ("5", 5),
    "max_body_bytes": ("2048", 2048),
    "debug": ("true", True),
    "allow_origins": (" https://a.example ,,https://b.example", ["https://a.example", "https://b.example"]),
    "trusted_proxies": (
        " 10.0.0.0/8 , fd00::/8,", [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
    ),
    "ip_requests_per_minute": ("0", 0),
    "ip_requests_per_day": ("9", 9),
    "key_requests_per_minute": ("9", 9),
    "user_requests_per_minute": ("0", 0),
    "tenant_requests_per_minute": ("9", 9),
    "key_questions_per_minute": ("9", 9),
    "tenant_questions_at_once": ("0", 0),
    "tenant_uploads_per_minute": ("9", 9),
    "registration": ("open", "open"),
    "login_failures_per_minute_per_ip": ("9", 9),
    "login_failures_per_minute_per_email": ("9", 9),
    "public_url": ("https://docent.example", "https://docent.example"),
    "access_token_ttl_s": ("60", 60),
    "refresh_token_ttl_s": ("3600", 3600),
    "signing_key_rotation_days": ("1", 1),
    "oidc_issuer": ("https://id.example/realm", "https://id.example/realm"),
    "oidc_client_id": ("docent", "docent"),
    "oidc_client_secret": ("s", "s"),
    "oidc_tenant": ("staff", "staff"),
    "oidc_role": ("editor", "editor"),
    "docent_home": ("/somewhere/else", Path("/somewhere/else")),
    "database_url": ("postgresql://u:p@h/d", "postgresql://u:p@h/d"),
    "migration_database_url": ("postgresql://o:p@h/d", "postgresql://o:p@h/d"),
    "redis_url": ("redis://h:1/2", "redis://h:1/2"),
    "database_pool_size": ("3", 3),
    "database_timeout_s": ("0.5", 0.5),
    "redis_timeout_s": ("0.05", 0.05),
    "secret_key": ("s" * 32, "s" * 32),
    "embedding_base_url": ("http://h/v1", "http://h/v1"),
    "embedding_api_key": ("k", "k"),
    "embedding_model": ("m", "m"),
    "embedding_dimension": ("768", 768),
    "embedding_timeout_s": ("7", 7),
    "next_embedding_base_url": ("http://n/v1", "http://n/v1"),
    "next_embedding_api_key": ("k", "k"),
    "next_embedding_model": ("n", "n"),
    "next_embedding_dimension": ("512", 512),
    "embedding_model_dir": ("/models/x", Path("/models/x")),
    "embedding_threads": ("2", 2),
    "hnsw_ef_search": ("200", 200),
    "blob_store_url": ("s3://bucket", "s3://bucket"),
    "s3_endpoint_url": ("http://h", "http://h"),
    "s3_region": ("eu-west-1", "eu-west-1"),
    "s3_access_key_id": ("k", "k"),
    "s3_secret_access_key": ("s", "s"),
    "s3_virtual_hosted": ("true", True),
    "allow_private_urls": ("true", True),
    "fetch_timeout_s": ("7", 7),
    "worker_concurrency": ("3", 3),
    "max_entries": ("9", 9),
    "max_unpacked_bytes": ("4096", 4096),
    "max_ocr_pages": ("9", 9),
    "ocr_timeout_s": ("7", 7),
    "max_file_bytes": ("4096", 4096),
    "max_pages": ("9", 9),
    "max_text_bytes": ("4096", 4096),
    "parse_timeout_s": ("5", 5),
    "parse_memory_bytes": ("134217728", 134217728),
    "chunk_words": ("90", 90),
    "secrets_dir": ("/", Path("/")),
    "secret_manager": ("aws:docent", "aws:docent"),
    "max_question_tokens": ("500", 500),
    "max_document_chunks": ("999", 999),
    "rerank_model_path": ("/models/y", Path("/models/y")),
    "rerank_api_base_url": ("http://h/v1", "http://h/v1"),
    "rerank_api_key": ("k", "k"),
    "rerank_model": ("m", "m"),
    "rerank_candidates": ("40", 40),
    "rerank_timeout_s": ("0.5", 0.5),
    "job_attempts": ("4", 4),
    "job_stalled_after_s": ("1.5", 1.5),
    "provider_order": ("groq, extractive", ["groq", "extractive"]),
    "default_llm_model": ("m", "m"),
    "openrouter_api_key": ("k", "k"),
    "openrouter_base_url": ("http://h", "http://h"),
    "openrouter_model": ("m, n", ["m", "n"]),
    "groq_api_key": ("k", "k"),
    "groq_base_url": ("http://h", "http://h"),
    "groq_model": ("m, n", ["m", "n"]),
    "openai_api_key": ("k", "k"),
    "openai_base_url": ("http://h", "http://h"),
    "openai_model": ("m, n", ["m", "n"]),
    "local_llm_base_url": ("http://h", "http://h"),
    "local_llm_api_key": ("k", "k"),
    "local_llm_model": ("m, n", ["m", "n"]),
    "connect_timeout_s": ("1", 1),
    "first_token_timeout_s": ("2", 2),
    "idle_timeout_s": ("3", 3),
    "model_facts": (
        '{"m": {"context_tokens": 4096}}', {"m": ModelFacts(context_tokens=4096)}
    ),
    "attempt_timeout_s": ("6", 6),
    "hedge_share": ("0.1", 0.1),
    "total_timeout_s": ("4", 4),
    "cooldown_s": ("5", 5),
    "metrics_backend": ("noop", "noop"),
    "prometheus_multiproc_dir": ("/m", Path("/m")),
    "worker_metrics_port": ("1", 1),
    "dd_agent_host": ("h", "h"),
    "dd_dogstatsd_port": ("1", 1),
    "otel_exporter_otlp_endpoint": ("http://h", "http://h"),
    "otel_exporter_otlp_traces_endpoint": ("http://h/v1/traces", "http://h/v1/traces"),
    "otel_exporter_otlp_traces_headers": ("a=b", "a=b"),
    "langfuse_base_url": ("http://h", "http://h"),
    "langfuse_public_key": ("pk", "pk"),
    "langfuse_secret_key": ("sk", "sk"),
    "tracing_sample_rate": ("0.5", 0.5),
    "tracing_content": ("masked", "masked"),
    "log_level": ("ERROR", "ERROR"),
    "log_json": ("1", True),
    "log_to_file": ("true", True),
    "log_files_max_bytes": ("200000000", 200_000_000),
}  # fmt: skip
#: What a knob is nothing without.
NEEDS = {
    "next_embedding_model": ("next_embedding_dimension",),
    "next_embedding_dimension": ("next_embedding_model",),
    "oidc_issuer": ("oidc_client_id", "oidc_tenant"),
    "rerank_api_base_url": ("rerank_model",),
    "langfuse_public_key": ("langfuse_secret_key",),
    "langfuse_secret_key": ("langfuse_public_key",),
}
BAD = {
    "registration": ["on", "Open"],
    "public_url": [
        "docent.example",
        "ftp://docent.example",
        "https://docent.example/",
        "https://a@b.example",
        "https://a.example/x",
        "https://a.example?x",
    ],
    "access_token_ttl_s": ["0", "59", "86401", "1.5"],
    "refresh_token_ttl_s": ["0", "31536001"],
    "signing_key_rotation_days": ["0"],
    "oidc_issuer": [
        "id.example",
        "https://a@b.example",
        "https://a.example/?x",
        "https://id.example",
    ],
    "oidc_role": ["root"],
    "login_failures_per_minute_per_ip": ["0", "-1"],
    "login_failures_per_minute_per_email": ["0"],
    "tenant_budget_usd": ["-1", "nan", "inf", "100000000"],
    "key_budget_usd": ["-0.01", "much"],
    "port": ["0", "65536", CANARY, "1e3", "-1"],
    "demo_port": ["0"],
    "workers": ["0", "65", CANARY],
    "max_body_bytes": ["1023"],
    "max_question_tokens": ["15"],
    "max_document_chunks": ["0", "1000"],
    "rerank_api_base_url": ["ftp://h"],
    "rerank_candidates": ["1", "41", CANARY],
    "rerank_timeout_s": ["0", CANARY],
    "debug": [CANARY],
    "trusted_proxies": [CANARY, "10.0.0.1/8"],
    "ip_requests_per_minute": ["-1", CANARY],
    "database_pool_size": ["0"],
    "database_timeout_s": ["0", "-1", "inf", "nan", "3601", CANARY],
    "secret_key": [CANARY],
    "embedding_dimension": ["4001", "7"],
    "next_embedding_dimension": ["4001", "7", "512"],
    "next_embedding_model": ["n"],
    "hnsw_ef_search": ["9"],
    "job_attempts": ["0"],
    "provider_order": [CANARY, "groq,groq", ","],
    "groq_model": [",", "a,a"],
    "model_facts": [
        CANARY,
        '{"m": {"prompt_usd": 1}}',
        '{"m": {"context": 4096}}',
        '{"m": {"context_tokens": 4}}',
        '{"m": {"prompt_usd": -1, "completion_usd": 1}}',
    ],
    "hedge_share": ["2", "-1"],
    "metrics_backend": [CANARY, "datadog", "opentelemetry"],
    "otel_exporter_otlp_endpoint": [CANARY],
    "otel_exporter_otlp_traces_endpoint": [CANARY],
    "langfuse_base_url": [CANARY],
    "langfuse_public_key": [CANARY],
    "langfuse_secret_key": [CANARY],
    "tracing_sample_rate": ["1.5", "-1", CANARY],
    "tracing_content": ["plain", CANARY],
    "log_level": ["info", CANARY],
    "allow_origins": [
        "*",
        "https://a.example,*",
        "https://a.example/",
        "https://*.example",
        "a.example",
        "null",
        "https://A.example",
        "https://a.example/x",
        "javascript://a.example",
    ],
    "secrets_dir": [f"/{CANARY}"],
    "secret_manager": [CANARY, f"vault:{CANARY}", "aws:"],
}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the tester's environment nor a .env file of the checkout says anything."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def plain(value: object) -> object:
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


def test_every_knob_has_an_example() -> None:
    assert set(GOOD) == set(Settings.model_fields)


# A secret manager is asked at once: tests/integration/test_cloud_secrets.py.
@pytest.mark.parametrize("name", [name for name in GOOD if name != "secret_manager"])
def test_a_knob_is_set_by_its_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    text, value = GOOD[name]
    assert plain(getattr(load_settings(), name)) != value
    for needed in NEEDS.get(name, ()):
        monkeypatch.setenv(needed.upper(), GOOD[needed][0])
    monkeypatch.setenv(name.upper(), text)
    assert plain(getattr(load_settings(), name)) == value


@pytest.mark.parametrize("name", [name for name in GOOD if name != "provider_order"])
def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    default = getattr(load_settings(), name)
    monkeypatch.setenv(name.upper(), "")
    assert getattr(load_settings(), name) == default


@pytest.mark.parametrize(("name", "text"), [(n, text) for n in BAD for text in BAD[n]])
def test_a_wrong_value_is_named_but_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(name.upper(), text)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert name.upper() in caught.value.detail
    assert CANARY not in caught.value.detail
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_all_wrong_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("WORKERS", "x")
    with pytest.raises(ConfigurationError, match=r"PORT.*WORKERS"):
        load_settings()


def test_any_origin_is_accepted_when_debugging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOW_ORIGINS", "*")
    monkeypatch.setenv("DEBUG", "true")
    assert load_settings().allow_origins == ["*"]


def test_a_dotenv_file_is_read_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("PORT=7000\nDEMO_PORT=7001\nSOMEBODY_ELSES=1\n")
    monkeypatch.setenv("PORT", "8123")
    settings = load_settings()
    assert (settings.port, settings.demo_port) == (8123, 7001)


def test_secrets_come_from_files_unless_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "groq_api_key").write_text("from-a-file\n")
    (tmp_path / "OPENAI_API_KEY").write_text("from-a-file")
    (tmp_path / "somebody_elses").write_text("x")
    assert load_settings().groq_api_key is None
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "from-the-environment")
    settings = load_settings()
    assert plain(settings.groq_api_key) == "from-a-file"
    assert plain(settings.openai_api_key) == "from-the-environment"


def test_settings_do_not_change_and_do_not_show_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", CANARY * 4)
    monkeypatch.setenv("GROQ_API_KEY", CANARY)
    settings = load_settings()
    assert CANARY not in f"{settings!r} {settings}"
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]


def test_a_home_may_be_relative_or_of_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert load_settings().docent_home == tmp_path / ".docent"
    monkeypatch.setenv("DOCENT_HOME", "~/d")
    assert load_settings().docent_home == Path("/home/ada/d")


def test_the_example_file_is_what_the_settings_print() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "app.settings"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert printed == env_example()
    assert (ROOT / ".env.example").read_text() == printed, "run `make env-example`"


def test_the_example_file_changes_nothing_when_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Uncommenting every line gives the defaults again."""
    before = load_settings()
    lines = [
        line.removeprefix("# ") if line.removeprefix("# ").partition("=")[0].isupper() else line
        for line in env_example().splitlines()
    ]
    text = "\n".join(lines)
    assert all(f"\n{name.upper()}=" in text for name in Settings.model_fields)
    (tmp_path / ".env").write_text(text)
    assert load_settings() == before
