"""Realistic bodies of the API, after the contract; the page is one of a sample document."""

import json
from io import BytesIO
from typing import Any

import pypdfium2

from tests.conftest import ROOT

KEY = "dk_test_0123456789"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
GUIDE = "doc_guide"
GUIDE_PATH = ROOT / "docs" / "samples" / "CFS_DS_User_Guide_Doc_No_582_2013_001.pdf"
OSAL = "doc_osal"
HOSTILE = "doc_hostile"

RESET_PAGE = """\
CFS DS APPLICATION USER'S GUIDE - 582-2013-001 - Ver. 1.2 - 07/24/15 - Page 3-3
The controlled copy of this document is located online at https://fsb.gsfc.nasa.gov/CFS/

3.3.1 Power-On Reset
On power-on reset, DS performs a cFE application-specific initialization:
1. Initializes housekeeping data and global variables.
2. Registers for cFE Services.
3. Creates Software Bus input pipe.
4. Subscribes to ground commands and housekeeping requests.
5. Registers the Packet Filter Table and the Destination File Table.
   - If a table cannot be loaded, DS_TBL_ERR_EID is sent & the application exits.
3.3.2 Processor Reset
On processor reset, DS performs the same initialization, then restores from the
Critical Data Store (CDS) the enabled/disabled state and the filename counters.
"""
RESET_QUOTE = """\
On power-on reset, DS performs a cFE application-specific initialization:
1. Initializes housekeeping data and global variables."""
OSAL_PAGE = """\
OSAL configuration parameters
Parameter Description
OS_MAX_TASKS The maximum number of tasks that can be
created in the running OSAL application.
"""
OSAL_QUOTE = "The maximum number of tasks that can be\ncreated in the running OSAL application."
HOSTILE_TEXT = (
    "![pixel](http://evil.example/p.png) [click](http://evil.example) <script>alert(1)</script> "
    "https://evil.example/a www.evil.example me@evil.example :streamlit: :material/home: :smile: "
    ":red[red] $x^2$ a -> b | c | `code` *it* **bold** # no [^1] &lt;b&gt; \\(x\\)"
)
PAGES = {(GUIDE, 39): RESET_PAGE, (OSAL, 8): OSAL_PAGE, (HOSTILE, 1): HOSTILE_TEXT}


def document(document_id: str, title: str, filename: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": document_id,
        "title": title,
        "filename": filename,
        "media_type": "application/pdf",
        "author": None,
        "tags": [],
        "version": 1,
        "page_count": 104,
        "size_bytes": 1_548_211,
        "content_hash": "sha256:" + "0" * 64,
        "status": "ready",
        "error": None,
        "url": None,
        "uploaded_at": "2026-11-20T08:00:00Z",
        "updated_at": "2026-11-20T08:00:00Z",
    } | changes


def citation(document_id: str, page: int, quote: str, **changes: Any) -> dict[str, Any]:
    start = PAGES[document_id, page].index(quote)
    return {
        "marker": 1,
        "document_id": document_id,
        "version": 1,
        "title": "CFS DS Application User's Guide",
        "filename": "CFS_DS_User_Guide_Doc_No_582_2013_001.pdf",
        "tags": ["cFS", "data storage"],
        "page": page,
        "quote": quote,
        "start": start,
        "end": start + len(quote),
        "boxes": [[72.0, 310.5, 402.1, 322.0]],
        "score": 0.83,
        "verified": True,
        "url": None,
    } | changes


def answer(text: str, *citations: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "answer_id": "ans_1",
        "session_id": "ses_1",
        "answer": text,
        "status": "complete",
        "reason": None,
        "citations": list(citations),
        "groundedness": None,
        "unsupported": [],
        "provider": "extractive",
        "model": "extractive",
        "cached": None,
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "cost_usd": 0.0},
        "attempts": [{"provider": "extractive", "model": "extractive", "outcome": "ok", "ms": 9.0}],
        "timings": {
            "embedding_ms": 3.1,
            "search_ms": 4.4,
            "first_token_ms": 9.0,
            "generation_ms": 9.2,
            "total_ms": 21.7,
        },
        "trace_id": TRACE_ID,
    } | changes


def model(model_id: str, provider: str, **changes: Any) -> dict[str, Any]:
    base = {"id": model_id, "provider": provider, "available": True}
    return base | {"cooling_down_until": None, "context_tokens": 128_000} | changes


def stream(events: list[tuple[str, dict[str, Any]]]) -> bytes:
    told = (f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)
    return (": ping\n\n" + "".join(told)).encode()


def problem(status: int, code: str, title: str, detail: str, **extras: Any) -> dict[str, Any]:
    return {
        "type": f"https://docent.example/problems/{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": "/api/v1/chat",
        "code": code,
        "trace_id": TRACE_ID,
        "retryable": status in (429, 503),
    } | extras


