"""How far into a tenant's documents the running task sees; every query of it is bounded so.

It belongs to the task and is not handed from function to function, because what can be forgotten
will be: the gate says it for a request, the worker for its jobs, an operator's script for itself,
and a task for which nobody has said anything sees what the whole tenant may see.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: Every document of the tenant.
EVERYTHING = "*"
#: What the whole tenant may see.
SHARED = ""
_reach: ContextVar[str] = ContextVar("reach", default=SHARED)


def current_reach() -> str:
    """EVERYTHING, SHARED, or the user or workspace whose documents are seen as well."""
    return _reach.get()


@contextmanager
def reaching(reach: str) -> Iterator[None]:
    """See as far as ``reach`` in the block, and in the tasks that are begun in it."""
    token = _reach.set(reach)
    try:
        yield
    finally:
        _reach.reset(token)
