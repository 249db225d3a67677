"""ID tokens of the issuer that users sign in at, verified with its published keys."""

from typing import Any

import jwt

#: With keys of its own only: nothing symmetric, and no ``none``.
_ALGORITHMS = ["RS256", "ES256", "EdDSA"]
_LEEWAY_S = 30
_MAX_CHARS = 65_536
#: OpenID Connect Core, 2.
_MAX_SUBJECT_CHARS = 255


class IdTokenRefused(Exception):
    """The ID token is not right."""


def verified_claims(
    token: str, keys: dict[str, Any], *, issuer: str, client_id: str, nonce: str
) -> dict[str, Any]:
    """What ``token`` says, once signature, issuer, audience, times and nonce are right.

    ``keys``: the issuer's JWK set. A key is chosen by the token's ``kid``; without one the set has
    to have no other.

    Raises:
        IdTokenRefused: any of them is not.
    """
    if len(token) > _MAX_CHARS:
        raise IdTokenRefused
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            _key_for(token, keys),
            algorithms=_ALGORITHMS,
            audience=client_id,
            issuer=issuer,
            leeway=_LEEWAY_S,
            options={"require": ["iss", "sub", "aud", "exp", "iat", "nonce"]},
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise IdTokenRefused from error
    # Of several audiences one is whom it was issued to (OpenID Connect Core, 3.1.3.7).
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if several else client_id) != client_id:
        raise IdTokenRefused
    subject = claims["sub"]
    if claims["nonce"] != nonce or not 0 < len(subject) <= _MAX_SUBJECT_CHARS:
        raise IdTokenRefused
    if not subject.isprintable():
        raise IdTokenRefused
    return claims


def _key_for(token: str, keys: dict[str, Any]) -> jwt.PyJWK:
    known = jwt.PyJWKSet.from_dict(keys).keys
    kid = jwt.get_unverified_header(token).get("kid")
    fitting = [key for key in known if kid is None or key.key_id == kid]
    if len(fitting) != 1:
        raise IdTokenRefused
    return fitting[0]
