"""An answer as server-sent events (design: contract, Chat).

Every event has a number, so that a reader who lost the connection can say how far it came. Exactly
one ``done`` or ``error`` ends the stream, whatever happens.
"""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing

import orjson
import structlog
from starlette.responses import Response
from starlette.types import Scope

from app.chat.answer import Answer
from app.chat.events import Advanced, Answered, Begun, ChatEvent, Cited, Restarted, Said
from app.chat.recording import Recording, RecordingLost, number_of
from app.chat.schemas import AnswerOut, PassageOut
from app.errors import AppError, Unavailable
from app.http.idempotency import Turn
from app.http.problems import encoded, problem_of
from app.http.sse import HEADERS, EventStream, frame

log = structlog.get_logger(__name__)


class AnswerInterrupted(Unavailable):
    """The answer was stopped before it was complete, because its reader left; ask again."""

    code = "answer_interrupted"


class Frames:
    """Numbers the events of one answer."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._trace_id: str = scope["state"]["trace_id"]
        #: How many were told.
        self.count = 0
        #: Whether ``done`` or ``error`` was told.
        self.ended = False

    def of(self, event: ChatEvent) -> list[bytes]:
        """The frames that tell of ``event``."""
        if isinstance(event, Said):
            self.count += 1
            return [
                b'id: %d\nevent: delta\ndata: {"text":%b}\n\n'
                % (self.count, orjson.dumps(event.text))
            ]
        self.ended = isinstance(event, Answered)
        return [self._frame(name, data) for name, data in parts_of(event, self._trace_id)]

    def failed(self, error: AppError) -> bytes:
        """The frame that ends the stream with a problem."""
        self.ended = True
        return self._frame("error", encoded(problem_of(error, self._scope)))

    def _frame(self, name: str, data: bytes) -> bytes:
        self.count += 1
        return frame(name, data, str(self.count))


def parts_of(event: ChatEvent, trace_id: str) -> list[tuple[str, bytes]]:  # noqa: PLR0911 - one an event
    """What is told of ``event``: names, each with its JSON."""
    match event:
        case Begun(answer_id, session_id, retrieved):
            ids = {"answer_id": answer_id, "session_id": session_id, "trace_id": trace_id}
            passages = [PassageOut.fields_of(found) for found in retrieved.passages]
            return [
                ("meta", orjson.dumps(ids)),
                ("sources", orjson.dumps({"passages": passages})),
            ]
        case Advanced(done, total):
            return [("progress", orjson.dumps({"done": done, "total": total}))]
        case Said(text):
            return [("delta", orjson.dumps({"text": text}))]
        case Cited(citation):
            return [("citation", orjson.dumps(citation))]
        case Restarted(reason):
            return [("reset", orjson.dumps({"reason": reason}))]
        case Answered(answer):
            return [("done", AnswerOut.json_of(answer, trace_id))]


async def tell(
    first: Sequence[ChatEvent],
    rest: AsyncGenerator[ChatEvent],
    frames: Frames,
    recording: AbstractAsyncContextManager[Recording],
    turn: Turn | None,
) -> AsyncGenerator[bytes, None]:
    """Tell the events ``first``, then the ``rest``, and keep what was told."""
    told: list[bytes] = []
    async with recording as record:
        try:
            async with aclosing(rest):
                async for event in _chained(first, rest):
                    for data in frames.of(event):
                        record.add(data)
                        if turn is not None:
                            told.append(data)
                            # Before its client, who has all then, may leave.
                            if isinstance(event, Answered):
                                await keep_told(turn, told, event.answer)
                        yield data
        except Exception as error:  # the last wall: a stream that has begun ends with an event
            if not isinstance(error, AppError):
                log.exception("stream_failed")
            known = error if isinstance(error, AppError) else AppError()
            record.add(failure := frames.failed(known))
            yield failure
        finally:
            if not frames.ended:
                record.add(frames.failed(AnswerInterrupted()))


async def keep_told(turn: Turn, told: Iterable[bytes], answer: Answer) -> None:
    """Let what was told be what the same request gets again."""
    try:
        await turn.keep(
            Response(b"".join(told), media_type=EventStream.media_type, headers=HEADERS),
            answer.rests_on,
        )
    except Exception:
        # The answer is there, and must not be lost because it cannot be given twice.
        log.exception("answer_not_kept")


async def _chained(
    first: Iterable[ChatEvent], rest: AsyncGenerator[ChatEvent]
) -> AsyncGenerator[ChatEvent]:
    for event in first:
        yield event
    async for event in rest:
        yield event


def nothing_follows(told: bytes, after: int) -> bool:
    """Whether the stream that was told has ended, with nothing above the number ``after``."""
    last = told.removesuffix(b"\n\n").rpartition(b"\n\n")[2]
    return (b"\nevent: done\n" in last or b"\nevent: error\n" in last) and number_of(last) <= after


async def retell(
    recorded: AsyncGenerator[bytes, None], frames: Frames, *, after: int
) -> AsyncGenerator[bytes, None]:
    """What was told above the number ``after``; with an end, also when its maker is gone."""
    try:
        async with aclosing(recorded):
            async for data in recorded:
                after = number_of(data)
                yield data
    except RecordingLost:
        frames.count = after
        yield frames.failed(AnswerInterrupted())
