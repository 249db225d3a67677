"""The detector's map to rectangles."""

from math import pi

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageDraw

from app.ingestion.ocr_regions import Region, core_of_each, find_regions, runs_of


def drawn(*boxes: tuple[int, int, int, int], angle: float = 0.0) -> npt.NDArray[np.float32]:
    image = Image.new("F", (320, 160), 0)
    for box in boxes:
        ImageDraw.Draw(image).rectangle(box, fill=0.9)
    return np.asarray(image.rotate(angle), np.float32)


def test_each_core_becomes_a_grown_rectangle() -> None:
    chances = drawn((20, 20, 119, 29), (20, 60, 219, 69), (5, 100, 6, 101))
    first, second = sorted(find_regions(chances, (2.0, 2.0)), key=lambda region: region.y)
    assert (first.x, first.y, first.angle) == (140, 50, 0)
    # 200 x 20 pixels: grown on each side by 1.6 areas over the circumference.
    growth = 2 * 1.6 * 200 * 20 / 440
    assert (first.width, first.height) == pytest.approx((200 + growth, 20 + growth))
    assert second.x == 240


@pytest.mark.parametrize("angle", [-10, -2, 3, 12])
def test_a_slanted_core_is_measured_along_its_slant(angle: int) -> None:
    """Pillow turns counterclockwise; a region's angle is clockwise."""
    [region] = find_regions(drawn((60, 75, 259, 84), angle=angle), (1.0, 1.0))
    assert region.angle * 180 / pi == pytest.approx(-angle, abs=0.5)
    assert region.x == pytest.approx(160, abs=1)
    assert region.y == pytest.approx(80, abs=1)
    assert region.height < 10 + 24
    left, top, right, bottom = region.bounds((320, 160))
    assert right - left > 190
    assert bottom - top > region.height


def test_faint_and_empty_maps_have_no_lines() -> None:
    assert find_regions(drawn(), (1.0, 1.0)) == []
    assert find_regions(drawn((20, 20, 119, 29)) * np.float32(0.45), (1.0, 1.0)) == []


def test_bounds_are_cut_at_the_page() -> None:
    assert Region(5, 5, 100, 20).bounds((50, 12)) == (0, 0, 50, 12)


@settings(deadline=None)
@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_cores_are_the_connected_parts(mask: npt.NDArray[np.bool_]) -> None:
    """Flood filling over the eight neighbours finds the same parts."""
    rows, starts, ends = runs_of(mask)
    assert int((ends - starts).sum()) == int(mask.sum())
    if not len(rows):
        return
    cores = np.full(mask.shape, -1)
    for row, start, end, core in zip(rows, starts, ends, core_of_each(rows, starts, ends)):  # noqa: B905
        cores[row, start:end] = core
    assert ((cores >= 0) == mask).all()
    left, parts = set(zip(*map(list, np.nonzero(mask)), strict=True)), 0
    while left:
        stack, parts = [left.pop()], parts + 1
        core = cores[stack[0]]
        while stack:
            y, x = stack.pop()
            assert cores[y, x] == core
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            stack += near
    assert len(set(cores[mask].tolist())) == parts
