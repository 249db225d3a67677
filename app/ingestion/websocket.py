"""One WebSocket: who is there, which documents it follows, what it is told of them, what it asks.

Two tasks and a watch: one reads what the client says, one sends what happens, and the credential is
checked again every few seconds. The first that ends closes the connection. A question is answered
in a task of its own, which ends with them.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.auth.caller import Caller
from app.auth.credentials import Credentials
from app.auth.gate import credential
from app.auth.watch import RECHECK_S, check_rights
from app.documents.job import Job
from app.errors import AppError, InvalidRequest, NotAllowed, NotAuthenticated, TooLarge
from app.infra.events import LOST, Event, EventHub, Subscription
from app.infra.postgres import DatabaseUnavailable
from app.infra.reach import reaching
from app.ingestion.board import JobBoard
from app.ingestion.questions import Answers, Questions, error_message
from app.ingestion.schemas import JobOut
from app.limits.middleware import refusal, subject_of
from app.limits.rates import RateLimiter, RouteClass

#: Seconds for the first message, when the handshake carried no credential (design: contract).
HELLO_S = 5.0
MAX_MESSAGE_BYTES = 65_536
MAX_SUBSCRIPTIONS = 100
#: Connections of one tenant to one process.
MAX_CONNECTIONS = 500
#: Every connection hears this topic of its tenant; no document's id looks like it.
BROADCAST = "*"
#: Close codes; those from 4000 on are an application's own (RFC 6455, 7.4.2).
NOT_AUTHENTICATED, NOT_ALLOWED, TOO_BIG, TRY_LATER = 4401, 4403, 1009, 1013


class Closing(Exception):
    """The connection is to be closed with ``code``."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closing with {code}")
        self.code = code


class TooManySubscriptions(AppError):
    """A connection follows at most 100 documents."""

    status, code = 422, "too_many_subscriptions"


class Said(BaseModel):
    """A message of the client."""

    model_config = ConfigDict(extra="forbid")

    action: Literal["authenticate", "subscribe", "unsubscribe", "status", "ping"]
    document_id: str = Field("", max_length=64)
    token: str = Field("", max_length=8192)


@dataclass(frozen=True, slots=True)
class Asked:
    """A message with the action ``chat``: the fields of ``POST /api/v1/chat``."""

    body: dict[str, Any]


