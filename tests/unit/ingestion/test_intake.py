"""A file's first step: hashed, or refused with a reason, before anything is stored."""

import hashlib
import os
from functools import partial
from pathlib import Path

import pytest

from app.errors import InvalidRequest
from app.ingestion.folder import examine, find_files, read_file

LIMIT = 5000


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content", [b"%PDF-1.7\nx", b"\n" * 500 + b"%PDF-1.4 x", b"%PDF-" + b"x" * (LIMIT - 5)]
)
def test_a_pdf_is_hashed_whole(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path / "a b'é.pdf", content)
    found = examine(path, max_bytes=LIMIT)
    assert (found.reason, found.sha256) == (None, hashlib.sha256(content).digest())
    assert found.source == path.as_uri()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty_file"),
        (b"%PDF-" + b"x" * LIMIT, "too_large_file"),
    ],
)
def test_a_file_that_is_no_use_has_a_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    found = examine(write(tmp_path / "a.pdf", content), max_bytes=LIMIT)
    assert (found.reason, found.sha256) == (reason, b"")


def test_a_file_that_cannot_be_read_has_a_reason(tmp_path: Path) -> None:
    (tmp_path / "folder.pdf").mkdir()
    assert (examine(tmp_path / "gone.pdf", max_bytes=LIMIT).reason or "").startswith(
        "unreadable_file (No such"
    )
    assert (examine(tmp_path / "folder.pdf", max_bytes=LIMIT).reason or "").startswith(
        "unreadable_file"
    )


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pdf")  # nobody writes to it
    (tmp_path / "endless.pdf").symlink_to("/dev/zero")
    for name in ("pipe.pdf", "endless.pdf"):
        found = examine(tmp_path / name, max_bytes=LIMIT)
        assert found.reason == "unreadable_file (not a file)"


def test_links_in_a_loop_are_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").symlink_to("b.pdf")
    (tmp_path / "b.pdf").symlink_to("a.pdf")
    for found in map(partial(examine, max_bytes=LIMIT), find_files(tmp_path)):
        assert (found.reason or "").startswith("unreadable_file (Too many levels")


def test_of_a_file_that_has_grown_no_more_is_read_than_tells_so(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pdf", b"x" * (10 * LIMIT))
    assert len(read_file(path, max_bytes=LIMIT)) == LIMIT + 1


def test_a_folder_that_cannot_be_looked_into_is_told_of(tmp_path: Path) -> None:
    write(tmp_path / "a.pdf", b"%PDF-1.7")
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):  # deeper than a path can name
        os.mkdir("d" * 250, dir_fd=here)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    found = [examine(path, max_bytes=LIMIT) for path in find_files(tmp_path)]
    assert [bool(file.sha256) for file in found] == [True, False]
    assert (found[1].reason or "").startswith("unreadable_file")


def test_two_ways_to_a_file_are_one_source(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pdf", b"%PDF-1.7")
    (tmp_path / "link.pdf").symlink_to(path)
    assert examine(tmp_path / "link.pdf", max_bytes=LIMIT).source == path.as_uri()
    assert examine(tmp_path / "." / "a.pdf", max_bytes=LIMIT).source == path.as_uri()


def test_a_name_that_is_not_text_is_a_name(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.pdf"))
    assert examine(write(path, b"%PDF-1.7"), max_bytes=LIMIT).source.endswith("/%FF.pdf")


def test_every_document_below_a_folder_is_found_once(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "loop").symlink_to(tmp_path)
    for name in ("b.pdf", "a.PDF", "deep/er/c.pdf", "deep/notes.TXT", "pdf", "x.exe", ".pdf"):
        write(tmp_path / name, b"")
    names = [str(path.relative_to(tmp_path)) for path in find_files(tmp_path)]
    assert names == ["a.PDF", "b.pdf", "deep/er/c.pdf", "deep/notes.TXT"]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="is not a folder"):
        find_files(tmp_path / "nothing")
