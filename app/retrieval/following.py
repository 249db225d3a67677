"""The embedding model of a process; while one takes another's place, whichever the index is of."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import structlog

from app.errors import AppError
from app.infra.postgres import Pool
from app.retrieval.embedding import Embedder, Vector, Vectors
from app.retrieval.index_info import current_model, mismatch
from app.retrieval.models import build_embedder, next_settings
from app.settings import Settings

log = structlog.get_logger(__name__)
#: Seconds between two looks at which model it is. Until the next one the questions of this process
#: are embedded by the old model and find the old model's vectors.
LOOK_S = 1.0


class FollowingEmbedder:
    """One of two models, the one that the index answers with; implements `Embedder`."""

    def __init__(self, *models: Embedder) -> None:
        self._models = {model.name: model for model in models}
        self.adopt(models[0])

    def adopt(self, model: Embedder) -> None:
        """Be ``model`` from now on."""
        self.current = model
        self.name, self.dimension = model.name, model.dimension

    async def look(self, pool: Pool) -> None:
        """Be the model that the index answers with.

        Raises:
            IndexMismatch: it is none of ours.
            DatabaseUnavailable: when the database does not answer.
        """
        made_with = await current_model(pool)
        found = self._models.get(made_with[0])
        if found is None or found.dimension != made_with[1]:
            raise mismatch(made_with, (self.name, self.dimension))
        if found is not self.current:
            log.info("embedding_model_switched", model=found.name)
            self.adopt(found)

    async def follow(self, pool: Pool) -> None:
        """Look again and again, until cancelled; a look that fails changes nothing."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look(pool)
            except AppError as error:
                log.warning("embedding_model_not_followed", detail=error.detail)

    async def embed_query(self, text: str) -> Vector:
        """See `Embedder`."""
        return await self.current.embed_query(text)

    async def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder`."""
        return await self.current.embed_passages(texts)

    async def close(self) -> None:
        """Close all of them."""
        for model in self._models.values():
            await model.close()


def settled(embedder: Embedder) -> Embedder:
    """The one model that ``embedder`` is at this moment, for a piece of work to keep to."""
    return embedder.current if isinstance(embedder, FollowingEmbedder) else embedder


@asynccontextmanager
async def open_embedder(
    pool: Pool, settings: Settings, given: Embedder | None = None, *, threads: int
) -> AsyncIterator[Embedder]:
    """The model that the settings name, or ``given``, and with a next one whichever is current.

    Raises:
        ConfigurationError: the index is another's, or the settings name a model that is none.
        DatabaseUnavailable: when the database does not answer.
    """
    async with AsyncExitStack() as stack:
        models = [given or build_embedder(settings, threads=threads)]
        stack.push_async_callback(models[0].close)
        if following := next_settings(settings):
            models.append(build_embedder(following, threads=threads))
            stack.push_async_callback(models[1].close)
        embedder = FollowingEmbedder(*models)
        await embedder.look(pool)
        if following is None:
            yield settled(embedder)
            return
        task = asyncio.create_task(embedder.follow(pool))
        try:
            yield embedder
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
