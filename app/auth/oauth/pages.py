"""The pages that people see: HTML that works without scripts, and that allows none."""

import base64
import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse

from app.auth.oauth.authorization import Authorization, SentBack, answer_url
from app.auth.oauth.client import form_action
from app.auth.oauth.visits import Visit
from app.errors import AppError

_TEMPLATES = Path(__file__).parent / "templates"
_SCOPES = {
    "chat": "ask questions of your documents, and see your conversations",
    "docs:read": "read your organisation's documents",
    "docs:write": "add, change and delete documents",
    "admin": "administer your organisation: people, keys, budgets",
}


class Pages:
    """Renders pages; everything put into them is escaped."""

    def __init__(self, issuer: str, provider: str | None) -> None:
        """``provider``: with whom else one can sign in."""
        self._issuer = issuer
        self._provider = provider
        self._templates = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
        )
        style = (_TEMPLATES / "style.css").read_text()
        self._templates.globals["style"] = style
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        self._style = f"'sha256-{digest}'"

    def login(
        self,
        authorization: Authorization,
        query: str,
        visit: Visit,
        *,
        email: str = "",
        refused: AppError | None = None,
    ) -> HTMLResponse:
        """Where one signs in; ``refused`` is why it is shown again."""
        page = self._page(
            "login.html",
            200 if refused is None else refused.status,
            form_action(authorization.redirect_uri),
            client=authorization.client.name,
            query=query,
            visit=visit.number,
            email=email,
            message=refused and refused.detail,
            provider=self._provider,
        )
        return _with_retry(page, refused)

    def consent(
        self,
        authorization: Authorization,
        query: str,
        visit: Visit,
        *,
        email: str,
        may: frozenset[str],
    ) -> HTMLResponse:
        """Where one says yes or no to what one ``may`` do oneself of what is asked for."""
        place = urlsplit(authorization.redirect_uri)
        return self._page(
            "consent.html",
            200,
            form_action(authorization.redirect_uri),
            client=authorization.client.name,
            query=query,
            visit=visit.number,
            email=email,
            scopes=[_SCOPES[scope] for scope in _SCOPES if scope in may],
            destination=place.netloc or place.scheme,
        )

    def error(self, error: AppError) -> HTMLResponse | RedirectResponse:
        """What went wrong, on a page, or on the way back to the client if it is the one to know."""
        if isinstance(error, SentBack):
            return self.sent(error.redirect_uri, error.fields)
        title = "This did not work"
        page = self._page("error.html", error.status, "", title=title, message=error.detail)
        return _with_retry(page, error)

    def sent(self, redirect_uri: str, fields: dict[str, str]) -> RedirectResponse:
        """The way back to the client, with an answer."""
        return self.leading_to(answer_url(redirect_uri, fields, self._issuer))

    @staticmethod
    def leading_to(url: str) -> RedirectResponse:
        """Another page, which is asked for with GET whatever led there."""
        return RedirectResponse(url, 303, {"Cache-Control": "no-store"})

    def _page(self, name: str, status: int, form_target: str, **values: Any) -> HTMLResponse:  # noqa: ANN401
        policy = (
            f"default-src 'none'; style-src {self._style}; form-action 'self' {form_target};"
            " frame-ancestors 'none'; base-uri 'none'"
        )
        return HTMLResponse(
            self._templates.get_template(name).render(values),
            status,
            {"Content-Security-Policy": policy, "Cache-Control": "no-store"},
        )


def _with_retry(page: HTMLResponse, error: AppError | None) -> HTMLResponse:
    if error is not None and error.retryable:
        page.headers["Retry-After"] = str(error.retry_after_s)
    return page
