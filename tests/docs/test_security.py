"""The table of attacks names tests that exist."""

import re

from tests.conftest import ROOT

_TITLE = "## Attacks, and the tests that try them"


def test_every_attack_names_tests_that_exist() -> None:
    text = (ROOT / "docs" / "security.md").read_text().partition(_TITLE)[2]
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20
    for row in rows:
        file = ""
        named = re.findall(r"`([\w/.]*)::(\w+)`", row)
        assert named, row
        for path, test in named:
            file = path or file
            found = re.search(
                rf"^ *(?:async )?def {test}\(", (ROOT / "tests" / file).read_text(), re.M
            )
            assert found, f"{file}::{test}"
