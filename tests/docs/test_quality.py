"""What is promised of answers names the tests that show it."""

from tests.conftest import ROOT
from tests.docs.pages import assert_named_tests_exist


def test_every_promise_names_tests_that_exist() -> None:
    title = "## What shows it"
    assert_named_tests_exist(ROOT / "docs" / "quality.md", title, least=12)
