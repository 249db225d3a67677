"""The limits of ingestion, for the page of the whole house."""

from app.infra.fetch import FetchLimits
from app.ingestion.jobs import WorkLimits
from app.ingestion.ocr import OcrLimits
from app.ingestion.parse import ParseLimits
from app.ingestion.pipeline import FileLimits
from app.ingestion.url_fetcher import UrlFetcher
from app.settings import Settings


def work_limits(settings: Settings) -> WorkLimits:
    """How a worker works."""
    return WorkLimits(
        attempts=settings.job_attempts,
        concurrency=settings.worker_concurrency,
        stalled_after_s=settings.job_stalled_after_s,
    )


def file_limits(settings: Settings) -> FileLimits:
    """What one file may cost."""
    return FileLimits(
        ParseLimits(
            max_bytes=settings.max_file_bytes,
            max_pages=settings.max_pages,
            max_text_bytes=settings.max_text_bytes,
            timeout_s=settings.parse_timeout_s,
            memory_bytes=settings.parse_memory_bytes,
            max_entries=settings.max_entries,
            max_unpacked_bytes=settings.max_unpacked_bytes,
        ),
        OcrLimits(max_pages=settings.max_ocr_pages, timeout_s=settings.ocr_timeout_s),
        settings.chunk_words,
    )


def url_fetcher(settings: Settings) -> UrlFetcher:
    """What fetches the documents that callers name."""
    limits = FetchLimits(settings.max_file_bytes, settings.fetch_timeout_s)
    return UrlFetcher(limits, allow_private=settings.allow_private_urls)
