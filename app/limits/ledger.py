"""What tenants and keys have spent and reserved, in Redis; every change is one script.

Of each tenant there are, in micro-dollars:

- ``budget:{ten_…}:2026-05``, a hash: what was spent in that month, in ``total`` and by key id;
- ``budget:{ten_…}:holds``, a sorted set: ``<cost> <key id> <hold id>`` by the time, on Redis's own
  clock in milliseconds, after which the hold of a worker that died counts no more.

Neither has a lifetime, so that a full Redis evicts caches before them; the first cost of a month
gives one to the month before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha1
from secrets import token_hex
from typing import Any, Literal, cast

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from app.infra.redis import Guarded
from app.limits.money import Month

Payer = Literal["tenant", "key"]
_TOTAL = b"total"

# Holds are added up and not counted along: a tenant has as many as it has answers under way, and a
# sum that is kept can come apart from what it is the sum of.
_HOLD = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local key_id, cost = ARGV[1], tonumber(ARGV[2])
local tenant_held, key_held = 0, 0
for _, hold in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local held, whose = hold:match('^(%d+) (.+) %S+$')
  tenant_held = tenant_held + held
  if whose == key_id then key_held = key_held + held end
end
local function refuses(budget, field, held)
  local spent = redis.call('HGET', KEYS[2], field) or '0'
  if budget ~= '' and tonumber(spent) + held + cost > tonumber(budget) then return spent end
end
local spent = refuses(ARGV[5], 'total', tenant_held)
if spent then return {'tenant', tonumber(spent)} end
spent = refuses(ARGV[6], key_id, key_held)
if spent then return {'key', tonumber(spent)} end
local expires = now + ARGV[4]
redis.call('ZADD', KEYS[1], expires, ARGV[3])
return {'', expires}
"""
# A charge that was sent again and whose hold is gone before its time had arrived the first time.
_CHARGE = """
local was_held = redis.call('ZREM', KEYS[1], ARGV[1]) == 1
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if ARGV[4] == '1' and not was_held and now < tonumber(ARGV[5]) then return 0 end
if ARGV[3] == '0' then return 1 end
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('EXPIRE', KEYS[3], 3456000) end
redis.call('HINCRBY', KEYS[2], 'total', ARGV[3])
redis.call('HINCRBY', KEYS[2], ARGV[2], ARGV[3])
return 1
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """Budgets of a month, micro-dollars; None = no budget."""

    tenant_micros: int | None
    key_micros: int | None


@dataclass(frozen=True, slots=True)
class Charge:
    """What an answer cost, or may cost, and whom."""

    tenant_id: str
    key_id: str
    month: Month
    micros: int
    #: Of the hold this settles; "" when nothing was held.
    hold: str = ""
    #: When that hold lapses, on Redis's clock.
    expires_ms: int = 0
    #: Whether it was sent before, and may have arrived.
    again: bool = False


def new_hold(key_id: str, micros: int) -> str:
    """What a hold is called, which says whose it is and of how much."""
    return f"{micros} {key_id} {token_hex(8)}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Whose budget a cost does not fit into, and what has been spent of it."""

    budget: Payer
    spent_micros: int


@dataclass(frozen=True, slots=True)
class Spending:
    """What was spent in a month and is reserved now, micro-dollars."""

    spent_micros: int = 0
    held_micros: int = 0


class Ledger:
    """The counters; every method raises :class:`app.infra.redis.RedisAway`.

    A command that was sent may have been carried out even then. Each script begins with a command
    that frees memory, so that a Redis that is full lets it finish.
    """

    def __init__(self, redis: Guarded) -> None:
        self._redis = redis

    async def hold(self, wanted: Charge, limits: Limits, *, hold_s: float) -> int | Refusal:
        """Reserve ``wanted`` as its ``hold``; when that lapses, or why it does not fit."""
        holds, month, _ = _keys(wanted.tenant_id, wanted.month)
        budgets = ["" if b is None else b for b in (limits.tenant_micros, limits.key_micros)]
        values = (wanted.key_id, wanted.micros, wanted.hold, round(hold_s * 1000), *budgets)
        refuses, number = await self._redis.run(
            lambda redis: _run(redis, _HOLD, (holds, month), values)
        )
        if refuses:
            return Refusal(cast("Payer", refuses.decode()), number)
        return cast("int", number)

    async def charge(self, cost: Charge) -> None:
        """Count a cost and give its hold back, whether that has lapsed or not."""
        values = (cost.hold, cost.key_id, cost.micros, int(cost.again), cost.expires_ms)
        keys = _keys(cost.tenant_id, cost.month)
        await self._redis.run(lambda redis: _run(redis, _CHARGE, keys, values))

    async def spending(self, tenant_id: str, month: Month) -> tuple[Spending, dict[str, Spending]]:
        """Of the whole tenant, and by key."""
        holds_key, month_key, _ = _keys(tenant_id, month)

        async def read(redis: Redis) -> tuple[Mapping[bytes, bytes], Sequence[bytes]]:
            seconds, micros = await redis.time()
            # Holds first: what is settled in between is told twice rather than not at all. No
            # transaction: a Redis that is full refuses those.
            async with redis.pipeline(transaction=False) as pipe:
                pipe.zrangebyscore(holds_key, f"({seconds * 1000 + micros // 1000}", "+inf")
                pipe.hgetall(month_key)
                holds, spent = await pipe.execute()
            return spent, holds

        spent, holds = await self._redis.run(read)
        return _added_up(spent, holds)


def _added_up(
    spent: Mapping[bytes, bytes], holds: Sequence[bytes]
) -> tuple[Spending, dict[str, Spending]]:
    held: dict[bytes, int] = {}
    for hold in holds:
        micros, key_id = hold.rsplit(b" ", 1)[0].split(b" ", 1)
        for name in (_TOTAL, key_id):
            held[name] = held.get(name, 0) + int(micros)
    by_key = {
        name.decode(): Spending(int(spent.get(name, 0)), held.get(name, 0))
        for name in {*spent, *held}
    }
    return by_key.pop(_TOTAL.decode(), Spending()), by_key


def _keys(tenant_id: str, month: Month) -> tuple[str, str, str]:
    # The braces keep all of a tenant on one node of a Redis cluster, which scripts need.
    tenant = f"budget:{{{tenant_id}}}"
    return f"{tenant}:holds", f"{tenant}:{month.name}", f"{tenant}:{month.before.name}"


_SHA = {text: sha1(text.encode(), usedforsecurity=False).hexdigest() for text in (_HOLD, _CHARGE)}


async def _run(redis: Redis, script: str, keys: Sequence[str], values: Sequence[str | int]) -> Any:  # noqa: ANN401 - whatever the script returns
    try:
        return await redis.evalsha(_SHA[script], len(keys), *keys, *values)
    except NoScriptError:
        return await redis.eval(script, len(keys), *keys, *values)
