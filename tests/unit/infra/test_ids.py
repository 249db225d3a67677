"""Ids are prefixed, opaque, and never the same twice."""

import re

from app.infra.ids import new_id


def test_ids_are_prefixed_unique_and_use_every_bit() -> None:
    ids = [new_id("doc") for _ in range(2000)]
    assert all(re.fullmatch(r"doc_[a-z2-7]{26}", value) for value in ids)
    assert len(set(ids)) == 2000
    for place in range(4, 30):
        assert len({value[place] for value in ids}) == 32, f"letter {place} does not vary"
