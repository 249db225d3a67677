"""``docent doctor``: what is wrong with a set-up, as callers see it, and what to do about it."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Literal

import httpx

from docent_client.client import ApiClient, read_probe
from docent_client.config import Config
from docent_client.problems import ApiProblem

State = Literal["ok", "note", "wrong"]
#: Tokens and their expiry are told by the clock; leeways are usually a minute.
MAX_SKEW_S = 60.0
LOW_DISK_BYTES = 1_000_000_000
_WORKERS = re.compile(r'^docent_processes\{role="worker"\} ([0-9.]+)$', re.MULTILINE)
_WANTED_SCOPES = ("chat", "docs:read", "docs:write")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; ``remedy`` is what to do when it is not ``ok``."""

    name: str
    state: State
    detail: str
    remedy: str = ""


def examine(config: Config, connection: httpx.Client) -> Iterator[Finding]:
    """Looks at everything that can be seen; what a missing part hides is left out."""
    try:
        ready, response = read_probe(connection, "/readyz")
    except ApiProblem as problem:
        yield _no_server(config, problem)
    else:
        yield Finding("server", "ok", f"answers at {config.api_url}")
        yield _parts(ready.failing)
        yield _clock(response.headers.get("Date"), datetime.now(UTC))
        yield _worker(connection)
        yield from _with_the_key(ApiClient(connection, api_key=config.api_key, retries=0))
    if config.is_local and config.home.is_dir():
        yield _disk(config)


def _no_server(config: Config, problem: ApiProblem) -> Finding:
    if problem.status:
        remedy = "Something else than Docent, or a proxy, has this address: check DOCENT_API_URL."
        return Finding("server", "wrong", f"{config.api_url} says {problem}", remedy)
    remedy = "Start it with `make run`" if config.is_local else "Check the address and the network"
    return Finding("server", "wrong", str(problem), f"{remedy}, or set DOCENT_API_URL.")


def _parts(failing: tuple[str, ...]) -> Finding:
    if not failing:
        return Finding("parts", "ok", "database, Redis, index and embedding model answer")
    remedy = "Look for it in the server's log; it is tried again by itself."
    return Finding("parts", "wrong", f"not answering: {', '.join(failing)}", remedy)


def _clock(date: str | None, now: datetime) -> Finding:
    try:
        skew_s = (now - parsedate_to_datetime(date or "")).total_seconds()
    except (ValueError, TypeError):
        return Finding("clock", "note", "the server does not say what time it is")
    if abs(skew_s) <= MAX_SKEW_S:
        return Finding("clock", "ok", "agrees with the server's")
    way = "ahead of" if skew_s > 0 else "behind"
    remedy = "Synchronise both clocks: tokens are refused before or after their time."
    return Finding("clock", "wrong", f"{abs(skew_s):.0f} s {way} the server's", remedy)


def _worker(connection: httpx.Client) -> Finding:
    """The ingestion worker counts itself in the metrics."""
    try:
        response = connection.get("/metrics")
    except httpx.HTTPError:
        return Finding("worker", "note", "the metrics could not be read")
    if not response.is_success:
        return Finding("worker", "note", "not known: this server does not serve /metrics")
    counted = sum(float(number) for number in _WORKERS.findall(response.text))
    if counted:
        return Finding("worker", "ok", f"{counted:.0f} at work on uploads")
    remedy = "`make run` starts one; beside `make serve`, run `python -m app.worker`."
    return Finding("worker", "wrong", "no ingestion worker: uploads stay queued", remedy)


def _with_the_key(client: ApiClient) -> Iterator[Finding]:
    try:
        me = client.me()
    except ApiProblem as problem:
        yield _bad_key(problem)
        return
    missing = [scope for scope in _WANTED_SCOPES if scope not in me.scopes]
    detail = f"opens {me.tenant.name}"
    if missing:
        yield Finding("key", "note", f"{detail}, without {', '.join(missing)}")
    else:
        yield Finding("key", "ok", detail)
    if "chat" in me.scopes:
        yield _told("providers", lambda: _providers(client))
    if "docs:read" in me.scopes:
        yield _told("documents", lambda: _documents(client))


def _bad_key(problem: ApiProblem) -> Finding:
    if problem.is_about_the_key:
        remedy = "Set DOCENT_API_KEY; `make create-key NAME=...` makes a key."
        return Finding("key", "wrong", str(problem), remedy)
    if problem.status == HTTPStatus.TOO_MANY_REQUESTS:
        return Finding("key", "note", str(problem), "Try again shortly.")
    return Finding("key", "wrong", str(problem), "See the server's log for the trace id.")


def _told(name: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except ApiProblem as problem:
        return Finding(name, "wrong", str(problem))


def _providers(client: ApiClient) -> Finding:
    models = client.models()
    written = [model for model in models if model.provider != "extractive" and model.available]
    resting = [model for model in models if model.cooling_down_until]
    if resting:
        names = ", ".join(f"{model.id} until {model.cooling_down_until}" for model in resting)
        remedy = "They failed lately and are tried again by themselves."
        return Finding("providers", "note", f"left alone: {names}", remedy)
    if written:
        return Finding("providers", "ok", ", ".join(model.id for model in written))
    remedy = "Set OPENROUTER_API_KEY, GROQ_API_KEY, OPENAI_API_KEY or LOCAL_LLM_BASE_URL."
    return Finding("providers", "note", "none configured: answers are quotes", remedy)


def _documents(client: ApiClient) -> Finding:
    dead = client.jobs(status="dead").items
    if dead:
        remedy = "`python -m scripts.jobs --status dead --retry` queues them again."
        return Finding("documents", "wrong", f"{len(dead)} jobs were given up", remedy)
    listed = client.documents()
    if not listed.items:
        return Finding("documents", "note", "there are none", "`docent upload FILE` sends one.")
    more = "or more " if listed.has_more else ""
    return Finding("documents", "ok", f"{len(listed.items)} {more}are there")


def _disk(config: Config) -> Finding:
    free = shutil.disk_usage(config.home).free
    detail = f"{free / 1e9:.1f} GB free for {config.home}"
    if free >= LOW_DISK_BYTES:
        return Finding("disk", "ok", detail)
    remedy = "Make room, or purge what was deleted: `python -m scripts.purge`."
    return Finding("disk", "wrong", detail, remedy)