class Conversation:
    """One connection, from its handshake to its end."""

    def __init__(
        self,
        socket: WebSocket,
        *,
        credentials: Credentials,
        board: JobBoard,
        events: EventHub,
        limiter: RateLimiter,
        answers: Answers,
    ) -> None:
        self._socket = socket
        self._credentials = credentials
        self._board = board
        self._events = events
        self._limiter = limiter
        self._questions = Questions(answers, self._send_text)
        self._token = ""

    async def hold(self) -> None:
        """Serve the connection until one side ends it."""
        await self._socket.accept()
        with suppress(WebSocketDisconnect):
            try:
                caller = await self._enter()
                if self._events.count(caller.tenant_id, BROADCAST) >= MAX_CONNECTIONS:
                    raise Closing(TRY_LATER)  # noqa: TRY301 - closed in one place
                async with self._events.subscribe(caller.tenant_id, [BROADCAST]) as subscription:
                    with reaching(caller.reach):
                        await self._serve(caller, subscription)
            except Closing as closing:
                # The client may have gone already; the server says that with a RuntimeError.
                with suppress(RuntimeError, WebSocketDisconnect):
                    if closing.code == NOT_AUTHENTICATED:
                        await self._send_error(NotAuthenticated())
                    await self._socket.close(closing.code)

    async def _enter(self) -> Caller:
        try:
            self._token = credential(self._socket.scope)
        except NotAuthenticated:
            try:
                async with asyncio.timeout(HELLO_S):
                    said = await self._hear()
            except (TimeoutError, InvalidRequest) as error:
                raise Closing(NOT_AUTHENTICATED) from error
            if not isinstance(said, Said) or said.action != "authenticate":
                raise Closing(NOT_AUTHENTICATED) from None
            self._token = said.token
        return await self._caller()

    async def _caller(self) -> Caller:
        """Who holds the credential, now."""
        try:
            caller = await self._credentials.caller(self._token)
        except NotAuthenticated as error:
            raise Closing(NOT_AUTHENTICATED) from error
        except AppError as error:  # nobody stays whose credential cannot be checked
            raise Closing(TRY_LATER) from error
        if "docs:read" not in caller.scopes:
            await self._send_error(NotAllowed("This needs the scope 'docs:read'."))
            raise Closing(NOT_ALLOWED)
        return caller

    async def _serve(self, caller: Caller, subscription: Subscription) -> None:
        tasks = {
            asyncio.create_task(self._listen(caller, subscription)),
            asyncio.create_task(self._tell(caller, subscription)),
            asyncio.create_task(self._watch(caller, subscription)),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, self._questions.end(), return_exceptions=True)
        for task in done:
            task.result()

    async def _watch(self, caller: Caller, subscription: Subscription) -> None:
        while True:
            await asyncio.sleep(RECHECK_S)
            followed = subscription.topics - {BROADCAST}
            with suppress(DatabaseUnavailable):  # the credential cannot be checked either
                for document_id in await self._board.out_of_sight(caller.tenant_id, followed):
                    subscription.remove(document_id)
            try:
                check_rights(caller, await self._caller())
            except NotAllowed as error:
                await self._send_error(error)
                raise Closing(NOT_ALLOWED) from error

    async def _listen(self, caller: Caller, subscription: Subscription) -> None:
        while True:
            try:
                await self._answer(caller, subscription, await self._hear())
            except AppError as error:
                await self._send_error(error)

    async def _hear(self) -> Said | Asked:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        data: str | bytes = message.get("text") or message.get("bytes") or b""
        size_bytes = len(data.encode()) if isinstance(data, str) else len(data)
        if size_bytes > MAX_MESSAGE_BYTES:
            await self._send_error(TooLarge("A message has at most 65,536 bytes."))
            raise Closing(TOO_BIG)
        try:
            said = orjson.loads(data)
            if isinstance(said, dict) and said.get("action") == "chat":
                return Asked({name: said[name] for name in said if name != "action"})
            return Said.model_validate(said)
        except (orjson.JSONDecodeError, ValidationError) as error:
            raise InvalidRequest("The message is not one of those understood here.") from error

    async def _answer(self, caller: Caller, subscription: Subscription, said: Said | Asked) -> None:
        if isinstance(said, Asked):
            await self._count(caller, "chat")
            # As the caller is now: its tenant's documents and its budget, under which answers are
            # kept and made, may have changed since it came.
            self._questions.begin(await self._caller(), said.body)
            return
        if said.action == "ping":
            await self._send({"type": "pong"})
            return
        await self._count(caller, "other")
        match said.action:
            case "unsubscribe" if said.document_id != BROADCAST:
                subscription.remove(said.document_id)
            case "status":
                await self._send_job(
                    await self._board.of_document(caller.tenant_id, said.document_id)
                )
            case "subscribe":
                await self._follow(caller, subscription, said.document_id)
            case _:
                raise InvalidRequest("This cannot be asked for here.")

    async def _count(self, caller: Caller, route_class: RouteClass) -> None:
        """Count a message as the request that asks the same; a ping asks nothing.

        Raises:
            RateLimited: a limit is used up.
        """
        ip: str = self._socket.scope["state"]["ip"]
        verdict = await self._limiter.take(subject_of(caller, ip, route_class))
        if verdict.refused_by is not None:
            raise refusal(verdict.refused_by)

    async def _follow(self, caller: Caller, subscription: Subscription, document_id: str) -> None:
        """Subscribe to a document; its present state comes at once.

        Raises:
            DocumentNotFound: also when it is another tenant's.
        """
        await self._board.of_document(caller.tenant_id, document_id)
        if len(subscription.topics - {document_id}) > MAX_SUBSCRIPTIONS:  # BROADCAST is one
            raise TooManySubscriptions
        subscription.add(document_id)
        # Read again, now that nothing after it is missed.
        await self._send_job(await self._board.of_document(caller.tenant_id, document_id))

    async def _tell(self, caller: Caller, subscription: Subscription) -> None:
        while True:
            taken = await subscription.take()
            for event in taken:
                await self._pass_on(event)
            if LOST in taken:
                await self._catch_up(caller, subscription)

    async def _pass_on(self, event: Event) -> None:
        if "job" in event.payload:
            await self._send(_update(event.payload["job"]))
        elif "message" in event.payload:
            await self._send(event.payload["message"])

    async def _catch_up(self, caller: Caller, subscription: Subscription) -> None:
        for document_id in sorted(subscription.topics - {BROADCAST}):
            with suppress(AppError):  # gone meanwhile, or the database is: the next event tells
                await self._send_job(await self._board.of_document(caller.tenant_id, document_id))

    async def _send_job(self, job: Job) -> None:
        await self._send(_update(JobOut.of(job).model_dump(mode="json")))

    async def _send_error(self, error: AppError) -> None:
        await self._send(error_message(error))

    async def _send(self, message: dict[str, Any]) -> None:
        await self._send_text(orjson.dumps(message))

    async def _send_text(self, message: bytes) -> None:
        try:
            await self._socket.send_text(message.decode())
        except (RuntimeError, OSError) as error:
            raise WebSocketDisconnect from error


def _update(job: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "processing_update",
        "document_id": job["document_id"],
        "progress": job["progress"],
        "status": job["status"],
        "current_step": job["step"],
        "details": job,
    }
