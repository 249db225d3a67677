"""E-mail addresses have one spelling, and neither they nor names hold what cannot be shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.auth.user import normal_email, normal_name
from app.errors import InvalidRequest


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("Ann@Example.COM", "ann@example.com"),
        ("  ann@example.com\n", "ann@example.com"),
        ("o'brien+tag@sub.example.co.uk", "o'brien+tag@sub.example.co.uk"),
        ("u\u0308ber@example.com", "\u00fcber@example.com"),
        ("ann@localhost", "ann@localhost"),
        ("\uff41nn\uff20example.com", "ann@example.com"),
    ],
)
def test_an_address_has_one_spelling(written: str, stored: str) -> None:
    assert normal_email(written) == stored
    assert normal_email(stored) == stored


@pytest.mark.parametrize(
    "text",
    ["", "ann", "@example.com", "ann@", "a@b@c", "a b@c.de", "ann@.com", "ann@example..com",
     "ann@example.com.", "an\0n@example.com", "ann@exa\0mple.com", "\ud800@example.com",
     "ann\u202e@example.com", "a" * 65 + "@example.com", "ann@" + "x" * 260, "ann\n@example.com"],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        normal_email(text)


@pytest.mark.parametrize("text", ["", "  ", "a\0b", "a\nb", "\ud800", "\u202eb", "x" * 129])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        normal_name(text)


@given(st.text())
def test_what_is_accepted_can_be_stored(text: str) -> None:
    for normal in (normal_email, normal_name):
        try:
            value = normal(text)
        except InvalidRequest:
            continue
        assert "\0" not in value
        assert value.encode().decode() == value
