"""The table of attacks names tests that exist."""

from tests.conftest import ROOT
from tests.docs.pages import assert_named_tests_exist


def test_every_attack_names_tests_that_exist() -> None:
    title = "## Attacks, and the tests that try them"
    assert_named_tests_exist(ROOT / "docs" / "security.md", title, least=21)
