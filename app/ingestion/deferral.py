"""Recording a job in a transaction of ours."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from procrastinate.exceptions import ConnectorException


@contextmanager
def driver_errors() -> Iterator[None]:
    """Let what the driver says through, as of every other statement of the transaction.

    Procrastinate wraps it, and a database that froze at that moment was a mistake of ours.
    """
    try:
        yield
    except ConnectorException as error:
        if isinstance(error.__cause__, psycopg.Error):
            raise error.__cause__ from error
        raise
