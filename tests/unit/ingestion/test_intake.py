"""A file's first step: hashed, or refused with a reason, before anything is stored."""

import hashlib
import os
from pathlib import Path

import pytest

from app.errors import InvalidRequest
from app.ingestion.folder import examine, find_files

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