RESET_ANSWER = answer(
    "On power-on reset, DS performs a cFE application-specific initialization: "
    "1. Initializes housekeeping data and global variables. [1]\n\n"
    "The maximum number of tasks that can be created in the running OSAL application. [2]",
    citation(GUIDE, 39, RESET_QUOTE),
    citation(OSAL, 8, OSAL_QUOTE, marker=2, title="OSAL Configuration Guide", tags=[], version=3),
)
ABSTAINED = answer(
    "I could not find an answer to that in the documents I may read.",
    status="abstained",
    reason="no_match",
)
FAILOVER = answer(
    "DS does **five** things:\n\n- initializes `housekeeping` data [1]\n- subscribes to commands",
    citation(GUIDE, 39, RESET_QUOTE),
    provider="groq",
    model="llama-3.3-70b-versatile",
    usage={"prompt_tokens": 812, "completion_tokens": 64, "cost_usd": 0.0004},
    attempts=[
        {"provider": "openrouter", "model": "m", "outcome": "rate_limited", "ms": 41.2},
        {"provider": "groq", "model": "llama-3.3-70b-versatile", "outcome": "ok", "ms": 820.0},
    ],
    timings={"search_ms": 4.4, "first_token_ms": 310.0, "total_ms": 1825.3},
)
INCOMPLETE = RESET_ANSWER | {"status": "incomplete", "reason": "provider_failed"}
HOSTILE_ANSWER = answer(
    HOSTILE_TEXT + " [1]",
    citation(HOSTILE, 1, HOSTILE_TEXT, title=HOSTILE_TEXT, tags=[HOSTILE_TEXT[:35]]),
)
UNAUTHORIZED = problem(401, "invalid_api_key", "Unauthorized", "The API key is not known.")
LIMITED = problem(429, "rate_limited", "Too many requests", "30 per minute.", retry_after_s=3)
DOWN = problem(503, "database_unavailable", "Unavailable", "The database does not answer.")
INVALID = problem(422, "invalid_request", "Invalid request", "temperature: must be at most 2.")
BROKEN = problem(500, "internal_error", "Internal error", "Something went wrong here.")

UNSUPPORTED = RESET_ANSWER | {
    "groundedness": 0.5,
    "unsupported": [{"text": "It also makes [tea](http://evil.example).", "support": 0.1}],
}
ME = {
    "id": "key_1",
    "kind": "key",
    "tenant": {"id": "ten_1", "name": "Default"},
    "user": None,
    "role": None,
    "key": None,
}


def _picture() -> bytes:
    """Page 39 of the sample, so that pictures of the demo look like it."""
    with pypdfium2.PdfDocument(GUIDE_PATH) as document:
        shown = document[38].render(scale=1).to_pil()
    png = BytesIO()
    shown.convert("L").save(png, "PNG")
    return png.getvalue()


PICTURE = _picture()


def limit(remaining: int, requests: int = 30, **changes: Any) -> dict[str, Any]:
    name = "questions_per_minute" if requests == 30 else "requests_per_minute"
    base = {"name": name, "per": "key", "limit": requests, "remaining": remaining}
    return base | {"window_s": 60, "reset_at": "2026-11-20T08:00:00Z"} | changes


def job(status: str, progress: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": "job_1",
        "document_id": GUIDE,
        "version": 1,
        "status": status,
        "step": "embed",
        "progress": progress,
        "attempts": 1,
        "error": None,
        "pages_done": progress,
        "pages_total": 100,
        "chunks_embedded": 0,
        "chunks_reused": 0,
    } | changes


JOB = [job("queued", 0, step=None), job("running", 40), job("succeeded", 100, step=None)]
FAILED_JOB = job("failed", 10, error={"code": "encrypted", "detail": "The file is encrypted."})


def version(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "version": number,
        "status": "ready",
        "current": False,
        "filename": f"guide-{number}.pdf",
        "page_count": 104,
        "error": None,
        "uploaded_at": "2026-11-20T08:00:00Z",
    } | changes


VERSIONS = [
    version(3, status="failed", error={"code": "encrypted", "detail": "The file is encrypted."}),
    version(2, current=True),
    version(1, page_count=1),
]
ANALYTICS = {
    "totals": {
        "questions": 20,
        "cached": 5,
        "abstained": 2,
        "incomplete": 0,
        "cost_usd": 0.42,
        "total_ms_p50": 830.4,
        "total_ms_p95": 2210.0,
        "first_token_ms_p50": 310.0,
        "groundedness": 0.93,
        "liked": 3,
        "disliked": 1,
    },
    "days": [
        {
            "day": f"2026-11-{19 + n}",
            "questions": 10,
            "answered": 9,
            "abstained": 1,
            "cached": n,
            "total_ms_p50": 800.0 + 60 * n,
            "cost_usd": 0.21,
        }
        for n in range(2)
    ],
    "providers": [
        {"provider": "groq", "attempts": 10, "succeeded": 9, "ms_p50": 700.0, "cost_usd": 0.1}
    ],
    "cited": [{"document_id": GUIDE, "title": "CFS DS Application User's Guide", "answers": 12}],
    "unanswered": [
        {"question": "What is for lunch?", "times": 2, "last_asked_at": "2026-11-20T08:00:00Z"}
    ],
    "comments": [
        {
            "score": -1,
            "comment": "![wrong](http://evil.example) page",
            "question": "Who?",
            "said_at": "2026-11-20T08:00:00Z",
        }
    ],
}
HEALTHY = {
    "status": "ok",
    "version": "0.1.0",
    "uptime_s": 12.0,
    "checks": dict.fromkeys(("postgres", "redis", "index", "embedding", "providers"), "ok"),
}

TAGGED = {
    "#429": LIMITED | {"retry_after_s": 20},
    "#503": DOWN,
    "#500": BROKEN,
    "#422": INVALID,
    "#incomplete": INCOMPLETE,
    "#failover": FAILOVER,
    "#unsupported": UNSUPPORTED,
    "#hostile": HOSTILE_ANSWER,
    "France": ABSTAINED,
}
