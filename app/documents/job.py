"""A job as callers see it: the work on one version of a document, through all its attempts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled", "dead"]
#: How a version's status is called where it is seen as a job.
STATUS_OF_VERSION: dict[str, JobStatus] = {
    "queued": "queued",
    "processing": "running",
    "ready": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
    "dead": "dead",
}
#: Percent done when a step begins; embedding takes nearly all of the time, in proportion to pages.
_STARTS = {"parse": 1, "chunk": 5, "embed": 8, "index": 92}


@dataclass(frozen=True, slots=True)
class Job:
    """``failed``: the file cannot be read; ``dead``: given up after ``attempts`` tries."""

    id: str
    document_id: str
    version: int
    status: JobStatus
    step: str | None
    attempts: int
    error_code: str | None
    error_detail: str | None
    pages_done: int
    pages_total: int | None
    chunks_embedded: int
    chunks_reused: int
    created_at: datetime
    updated_at: datetime

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen unless somebody asks for it."""
        return self.status not in ("queued", "running")

    @property
    def progress(self) -> int:
        """Percent, 0 to 100; 100 only for a job that succeeded."""
        if self.status == "succeeded":
            return 100
        if self.status == "queued" or self.step is None:
            return 0
        start = _STARTS[self.step]
        if self.step != "embed" or not self.pages_total:
            return start
        return start + (_STARTS["index"] - start) * self.pages_done // max(self.pages_total, 1)
