"""PKCE by the numbers of its own RFC."""

import pytest

from app.auth.oauth.codes import proves

#: RFC 7636, appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_the_vector_of_the_rfc() -> None:
    assert proves(VERIFIER, CHALLENGE)


@pytest.mark.parametrize(
    ("verifier", "challenge"),
    [
        (VERIFIER[:-1] + "l", CHALLENGE), (CHALLENGE, CHALLENGE), ("", CHALLENGE),
        (VERIFIER, VERIFIER), (VERIFIER[:42], CHALLENGE), (VERIFIER + "\n", CHALLENGE),
        (VERIFIER + " ", CHALLENGE), ("é" * 43, CHALLENGE), ("x" * 129, CHALLENGE),
    ],
)  # fmt: skip
def test_anything_else_proves_nothing(verifier: str, challenge: str) -> None:
    assert not proves(verifier, challenge)
