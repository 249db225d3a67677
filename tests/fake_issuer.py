"""An identity provider made of lies: OpenID Connect over real HTTP, as wrong as it is told to be.

In a test: ``with FakeIssuer() as issuer: … issuer.url``. It signs in whoever comes.
"""

import base64
import hashlib
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

CLIENT, SECRET = "docent", "the client's secret"
KEYS: dict[str, Any] = {
    "RS256": generate_rsa(65537, 2048),
    "ES256": generate_private_key(SECP256R1()),
    "EdDSA": Ed25519PrivateKey.generate(),
}
_FORMS: dict[str, Any] = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}


class FakeIssuer:
    """One issuer and what it is told to say."""

    def __init__(self) -> None:
        issuer = self

        class Handler(_Handler):
            told = issuer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.codes: dict[str, dict[str, str]] = {}
        self.behave()

    def behave(self, **claims: Any) -> None:
        """From now on be right, but for these claims (None leaves one out)."""
        self.claims = claims
        self.algorithm = "RS256"
        self.key: Any = None
        self.header: dict[str, Any] = {}
        self.discovery: dict[str, Any] = {}
        self.status = {"discovery": 200, "token": 200, "keys": 200}
        self.id_token: str | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def token_for(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        claims = {
            "iss": self.url, "aud": CLIENT, "sub": "subject-1", "iat": now, "exp": now + 60,
            "nonce": asked["nonce"], **self.claims,
        }  # fmt: skip
        return jwt.encode(
            {name: value for name, value in claims.items() if value is not None},
            self.key or KEYS[self.algorithm],
            algorithm=self.algorithm,
            headers={"kid": self.algorithm, **self.header},
        )


class _Handler(BaseHTTPRequestHandler):
    told: FakeIssuer

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        place, it = urlsplit(self.path), self.told
        match place.path:
            case "/.well-known/openid-configuration":
                known = {
                    "issuer": it.url, "authorization_endpoint": f"{it.url}/authorize",
                    "token_endpoint": f"{it.url}/token", "jwks_uri": f"{it.url}/keys",
                }  # fmt: skip
                self._answer(it.status["discovery"], known | it.discovery)
            case "/keys":
                keys = [
                    {**_FORMS[name].to_jwk(key.public_key(), as_dict=True), "kid": name,
                     "alg": name, "use": "sig"}
                    for name, key in KEYS.items()
                ]  # fmt: skip
                self._answer(it.status["keys"], {"keys": keys})
            case "/authorize":
                asked = {name: value for name, [value] in parse_qs(place.query).items()}
                code = secrets.token_urlsafe()
                it.codes[code] = asked
                query = urlencode({"code": code, "state": asked["state"]})
                self.send_response(302)
                self.send_header("Location", f"{asked['redirect_uri']}?{query}")
                self.end_headers()

    def do_POST(self) -> None:
        it = self.told
        form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        asked = it.codes.pop(form["code"], {})
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        pair = base64.b64encode(f"{CLIENT}:the%20client%27s%20secret".encode()).decode()
        right = (
            asked.get("code_challenge") == base64.urlsafe_b64encode(digest).decode().rstrip("=")
            and asked["redirect_uri"] == form["redirect_uri"]
            and self.headers["Authorization"] == f"Basic {pair}"
        )
        token = it.id_token or (it.token_for(asked) if right else "")
        self._answer(it.status["token"] if right else 400, {"id_token": token})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
