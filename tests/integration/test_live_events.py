"""Followers of a job over real HTTP and WebSockets: what they are told, and what they never are."""

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import uvicorn
from fastapi import FastAPI

from app.auth import watch
from app.auth.caller import Caller
from app.auth.gate import Gate
from app.documents.job import Job
from app.documents.service import DocumentNotFound
from app.errors import InvalidRequest, NotAuthenticated
from app.http.problems import install_problems
from app.infra.embedded.servers import ServerUrls
from app.infra.events import EventHub
from app.infra.postgres import DatabaseUnavailable
from app.infra.redis import Guarded, open_redis
from app.ingestion import event_routes, websocket
from app.ingestion.board import JobNotFound
from app.ingestion.schemas import JobOut
from app.limits.crowd import Crowd
from app.limits.middleware import RateLimits
from app.limits.rates import RateLimiter
from tests.fakes import Audit

BEGAN = datetime(2026, 11, 24, tzinfo=UTC)


class Ring:
    """Knows the keys it is given."""

    def __init__(self, keys: dict[str, Caller]) -> None:
        self.keys = keys
        self.down = asyncio.Event()
        self.asked_while_down = asyncio.Event()

    async def caller(self, key: str) -> Caller:
        if self.down.is_set():
            self.asked_while_down.set()
            raise DatabaseUnavailable
        if key not in self.keys:
            raise NotAuthenticated
        return self.keys[key]


class Board:
    """Jobs in memory."""

    def __init__(self) -> None:
        self.jobs: dict[tuple[str, str], Job] = {}
        self.reads = 0

    async def get(self, tenant_id: str, job_id: str) -> Job:
        self.reads += 1
        if (tenant_id, job_id) not in self.jobs:
            raise JobNotFound
        return self.jobs[tenant_id, job_id]

    async def of_document(self, tenant_id: str, document_id: str) -> Job:
        for (tenant, _), job in self.jobs.items():
            if tenant == tenant_id and job.document_id == document_id:
                return job
        raise DocumentNotFound

    async def out_of_sight(self, tenant_id: str, document_ids: Collection[str]) -> set[str]:
        seen = {job.document_id for (tenant, _), job in self.jobs.items() if tenant == tenant_id}
        return set(document_ids) - seen


class Answers:
    """Says three words of every question, each once it is let; fails when that is the question."""

    def __init__(self) -> None:
        self.let = asyncio.Semaphore(0)
        self.callers: list[Caller] = []
        self.ended = asyncio.Event()

    async def messages(self, caller: Caller, asked: Mapping[str, Any]) -> AsyncGenerator[bytes]:
        self.callers.append(caller)
        try:
            if "question" not in asked:
                raise InvalidRequest("question: Field required")
            for word in ("one", "two", "three"):
                await self.let.acquire()
                if asked["question"] == word:
                    raise RuntimeError(word)
                yield json.dumps({"type": "chat_chunk", "word": word}).encode()
        finally:
            self.ended.set()


class Service:
    """The routes over fakes and a real Redis, behind the gate, on a port."""

    def __init__(self, events: EventHub) -> None:
        self.tenant = f"ten_{uuid.uuid4().hex}"
        self.other = f"ten_{uuid.uuid4().hex}"
        self.board = Board()
        self.events = events
        scopes = frozenset({"docs:read", "admin"})
        asks = frozenset({"docs:read", "chat"})
        self.ring = Ring(
            {
                "good": Caller(self.tenant, "key_1", scopes),
                "other": Caller(self.other, "key_2", scopes),
                "chat": Caller(self.tenant, "key_3", frozenset({"chat"})),
                "asks": Caller(self.tenant, "key_4", asks),
            }
        )
        self.audit = Audit()
        self.answers = Answers()
        self.url = ""

    def add(self, tenant_id: str, number: int = 1, **changes: Any) -> Job:
        values = {
            "id": f"job_{number}", "document_id": f"doc_{number}", "version": 1,
            "status": "running", "step": "embed", "attempts": 1, "error_code": None,
            "error_detail": None, "pages_done": 0, "pages_total": 10, "chunks_embedded": 0,
            "chunks_reused": 0, "created_at": BEGAN, "updated_at": BEGAN,
        }  # fmt: skip
        job = Job(**{**values, **changes})
        self.board.jobs[tenant_id, job.id] = job
        return job

    async def report(self, job: Job, pages_done: int, **changes: Any) -> Job:
        """Write progress down and tell everyone, as the worker does."""
        moved = replace(
            job, pages_done=pages_done, updated_at=BEGAN + timedelta(seconds=pages_done), **changes
        )
        self.board.jobs[self.tenant, job.id] = moved
        await self.tell(moved)
        return moved

    async def tell(self, job: Job) -> None:
        payload = {"job": JobOut.of(job).model_dump(mode="json")}
        await self.events.publish(self.tenant, job.document_id, payload)


