"""Tokens that confuse others: none of them lets anybody in, whatever they are signed with."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm

from app.auth.access_token import kid_of
from app.auth.signing_keys import SigningKey
from app.errors import NotAuthenticated
from tests.conftest import FreshDatabase
from tests.integration.token_parts import ISSUER, Mint, open_mint

EVIL = generate_private_key(SECP256R1())
EVIL_JWK = {**ECAlgorithm.to_jwk(EVIL.public_key(), as_dict=True), "kid": "evil"}


def b64(raw: bytes | str) -> str:
    data = raw.encode() if isinstance(raw, str) else raw
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@dataclass
class Good:
    """A token that lets in, and what it is made of."""

    token: str
    key: SigningKey

    @property
    def claims(self) -> dict[str, Any]:
        return jwt.decode(self.token, options={"verify_signature": False})

    @property
    def header(self) -> dict[str, Any]:
        return jwt.get_unverified_header(self.token)

    def signed(
        self, *, header: Any = None, key: Any = None, raw: str | None = None, **claims: Any
    ) -> str:
        """Signed anew by our own key: as if the key could be made to sign anything."""
        changed = {name: it for name, it in {**self.claims, **claims}.items() if it != "LEFT OUT"}
        payload = raw or json.dumps(changed)
        text = header if isinstance(header, str) else json.dumps({**self.header, **(header or {})})
        body = f"{b64(text)}.{b64(payload)}"
        algorithm = ECAlgorithm(ECAlgorithm.SHA256)
        return f"{body}.{b64(algorithm.sign(body.encode(), key or self.key.private))}"

    def macked(self, secret: bytes) -> str:
        """HS256, under what everybody knows."""
        body = f"{b64(json.dumps({**self.header, 'alg': 'HS256'}))}.{b64(json.dumps(self.claims))}"
        return f"{body}.{b64(hmac.new(secret, body.encode(), hashlib.sha256).digest())}"

    def pem(self) -> bytes:
        return self.key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def parts(self) -> list[str]:
        return self.token.split(".")


NOW = int(time.time())
Attack = Callable[[Good], str]
ATTACKS: dict[str, Attack] = {
    "alg none": lambda g: f"{b64(json.dumps({**g.header, 'alg': 'none'}))}.{g.parts()[1]}.",
    "alg none, signed": lambda g: g.signed(header={"alg": "none"}),
    "alg NoNe": lambda g: g.signed(header={"alg": "NoNe"}),
    "alg empty": lambda g: g.signed(header={"alg": ""}),
    "alg null": lambda g: g.signed(header={"alg": None}),
    "alg list": lambda g: g.signed(header={"alg": ["ES256"]}),
    "HS256 under the PEM": lambda g: g.macked(g.pem()),
    "HS256 under the DER": lambda g: g.macked(
        g.key.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ),
    "HS256 under nothing": lambda g: g.macked(b""),
    "HS256 under the JWK": lambda g: g.macked(ECAlgorithm.to_jwk(g.key.public).encode()),
    "HS256 named ES256": lambda g: g.macked(g.pem()).replace(
        b64(json.dumps({**g.header, "alg": "HS256"})), g.parts()[0]
    ),
    "ES384 named": lambda g: g.signed(header={"alg": "ES384"}),
    "RS256": lambda g: jwt.encode(
        g.claims, generate_rsa(65537, 2048), algorithm="RS256",
        headers={"typ": "at+jwt", "kid": g.key.kid},
    ),
    "EdDSA": lambda g: jwt.encode(
        g.claims, Ed25519PrivateKey.generate(), algorithm="EdDSA",
        headers={"typ": "at+jwt", "kid": g.key.kid},
    ),
    "another key under our kid": lambda g: g.signed(key=EVIL),
    "kid unknown": lambda g: g.signed(header={"kid": "sig_unknown"}),
    "kid missing": lambda g: g.signed(header=json.dumps({"alg": "ES256", "typ": "at+jwt"})),
    "kid empty": lambda g: g.signed(header={"kid": ""}),
    "kid number": lambda g: g.signed(header={"kid": 1}),
    "kid list": lambda g: g.signed(header={"kid": [g.key.kid]}),
    "kid object": lambda g: g.signed(header={"kid": {"a": 1}}),
    "kid with SQL": lambda g: g.signed(header={"kid": f"{g.key.kid}' OR '1'='1"}, key=EVIL),
    "kid is a path": lambda g: g.signed(header={"kid": "../../../../dev/null"}),
    "kid is a URL": lambda g: g.signed(header={"kid": "https://evil.example/k"}, key=EVIL),
    "kid with NUL": lambda g: g.signed(header={"kid": f"{g.key.kid}\0"}),
    "kid is a surrogate": lambda g: g.signed(header={"kid": "\ud800"}),
    "jwk brought": lambda g: g.signed(header={"jwk": EVIL_JWK}, key=EVIL),
    "jwk brought, our key": lambda g: g.signed(header={"jwk": EVIL_JWK}),
    "jwk brought with its kid": lambda g: g.signed(
        header={"jwk": EVIL_JWK, "kid": "evil"}, key=EVIL
    ),
    "jku": lambda g: g.signed(header={"jku": "http://127.0.0.1:1/keys"}),
    "x5u": lambda g: g.signed(header={"x5u": "http://127.0.0.1:1/cert"}),
    "x5c": lambda g: g.signed(header={"x5c": ["MIIB"]}),
    "crit exp": lambda g: g.signed(header={"crit": ["exp"]}),
    "crit empty": lambda g: g.signed(header={"crit": []}),
    "crit b64": lambda g: g.signed(header={"crit": ["b64"], "b64": False}),
    "zip": lambda g: g.signed(header={"zip": "DEF"}),
    "cty JWT": lambda g: g.signed(header={"cty": "JWT"}),
    "typ JWT": lambda g: g.signed(header={"typ": "JWT"}),
    "typ missing": lambda g: g.signed(header=json.dumps({"alg": "ES256", "kid": g.key.kid})),
    "typ AT+JWT": lambda g: g.signed(header={"typ": "AT+JWT"}),
    "an ID token": lambda g: g.signed(
        header={"typ": "JWT"}, aud="cli_x", nonce="n", email="a@b.c", family="LEFT OUT"
    ),
    "a header that is a list": lambda g: g.signed(header="[]"),
    "a header that is a text": lambda g: g.signed(header='"x"'),
    "a header in UTF-16": lambda g: f"{b64(json.dumps(g.header).encode('utf-16'))}.x.x",
    "a deep header": lambda g: f"{b64('[' * 5000)}.x.x",
    "a header with NaN": lambda g: g.signed(header='{"alg":NaN,"typ":"at+jwt","kid":"x"}'),
    "a header with alg twice": lambda g: g.signed(
        header=f'{{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"{g.key.kid}"}}'
    ),
    "a claim twice": lambda g: g.signed(raw=json.dumps(g.claims)[:-1] + ', "sub": "usr_other"}'),
    "claims that are a list": lambda g: g.signed(raw="[]"),
    "claims that are no JSON": lambda g: g.signed(raw="nothing"),
    "deep claims": lambda g: g.signed(raw="[" * 3000),
    "another issuer": lambda g: g.signed(iss="https://evil.example"),
    "issuer with a slash": lambda g: g.signed(iss=f"{ISSUER}/"),
    "issuer missing": lambda g: g.signed(iss="LEFT OUT"),
    "issuer in a list": lambda g: g.signed(iss=[ISSUER]),
    "another audience": lambda g: g.signed(aud="https://evil.example"),
    "audience in a list": lambda g: g.signed(aud=[ISSUER]),
    "two audiences": lambda g: g.signed(aud=[ISSUER, "https://evil.example"]),
    "audience missing": lambda g: g.signed(aud="LEFT OUT"),
    "expired": lambda g: g.signed(exp=NOW - 1),
    "expired for ever": lambda g: g.signed(exp=-(10**30)),
    "exp missing": lambda g: g.signed(exp="LEFT OUT"),
    "exp a text": lambda g: g.signed(exp=str(NOW + 900)),
    "exp a truth": lambda g: g.signed(exp=True),
    "exp infinite": lambda g: g.signed(raw=json.dumps({**g.claims, "exp": float("inf")})),
    "not yet": lambda g: g.signed(nbf=NOW + 3600),
    "nbf missing": lambda g: g.signed(nbf="LEFT OUT"),
    "from the future": lambda g: g.signed(iat=NOW + 3600),
    "iat missing": lambda g: g.signed(iat="LEFT OUT"),
    "of no family": lambda g: g.signed(family="LEFT OUT"),
    "of an unknown family": lambda g: g.signed(family="fam_unknown"),
    "family with SQL": lambda g: g.signed(family="' OR '1'='1"),
    "family a list": lambda g: g.signed(family=[g.claims["family"]]),
    "scope a list": lambda g: g.signed(scope=["admin"]),
    "another payload": lambda g: ".".join(
        (g.parts()[0], b64(json.dumps({**g.claims, "scope": "admin"})), g.parts()[2])
    ),
    "truncated": lambda g: g.token[:-10],
    "without signature": lambda g: g.token.rpartition(".")[0] + ".",
    "two parts": lambda g: g.token.rpartition(".")[0],
    "four parts": lambda g: f"{g.token}.x",
    "five parts": lambda g: f"{g.token}.x.x",
    "padded": lambda g: f"{g.token}==",
    "a blank in it": lambda g: g.token.replace(".", ". "),
    "a line feed behind it": lambda g: f"{g.token}\n",
    "zero signature": lambda g: f"{g.token.rpartition('.')[0]}.{b64(bytes(64))}",
    "DER signature": lambda g: f"{g.token.rpartition('.')[0]}.{b64(b'0' + bytes(70))}",
    "unicode": lambda g: g.token.replace("e", "\u0435", 1),
    "full-width dots": lambda g: g.token.replace(".", "\uff0e"),
    "a megabyte": lambda g: g.signed(padding="x" * 1_000_000),
    "over 8 KiB": lambda g: g.signed(padding="x" * 8192),
    "a megabyte of dots": lambda g: "." * 1_000_000,
    "a megabyte header": lambda g: f"{b64('[' * 1_000_000)}.a.a",
    "empty parts": lambda g: "..",
    "JSON serialization": lambda g: json.dumps(
        dict(zip(("protected", "payload", "signature"), g.parts(), strict=True))
    ),
}  # fmt: skip


@pytest.fixture
async def mint(database: FreshDatabase) -> AsyncIterator[Mint]:
    async with open_mint(database) as mint:
        yield mint


async def made(mint: Mint) -> Good:
    pair = await mint.tokens.issue(await mint.user(), client_id=None)
    return Good(pair.access_token, await mint.keys.signer())


async def test_the_signing_of_these_tests_lets_in_what_is_right(mint: Mint) -> None:
    good = await made(mint)
    assert await mint.credentials.caller(good.token) == await mint.credentials.caller(good.signed())
    assert (await mint.credentials.caller(good.signed(more="claims"))).user_id == good.claims["sub"]


@pytest.mark.parametrize("name", ATTACKS)
async def test_it_is_refused(mint: Mint, name: str) -> None:
    good = await made(mint)
    attack = ATTACKS[name](good)
    assert attack != good.token
    with pytest.raises(NotAuthenticated) as caught:
        await mint.credentials.caller(attack)
    assert (caught.value.status, caught.value.detail) == (401, NotAuthenticated().detail)


async def test_a_larger_scope_is_worth_no_more_than_the_role(mint: Mint) -> None:
    good = await made(mint)
    caller = await mint.credentials.caller(good.signed(scope="chat admin owner"))
    assert caller.scopes == {"chat"}


async def test_who_it_is_follows_from_the_family_and_not_from_the_claims(mint: Mint) -> None:
    good = await made(mint)
    caller = await mint.credentials.caller(good.signed(sub="usr_other", tenant="ten_other"))
    assert (caller.user_id, caller.tenant_id) == (good.claims["sub"], good.claims["tenant"])


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{1,40}\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*"))
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(NotAuthenticated):
        kid_of(text)
