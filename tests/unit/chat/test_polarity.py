"""A claim that denies its quote, or is denied by it, is told from one in other words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat.polarity import Polarity


@pytest.mark.parametrize(
    ("quote", "claim"),
    [
        ("Operation with sea water is not supported.", "Operation with sea water is supported."),
        ("Hot standby is supported.", "Hot standby isn\u2019t supported."),
        ("The seals are covered, but the bearings are not covered.", "The bearings are covered."),
        ("Die Lieferung erfolgt nicht an Feiertagen.", "Die Lieferung erfolgt an Feiertagen."),
        ("La garantie ne couvre pas les joints.", "La garantie couvre les joints."),
        ("Los gastos de viaje nunca se pagan.", "Los gastos de viaje se pagan."),
    ],
)
def test_what_turns_a_quote_round(quote: str, claim: str) -> None:
    assert Polarity(quote).opposes(claim)
    assert Polarity(claim).opposes(quote)
    assert not Polarity(quote).opposes(quote)


@pytest.mark.parametrize(
    ("quote", "claim"),
    [
        ("Hot standby is supported, sea water is not.", "Hot standby is supported."),
        ("A file may not be larger than 10 MB.", "Files must not be larger than 10 MB."),
        ("Leave must be taken no later than March.", "Leave must be taken by March."),
        ("The pump is not only quiet but cheap.", "The pump is quiet."),
        ("The seals are not covered by it. The seals are covered.", "The seals are covered."),
        ("It is not.", "It is."),
        ("", "Anything at all."),
    ],
)
def test_what_does_not(quote: str, claim: str) -> None:
    assert not Polarity(quote).opposes(claim)


@given(st.text(max_size=200))
def test_no_text_opposes_itself(text: str) -> None:
    assert not Polarity(text).opposes(text)
