"""Hanging up on a server that says nothing, and noticing that it has hung up on us."""

import asyncio
import os
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

Connection = psycopg.AsyncConnection[Any]


class ServerSilent(psycopg.OperationalError):
    """The server said nothing for too long, and the connection to it was closed."""


@contextmanager
def deadline(connection: Connection, seconds: float) -> Iterator[None]:
    """Hang up on a server that is frozen.

    Cancelling the task would not do: the driver then asks the server to cancel and waits for its
    answer, which never comes.

    Raises:
        ServerSilent: in the place of what the driver says of it.
    """
    late = False

    def hang_up() -> None:
        nonlocal late
        late = True
        _hang_up(connection)

    timer = asyncio.get_running_loop().call_later(seconds, hang_up)
    try:
        yield
    except psycopg.Error as error:
        if late:
            raise ServerSilent from error
        raise
    finally:
        timer.cancel()


def _hang_up(connection: Connection) -> None:
    """End both directions of a connection; whoever waits for it is told at once.

    Its descriptor stays open until they have heard. Closed under them, its number went to the next
    connection that this process made, and they waited for that one to be answered: for ever.
    """
    with (
        suppress(OSError, psycopg.OperationalError),  # it is closed already
        socket.socket(fileno=os.dup(connection.fileno())) as same,
    ):
        same.shutdown(socket.SHUT_RDWR)


def is_lost(connection: Connection) -> bool:
    """Whether an idle connection is closed, or has something to read: its end, or the notice."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
