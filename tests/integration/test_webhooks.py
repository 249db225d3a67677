"""Webhooks are called with a signature, again when that fails, and given up with the reason."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace

import procrastinate
import pytest
from aiohttp import web
from fastapi import FastAPI
from procrastinate import PsycopgConnector
from starlette.types import Receive, Scope, Send

from app.auth.caller import Caller
from app.auth.keys import tenant_named
from app.documents.webhooks import Delivery, enqueue_event
from app.http.problems import install_problems
from app.infra.fetch import UrlRefused
from app.infra.postgres import Pool, open_pool, tenant_transaction
from app.ingestion.webhook_routes import router
from app.ingestion.webhooks import (
    WEBHOOK_QUEUE,
    Deliver,
    DeliveryNotFound,
    DeliveryNotRetryable,
    Patience,
    WebhookNotFound,
    Webhooks,
    register_webhooks,
    signature,
)
from app.settings import Settings
from tests.asgi import Reply, call
from tests.conftest import FreshDatabase
from tests.fakes import Audit

NO_WAIT = Patience(attempts=3, first_wait_s=0, timeout_s=5)
EVENTS = ("document.ready", "document.failed")


@dataclass
class Receiver:
    """Somebody's server: answers with the statuses it is given, then 204."""

    statuses: list[int] = field(default_factory=list)
    calls: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.calls.append((dict(request.headers), await request.read()))
        status = self.statuses.pop(0) if self.statuses else 204
        headers = {"Location": "/elsewhere"} if 300 <= status < 400 else {}
        return web.Response(status=status, headers=headers)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", found.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield found
    await runner.cleanup()


@dataclass
class Post:
    """Webhooks of one tenant on a real queue."""

    pool: Pool
    jobs: procrastinate.App
    deliver: Deliver
    webhooks: Webhooks
    tenant_id: str

    async def happen(self, event: str = "document.ready", *, commit: bool = True) -> None:
        """Something happens to a document."""
        async with tenant_transaction(self.pool, self.tenant_id) as connection:
            await enqueue_event(
                connection, self.tenant_id, event, {"job": {"id": "job_1"}}, self.deliver
            )
            if not commit:
                raise UndoneError

    async def work(self) -> None:
        """Deliver until nothing is due."""
        await self.jobs.run_worker_async(
            queues=[WEBHOOK_QUEUE],
            wait=False,
            install_signal_handlers=False,
            delete_jobs="always",
        )

    async def deliveries(self, webhook_id: str) -> list[Delivery]:
        found, _ = await self.webhooks.deliveries(self.tenant_id, webhook_id, after=None, limit=99)
        return list(found)


class UndoneError(Exception):
    """The transaction does not commit."""


@asynccontextmanager
async def opened(
    database: FreshDatabase,
    tenant: str,
    *,
    allow_private: bool = True,
    patience: Patience = NO_WAIT,
) -> AsyncIterator[Post]:
    tenant_id = tenant_named(database.database_url, tenant)
    async with open_pool(database.database_url, size=4, timeout_s=5) as pool:
        jobs = procrastinate.App(connector=PsycopgConnector())
        settings = Settings(allow_private_urls=allow_private)
        deliver = register_webhooks(jobs, pool, settings, patience=patience)
        await jobs.connector.open_async(pool)  # type: ignore[arg-type]
        webhooks = Webhooks(pool, deliver, allow_private=allow_private)
        yield Post(pool, jobs, deliver, webhooks, tenant_id)


async def test_an_event_is_delivered_and_signed(
    database: FreshDatabase, receiver: Receiver
) -> None:
    async with opened(database, "signed") as post:
        hook, secret = await post.webhooks.create(post.tenant_id, receiver.url, ["document.ready"])
        await post.happen()
        await post.happen("document.failed")  # not asked for
        await post.work()
        [(headers, body)] = receiver.calls
        [delivery] = await post.deliveries(hook.id)
    assert (delivery.status, delivery.attempts, delivery.response_status) == ("delivered", 1, 204)
    assert delivery.error is None
    assert delivery.delivered_at is not None
    assert headers["Docent-Event"] == "document.ready"
    assert headers["Docent-Delivery"] == delivery.id
    assert headers["Content-Type"] == "application/json"
    stamp, _, digest = headers["Docent-Signature"].removeprefix("t=").partition(",v1=")
    assert abs(int(stamp) - time.time()) < 60
    expected = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(digest, expected)
    sent = json.loads(body)
    assert (sent["id"], sent["event"]) == (delivery.id, "document.ready")
    assert sent["data"] == {"job": {"id": "job_1"}}


def test_the_signature_is_of_the_time_and_the_body() -> None:
    made = signature("secret", b"{}", 1_700_000_000)
    digest = hmac.new(b"secret", b"1700000000.{}", hashlib.sha256).hexdigest()
    assert made == f"t=1700000000,v1={digest}"


