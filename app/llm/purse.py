"""Who pays for an attempt, as the router sees it; what implements it is the budgets' business."""

from typing import Protocol

from app.llm.completion import Account


class Hold(Protocol):
    """Money put aside for one attempt."""

    async def settle(self, cost_usd: float) -> None:
        """Give back all but ``cost_usd``; called exactly once, however the attempt ended."""


class Purse(Protocol):
    """Where the money of an account is put aside before it is spent."""

    async def reserve(self, account: Account, cost_usd: float) -> Hold:
        """Put aside ``cost_usd``, the most an attempt is expected to cost.

        Raises:
            AppError: the money is spent; the request ends with it.
            Exception: nobody knows; whatever costs money is left out.
        """
