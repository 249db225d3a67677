"""The detector's map of chances to rectangles around lines of text.

The map marks the core of each line. Cores are connected pixels; a line's rectangle is its core's,
grown by what training shrank it (Liao et al. 2020, arXiv:1911.08947, section 3.4).
"""

from dataclasses import dataclass
from math import atan2, cos, pi, sin

import numpy as np
import numpy.typing as npt

#: Chance from which a pixel is text, and mean chance from which a core is (rapidocr's defaults).
PIXEL_CHANCE, CORE_CHANCE = 0.3, 0.5
#: Area over circumference, times this, is the growth of each side (rapidocr's default).
GROWTH = 1.6
#: Pixels of the map below which a core is a speck.
MIN_SIDE = 3.0
#: How much longer than high a core must be for its slant to be told, and the largest slant that
#: is believed: a page is skewed by the scanner, not laid crosswise.
MIN_ELONGATION, MAX_SLANT = 3.0, pi / 8
#: Beyond this a page is noise.
MAX_REGIONS = 3_000


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle in pixels: its middle, sides, and slant (radians, clockwise on the page)."""

    x: float
    y: float
    width: float
    height: float
    angle: float = 0.0

    def bounds(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Return the upright rectangle around it: left, top, right, bottom, cut at the page."""
        across, down = abs(cos(self.angle)), abs(sin(self.angle))
        half_width = (across * self.width + down * self.height) / 2
        half_height = (down * self.width + across * self.height) / 2
        return (
            max(0.0, self.x - half_width),
            max(0.0, self.y - half_height),
            min(float(size[0]), self.x + half_width),
            min(float(size[1]), self.y + half_height),
        )


def find_regions(chances: npt.NDArray[np.float32], scale: tuple[float, float]) -> list[Region]:
    """Return the lines of a map, (height, width); ``scale``: the page's pixels per map pixel."""
    rows, starts, ends = runs_of(chances > PIXEL_CHANCE)
    if not len(rows):
        return []
    sums = np.concatenate(([0.0], chances.cumsum(dtype=np.float64)))
    width = chances.shape[1]
    totals = sums[rows * width + ends] - sums[rows * width + starts]
    cores = core_of_each(rows, starts, ends)
    order = np.argsort(cores, kind="stable")
    borders = np.flatnonzero(np.diff(cores[order])) + 1
    regions: list[Region] = []
    for members in np.split(order, borders):
        pixels = (ends[members] - starts[members]).sum()
        if totals[members].sum() >= CORE_CHANCE * pixels:
            region = around(rows[members], starts[members], ends[members], scale)
            if region:
                regions.append(region)
    return regions[:MAX_REGIONS]


def runs_of(
    mask: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return row, start and end of each horizontal run of true pixels, row by row."""
    padded = np.zeros((mask.shape[0], mask.shape[1] + 2), np.int8)
    padded[:, 1:-1] = mask
    steps = np.diff(padded, axis=1)
    rows, starts = np.nonzero(steps == 1)
    _, ends = np.nonzero(steps == -1)
    return rows, starts, ends


def core_of_each(
    rows: npt.NDArray[np.int64], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return for each run the number of the core it belongs to: runs that touch are one."""
    parents = list(range(len(rows)))

    def root(run: int) -> int:
        while parents[run] != run:
            parents[run] = parents[parents[run]]
            run = parents[run]
        return run

    y, x0, x1 = rows.tolist(), starts.tolist(), ends.tolist()
    above = 0
    for run in range(len(y)):
        while y[above] < y[run] - 1 or (y[above] == y[run] - 1 and x1[above] < x0[run]):
            above += 1
        other = above
        while other < run and y[other] == y[run] - 1 and x0[other] <= x1[run]:
            parents[root(other)] = root(run)
            other += 1
    return np.array([root(run) for run in range(len(y))])


def around(
    rows: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    scale: tuple[float, float],
) -> Region | None:
    """Return the grown rectangle around a core's runs; None around a speck."""
    x = np.concatenate((starts, ends, starts, ends)) * scale[0]
    y = np.concatenate((rows, rows, rows + 1, rows + 1)) * scale[1]
    angle = slant(rows, starts, ends, scale)
    across, down = cos(angle), sin(angle)
    along, aside = across * x + down * y, across * y - down * x
    width, height = float(np.ptp(along)), float(np.ptp(aside))
    if min(width / scale[0], height / scale[1]) < MIN_SIDE:
        return None
    growth = 2 * GROWTH * width * height / (2 * (width + height))
    u, v = (along.min() + along.max()) / 2, (aside.min() + aside.max()) / 2
    return Region(
        float(across * u - down * v),
        float(down * u + across * v),
        width + growth,
        height + growth,
        angle,
    )


def slant(
    rows: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    scale: tuple[float, float],
) -> float:
    """Return the direction in which a core's pixels spread; 0 where that says nothing."""
    counts = ends - starts
    total = counts.sum()
    x, y = scale[0] * (starts + ends) / 2, scale[1] * (rows + 0.5)
    dx, dy = x - (counts * x).sum() / total, y - (counts * y).sum() / total
    # A run spreads by itself: the variance of evenly spaced points.
    xx = (counts * (dx**2 + (scale[0] * counts) ** 2 / 12)).sum() / total
    yy = (counts * (dy**2 + scale[1] ** 2 / 12)).sum() / total
    xy = (counts * dx * dy).sum() / total
    angle = atan2(2 * xy, xx - yy) / 2
    elongated = xx > MIN_ELONGATION**2 * yy
    return float(angle) if elongated and abs(angle) <= MAX_SLANT else 0.0
