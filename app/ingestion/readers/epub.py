"""E-books (EPUB 2 and 3): the chapters of the spine, each beginning a page."""

from __future__ import annotations

from functools import cache, partial
from itertools import chain
from typing import TYPE_CHECKING

from lxml import etree

from app.infra.confinement import Refused
from app.ingestion.readers import html
from app.ingestion.readers.archive import Archive, child, local, parse_xml, resolve
from app.ingestion.readers.charset import decode
from app.ingestion.readers.content import Block, Content, Hidden
from app.ingestion.readers.looks import Styles, rules_in
from app.ingestion.readers.style_sheet import applies, rules_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lxml.etree import _Element as Element

    from app.ingestion.readers.style_sheet import Rule

CONTAINER, ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
CHAPTERS = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")


def read(data: bytes, limits: Mapping[str, int]) -> Content:
    """Return the book's content.

    Raises:
        Refused: when the archive is hostile, damaged or its chapters are encrypted.
    """
    archive = Archive(data, limits)
    rootfile = child(archive.main_xml(CONTAINER), "rootfiles", "rootfile")
    if rootfile is None:
        raise Refused("damaged")
    name = rootfile.get("full-path", "")
    package = archive.main_xml(name)
    metadata = child(package, "metadata")
    title, author = (child(metadata, key) for key in ("title", "creator"))
    hidden = Hidden()
    return Content(
        chapters(archive, chapter_names(package, name), hidden),
        (title.text or "") if title is not None else "",
        (author.text or "") if author is not None else "",
        at_headings=False,
        hidden=hidden,
    )


def chapter_names(package: Element, source: str) -> list[str]:
    """Return the members that are the book's chapters, in reading order, each once."""
    manifest = child(package, "manifest")
    items = {
        item.get("id"): item
        for item in (manifest if manifest is not None else ())
        if item.get("media-type") in CHAPTERS
    }
    spine = child(package, "spine")
    order = [item.get("idref") for item in (spine if spine is not None else ()) if local(item)]
    hrefs = [items[key].get("href", "") for key in order if key in items]
    return list(dict.fromkeys(resolve(source, href) for href in hrefs))


def chapters(archive: Archive, names: list[str], hidden: Hidden) -> Iterator[Block]:
    """Yield the chapters' blocks; a page begins with each.

    Raises:
        Refused: ``encrypted`` when a chapter is under digital rights management.
    """
    locked = encrypted_names(archive)
    rules = cache(partial(rules_of_sheet, archive))  # chapters have mostly the same ones
    for name in names:
        if name.lower() in locked:
            raise Refused("encrypted")
        data = archive.read(name)
        if data:
            yield Block("", page=True)
            tree = chapter_tree(data)
            linked = chain.from_iterable(map(rules, linked_sheets(tree, name)))
            styles = Styles(chain(linked, rules_in(tree)))
            yield from html.blocks(tree, hidden, styles)


def linked_sheets(tree: Element, source: str) -> Iterator[str]:
    """Yield the members that are the style sheets of a chapter."""
    for link in tree.iter("{*}link"):
        if "stylesheet" in link.get("rel", "").lower() and applies(link.get("media", "")):
            yield resolve(source, link.get("href", ""))


def rules_of_sheet(archive: Archive, name: str) -> Sequence[Rule]:
    """Return the rules of a style sheet; one that is missing or damaged has none."""
    try:
        data = archive.read(name)
    except Refused:
        return ()
    return tuple(rules_of(decode(data or b"")))


def encrypted_names(archive: Archive) -> set[str]:
    """Return the members that are encrypted; mostly fonts."""
    root = archive.xml(ENCRYPTION)
    references = root.iter("{*}CipherReference") if root is not None else ()
    return {resolve("", one.get("URI", "")).lower() for one in references}


def chapter_tree(data: bytes) -> Element:
    """Return a chapter's tree: as XML if it is, otherwise as browsers would read it.

    XHTML's named entities are defined by a document type that is not fetched, so a chapter that
    uses them is read as HTML, which knows them.
    """
    try:
        root = parse_xml(data)
        if next(root.iter(etree.Entity), None) is None:
            return root
    except Refused as refusal:
        if str(refusal) == "memory":
            raise
    return html.parse_html(decode(data, declared=True))
