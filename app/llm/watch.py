"""Waiting for a provider, until the deadline of the whole answer."""

import asyncio
import logging
from collections.abc import AsyncIterator

from app.errors import AppError
from app.llm.completion import Event
from app.llm.failures import ProviderFailed

_log = logging.getLogger(__name__)


class Watch:
    """Ends the waiting for a provider when the deadline of the whole answer passes.

    What ``asyncio.timeout_at`` does, set once for an attempt and not for every event, which is
    most of what the router costs. It cancels only while there is waiting, never the reader's work.
    """

    def __init__(self, deadline: float | None) -> None:
        self._waiting: asyncio.Task[object] | None = None
        self._is_over = False
        self._timer = None
        if deadline is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._end)

    def stop(self) -> None:
        """The attempt has ended."""
        if self._timer is not None:
            self._timer.cancel()

    async def next(self, events: AsyncIterator[Event]) -> Event:
        """The next event.

        Raises:
            ProviderFailed: also for whatever else a provider raises.
        """
        if self._is_over:
            raise _late()
        self._waiting = asyncio.current_task()
        try:
            return await anext(events)
        except (ProviderFailed, AppError):
            raise
        except asyncio.CancelledError:
            if self._is_over and self._waiting is not None and not self._waiting.uncancel():
                raise _late() from None
            raise
        except StopAsyncIteration:
            raise ProviderFailed("cut", "the stream had no completion") from None
        except Exception as error:
            # One provider's defect must not take the answer down while others can give it.
            _log.exception("a provider raised what it should not")
            raise ProviderFailed("malformed", type(error).__name__) from error
        finally:
            self._waiting = None

    def _end(self) -> None:
        self._is_over = True
        if self._waiting is not None:
            self._waiting.cancel()


def _late() -> ProviderFailed:
    return ProviderFailed("stalled", "the deadline of the whole answer passed")