async def test_a_failed_call_is_made_again(database: FreshDatabase, receiver: Receiver) -> None:
    receiver.statuses = [500, 302]
    async with opened(database, "again") as post:
        hook, _ = await post.webhooks.create(post.tenant_id, receiver.url, EVENTS)
        await post.happen()
        for _ in range(3):
            await post.work()
        [delivery] = await post.deliveries(hook.id)
    assert (delivery.status, delivery.attempts) == ("delivered", 3)
    assert len(receiver.calls) == 3, "and the redirect was not followed"
    assert {headers["Docent-Delivery"] for headers, _ in receiver.calls} == {delivery.id}


async def test_it_is_given_up_with_the_reason_and_can_be_asked_for_again(
    database: FreshDatabase, receiver: Receiver
) -> None:
    receiver.statuses = [503, 503, 410]
    async with opened(database, "dead") as post:
        hook, _ = await post.webhooks.create(post.tenant_id, receiver.url, EVENTS)
        await post.happen()
        for _ in range(5):
            await post.work()
        [delivery] = await post.deliveries(hook.id)
        assert (delivery.status, delivery.attempts, delivery.response_status) == ("dead", 3, 410)
        assert delivery.error == "The receiver answered 410."
        assert len(receiver.calls) == 3
        again = await post.webhooks.retry(post.tenant_id, hook.id, delivery.id)
        assert (again.status, again.attempts) == ("queued", 0)
        with pytest.raises(DeliveryNotRetryable):
            await post.webhooks.retry(post.tenant_id, hook.id, delivery.id)
        await post.work()
        [delivery] = await post.deliveries(hook.id)
        assert delivery.status == "delivered"


async def test_what_is_rolled_back_is_not_told(database: FreshDatabase, receiver: Receiver) -> None:
    async with opened(database, "undone") as post:
        hook, _ = await post.webhooks.create(post.tenant_id, receiver.url, EVENTS)
        with pytest.raises(UndoneError):
            await post.happen(commit=False)
        await post.work()
        assert await post.deliveries(hook.id) == []
    assert receiver.calls == []


async def test_private_addresses_are_not_called(
    database: FreshDatabase, receiver: Receiver
) -> None:
    async with opened(database, "guard") as post:
        hook, _ = await post.webhooks.create(post.tenant_id, receiver.url, EVENTS)
    async with opened(database, "guard", allow_private=False) as post:
        with pytest.raises(UrlRefused):
            await post.webhooks.create(post.tenant_id, receiver.url, EVENTS)
        await post.happen()
        for _ in range(3):
            await post.work()
        [delivery] = await post.deliveries(hook.id)
    assert (delivery.status, delivery.response_status) == ("dead", None)
    assert delivery.error == "This URL does not lead to a public address."
    assert receiver.calls == []


async def test_a_receiver_that_hangs_is_not_waited_for(database: FreshDatabase) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    patience = Patience(attempts=1, first_wait_s=0, timeout_s=0.2)
    async with server, opened(database, "hangs", patience=patience) as post:
        hook, _ = await post.webhooks.create(post.tenant_id, url, EVENTS)
        await post.happen()
        await post.work()
        [delivery] = await post.deliveries(hook.id)
    assert (delivery.status, delivery.error) == ("dead", "The server of this URL took too long.")


async def test_tenants_take_turns(database: FreshDatabase, receiver: Receiver) -> None:
    async with opened(database, "many") as many, opened(database, "few") as few:
        for name in ("a", "b"):
            await many.webhooks.create(many.tenant_id, f"{receiver.url}/{name}", EVENTS)
        hook, _ = await few.webhooks.create(few.tenant_id, receiver.url, EVENTS)
        for _ in range(3):
            await many.happen()
        await few.happen()
        await few.work()  # one call after the other
        [mine] = await few.deliveries(hook.id)
    called = [headers["Docent-Delivery"] for headers, _ in receiver.calls]
    assert len(called) == 7
    assert called.index(mine.id) == 1, "it goes after one of the six that came before"


async def test_a_stop_while_a_receiver_hangs_loses_no_delivery(database: FreshDatabase) -> None:
    called = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    patience = Patience(attempts=3, first_wait_s=0, timeout_s=60)
    async with server, opened(database, "stopped", patience=patience) as post:
        await post.webhooks.create(post.tenant_id, url, EVENTS)
        await post.happen()
        working = asyncio.create_task(
            post.jobs.run_worker_async(
                queues=[WEBHOOK_QUEUE],
                install_signal_handlers=False,
                delete_jobs="always",
                shutdown_graceful_timeout=0.1,
            )
        )
        async with asyncio.timeout(20):
            await called.wait()
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
        [job] = await post.jobs.job_manager.list_jobs_async(queue=WEBHOOK_QUEUE)
    assert job.status == "todo"


async def test_a_removed_webhook_is_called_no_more(
    database: FreshDatabase, receiver: Receiver
) -> None:
    async with opened(database, "removed") as post:
        hook, _ = await post.webhooks.create(post.tenant_id, receiver.url, EVENTS)
        await post.happen()
        await post.webhooks.remove(post.tenant_id, hook.id)
        await post.happen()
        await post.work()
        for gone in (
            post.webhooks.remove(post.tenant_id, hook.id),
            post.webhooks.deliveries(post.tenant_id, hook.id, after=None, limit=1),
            post.webhooks.retry(post.tenant_id, hook.id, "dlv_x"),
        ):
            with pytest.raises(WebhookNotFound):
                await gone
        async with tenant_transaction(post.pool, post.tenant_id) as connection:
            cursor = await connection.execute(
                "SELECT w.secret, d.status, d.error FROM webhooks w"
                " JOIN webhook_deliveries d ON d.webhook_id = w.id WHERE w.id = %s",
                (hook.id,),
            )
            assert await cursor.fetchall() == [
                {"secret": "", "status": "dead", "error": "The webhook was removed."}
            ]
    assert receiver.calls == []


