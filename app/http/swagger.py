"""Swagger UI at ``/docs``: the one page here, with its script and style sheet from a package.

Nothing is loaded from anybody else, and the page's policy allows nothing but these two files and
requests to this API.
"""

import base64
import hashlib
from functools import cache
from importlib.resources import files

import fastapi_swagger  # type: ignore[import-untyped]
from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response

SCRIPT, STYLE = "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"
_FILES = files(fastapi_swagger) / "resources"
_FOR_A_DAY = {"Cache-Control": "public, max-age=86400"}
_START = (
    'SwaggerUIBundle({url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true,'
    " presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset]})"
)
_PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Docent</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{STYLE}">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{SCRIPT}"></script>
<script>{_START}</script>
</body>
</html>
"""
_START_HASH = base64.b64encode(hashlib.sha256(_START.encode()).digest()).decode()
# The interface sets styles on its elements; styles alone send nothing anywhere under this policy.
_POLICY = (
    f"default-src 'none'; script-src 'self' 'sha256-{_START_HASH}'; "
    "style-src 'self' 'unsafe-inline'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def swagger() -> HTMLResponse:
    """The API's reference, to try it out."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})


@router.get(SCRIPT)
async def script() -> Response:
    """Swagger UI itself."""
    return _whole("swagger-ui-bundle.js", "text/javascript")


@router.get(STYLE)
async def style() -> Response:
    """How it looks."""
    return _whole("swagger-ui.css", "text/css")


def _whole(name: str, media_type: str) -> Response:
    """A file of the package; never a part of one, so that no range is wrong or one too many."""
    return Response(_content(name), media_type=media_type, headers=_FOR_A_DAY)


@cache
def _content(name: str) -> bytes:
    return (_FILES / name).read_bytes()
