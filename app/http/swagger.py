"""Swagger UI at ``/docs``: the one page here, and the one thing that loads from somebody else.

The script and the style sheet come from a public CDN to the browser of whoever opens the page,
never to this process; their hashes stand in the page, so that nothing else runs. What its policy
allows is exactly that, and requests to this API.
"""

import base64
import hashlib

from fastapi import APIRouter
from starlette.responses import HTMLResponse

_FROM = "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5.35.0"
_SCRIPT, _STYLE = f"{_FROM}/swagger-ui-bundle.js", f"{_FROM}/swagger-ui.css"
_SCRIPT_HASH = "sha384-gjRm0bEPMeTmMh5jT2cHccIwCUZSTd8YC+j0d0sXw0MdGEfScduGpSyF3ZSSLkX9"
_STYLE_HASH = "sha384-WlYgdmXYOOBWL5apwjDEZwN+U3HmXSSu5R6V5aGxEcf7z+KuRNwBhoxKVN1i3D5I"
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
<link rel="stylesheet" href="{_STYLE}" integrity="{_STYLE_HASH}" crossorigin="anonymous">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{_SCRIPT}" integrity="{_SCRIPT_HASH}" crossorigin="anonymous"></script>
<script>{_START}</script>
</body>
</html>
"""
_START_HASH = base64.b64encode(hashlib.sha256(_START.encode()).digest()).decode()
# The interface sets styles on its elements; styles alone send nothing anywhere under this policy.
_POLICY = (
    f"default-src 'none'; script-src {_SCRIPT} 'sha256-{_START_HASH}'; "
    f"style-src {_STYLE} 'unsafe-inline'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

router = APIRouter()


@router.get("/docs", include_in_schema=False)
async def swagger() -> HTMLResponse:
    """The API's reference, to try it out."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})
