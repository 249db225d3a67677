"""The schema: brought to a revision by Alembic, one process at a time."""

from pathlib import Path

import psycopg

from app.errors import ConfigurationError
from app.infra.postgres import DatabaseUnavailable

MIGRATIONS = Path(__file__).parents[2] / "migrations"
#: Serialises processes that migrate at the same moment; any number that is ours alone.
_MIGRATION_LOCK = 0x646F63656E74


def migrate(
    url: str, *, embedding_model: str, embedding_dimension: int, revision: str = "head"
) -> None:
    """Bring the schema to ``revision``; blocks, for start-up and tests only.

    A new index is made for ``embedding_model`` and its dimension, and records them.

    Raises:
        DatabaseUnavailable: when the database cannot be reached.
        ConfigurationError: when the schema is newer than this code, or the database refuses, as it
            does without pgvector or to a user that may not make its extension.
    """
    # Imported here: Alembic and SQLAlchemy take a second, and only start-up needs them.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.exc import DBAPIError, OperationalError
    from sqlalchemy.pool import NullPool

    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({_MIGRATION_LOCK})")
            connection.commit()
            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS))
            config.attributes.update(
                connection=connection,
                embedding_model=embedding_model,
                embedding_dimension=embedding_dimension,
            )
            down = revision == "base" or revision.startswith("-")
            (command.downgrade if down else command.upgrade)(config, revision)
            connection.commit()
    except OperationalError as error:
        raise DatabaseUnavailable("The database of DATABASE_URL cannot be reached.") from error
    except CommandError as error:
        raise ConfigurationError(
            "The database's schema is not one this version knows; it was made by a newer Docent."
        ) from error
    except (psycopg.Error, DBAPIError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        said = cause.diag.message_primary if isinstance(cause, psycopg.Error) else None
        raise ConfigurationError(f"The database refused its migration: {said}.") from error