async def test_another_tenant_sees_and_hears_nothing(
    database: FreshDatabase, receiver: Receiver
) -> None:
    async with opened(database, "mine") as mine, opened(database, "theirs") as theirs:
        hook, _ = await mine.webhooks.create(mine.tenant_id, receiver.url, EVENTS)
        await theirs.happen()
        await theirs.work()
        assert receiver.calls == []
        assert await theirs.webhooks.list(theirs.tenant_id, after=None, limit=9) == ([], False)
        for webhook_id in (hook.id, "whk_x", "whk_\0"):
            with pytest.raises(WebhookNotFound):
                await theirs.webhooks.remove(theirs.tenant_id, webhook_id)
            with pytest.raises(WebhookNotFound):
                await theirs.webhooks.retry(theirs.tenant_id, webhook_id, "dlv_x")
        for delivery_id in ("dlv_x", "\0"):
            with pytest.raises(DeliveryNotFound):
                await mine.webhooks.retry(mine.tenant_id, hook.id, delivery_id)


async def test_lists_go_on_page_by_page(database: FreshDatabase, receiver: Receiver) -> None:
    async with opened(database, "pages") as post:
        made = [
            (await post.webhooks.create(post.tenant_id, receiver.url, EVENTS))[0].id
            for _ in range(3)
        ]
        first, more = await post.webhooks.list(post.tenant_id, after=None, limit=2)
        assert [hook.id for hook in first] == made[:0:-1]
        assert more
        rest, more = await post.webhooks.list(post.tenant_id, after=first[-1].id, limit=2)
        assert ([hook.id for hook in rest], more) == (made[:1], False)


def test_pauses_grow_and_are_spread() -> None:
    patience = Patience()
    for attempt, mean in ((1, 10), (2, 40), (3, 160), (8, 21_600), (50, 21_600)):
        waits = [patience.wait_s(attempt) for _ in range(100)]
        assert mean * 0.5 <= min(waits) < max(waits) <= mean * 1.5


async def test_the_secret_is_shown_once_and_to_admins_only(
    database: FreshDatabase, receiver: Receiver
) -> None:
    async with opened(database, "http") as post:
        app = FastAPI()
        install_problems(app)
        app.include_router(router)
        app.state.house = SimpleNamespace(webhooks=post.webhooks, audit=Audit())
        scopes = {"scopes": frozenset({"admin"})}

        async def ask(method: str, path: str = "", body: object = None) -> Reply:
            async def with_caller(scope: Scope, receive: Receive, send: Send) -> None:
                scope["state"]["caller"] = Caller(post.tenant_id, "key_1", scopes["scopes"])
                await app(scope, receive, send)

            return await call(
                with_caller,
                method=method,
                path=f"/api/v1/webhooks{path}",
                headers=[("Content-Type", "application/json")],
                body=[json.dumps(body).encode()] if body is not None else [b""],
            )

        asked = {"url": receiver.url, "events": ["document.ready"]}
        made = await ask("POST", body=asked)
        assert made.status == 201
        secret, hook = made.json()["secret"], f"/{made.json()['id']}"
        assert secret.startswith("whsec_")
        await post.happen()
        await post.work()
        listed, deliveries = await ask("GET"), await ask("GET", f"{hook}/deliveries")
        assert [item["url"] for item in listed.json()["items"]] == [receiver.url]
        [delivery] = deliveries.json()["items"]
        assert delivery["status"] == "delivered"
        retried = await ask("POST", f"{hook}/deliveries/{delivery['id']}/retry")
        assert (retried.status, retried.json()["status"]) == (202, "queued")
        assert not [r for r in (listed, deliveries, retried) if secret.encode() in r.body]
        for wrong in (
            {**asked, "secret": "mine"},
            {**asked, "events": []},
            {**asked, "events": ["document.read"]},
            {**asked, "url": "file:///etc/passwd"},
            {**asked, "url": "http://user:password@example.com/"},
        ):
            assert (await ask("POST", body=wrong)).status == 422, wrong
        scopes["scopes"] = frozenset({"chat", "docs:read", "docs:write"})
        for method, path, body in (
            ("POST", "", asked),
            ("GET", "", None),
            ("DELETE", hook, None),
            ("GET", f"{hook}/deliveries", None),
            ("POST", f"{hook}/deliveries/{delivery['id']}/retry", None),
        ):
            assert (await ask(method, path, body)).status == 403
        scopes["scopes"] = frozenset({"admin"})
        assert (await ask("DELETE", hook)).status == 204
        assert (await ask("DELETE", hook)).json()["code"] == "webhook_not_found"
