"""An OpenAI-compatible /embeddings endpoint in a thread of its own, which counts what it is asked.

Its model is the built-in one, cut to the first of its numbers: another model in every respect that
an index can tell, with vectors that still find what they should.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from aiohttp import web

from app.retrieval.minilm import MiniLmEmbedder
from app.settings import MODEL_DIR

MODEL, DIMENSION = "short-minilm", 256


class EmbeddingServer:
    """What it was asked, and how it is to answer."""

    def __init__(self) -> None:
        self.url = ""
        self.texts: list[str] = []
        #: Seconds to wait before each answer.
        self.delay_s = 0.0

    def settings(self) -> dict[str, object]:
        """What names it as the model to change to."""
        return {
            "next_embedding_model": MODEL,
            "next_embedding_dimension": DIMENSION,
            "next_embedding_base_url": self.url,
        }

    async def serve(self, ready: threading.Event, over: asyncio.Event) -> None:
        """Answer until it is over."""
        embedder = MiniLmEmbedder(MODEL_DIR)

        async def embeddings(request: web.Request) -> web.Response:
            texts = (await request.json())["input"]
            self.texts += texts
            await asyncio.sleep(self.delay_s)
            rows = (await embedder.embed_passages(texts))[:, :DIMENSION]
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            data = [{"index": n, "embedding": row.tolist()} for n, row in enumerate(rows)]
            return web.json_response({"object": "list", "data": data})

        app = web.Application(client_max_size=2**25)
        app.router.add_post("/v1/embeddings", embeddings)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"{site.name.replace(':0', f':{runner.addresses[0][1]}')}/v1"
        ready.set()
        await over.wait()
        await runner.cleanup()
        await embedder.close()


@contextmanager
def embedding_server() -> Iterator[EmbeddingServer]:
    """The server, until the block ends."""
    server, ready = EmbeddingServer(), threading.Event()
    loop, over = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(server.serve(ready, over),))
    thread.start()
    assert ready.wait(30)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()
