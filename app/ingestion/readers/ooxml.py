"""What DOCX, PPTX and XLSX share (ECMA-376 part 2): relationships between parts, and properties."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, NamedTuple

from app.infra.confinement import Refused
from app.ingestion.readers.archive import child, local, resolve

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

    from app.ingestion.readers.archive import Archive

PROPERTIES = "docProps/core.xml"


class Target(NamedTuple):
    """Where a relationship leads: the last word of its type, and a member of the archive."""

    kind: str
    name: str


def relationships(archive: Archive, source: str) -> dict[str, Target]:
    """Return a part's relationships to other parts by their id, in the file's order."""
    folder, name = posixpath.split(source)
    root = archive.xml(posixpath.join(folder, "_rels", f"{name}.rels"))
    found: dict[str, Target] = {}
    for one in root if root is not None else ():
        if local(one) == "Relationship" and one.get("TargetMode") != "External":
            kind = str(one.get("Type", "")).rpartition("/")[2]
            target = resolve(source, str(one.get("Target", "")))
            found[str(one.get("Id", ""))] = Target(kind, target)
    return found


def main_part(archive: Archive, default: str) -> str:
    """Return the name of the main part.

    Raises:
        Refused: ``damaged`` when there is none.
    """
    targets = relationships(archive, "").values()
    names = [target.name for target in targets if target.kind == "officeDocument"]
    for name in (*names, default):
        if name in archive:
            return name
    raise Refused("damaged")


def properties(archive: Archive) -> tuple[str, str]:
    """Return title and author; damaged or missing properties have none."""
    try:
        root = archive.xml(PROPERTIES)
    except Refused:
        return "", ""
    title, author = child(root, "title"), child(root, "creator")
    return text_of(title), text_of(author)


def text_of(element: object) -> str:
    """Return an element's own text."""
    return str(getattr(element, "text", None) or "")


def reference(entry: Element) -> str:
    """Return the relationship that an entry of a list names; its own ``id`` is a number."""
    return next((str(v) for k, v in entry.attrib.items() if str(k).endswith("}id")), "")
