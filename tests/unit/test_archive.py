"""Archives: whole or refused, with a sentence that says why; whatever is done to the file."""

import io
import json
import os
import stat
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.archives.archive import ArchiveRefused, Facts, open_archive, writing

FACTS = Facts(
    made_at=datetime(2026, 1, 2, tzinfo=UTC),
    schema_revision="0012",
    postgres=18,
    embedding_model="m",
    embedding_dimension=3,
    secret_fingerprint="ab",
)
CONTENT = bytes(range(256)) * 8


def make(path: Path) -> Path:
    with writing(path) as draft:
        draft.add("database.dump", CONTENT)
        draft.add("memory.jsonl", b"")
        draft.finish(FACTS)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make(tmp_path_factory.mktemp("archive") / "a.tar").read_bytes()


def test_what_was_written_is_read_again_and_is_private(tmp_path: Path) -> None:
    path = make(tmp_path / "new" / "a.tar")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with open_archive(path) as archive:
        assert (archive.read("database.dump"), archive.read("memory.jsonl")) == (CONTENT, b"")
        assert Facts(**archive.facts.model_dump(exclude={"checksums"})) == FACTS
        archive.copy("database.dump", tmp_path / "copied")
    assert (tmp_path / "copied").read_bytes() == CONTENT


def test_one_that_could_not_be_finished_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ArchiveRefused), writing(tmp_path / "a.tar") as draft:
        draft.add_file("database.dump", tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_one_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    path = make(tmp_path / "a.tar")
    before = path.read_bytes()
    with pytest.raises(ArchiveRefused, match="exists already"):
        make(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.tar"]


def refused(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "changed.tar"
    path.write_bytes(content)
    with pytest.raises(ArchiveRefused) as error:
        open_archive(path)
    return error.value.detail


def test_every_beginning_of_an_archive_is_refused(whole: bytes, tmp_path: Path) -> None:
    end = whole.rindex(b"}")  # what follows is padding
    for length in [0, 1, 511, 512, 513, *range(1000, end, 97), end - 1]:
        assert refused(tmp_path, whole[:length])
    assert "not whole" in refused(tmp_path, whole[: len(CONTENT)])


@given(data=st.data())
def test_a_changed_byte_changes_nothing_that_is_read(
    whole: bytes, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = data.draw(st.integers(0, whole.rindex(b"}")))
    changed = bytearray(whole)
    changed[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("changed") / "a.tar"
    path.write_bytes(changed)
    try:
        archive = open_archive(path)
    except ArchiveRefused:
        return
    with archive:  # a byte that means nothing, such as the owner's name, or a fact of the manifest
        assert (archive.read("database.dump"), archive.read("memory.jsonl")) == (CONTENT, b"")


def packed(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for member, content in members:
            member.size = len(content) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


def manifest(**changes: object) -> tuple[tarfile.TarInfo, bytes]:
    facts = {**json.loads(FACTS.model_dump_json()), "checksums": {}, **changes}
    return tarfile.TarInfo("manifest.json"), json.dumps(facts).encode()


def test_what_no_backup_holds_is_refused(tmp_path: Path) -> None:
    link = tarfile.TarInfo("database.dump")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    for odd in (
        packed((link, b""), manifest()),
        packed((tarfile.TarInfo("../../evil"), b"x"), manifest()),
        packed(manifest(), manifest()),
        packed(manifest(checksums={"database.dump": "0" * 64})),
        packed(manifest(surprise=1)),
        packed((tarfile.TarInfo("manifest.json"), b"[]")),
        b"SQLite format 3\0" * 100,
    ):
        refused(tmp_path, odd)
    assert "newer Docent" in refused(tmp_path, packed(manifest(format=2)))
    with pytest.raises(ArchiveRefused, match="There is no file"):
        open_archive(tmp_path / "nowhere.tar")
