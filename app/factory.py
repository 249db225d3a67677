"""The HTTP application: rooms' routes, middleware, problems, OpenAPI."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Scope

from app.auth.api_keys.routes import router as keys_router
from app.auth.audit_log.routes import router as audit_router
from app.auth.credentials import Credentials
from app.auth.gate import OPEN_PATHS, Gate, required_scopes
from app.auth.oauth.admin_routes import router as clients_router
from app.auth.oauth.openid_routes import router as openid_router
from app.auth.oauth.routes import router as oauth_router
from app.auth.oauth.token_routes import router as token_router
from app.auth.people.admin_routes import router as roster_router
from app.auth.people.routes import router as people_router
from app.auth.workspaces.routes import router as workspaces_router
from app.chat.analytics_routes import router as analytics_router
from app.chat.answer_routes import router as answer_router
from app.chat.cache_routes import router as cache_router
from app.chat.openai_routes import router as openai_router
from app.chat.routes import router as chat_router
from app.chat.session_routes import router as session_router
from app.documents.admin_routes import router as admin_router
from app.documents.routes import router as documents_router
from app.errors import ConfigurationError
from app.http.exposition import count_request, metrics_router
from app.http.middleware import BodyLimit, Observe, RequestContext
from app.http.opening import Opening, WaitingRoom
from app.http.probes import Probes, probe_router
from app.http.problems import Problem, install_problems
from app.http.queries import DistinctParameters
from app.http.swagger import router as swagger_router
from app.infra.metrics import Page
from app.infra.tracing import Tracer
from app.ingestion.event_routes import router as event_router
from app.ingestion.routes import router as ingestion_router
from app.ingestion.webhook_routes import router as webhook_router
from app.limits.crowd import Crowd
from app.limits.middleware import RateLimits
from app.limits.rate_routes import router as limits_router
from app.limits.rates import RateLimiter
from app.limits.routes import router as usage_router
from app.settings import Settings
from app.version import VERSION
from app.wiring import House, open_house

_DESCRIPTION = (
    "Answers questions over an organisation's own documents, every claim tied to the page it came "
    "from. Send your key as `X-API-Key` or `Authorization: Bearer`."
)

_ROUTERS = (
    chat_router,
    analytics_router,
    answer_router,
    cache_router,
    session_router,
    openai_router,
    ingestion_router,
    event_router,
    webhook_router,
    documents_router,
    admin_router,
    people_router,
    keys_router,
    roster_router,
    workspaces_router,
    audit_router,
    clients_router,
    oauth_router,
    openid_router,
    token_router,
    limits_router,
    usage_router,
)
#: What a form may hold beside its file.
_FORM_BYTES = 262_144
_UPLOADS = "/api/v1/docs"

HouseOpener = Callable[[Settings], AbstractAsyncContextManager[House]]


def create_app(settings: Settings, *, open_house: HouseOpener = open_house) -> FastAPI:
    """Build the application; nothing is opened before its lifespan starts."""
    opening = Opening(lambda: open_house(settings))

    def moved_in(house: House) -> None:
        app.state.house = house
        house.metrics.running("api")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with opening.running(moved_in):
            yield

    app = FastAPI(
        title="Docent",
        version=VERSION,
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        # A redirect would name the host and the scheme that arrive here: behind TLS it would lead
        # callers, with their keys, to plain http.
        redirect_slashes=False,
        # FastAPI's own traces, metrics and exporters; ours are app/infra/tracing.py and metrics.py.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    install_problems(app)
    for router in _ROUTERS:
        app.include_router(router)

    def house() -> House:
        found: House = app.state.house
        return found

    async def checks() -> dict[str, bool]:
        # The database is the one part without which nothing opens.
        return {"postgres": False} if opening.missing else await house().checks()

    def can_answer() -> bool:
        return not opening.missing and any(model.available for model in house().provider.models())

    async def page() -> Page | None:
        return await house().metrics.page()

    probes = Probes(checks, can_answer, VERSION)
    app.include_router(probe_router(probes))
    app.include_router(metrics_router(page))
    app.include_router(swagger_router)
    _add_middleware(app, settings, opening, probes)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _is_upload(method: str, path: str) -> bool:
    """Whether a request may carry a file."""
    if method == "POST":
        return path == _UPLOADS
    return method == "PUT" and path.startswith(f"{_UPLOADS}/") and path.count("/") == 4  # noqa: PLR2004


def _add_middleware(
    app: FastAPI, settings: Settings, opening: Opening[House], probes: Probes
) -> None:
    def credentials(scope: Scope) -> Credentials:
        found: Credentials = scope["app"].state.house.credentials
        return found

    def limiter(scope: Scope) -> RateLimiter:
        found: RateLimiter = scope["app"].state.house.limiter
        return found

    def crowd(scope: Scope) -> Crowd:
        found: Crowd = scope["app"].state.house.crowd
        return found

    # The last one added is the outermost.
    app.add_middleware(
        BodyLimit,
        limit_bytes=settings.max_body_bytes,
        upload_bytes=settings.max_file_bytes + _FORM_BYTES,
        is_upload=_is_upload,
    )
    app.add_middleware(DistinctParameters, open_paths=OPEN_PATHS)
    app.add_middleware(
        RateLimits, limiter=limiter, crowd=crowd, trusted_proxies=settings.trusted_proxies
    )
    app.add_middleware(Gate, credentials=credentials)
    app.add_middleware(WaitingRoom, missing=lambda: opening.missing, probes=probes)
    if settings.allow_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allow_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            # No credential travels by itself, and OpenAI's client brings headers of its own.
            allow_headers=["*"],
            expose_headers=[
                "X-Request-ID",
                "Retry-After",
                "Location",
                "Idempotent-Replayed",
                "Server-Timing",
                "X-Docent-Provider",
                "X-RateLimit-Limit",
                "X-RateLimit-Remaining",
                "X-RateLimit-Reset",
            ],
        )
    tls = settings.issuer.startswith("https:")
    observe, tracer = _watched(opening)
    app.add_middleware(RequestContext, observe=observe, tracer=tracer, tls=tls)


def _watched(opening: Opening[House]) -> tuple[Observe, Callable[[Scope], Tracer]]:
    """What counts and traces requests once all is open."""
    untraced = Tracer()

    def observe(scope: Scope, status: int, seconds: float) -> None:
        if not opening.missing:
            count_request(scope["app"].state.house.metrics, scope, status, seconds)

    def tracer(scope: Scope) -> Tracer:
        if opening.missing:
            return untraced
        found: Tracer = scope["app"].state.house.tracer
        return found

    return observe, tracer


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The document served at ``/openapi.json``, with the credentials every route needs."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        schema["components"]["schemas"]["Problem"] = Problem.model_json_schema()
        schema["components"]["securitySchemes"] = {
            "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            "Bearer": {"type": "http", "scheme": "bearer"},
        }
        scopes = _declared_scopes(app)
        for path, operations in schema["paths"].items():
            for method, operation in operations.items():
                closed = path not in OPEN_PATHS
                wanted = scopes[path, method]
                if closed and wanted is None:
                    raise ConfigurationError(f"{method} {path} does not say which scope it needs.")
                operation["security"] = [{"ApiKey": wanted}, {"Bearer": wanted}] if closed else []
                if closed:
                    _document_refusals(operation)
        app.openapi_schema = schema
    return app.openapi_schema


def _document_refusals(operation: dict[str, Any]) -> None:
    """Tell what happens before a route is reached, in the shape of its other errors."""
    replies = operation["responses"]
    refusals = [HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.TOO_MANY_REQUESTS]
    if "requestBody" in operation:
        refusals.append(HTTPStatus.REQUEST_TIMEOUT)
    for status in refusals:
        replies.setdefault(str(status), {**replies["401"], "description": status.phrase})


def _declared_scopes(app: FastAPI) -> dict[tuple[str, str], list[str] | None]:
    """Path and method of each route → the scopes it asks for; None where it says nothing."""
    return {
        (str(context.path_format), method.lower()): required_scopes(
            dependency.call for dependency in context.original_route.dependant.dependencies
        )
        for context in iter_route_contexts(app.routes)
        if isinstance(context.original_route, APIRoute)
        for method in context.methods or ()
    }
