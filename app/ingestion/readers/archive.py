"""Zip archives and their XML, opened as if sent by an enemy.

Nothing is unpacked to a file, so a member's name is only ever compared. Sizes are checked as
declared before anything is read, and again as read, since declarations lie. Archives inside an
archive are not opened.
"""

from __future__ import annotations

import codecs
import io
import posixpath
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING
from urllib.parse import unquote

from lxml import etree

from app.infra.confinement import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lxml.etree import _Element as Element

#: End of central directory record (APPNOTE.TXT 4.3.16); the count of entries is 10 bytes in.
END, COUNT_AT, WITHIN = b"PK\x05\x06", 10, 65_557
COUNT = struct.Struct("<H")
READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED_FLAG = 1
#: Digits of a count or a span that is meant.
MAX_DIGITS = 7
#: What Python's zipfile raises for archives that make no sense.
BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, EOFError, ValueError,
          OverflowError, OSError, KeyError)  # fmt: skip

codecs.lookup("cp437")  # of old archives' names; codecs are files, and none can be opened later


class Archive:
    """A zip archive whose members are read within a budget."""

    def __init__(self, data: bytes, limits: Mapping[str, int]) -> None:
        """Read the directory.

        Raises:
            Refused: ``damaged``, ``too_many_entries`` or ``too_large_unpacked``.
        """
        end = data.rfind(END, -WITHIN)
        claimed = COUNT.unpack_from(data, end + COUNT_AT)[0] if end >= 0 else 0
        if claimed > limits["max_entries"]:
            raise Refused("too_many_entries")
        try:
            self._file = zipfile.ZipFile(io.BytesIO(data))
        except BROKEN as error:
            raise Refused("damaged") from error
        members = self._file.infolist()
        if len(members) > limits["max_entries"]:
            raise Refused("too_many_entries")
        self._left = limits["max_unpacked_bytes"]
        if sum(member.file_size for member in members) > self._left:
            raise Refused("too_large_unpacked")
        # Part names are compared without regard to case (ECMA-376 part 2, 6.2.2.3).
        self._members = {member.filename.replace("\\", "/").lower(): member for member in members}

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._members

    def read(self, name: str) -> bytes | None:
        """Return a member's bytes; None when there is no such member.

        Raises:
            Refused: ``encrypted``, ``damaged`` or ``too_large_unpacked``.
        """
        member = self._members.get(name.lower())
        if member is None:
            return None
        if member.flag_bits & ENCRYPTED_FLAG:
            raise Refused("encrypted")
        if member.compress_type not in READABLE:
            raise Refused("damaged")
        try:
            with self._file.open(member) as stream:
                data = stream.read(self._left + 1)
        except BROKEN as error:
            raise Refused("damaged") from error
        self._left -= len(data)
        if self._left < 0:
            raise Refused("too_large_unpacked")
        return data

    def xml(self, name: str) -> Element | None:
        """Return the root of a member that is XML; None when there is no such member.

        Raises:
            Refused: as ``read``; ``damaged`` when it is not well-formed or defines entities.
        """
        data = self.read(name)
        return None if data is None else parse_xml(data)

    def main_xml(self, name: str) -> Element:
        """Return the root of a member without which there is no document.

        Raises:
            Refused: as ``xml``; ``damaged`` when it is not there.
        """
        root = self.xml(name)
        if root is None:
            raise Refused("damaged")
        return root


def parse_xml(data: bytes) -> Element:
    """Return the root element; no entity is expanded and nothing else is fetched.

    Raises:
        Refused: ``damaged``: not well-formed, nested deeper than 256, or with a document type
            that defines entities; ``memory``.
    """
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False,
        remove_comments=True, remove_pis=True, collect_ids=False,
    )  # fmt: skip
    try:
        root: Element = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        out_of_memory = getattr(error, "code", 0) == etree.ErrorTypes.ERR_NO_MEMORY
        raise Refused("memory" if out_of_memory else "damaged") from error
    except ValueError as error:
        raise Refused("damaged") from error
    subset = root.getroottree().docinfo.internalDTD
    entities = getattr(subset, "iterentities", None)
    if entities is not None and any(True for _ in entities()):
        raise Refused("damaged")
    return root


def local(element: Element) -> str:
    """Return an element's name without its namespace; "" for what is no element."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def attribute(element: Element, name: str) -> str | None:
    """Return an attribute by its local name, whichever namespace it is in."""
    for key, value in element.attrib.items():
        if str(key).rpartition("}")[2] == name:
            return str(value)
    return None


def child(element: Element | None, *path: str) -> Element | None:
    """Return the first descendant along a path of local names."""
    for name in path:
        if element is None:
            return None
        element = next((one for one in element if local(one) == name), None)
    return element


def texts_in(element: Element) -> Iterator[str]:
    """Yield the text of an element and of all that is in it."""
    return map(str, element.itertext())


def number(text: str | None, default: int) -> int:
    """Return an attribute that should be a count."""
    return int(text) if text and text.isdecimal() and len(text) <= MAX_DIGITS else default


def resolve(source: str, target: str) -> str:
    """Return the member a reference in member ``source`` points to."""
    path = unquote(target.partition("#")[0])
    return posixpath.normpath(posixpath.join("/", posixpath.dirname(source), path)).lstrip("/")
