"""A TCP door before a server: it passes everything on, late or not at all when told so."""

import asyncio
from typing import Self


class Door:
    """Before a server on a unix socket; while held it takes what is sent and keeps it."""

    def __init__(self, target: str) -> None:
        self._target = target
        self.port = 0
        #: How long every piece of data is on its way.
        self.delay_s = 0.0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._free = asyncio.Event()
        self._free.set()
        self._held = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._passed, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        self._free.set()
        for writer in self._writers:
            writer.transport.abort()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._writers.clear()

    def hold(self) -> None:
        self._held.clear()
        self._free.clear()

    def let_go(self) -> None:
        self._free.set()

    async def until_held(self) -> None:
        """Until something was sent that is not passed on."""
        async with asyncio.timeout(10):
            await self._held.wait()

    async def _passed(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_unix_connection(self._target)
        self._writers |= {writer, there[1]}
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        await asyncio.gather(self._pump(reader, there[1]), self._pump(there[0], writer))
        self._tasks.discard(task)
        self._writers -= {writer, there[1]}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if not self._free.is_set():
                    self._held.set()
                    await self._free.wait()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()
