"""Where PostgreSQL and Redis are: as configured, or the embedded ones.

Apart from the wiring, because the programs that only prepare a start need nothing else of it, and
its imports (LlamaIndex) take seconds.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from app.infra.embedded.servers import ServerUrls, embedded_servers, urls_for
from app.settings import Settings


def urls_of(settings: Settings) -> ServerUrls:
    """Where PostgreSQL and Redis are: as configured, or the embedded ones."""
    embedded = urls_for(settings.docent_home)
    return ServerUrls(
        settings.database_url or embedded.database_url, settings.redis_url or embedded.redis_url
    )


def owner_url(settings: Settings) -> str:
    """The URL that owns the tables: migrations and new keys go through it."""
    return settings.migration_database_url or urls_of(settings).database_url


@contextmanager
def servers(settings: Settings) -> Iterator[ServerUrls]:
    """The servers behind the URLs; those not configured are the embedded ones, run while used.

    Raises:
        StartError: an embedded server cannot run, with one sentence that says what to do.
    """
    postgres, redis = settings.database_url is None, settings.redis_url is None
    if postgres or redis:
        with embedded_servers(settings.docent_home, postgres=postgres, redis=redis):
            yield urls_of(settings)
    else:
        yield urls_of(settings)
