"""Fetching the documents that callers name by a URL: a few at a time for each tenant."""

import asyncio
from weakref import WeakValueDictionary

from app.errors import Unavailable
from app.infra.fetch import Fetched, FetchLimits, fetch

#: Of one tenant, by one process. A server that means harm has us parse as much as it can send in
#: the time there is; one caller's servers are not to have all of a process.
AT_ONCE = 4


class FetchesBusy(Unavailable):
    """Too many documents of this tenant are being fetched; try again shortly."""

    code = "fetches_busy"


class UrlFetcher:
    """Fetches for all tenants of this process."""

    def __init__(self, limits: FetchLimits, *, allow_private: bool) -> None:
        """``limits`` are for each document; it waits for its turn as long as it may then take."""
        self._limits = limits
        self._allow_private = allow_private
        #: By tenant, as long as somebody fetches or waits.
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def fetch(self, tenant_id: str, url: str) -> Fetched:
        """The document at ``url``.

        Raises:
            FetchesBusy: its turn did not come.
            UrlRefused, FetchFailed, TooLarge: as :func:`app.infra.fetch.fetch` has it.
        """
        turns = self._turns.setdefault(tenant_id, asyncio.Semaphore(AT_ONCE))
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                await turns.acquire()
        except TimeoutError:
            raise FetchesBusy from None
        try:
            return await fetch(url, limits=self._limits, allow_private=self._allow_private)
        finally:
            turns.release()
