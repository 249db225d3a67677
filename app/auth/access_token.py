"""Access tokens: JWTs as in RFC 9068, signed with ES256, and read without believing anything.

Which key a token is checked with follows from its ``kid`` and our own table; headers that bring or
point to a key (``jwk``, ``jku``, ``x5u``, ``x5c``) make it void, as every header does that is not
one of ours. ES256 because its signatures cost the least to check here (ADR 0014).
"""

import base64
import json
import re
import time
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import (
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)

from app.errors import NotAuthenticated

ALGORITHM = "ES256"
TYPE = "at+jwt"
#: Ours have about 600; nothing of a longer one is parsed.
MAX_CHARS = 8192
#: How far the clocks of two machines may be apart.
LEEWAY_S = 5
_FORM = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){2}")
_TEXTS = ("iss", "aud", "sub", "tenant", "client_id", "scope", "jti", "family")
_TIMES = ("iat", "nbf", "exp")
_JWS = jwt.PyJWS()


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says that we go by; everything else is looked up."""

    family_id: str
    scopes: frozenset[str]


def signed(claims: dict[str, Any], kid: str, key: EllipticCurvePrivateKey) -> str:
    """The token that makes ``claims``."""
    payload = json.dumps(claims, separators=(",", ":")).encode()
    return _JWS.encode(payload, key, algorithm=ALGORITHM, headers={"typ": TYPE, "kid": kid})


def kid_of(token: str) -> str:
    """The name of the key that ``token`` says it is signed with; no more of it is believed.

    Raises:
        NotAuthenticated: it does not look like one of ours.
    """
    if len(token) > MAX_CHARS or not _FORM.fullmatch(token):
        raise NotAuthenticated
    header = _object(token.partition(".")[0])
    if header.keys() != {"alg", "typ", "kid"} or not isinstance(header["kid"], str):
        raise NotAuthenticated
    if (header["alg"], header["typ"]) != (ALGORITHM, TYPE):
        raise NotAuthenticated
    return header["kid"]


def verified(token: str, key: EllipticCurvePublicKey, *, issuer: str) -> Claims:
    """What ``token`` claims, once its signature by ``key``, its issuer and its times are right.

    Raises:
        NotAuthenticated: any of them is not; it does not say which.
    """
    try:
        _JWS.decode(token, key, algorithms=[ALGORITHM])
    except jwt.PyJWTError as error:
        raise NotAuthenticated from error
    claims = _object(token.split(".")[1])
    if not all(isinstance(claims.get(name), str) for name in _TEXTS):
        raise NotAuthenticated
    if not all(type(claims.get(name)) is int for name in _TIMES):
        raise NotAuthenticated
    now = time.time()
    begun = max(claims["iat"], claims["nbf"]) <= now + LEEWAY_S
    if (claims["iss"], claims["aud"]) != (issuer, issuer) or not begun or claims["exp"] <= now:
        raise NotAuthenticated
    return Claims(claims["family"], frozenset(claims["scope"].split()))


def _object(segment: str) -> dict[str, Any]:
    """The JSON object in ``segment``, in which no name stands twice."""
    try:
        text = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)).decode()
        found = json.loads(text, object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        raise NotAuthenticated from error
    if not isinstance(found, dict):
        raise NotAuthenticated
    return found


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found
