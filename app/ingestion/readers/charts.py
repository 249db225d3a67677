"""Charts in documents and slides (ECMA-376 part 1, 21.2): what they show, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.ingestion.readers.archive import child, local, number
from app.ingestion.readers.content import Block, one_line
from app.ingestion.readers.ooxml import reference, text_of
from app.ingestion.readers.tables import table_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lxml.etree import _Element as Element

    from app.ingestion.readers.archive import Archive
    from app.ingestion.readers.ooxml import Target
    from app.ingestion.readers.tables import Row

    #: The points of a series by their place.
    Points = dict[int, str]

NAMES, VALUES = ("cat", "xVal"), ("val", "yVal")
MAX_SERIES, MAX_POINTS = 100, 10_000


def charts_of(
    archive: Archive, targets: Mapping[str, Target]
) -> Callable[[Element], Iterator[Block]]:
    """Return what reads the chart that an element of a part refers to."""

    def read(element: Element) -> Iterator[Block]:
        target = targets.get(reference(element))
        root = archive.xml(target.name) if target and target.kind == "chart" else None
        if root is not None:
            yield from chart_blocks(root)

    return read


def chart_blocks(root: Element) -> Iterator[Block]:
    """Yield a chart's title, and a row for each of its categories with the values of its series."""
    chart = child(root, "chart")
    title = child(chart, "title")
    if title is not None:
        yield Block(one_line(" ".join(text_of(text) for text in title.iter("{*}t", "{*}v"))))
    plots = child(chart, "plotArea")
    series = [] if plots is None else list(plots.iter("{*}ser"))[:MAX_SERIES]
    names: Points = {}
    for one in reversed(series):  # mostly the same in all; the first series has the last word
        names |= points(one, NAMES)
    values = [points(one, VALUES) for one in series]
    places = sorted({*names, *(place for one in values for place in one)})[:MAX_POINTS]
    rows: list[Row] = [["", *(title_of(one) for one in series)]]
    rows += [[names.get(at, ""), *(one.get(at, "") for one in values)] for at in places]
    if places:
        yield from table_blocks(rows, 1)


def title_of(series: Element) -> str:
    """Return the name of a series."""
    told = child(series, "tx")
    return "" if told is None else " ".join(text_of(one) for one in told.iter("{*}v"))


def points(series: Element, kinds: tuple[str, ...]) -> Points:
    """Return the points of a series, percentages as such."""
    source = next((one for one in series if local(one) in kinds), None)
    if source is None:
        return {}
    percent = any("%" in text_of(one) for one in source.iter("{*}formatCode"))
    return {
        number(one.get("idx"), 0): shown(text_of(child(one, "v")), percent=percent)
        for one in source.iter("{*}pt")
    }


def shown(value: str, *, percent: bool) -> str:
    """Return a value as its chart shows it, without binary noise."""
    try:
        amount = float(value)
    except ValueError:
        return value
    return f"{100 * amount:.6g}%" if percent else f"{amount:.15g}"
