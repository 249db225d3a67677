"""A request is a trace by its route's template; what reached no route is none."""

from types import SimpleNamespace

import pytest
import structlog
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from app.http.middleware import RequestContext
from app.infra.tracing import Tracer, begin_span
from tests.asgi import call
from tests.fakes import KeptSpans

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
WANTED = f"00-{TRACE}-{PARENT}-01"
ROUTE = "/api/v1/docs/{document_id}"
log = structlog.get_logger(__name__)


def routed(template: str | None, status: int = 200, *, fails: bool = False):
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        log.info("within")
        if template:
            scope["route"] = SimpleNamespace(path=template)
        begin_span("work", {}).end()
        if fails:
            raise ValueError("dk_secret")
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": scope["state"]["trace_id"].encode()})

    return app


def traced(app, kept: KeptSpans, **how) -> RequestContext:
    tracer = Tracer([kept], **how)
    return RequestContext(app, tracer=lambda _: tracer)


async def test_a_request_is_told_by_its_route(  # and by nothing that a caller chose but its id
) -> None:
    kept = KeptSpans()
    headers = [("traceparent", WANTED), ("X-Request-ID", "mine"), ("X-API-Key", "dk_secret")]
    reply = await call(
        traced(routed(ROUTE), kept), method="GET", path="/api/v1/docs/doc_1", headers=headers
    )
    root = kept.named(f"GET {ROUTE}")
    assert root.attributes == {
        "http.request.method": "GET",
        "http.route": ROUTE,
        "http.response.status_code": 200,
        "docent.request.id": "mine",
    }
    assert (root.trace_id, root.parent_id, root.kind, root.error) == (TRACE, PARENT, "server", None)
    assert kept.named("work").parent_id == root.span_id
    assert reply.body.decode() == TRACE


@pytest.mark.parametrize(
    ("headers", "sample_rate"), [([("traceparent", WANTED[:-2] + "00")], 1), ([], 0)]
)
async def test_one_that_is_not_kept_has_its_id_all_the_same(
    headers: list[tuple[str, str]], sample_rate: float
) -> None:
    kept = KeptSpans()
    app = traced(routed(ROUTE), kept, sample_rate=sample_rate)
    reply = await call(app, headers=headers)
    assert len(reply.body) == 32
    assert kept.spans == []


async def test_two_parents_are_none() -> None:
    reply = await call(traced(routed(ROUTE), KeptSpans()), headers=[("traceparent", WANTED)] * 2)
    assert reply.body.decode() != TRACE


async def test_untraced_the_request_id_is_what_answers_name() -> None:
    reply = await call(RequestContext(routed(ROUTE)), headers=[("X-Request-ID", "mine")])
    assert reply.body == b"mine"


@pytest.mark.parametrize("template", [None, "/livez", "/metrics"])
async def test_strangers_and_probes_are_no_traces(template: str | None) -> None:
    kept = KeptSpans()
    await call(traced(routed(template, 401), kept))
    assert [span.name for span in kept.spans] == ["work"]


@pytest.mark.parametrize(
    ("app", "error"),
    [(routed(ROUTE, 404), None), (routed(ROUTE, 503), "503"), (routed(ROUTE, fails=True), "500")],
)
async def test_only_what_is_our_fault_is_an_error(app, error: str | None) -> None:
    kept = KeptSpans()
    await call(traced(app, kept))
    assert kept.named(f"POST {ROUTE}").error == error


@pytest.mark.parametrize(("tracer", "names"), [(Tracer([KeptSpans()]), True), (Tracer(), False)])
async def test_every_line_of_a_request_names_its_trace(tracer: Tracer, names: bool) -> None:
    processors = [structlog.contextvars.merge_contextvars]
    with capture_logs(processors=processors) as lines:
        reply = await call(RequestContext(routed(ROUTE), tracer=lambda _: tracer))
    assert [line["event"] for line in lines] == ["within", "request"]
    for line in lines:
        assert line.get("trace_id") == (reply.body.decode() if names else None)
        assert line["request_id"]