@asynccontextmanager
async def running(redis_url: str) -> AsyncIterator[Service]:
    async with open_redis(redis_url, timeout_s=0.2) as redis:
        events = EventHub(redis)
        service = Service(events)
        app = FastAPI()
        install_problems(app)
        app.include_router(event_routes.router)
        limiter = RateLimiter(Guarded(redis), (), workers=1)
        crowd = Crowd(Guarded(redis), 0, workers=1)
        app.add_middleware(
            RateLimits, limiter=lambda _: limiter, crowd=lambda _: crowd, trusted_proxies=()
        )
        app.add_middleware(Gate, credentials=lambda _: service.ring)  # type: ignore[arg-type]
        app.state.house = SimpleNamespace(
            credentials=service.ring, board=service.board, events=events, audit=service.audit,
            limiter=limiter, spoken=service.answers,
        )  # fmt: skip
        server = uvicorn.Server(
            uvicorn.Config(
                app, port=0, lifespan="off", log_config=None, ws="websockets-sansio",
                timeout_graceful_shutdown=1,
            )
        )  # fmt: skip
        serving = asyncio.create_task(server._serve())
        try:
            while not server.started:  # noqa: ASYNC110 - nothing to wait on
                await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            service.url = f"http://127.0.0.1:{port}"
            yield service
        finally:
            server.should_exit = True
            await serving
            await events.close()


@pytest.fixture
async def service(servers: ServerUrls) -> AsyncIterator[Service]:
    async with running(servers.redis_url) as found:
        yield found


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


async def nobody_listens(service: Service, topic: str) -> None:
    async with asyncio.timeout(5):
        while service.events.count(service.tenant, topic):  # noqa: ASYNC110 - nothing to wait on
            await asyncio.sleep(0.01)


async def read_event(response: aiohttp.ClientResponse) -> dict[str, str]:
    """The next event, past comments; empty at the end."""
    found: dict[str, str] = {}
    while line := (await response.content.readline()).decode():
        name, _, value = line.rstrip("\n").partition(": ")
        if name:
            found[name] = value
        elif found:
            return found
    return found


async def rest_of(response: aiohttp.ClientResponse) -> list[dict[str, str]]:
    found = []
    while event := await read_event(response):
        found.append(event)
    return found


def progress_of(event: dict[str, str]) -> tuple[str, int]:
    return event["event"], json.loads(event["data"])["pages_done"]


async def test_a_job_is_followed_to_its_end(service: Service, http: aiohttp.ClientSession) -> None:
    job = service.add(service.tenant)
    other = service.add(service.tenant, 2, document_id="doc_1")
    await service.tell(other)  # a stream that was empty does not know what was before its first
    url = f"{service.url}/api/v1/jobs/job_1/events"
    async with http.get(url, headers={"X-API-Key": "good"}) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["X-Accel-Buffering"] == "no"
        first = await read_event(response)
        assert progress_of(first) == ("progress", 0)
        await service.report(other, 9)
        await service.report(job, 3)
        await service.tell(replace(job, pages_done=1))  # the past comes late
        await service.report(job, 7)
        await service.report(job, 10, status="succeeded", step="index")
        events = await rest_of(response)
    assert [progress_of(event) for event in events] == [
        ("progress", 3),
        ("progress", 7),
        ("done", 10),
    ]
    async with http.get(url, headers={"X-API-Key": "good", "Last-Event-ID": first["id"]}) as again:
        assert [(e["id"], e["data"]) for e in await rest_of(again)] == [
            (e["id"], e["data"]) for e in events
        ]


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled", "dead"])
async def test_a_job_that_has_ended_says_so_once(
    service: Service, http: aiohttp.ClientSession, status: str
) -> None:
    service.add(service.tenant, status=status)
    for headers in ({}, {"Last-Event-ID": "nonsense"}, {"Last-Event-ID": "1-1"}):
        async with http.get(
            f"{service.url}/api/v1/jobs/job_1/events", headers={"X-API-Key": "good", **headers}
        ) as response:
            events = await rest_of(response)
        assert [event["event"] for event in events] == ["done"]


