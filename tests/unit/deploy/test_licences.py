"""Every distribution that runs in production is under a licence that may be shipped with ours."""

import re
from importlib.metadata import PackageMetadata, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from license_expression import ExpressionError, LicenseExpression, get_spdx_licensing

ROOT = Path(__file__).parents[3]
SPDX = get_spdx_licensing()
#: May be shipped with Apache-2.0 code; LGPL and MPL as libraries of their own, unchanged.
ALLOWED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CNRI-Python", "HPND", "ISC",
    "LGPL-3.0-only", "LGPL-3.0-or-later", "MIT", "MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0",
    "Unlicense", "Zlib",
}  # fmt: skip
#: What distributions without an SPDX expression say instead: classifiers, or words of their own.
OLD_NAMES = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "GNU Library or Lesser General Public License (LGPL)": "LGPL-3.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "Academic Free License (AFL)": "AFL-2.1",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD-3-Clause, Apache-2.0, dependency licenses": "BSD-3-Clause AND Apache-2.0",  # pypdfium2
}


def distributions(*files: str) -> set[str]:
    text = "\n".join((ROOT / file).read_text() for file in files)
    return set(re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==", text, re.MULTILINE))


def licence_of(metadata: PackageMetadata) -> str:
    """An SPDX expression; of several old classifiers the user may choose."""
    if stated := metadata.get("License-Expression"):
        return stated
    classifiers = [
        entry.rpartition(" :: ")[2]
        for entry in metadata.get_all("Classifier") or ()
        if entry.startswith("License :: ") and not entry.endswith("OSI Approved")
    ]
    word = (metadata.get("License") or "").strip().splitlines()[:1]
    return " OR ".join(OLD_NAMES.get(name, name) for name in classifiers or word)


def may_be_shipped(expression: str) -> bool:
    try:
        return _allowed(SPDX.parse(expression, validate=True))
    except ExpressionError:
        return False


def _allowed(expression: LicenseExpression | None) -> bool:
    if expression is None:
        return False
    if isinstance(expression, SPDX.OR):
        return any(map(_allowed, expression.args))
    if isinstance(expression, SPDX.AND):
        return all(map(_allowed, expression.args))
    return str(expression) in ALLOWED


@pytest.mark.parametrize("name", sorted(distributions("requirements.txt")))
def test_it_may_be_shipped(name: str) -> None:
    try:
        metadata = distribution(name).metadata
    except PackageNotFoundError:
        pytest.skip("for another platform")
    assert may_be_shipped(licence_of(metadata)), licence_of(metadata)


@pytest.mark.parametrize(
    ("expression", "shipped"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True),
        ("Proprietary", False),
        ("", False),
    ],
)
def test_the_rule(expression: str, shipped: bool) -> None:
    assert may_be_shipped(expression) is shipped
