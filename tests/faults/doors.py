"""A door of `tests/door.py` before a server, for tests that wait for other things meanwhile."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.door import Door


@contextmanager
def door_before(path: str) -> Iterator[Door]:
    """A door on a loop of its own; only ``delay_s`` may be changed from here."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    door = Door(path)
    asyncio.run_coroutine_threadsafe(door.open(), loop).result(60)
    try:
        yield door
    finally:
        asyncio.run_coroutine_threadsafe(door.close(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
