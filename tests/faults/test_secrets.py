"""Secrets that go through every error path of every provider come out nowhere.

Four providers fail in every way there is, asked with the server's keys and with keys that callers
brought, and most of them repeat the key they were sent in what they say. The question holds secrets
as well. Nothing of that is in the log, in the traces, in the metrics or in what a caller is told.
"""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from app.infra.embedded.servers import embedded_servers
from tests.collector import LANGFUSE, OTLP, Collector, collecting
from tests.faults.pair import serve, stop
from tests.faults.provider_faults import FAULTS, ScriptedProvider, scripted_provider
from tests.faults.running import Docent, copy_of_docent, until
from tests.faults.test_tracing import ASKING, CANARIES, LANGFUSE_SECRET

#: Providers and the header that brings a key to them.
BRINGING = {
    "openrouter": "X-Provider-Key-OpenRouter",
    "groq": "X-Provider-Key-Groq",
    "openai": "X-Provider-Key-OpenAI",
    "local": None,
}
SETTINGS = {name: "LOCAL_LLM" if name == "local" else name.upper() for name in BRINGING}
#: Not one of these looks like a key of theirs: they are known by what they are.
OURS = {name: f"canary0of0ours0for0{name}" for name in BRINGING}
THEIRS = {name: f"canary0of0theirs0for0{name}" for name in BRINGING}
#: Everything a provider can do wrong; 50 MB are too many for so many tests.
WRONGS = [
    *dict.fromkeys(
        fault.behaviour.replace("big:50", "big:5") for fault in FAULTS if fault.behaviour != "ok"
    ),
    "big:1:500", "dies_with_error", "empty_body", "filtered", "groq_429", "not_json",
]  # fmt: skip
AT_ONCE = 24
RERANKING = "status:500"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def provider() -> Iterator[ScriptedProvider]:
    with scripted_provider() as provider:
        provider.behave(None)
        yield provider


@pytest.fixture(scope="module")
def docent(collector: Collector, provider: ScriptedProvider) -> Iterator[Docent]:
    """`make serve` that tells as much as it can to everybody, and has nobody to fall back on."""
    settings: dict[str, object] = {
        "PROVIDER_ORDER": ",".join(BRINGING),
        "RERANK_API_BASE_URL": provider.url,
        "RERANK_API_KEY": "canary0of0reranking",
        "RERANK_MODEL": RERANKING,
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.url + OTLP,
        "LANGFUSE_BASE_URL": collector.url,
        "LANGFUSE_PUBLIC_KEY": "pk-lf-public",
        "LANGFUSE_SECRET_KEY": LANGFUSE_SECRET,
        "TRACING_CONTENT": "masked",
        "LOG_JSON": True,
        "LOG_LEVEL": "DEBUG",
        "WORKERS": 1,
        "TENANT_QUESTIONS_AT_ONCE": 0,
        "CONNECT_TIMEOUT_S": 0.7,
        "FIRST_TOKEN_TIMEOUT_S": 1,
        "IDLE_TIMEOUT_S": 1,
        "ATTEMPT_TIMEOUT_S": 2,
        "TOTAL_TIMEOUT_S": 8,
    }
    for name, prefix in SETTINGS.items():
        settings[f"{prefix}_BASE_URL"] = provider.url
        settings[f"{prefix}_API_KEY"] = OURS[name]
        settings[f"{prefix}_MODEL"] = ",".join(model_of(name, wrong) for wrong in [*WRONGS, "away"])
    with copy_of_docent(**settings) as docent, embedded_servers(docent.home):
        serve(docent)
        yield docent
        stop(docent.programs[-1])


def model_of(provider: str, wrong: str) -> str:
    """A model that does wrong, with a circuit of its own."""
    return f"{provider}/{wrong}"


async def told(docent: Docent, asked: list[tuple[str, str | None, bool]]) -> list[str]:
    """All that callers hear of these models: (model, header to bring a key in, streamed)."""
    turn = asyncio.Semaphore(AT_ONCE)
    headers = {"X-API-Key": docent.key}

    async def one(client: httpx.AsyncClient, model: str, bringing: str | None, stream: bool) -> str:
        key = {bringing: THEIRS[model.partition("/")[0]]} if bringing else {}
        body = {"question": ASKING, "model": model, "stream": stream}
        async with turn:
            reply = await client.post("/api/v1/chat", json=body, headers=key)
        return f"{model} {reply.status_code} {reply.headers} {reply.text}"

    async with httpx.AsyncClient(base_url=docent.url, headers=headers, timeout=30) as client:
        return await asyncio.gather(*(one(client, *each) for each in asked))


def test_secrets_come_out_nowhere(
    docent: Docent, provider: ScriptedProvider, collector: Collector
) -> None:
    asked = [
        (model_of(name, wrong), bringing, stream)
        for name, header in BRINGING.items()
        for wrong in WRONGS
        for bringing in ([None, header] if header else [None])
        for stream in (False, True)
    ]
    heard = asyncio.run(told(docent, asked))
    calls = provider.calls
    provider.behave(None, listening="refused")
    heard += asyncio.run(told(docent, [(model_of(name, "away"), None, False) for name in BRINGING]))
    provider.behave(None, listening="open")

    met = {(call["body"]["model"], call["headers"]["authorization"]) for call in calls}
    for name, header in BRINGING.items():
        for key in [OURS[name], *([THEIRS[name]] if header else [])]:
            missing = {
                wrong for wrong in WRONGS if (model_of(name, wrong), f"Bearer {key}") not in met
            }
            assert missing == set(), f"{name} was not asked with {key}"
    assert (RERANKING, "Bearer canary0of0reranking") in met
    assert sum("providers_failed" in one for one in heard) > len(asked) / 2

    for path in (OTLP, LANGFUSE):
        until(
            lambda path=path: len({s.trace_id for s in collector.spans(path)}) >= len(heard),
            30,
            "all traces have arrived",
        )
    log = "\n".join(docent.programs[-1].lines)
    metrics = docent.get("/metrics").text
    places = {"answers": "\n".join(heard), "log": log, "metrics": metrics, "traces": collector.text}
    assert [place for place, text in places.items() if "auth_failed" not in text] == ["log"]
    assert log.count('"request_id"') > len(asked)
    secrets = ["canary0of0", LANGFUSE_SECRET, docent.key, *CANARIES.values()]
    for place, text in places.items():
        found = [secret for secret in secrets if secret in text]
        assert found == [], f"{place}: {text[text.index(found[0]) - 200 :][:400]}"
