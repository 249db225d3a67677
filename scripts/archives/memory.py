"""What Redis keeps for longer than a moment, in an archive: one line of JSON a key."""

import base64
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from app.errors import Unavailable
from scripts.archives.archive import ArchiveRefused

#: Conversations, what they quote and cite, how answers came about, and what was spent.
KEPT = ("turns:*", "sessions:*", "cites:*", "quoted:*", "record:*", "budget:*")
#: What was made from documents that a restore replaces.
STALE = ("cached:*", "told:*")
_STEP = 500
#: Nobody waits for an answer here.
TIMEOUT_S = 30


@contextmanager
def _open(url: str) -> Iterator["Redis[bytes]"]:
    client: Redis[bytes] = Redis.from_url(url, socket_timeout=TIMEOUT_S)
    try:
        yield client
    except RedisError as error:
        raise Unavailable("Redis does not answer, or refuses; nothing else can be done.") from error
    finally:
        client.close()


def read_memory(url: str) -> bytes:
    """Every key that is kept, with its lifetime.

    Raises:
        Unavailable: Redis is away.
    """
    lines = []
    with _open(url) as redis:
        for keys in _batches(redis, KEPT):
            pipeline = redis.pipeline(transaction=False)
            for key in keys:
                pipeline.dump(key)
                pipeline.pttl(key)
            found = pipeline.execute()
            for key, value, lifetime_ms in zip(keys, found[::2], found[1::2], strict=True):
                if value is not None:  # it lapsed meanwhile
                    encoded = base64.b64encode(value).decode()
                    lines.append(json.dumps([key.decode(), max(lifetime_ms, 0), encoded]))
    return "\n".join(lines).encode()


def write_memory(url: str, content: bytes) -> int:
    """Put the archive's keys in the place of those that are there; how many they are.

    Raises:
        Unavailable: Redis is away.
        ArchiveRefused: this Redis is older than the one the archive comes from.
    """
    lines = content.splitlines()
    with _open(url) as redis:
        for keys in _batches(redis, (*KEPT, *STALE)):
            redis.delete(*keys)
        try:
            for start in range(0, len(lines), _STEP):
                pipeline = redis.pipeline(transaction=False)
                for line in lines[start : start + _STEP]:
                    key, lifetime_ms, encoded = json.loads(line)
                    pipeline.restore(key, lifetime_ms, base64.b64decode(encoded), replace=True)
                pipeline.execute()
        except ResponseError as error:
            raise ArchiveRefused(
                "Redis cannot read the conversations of the archive; they come from a newer Redis."
            ) from error
    return len(lines)


def _batches(redis: "Redis[bytes]", patterns: Iterable[str]) -> Iterator[list[bytes]]:
    for pattern in patterns:
        keys = list(redis.scan_iter(pattern, count=_STEP))
        for start in range(0, len(keys), _STEP):
            yield keys[start : start + _STEP]