@pytest.mark.parametrize("redis_url", [None, "redis://127.0.0.1:1"])
async def test_who_was_told_the_end_of_a_job_is_sent_away_until_it_is_retried(
    servers: ServerUrls, http: aiohttp.ClientSession, redis_url: str | None
) -> None:
    """A browser's EventSource comes back after every stream, unless it is told not to."""
    async with running(redis_url or servers.redis_url) as service:
        job = service.add(service.tenant)
        url, headers = f"{service.url}/api/v1/jobs/job_1/events", {"X-API-Key": "good"}
        async with http.get(url, headers=headers) as response:
            await read_event(response)
            await service.report(job, 10, status="failed")
            done = (await rest_of(response))[-1]
        headers["Last-Event-ID"] = done["id"]
        async with http.get(url, headers=headers) as again:
            assert (done["event"], again.status, await again.read()) == ("done", 204, b"")
        await service.report(job, 0, status="queued")
        async with http.get(url, headers=headers) as again:
            assert progress_of(await read_event(again)) == ("progress", 0)


async def test_without_redis_the_job_is_read_until_it_ends(http: aiohttp.ClientSession) -> None:
    async with running("redis://127.0.0.1:1") as service:
        job = service.add(service.tenant)
        async with http.get(
            f"{service.url}/api/v1/jobs/job_1/events", headers={"X-API-Key": "good"}
        ) as response:
            assert progress_of(await read_event(response)) == ("progress", 0)
            await service.report(job, 10, status="succeeded")
            assert [progress_of(event) for event in await rest_of(response)] == [("done", 10)]


async def test_another_tenants_job_is_unknown(
    service: Service, http: aiohttp.ClientSession
) -> None:
    service.add(service.tenant)
    for key, path, status in (("other", "job_1", 404), ("good", "job_9", 404), ("", "job_1", 401)):
        async with http.get(
            f"{service.url}/api/v1/jobs/{path}/events", headers={"X-API-Key": key}
        ) as response:
            assert response.status == status


async def test_a_follower_that_leaves_is_forgotten(
    service: Service, http: aiohttp.ClientSession
) -> None:
    service.add(service.tenant)
    async with http.get(
        f"{service.url}/api/v1/jobs/job_1/events", headers={"X-API-Key": "good"}
    ) as response:
        await read_event(response)
        assert service.events.count(service.tenant, "doc_1") == 1
        response.close()
    await nobody_listens(service, "doc_1")


