"""A backup as one file: a tar whose last member, the manifest, knows every other by its checksum.

It is written under another name and renamed when it is whole. It is never unpacked: what is read
from it is asked for by name, so that a name in it can lead nowhere.
"""

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from app.errors import AppError

#: Counted up when an older Docent could not read what a newer one writes.
FORMAT = 1
MANIFEST = "manifest.json"
#: Some millions of files; more is no manifest of ours.
_MAX_MANIFEST_BYTES = 512 * 2**20
_STEP = 2**20


class ArchiveRefused(AppError):
    """The archive cannot be used."""

    code = "archive_refused"


class _Format(BaseModel):
    format: int


class Facts(BaseModel):
    """What must be known of an archive before it is let near a database."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    made_at: datetime
    #: The migration the database stood at.
    schema_revision: str
    #: Major version of the PostgreSQL it comes from.
    postgres: int
    embedding_model: str
    embedding_dimension: int
    #: By which another secret is told from the one that keys the hashes of API keys.
    secret_fingerprint: str


class Manifest(Facts):
    """The facts, and the SHA-256 of every member by its name."""

    checksums: dict[str, str]


class Draft:
    """An archive that is being written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._tar = tarfile.open(fileobj=file, mode="w")  # noqa: SIM115 - closed by `finish`
        self._checksums: dict[str, str] = {}

    def add(self, name: str, content: bytes) -> None:
        """Add some bytes."""
        self._add(name, io.BytesIO(content), len(content))

    def add_file(self, name: str, path: Path) -> None:
        """Add what a file holds."""
        with path.open("rb") as file:
            self._add(name, file, path.stat().st_size)

    def finish(self, facts: Facts) -> None:
        """Write the manifest, without which it is no archive."""
        manifest = Manifest(**facts.model_dump(), checksums=self._checksums)
        content = manifest.model_dump_json(indent=1).encode()
        self._add(MANIFEST, io.BytesIO(content), len(content))
        self._tar.close()

    def _add(self, name: str, content: IO[bytes], size_bytes: int) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode = size_bytes, 0o600
        self._checksums[name] = hashlib.file_digest(content, "sha256").hexdigest()
        content.seek(0)
        self._tar.addfile(member, content)


@contextmanager
def writing(path: Path) -> Iterator[Draft]:
    """Write an archive of mode 600; its name appears when it is whole and on the disk.

    Raises:
        ArchiveRefused: there is such a file already, or it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            raise ArchiveRefused(f"{path} exists already; name another file.")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            yield Draft(file)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except OSError as error:
        raise ArchiveRefused(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        with suppress(OSError):
            draft.unlink()


class Archive:
    """An archive whose every byte is what its manifest says."""

    def __init__(
        self, tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo], facts: Manifest
    ) -> None:
        self._tar = tar
        self._members = members
        self.facts = facts
        self.names = tuple(facts.checksums)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._tar.close()

    def read(self, name: str) -> bytes:
        """The bytes of a member that is there."""
        return self._file(name).read()

    def copy(self, name: str, path: Path) -> None:
        """Write the bytes of a member to a new file."""
        with self._file(name) as source, path.open("xb") as target:
            while step := source.read(_STEP):
                target.write(step)

    def _file(self, name: str) -> IO[bytes]:
        return _content(self._tar, self._members[name])


def open_archive(path: Path) -> Archive:
    """Read all of an archive and check it; takes as long as reading the file does.

    Raises:
        ArchiveRefused: it is none, is not whole, was changed, or comes from a newer Docent.
    """
    try:
        tar = tarfile.open(path, mode="r:")  # noqa: SIM115 - closed by the archive
    except FileNotFoundError as error:
        raise ArchiveRefused(f"There is no file {path}.") from error
    except (tarfile.TarError, OSError, ValueError) as error:
        raise ArchiveRefused(f"{path} is no archive of Docent.") from error
    with ExitStack() as stack:
        stack.callback(tar.close)
        try:
            archive = _checked(tar, path)
        except (tarfile.TarError, OSError, EOFError) as error:
            raise ArchiveRefused(f"{path} is not whole: it ends too early.") from error
        stack.pop_all()
        return archive


def _checked(tar: tarfile.TarFile, path: Path) -> Archive:
    members, checksums = _checksums(tar)
    if MANIFEST not in members or members[MANIFEST].size > _MAX_MANIFEST_BYTES:
        raise ArchiveRefused(f"{path} is not whole: its end, the manifest, is missing.")
    facts = _manifest(_content(tar, members[MANIFEST]).read())
    del checksums[MANIFEST]
    wrong = sorted(dict(checksums.items() ^ facts.checksums.items()))
    if wrong:
        raise ArchiveRefused(f"{path} was changed or damaged: {wrong[0]} is not what it was.")
    return Archive(tar, members, facts)


def _checksums(tar: tarfile.TarFile) -> tuple[dict[str, tarfile.TarInfo], dict[str, str]]:
    members, checksums = {}, {}
    for member in tar:
        # A link, a device or a file with holes could be endless, or another file's bytes.
        if member.type != tarfile.REGTYPE or member.name in members:
            raise ArchiveRefused("The archive holds something that no backup does.")
        members[member.name] = member
        with _content(tar, member) as content:
            checksums[member.name] = hashlib.file_digest(content, "sha256").hexdigest()
    return members, checksums


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(member)
    assert content is not None  # noqa: S101 - it is a regular file
    return content


def _manifest(content: bytes) -> Manifest:
    try:
        # Alone first: a newer format may have other fields.
        made_by = _Format.model_validate_json(content).format
        if made_by != FORMAT:
            raise ArchiveRefused("The archive cannot be read: a newer Docent made it.")
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        raise ArchiveRefused("The archive cannot be read: its manifest is damaged.") from error
