"""The collector, once all is open."""

import gc

from app.infra.collector import THRESHOLDS, settle


class _Knot:
    """Holds on to itself, so that only the collector can free it."""

    freed = 0

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        _Knot.freed += 1


def test_what_was_there_before_is_left_out_of_collections() -> None:
    gc.disable()
    known = [_Knot() for _ in range(3)]
    settle()
    assert gc.isenabled()
    assert gc.get_threshold() == THRESHOLDS
    assert gc.get_freeze_count() > len(known)
    assert all(one not in gc.get_objects() for one in known)


def test_what_comes_later_is_still_freed() -> None:
    settle()
    before = _Knot.freed
    _Knot()
    gc.collect()
    assert _Knot.freed == before + 1