@asynccontextmanager
async def connected(
    http: aiohttp.ClientSession, service: Service, **headers: str
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with http.ws_connect(f"{service.url}/ws", headers=named) as socket:
        yield socket


async def ask(socket: aiohttp.ClientWebSocketResponse, **message: Any) -> dict[str, Any]:
    await socket.send_json(message)
    return await socket.receive_json(timeout=5)


async def closed_with(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    while (await socket.receive(timeout=10)).type != aiohttp.WSMsgType.CLOSE:
        pass
    return socket.close_code


@pytest.mark.parametrize("headers", [{"X_API_Key": "good"}, {"Authorization": "Bearer good"}, {}])
async def test_documents_are_followed_over_a_websocket(
    service: Service, http: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    job = service.add(service.tenant)
    async with connected(http, service, **headers) as socket:
        if not headers:
            await socket.send_json({"action": "authenticate", "token": "good"})
        assert await ask(socket, action="ping") == {"type": "pong"}
        present = await ask(socket, action="subscribe", document_id="doc_1")
        assert present == {
            "type": "processing_update",
            "document_id": "doc_1",
            "progress": 8,
            "status": "running",
            "current_step": "embed",
            "details": JobOut.of(job).model_dump(mode="json"),
        }
        await service.report(job, 5)
        assert (await socket.receive_json(timeout=5))["progress"] == 50
        assert (await ask(socket, action="status", document_id="doc_1"))["progress"] == 50
        await socket.send_json({"action": "unsubscribe", "document_id": "doc_1"})
        assert await ask(socket, action="ping") == {"type": "pong"}
        await service.report(job, 6)
        assert await ask(socket, action="ping") == {"type": "pong"}


async def test_another_tenants_document_is_like_an_unknown_one(
    service: Service, http: aiohttp.ClientSession
) -> None:
    service.add(service.other, 7)
    async with connected(http, service, X_API_Key="good") as socket:
        for action in ("subscribe", "status"):
            answers = [
                await ask(socket, action=action, document_id=name)
                for name in ("doc_7", "doc_8", "*", "", "doc_\0")
            ]
            assert all(answer == answers[0] for answer in answers)
            assert answers[0]["code"] == "document_not_found"
        await service.events.publish(service.other, "doc_7", {"message": {"canary": 1}})
        assert await ask(socket, action="ping") == {"type": "pong"}


@pytest.mark.parametrize(
    "said",
    ["", "x", "[]", "null", "{}", '{"action": "fly"}', '{"action": ["ping"]}', "[" * 20_000,
     '{"action": "subscribe", "document_id": 5}', '{"action": "ping", "extra": 1}',
     '{"action": "authenticate", "token": "good"}', '{"action": "unsubscribe", "document_id": "*"}',
     b"\xff\xfe", '{"action": "subscribe", "document_id": "%s"}' % ("d" * 65)],
)  # fmt: skip
async def test_malformed_messages_are_answered_and_the_connection_lives(
    service: Service, http: aiohttp.ClientSession, said: str | bytes
) -> None:
    async with connected(http, service, X_API_Key="good") as socket:
        await (socket.send_bytes(said) if isinstance(said, bytes) else socket.send_str(said))
        answer = await socket.receive_json(timeout=5)
        assert (answer["type"], answer["code"]) == ("error", "invalid_request")
        assert await ask(socket, action="ping") == {"type": "pong"}


async def test_messages_and_subscriptions_are_bounded(
    service: Service, http: aiohttp.ClientSession
) -> None:
    for number in range(101):
        service.add(service.tenant, number)
    async with connected(http, service, X_API_Key="good") as socket:
        for number in range(100):
            found = await ask(socket, action="subscribe", document_id=f"doc_{number}")
            assert found["type"] == "processing_update"
        full = await ask(socket, action="subscribe", document_id="doc_100")
        assert full["code"] == "too_many_subscriptions"
        again = await ask(socket, action="subscribe", document_id="doc_5")
        assert again["type"] == "processing_update"
        await socket.send_str('"' + "é" * 40_000 + '"')
        assert (await socket.receive_json(timeout=5))["code"] == "too_large"
        assert await closed_with(socket) == 1009


@pytest.mark.parametrize(
    ("headers", "first", "code"),
    [
        ({"X_API_Key": "bad"}, None, 4401),
        ({"Authorization": "Bearer bad"}, None, 4401),
        ({}, '{"action": "authenticate", "token": "bad"}', 4401),
        ({}, '{"action": "authenticate"}', 4401),
        ({}, '{"action": "ping"}', 4401),
        ({}, "nonsense", 4401),
        ({}, None, 4401),
        ({"X_API_Key": "chat"}, None, 4403),
    ],
)
async def test_strangers_are_sent_away(
    service: Service,
    http: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
    headers: dict[str, str],
    first: str | None,
    code: int,
) -> None:
    monkeypatch.setattr(websocket, "HELLO_S", 0.2)
    async with connected(http, service, **headers) as socket:
        if first is not None:
            await socket.send_str(first)
        said = await socket.receive_json(timeout=10)
        assert said["code"] == ("not_authenticated" if code == 4401 else "not_allowed")
        assert await closed_with(socket) == code


async def test_a_revoked_key_closes_its_connections(
    service: Service, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert websocket.RECHECK_S < 5
    monkeypatch.setattr(websocket, "RECHECK_S", 0.05)
    async with connected(http, service, X_API_Key="good") as socket:
        assert await ask(socket, action="ping") == {"type": "pong"}
        del service.ring.keys["good"]
        assert await closed_with(socket) == 4401
    await nobody_listens(service, websocket.BROADCAST)


async def test_a_key_that_may_do_less_closes_its_connections(
    service: Service, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "RECHECK_S", 0.05)
    async with connected(http, service, X_API_Key="good") as socket:
        assert await ask(socket, action="ping") == {"type": "pong"}
        reader = replace(service.ring.keys["good"], scopes=frozenset({"docs:read"}))
        service.ring.keys["good"] = reader
        said = await socket.receive_json(timeout=10)
        assert (said["type"], said["code"]) == ("error", "rights_changed")
        assert await closed_with(socket) == 4403


@pytest.mark.parametrize(
    ("now", "code"), [(None, "not_authenticated"), (frozenset({"admin"}), "rights_changed")]
)
async def test_a_stream_of_events_ends_with_its_credential(
    service: Service,
    http: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
    now: frozenset[str] | None,
    code: str,
) -> None:
    assert watch.RECHECK_S < 5
    monkeypatch.setattr(watch, "RECHECK_S", 0.05)
    service.add(service.tenant)
    url, headers = f"{service.url}/api/v1/jobs/job_1/events", {"X-API-Key": "good"}
    async with http.get(url, headers=headers) as response:
        first = await response.content.readuntil(b"\n\n")
        assert b"event: progress" in first
        if now is None:
            del service.ring.keys["good"]
        else:
            before = service.ring.keys["good"]
            service.ring.keys["good"] = replace(before, scopes=now)
        async with asyncio.timeout(10):
            rest = (await response.content.read()).decode()
    assert rest.startswith("event: error\ndata: {")
    problem = json.loads(rest.partition("data: ")[2])
    assert problem["code"] == code
    await nobody_listens(service, "doc_1")


async def test_a_stream_goes_on_while_credentials_cannot_be_checked(
    service: Service, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has begun outlives the database, and what it may not do is found out afterwards."""
    monkeypatch.setattr(watch, "RECHECK_S", 0.02)
    job = service.add(service.tenant)
    url, headers = f"{service.url}/api/v1/jobs/job_1/events", {"X-API-Key": "good"}
    async with http.get(url, headers=headers) as response:
        await response.content.readuntil(b"\n\n")
        service.ring.down.set()
        async with asyncio.timeout(10):
            await service.ring.asked_while_down.wait()
        await service.report(job, 5)
        assert b'"pages_done":5' in await response.content.readuntil(b"\n\n")
        del service.ring.keys["good"]
        service.ring.down.clear()
        async with asyncio.timeout(10):
            assert b"not_authenticated" in await response.content.read()


async def test_a_broadcast_reaches_the_own_tenant_only(
    service: Service, http: aiohttp.ClientSession
) -> None:
    async with (
        connected(http, service, X_API_Key="good") as mine,
        connected(http, service, X_API_Key="other") as theirs,
    ):
        await ask(mine, action="ping")
        await ask(theirs, action="ping")
        url, headers = f"{service.url}/ws", {"X-API-Key": "good"}
        async with http.get(f"{url}/info", headers=headers) as response:
            assert (await response.json())["connections"] == 1
        body = {"message": "maintenance at noon"}
        async with http.post(f"{url}/broadcast", headers=headers, json=body) as response:
            assert response.status == 204
        assert await mine.receive_json(timeout=5) == {"type": "broadcast", **body}
        assert await ask(theirs, action="ping") == {"type": "pong"}
        for method, path in (("GET", "info"), ("POST", "broadcast")):
            async with http.request(
                method, f"{url}/{path}", headers={"X-API-Key": "chat"}, json=body
            ) as response:
                assert response.status == 403
        found = [(event.action, event.outcome, event.by.actor) for event in service.audit.events]
        assert found == [("broadcast", "ok", "key_1"), *[("admin", "refused", "key_3")] * 2]
        assert service.audit.events[1].details == {"operation": "websocket_info"}


async def test_a_question_is_answered_while_the_connection_goes_on(
    service: Service, http: aiohttp.ClientSession
) -> None:
    job = service.add(service.tenant)
    async with connected(http, service, X_API_Key="asks") as socket:
        service.answers.let.release()
        first = await ask(socket, action="chat", question="What?", stream=True)
        assert first == {"type": "chat_chunk", "word": "one"}
        busy = await ask(socket, action="chat", question="What else?")
        assert (busy["code"], "action" in busy) == ("still_answering", False)
        assert await ask(socket, action="ping") == {"type": "pong"}
        await ask(socket, action="subscribe", document_id="doc_1")
        await service.report(job, 5)
        assert (await socket.receive_json(timeout=5))["progress"] == 50
        for word in ("two", "three"):
            service.answers.let.release()
            assert (await socket.receive_json(timeout=5))["word"] == word
        await service.answers.ended.wait()
        assert await ask(socket, action="ping") == {"type": "pong"}
        service.answers.let.release()
        assert (await ask(socket, action="chat", question="What else?"))["word"] == "one"


async def test_each_question_is_asked_by_the_caller_as_it_is_then(
    service: Service, http: aiohttp.ClientSession
) -> None:
    """Answers are kept under the state of the documents: of a caller from before it is the old."""
    async with connected(http, service, X_API_Key="asks") as socket:
        assert await ask(socket, action="ping") == {"type": "pong"}
        later = replace(service.ring.keys["asks"], corpus_revision=7)
        service.ring.keys["asks"] = later
        service.answers.let.release()
        await ask(socket, action="chat", question="What?")
        assert service.answers.callers == [later]


@pytest.mark.parametrize(
    ("question", "code"), [({}, "invalid_request"), ({"question": "one"}, "internal_error")]
)
async def test_an_answer_that_fails_ends_with_an_error(
    service: Service, http: aiohttp.ClientSession, question: dict[str, str], code: str
) -> None:
    async with connected(http, service, X_API_Key="asks") as socket:
        service.answers.let.release()
        failed = await ask(socket, action="chat", **question)
        assert (failed["type"], failed["code"], failed["action"]) == ("error", code, "chat")
        assert await ask(socket, action="ping") == {"type": "pong"}


async def test_who_may_not_ask_is_told_so_and_stays(
    service: Service, http: aiohttp.ClientSession
) -> None:
    async with connected(http, service, X_API_Key="good") as socket:
        assert (await ask(socket, action="chat", question="What?"))["code"] == "not_allowed"
        assert await ask(socket, action="ping") == {"type": "pong"}
    assert service.answers.callers == []
    async with connected(http, service) as socket:
        await socket.send_json({"action": "chat", "question": "What?"})
        assert await closed_with(socket) == websocket.NOT_AUTHENTICATED
    assert service.answers.callers == []


async def test_a_question_ends_when_its_connection_does(
    service: Service, http: aiohttp.ClientSession
) -> None:
    async with connected(http, service, X_API_Key="asks") as socket:
        service.answers.let.release()
        await ask(socket, action="chat", question="What?")
        assert not service.answers.ended.is_set()
    async with asyncio.timeout(5):
        await service.answers.ended.wait()


async def test_a_question_ends_when_its_caller_is_shut_out(
    service: Service, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "RECHECK_S", 0.05)
    async with connected(http, service, X_API_Key="asks") as socket:
        service.answers.let.release()
        await ask(socket, action="chat", question="What?")
        del service.ring.keys["asks"]
        assert await closed_with(socket) == websocket.NOT_AUTHENTICATED
        async with asyncio.timeout(5):
            await service.answers.ended.wait()
