"""The circuits of all providers: decided in memory, shared through Redis.

Every process decides by what it holds in memory, so no request waits for Redis. What happens is
shared as it happens and read back once a second; while Redis is away every process goes by its own
experience. Only to become the one probe of a half-open circuit is Redis asked first.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any, TypeVar

from app.infra.redis import RedisAway
from app.llm.circuit import LONG_S, Circuit, CircuitChange, CircuitKey, Pass, waits_s
from app.llm.circuit_board import CircuitBoard, Shared, Verdict
from app.llm.failures import ProviderFailed

T = TypeVar("T")
_log = logging.getLogger(__name__)
#: How often what others found out is read.
REFRESH_S = 1.0


class Circuits:
    """Without a ``board`` the circuits are this process's own, as those of brought keys are."""

    def __init__(
        self,
        *,
        board: CircuitBoard | None = None,
        cooldown_s: float = 300.0,
        lease_s: float = 35.0,
        capacity: int = 1024,
        observe: Callable[[CircuitChange], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start with everything closed.

        Args:
            board: Where the circuits are shared.
            cooldown_s: How long a provider that failed is left alone, unless it asks for longer.
            lease_s: How long a probe may take; longer than an attempt.
            capacity: Circuits that are kept; those made first are forgotten first.
            observe: Told of every change this process notices.
            clock: Seconds that never go back.
        """
        self._board = board
        self._cooldown_s, self._lease_s = cooldown_s, lease_s
        self._capacity = capacity
        self._observe = observe or (lambda _: None)
        self._clock = clock
        self._circuits: dict[CircuitKey, Circuit] = {}
        # One write after the other, or a release could overtake its lease.
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._watcher: asyncio.Task[None] | None = None

    def apart(self, capacity: int) -> "Circuits":
        """Others like these, in this process only and told to nobody."""
        return Circuits(cooldown_s=self._cooldown_s, capacity=capacity, clock=self._clock)

    async def admit(self, key: CircuitKey) -> Pass | None:
        """Leave to ask, or None."""
        circuit = self._circuits.get(key)
        if circuit is None or not circuit.failures:
            return Pass(key)
        now = self._clock()
        if circuit.is_shut_to(now):
            return None
        leave = Pass(key, token_hex(8))
        circuit.probing_until = now + self._lease_s
        try:
            verdict, left_s = await self._lease(leave)
        except asyncio.CancelledError:
            self.released(leave)
            raise
        return self._judge(circuit, leave, verdict, left_s)

    def succeeded(self, leave: Pass) -> None:
        """An answer came; that of a probe closes the circuit for everybody."""
        circuit = self._circuits.get(leave.key)
        if circuit is None:
            return
        if leave.lease:
            self._close(leave.key, circuit)
            self._share_closed(leave.key, circuit)
        circuit.strikes = 0

    def failed(self, leave: Pass, failure: ProviderFailed) -> None:
        """No answer came; what follows is the rule of its fault."""
        opens = failure.rule.opens
        circuit = self._circuit(leave.key)
        if not circuit.is_enough(opens, probing=bool(leave.lease)):
            self.released(leave)
            return
        asked_s = max(failure.retry_after_s or 0.0, LONG_S if opens == "long" else 0.0)
        now = self._clock()
        if circuit.open(now, asked_s, waits_s(self._cooldown_s)) or leave.lease:
            left_s = circuit.open_until - now
            alert = opens == "long"
            self._observe(CircuitChange(leave.key, "open", failure.outcome, left_s, alert))
            self._share(leave, circuit, asked_s)

    def released(self, leave: Pass) -> None:
        """It was not found out; somebody else may try."""
        circuit = self._circuits.get(leave.key)
        if circuit is not None and leave.lease:
            circuit.probing_until = 0.0
            self._write(circuit, lambda board: board.release(leave.key, leave.lease))

    def remaining_s(self, key: CircuitKey) -> float:
        """Seconds until the provider may be tried again; 0 when it may be now."""
        circuit = self._circuits.get(key)
        return max(0.0, circuit.open_until - self._clock()) if circuit else 0.0

    def until(self, key: CircuitKey) -> str | None:
        """The same as a time for people to read, RFC 3339 UTC; None when it may be tried now."""
        left_s = self.remaining_s(key)
        if not left_s:
            return None
        return (datetime.now(UTC) + timedelta(seconds=left_s)).isoformat(timespec="seconds")

    async def watch(self, keys: Sequence[CircuitKey]) -> None:
        """Learn what the others know, now and from now on."""
        await self.refresh(keys)
        if self._board is not None and self._watcher is None:
            self._watcher = asyncio.create_task(self._keep_watching(keys))

    async def flush(self) -> None:
        """Wait until everything is shared, or Redis was found to be away."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Stop watching, and share what is yet to be shared."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait({self._watcher})
        await self.flush()

    async def refresh(self, keys: Sequence[CircuitKey]) -> None:
        """Take over what the others found out; nothing changes while Redis is away."""
        if self._board is None or not keys:
            return
        began = self._clock()
        try:
            found = await self._board.read(keys)
        except RedisAway:
            return
        now = self._clock()
        for key, shared in zip(keys, found, strict=True):
            known = self._circuits.get(key)
            if not shared.failures and (known is None or not known.failures):
                continue  # closed for everybody; its strikes stay
            circuit = self._circuit(key)
            if not circuit.writing and circuit.wrote_at <= began:  # else this process knows better
                self._take_over(key, circuit, shared, now)

    async def _keep_watching(self, keys: Sequence[CircuitKey]) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                await self.refresh(keys)
            except Exception:  # noqa: BLE001
                # Without news a process goes by its own experience, which is no reason to stop
                # asking for news.
                _log.exception("the circuits could not be read")

    def _judge(self, circuit: Circuit, leave: Pass, verdict: Verdict, left_s: float) -> Pass | None:
        now = self._clock()
        if verdict == "yours":
            self._observe(CircuitChange(leave.key, "half_open"))
            return leave
        if verdict == "closed":
            self._close(leave.key, circuit)
            return Pass(leave.key)
        circuit.probing_until = 0.0
        if verdict == "open":
            self._learn(leave.key, circuit, now + left_s, circuit.failures)
        else:
            circuit.probing_until = now + REFRESH_S
        return None

    def _take_over(self, key: CircuitKey, circuit: Circuit, shared: Shared, now: float) -> None:
        if shared.failures and circuit.unshared and not (circuit.failures or shared.open_s):
            self._share_closed(key, circuit)  # it is back, which could not be told
        elif shared.failures:
            self._learn(key, circuit, now + shared.open_s, shared.failures)
        elif circuit.unshared and now < circuit.open_until:
            self._share(Pass(key), circuit, circuit.open_until - now)
        elif circuit.failures:  # what is closed keeps its strikes
            self._close(key, circuit)

    def _learn(self, key: CircuitKey, circuit: Circuit, until: float, failures: int) -> None:
        now = self._clock()
        if circuit.learn(now, until, failures):
            self._observe(CircuitChange(key, "open", open_s=circuit.open_until - now))

    def _close(self, key: CircuitKey, circuit: Circuit) -> None:
        if circuit.close():
            self._observe(CircuitChange(key, "closed"))

    def _circuit(self, key: CircuitKey) -> Circuit:
        circuit = self._circuits.get(key)
        if circuit is None:
            if len(self._circuits) >= self._capacity:
                del self._circuits[next(iter(self._circuits))]
            circuit = self._circuits[key] = Circuit()
        return circuit

    # --- Redis ------------------------------------------------------------------------------

    async def _lease(self, leave: Pass) -> tuple[Verdict, float]:
        if self._board is None:
            return "yours", 0.0
        lease = self._board.lease(leave.key, leave.lease, lease_s=self._lease_s)
        # Shielded: a command that is cancelled half-way costs its connection.
        return await asyncio.shield(self._start(lease)) or ("yours", 0.0)

    def _share(self, leave: Pass, circuit: Circuit, asked_s: float) -> None:
        async def share(board: CircuitBoard) -> None:
            waits = waits_s(self._cooldown_s)
            shared = await board.open(leave, asked_s=asked_s, waits_s=waits)
            if circuit.failures:  # else it was closed in the meantime
                now = self._clock()
                until = max(circuit.open_until, now + shared.open_s)
                circuit.learn(now, until, shared.failures)

        self._write(circuit, share)

    def _share_closed(self, key: CircuitKey, circuit: Circuit) -> None:
        self._write(circuit, lambda board: board.close(key))

    def _write(self, circuit: Circuit, work: Callable[[CircuitBoard], Awaitable[None]]) -> None:
        board = self._board
        if board is None:
            return

        async def write() -> None:
            circuit.unshared = True
            try:
                await work(board)
                circuit.unshared = False
            finally:
                circuit.writing -= 1
                circuit.wrote_at = self._clock()

        circuit.writing += 1
        self._start(write())

    def _start(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T | None]":
        """Do ``work`` after all that was started before; None when Redis is away."""

        async def run() -> T | None:
            async with self._lock:
                with suppress(RedisAway):
                    return await work
            return None

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
