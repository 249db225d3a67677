"""What a corpus should answer, in plain Python: the other side of test_corpus_machine.py."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

UNFINISHED = ("queued", "processing")
#: (document, version, page, text)
Place = tuple[str, int, int, str]


@dataclass(eq=False)
class Version:
    """One version; ``words`` of its pages, None for a file that cannot be read."""

    document: "Document"
    number: int
    file: int
    words: tuple[str, ...] | None
    status: str = "queued"
    job_id: str | None = None
    #: Whoever works on it.
    claim: object = None

    @property
    def unfinished(self) -> bool:
        return self.status in UNFINISHED

    def end(self, status: str) -> None:
        self.status, self.claim = status, None


@dataclass(eq=False)
class Document:
    """One document; ``rows`` of chunks it has, every version's, one for each page that changed."""

    id: str
    source: str | None
    versions: list[Version] = field(default_factory=list)
    current: int | None = None
    deleted: bool = False
    rows: int = 0

    @property
    def words(self) -> tuple[str, ...]:
        """What it says now."""
        return self.words_of(self.current)

    def words_of(self, number: int | None) -> tuple[str, ...]:
        return () if number is None else self.versions[number - 1].words or ()

    @property
    def newest_ready(self) -> int | None:
        return max((v.number for v in self.versions if v.status == "ready"), default=None)


class Corpus:
    """All documents, and the jobs in the order they were recorded."""

    def __init__(self, files: Sequence[tuple[str, ...] | None]) -> None:
        self.files = files
        self.documents: list[Document] = []
        self.queue: list[Version] = []
        #: Words of every chunk, of dead versions too: their vectors are known.
        self.stored: set[str] = set()
        #: Times, and which version each document answered from.
        self.moments: list[tuple[datetime, dict[str, int]]] = []
        #: Whether bytes were refused after they had been stored.
        self.orphan_possible = False

    # Callers.

    def known(self, file: int, source: str | None) -> list[Document]:
        """The documents an upload may be a version of."""
        present = [d for d in self.documents if not d.deleted]
        if source is not None:
            return [d for d in present if d.source == source]
        return [
            d
            for d in present
            if (newest := d.versions[-1]).file == file
            and (newest.status != "ready" or newest.number == d.current)
        ]

    def add(self, document_id: str, source: str | None) -> Document:
        document = Document(document_id, source)
        self.documents.append(document)
        return document

    def take(self, document: Document, file: int) -> tuple[int, bool]:
        """Take a file in: the version it is, and whether that has to be worked on."""
        newest = document.versions[-1] if document.versions else None
        if newest is not None and newest.file == file:
            if newest.unfinished:
                return newest.number, True
            if newest.number == document.current:
                return newest.number, False
            if newest.status != "ready":
                self.queue_version(newest)
                return newest.number, True
        elif newest is not None and not newest.unfinished and document.current is not None:
            current = document.versions[document.current - 1]
            if current.file == file:
                return current.number, False
        version = Version(document, len(document.versions) + 1, file, self.files[file])
        document.versions.append(version)
        self.queue_version(version)
        return version.number, True

    def queue_version(self, version: Version) -> None:
        version.end("queued")
        self.queue.append(version)

    def delete(self, document: Document) -> None:
        document.deleted = True
        for version in document.versions:
            if version.unfinished:
                version.end("cancelled")

    def is_taken(self, source: str | None) -> bool:
        return source is not None and any(
            d.source == source for d in self.documents if not d.deleted
        )

    def may_be_retried(self, version: Version) -> bool:
        newest = version.document.newest_ready or 0
        failed = version.status in ("failed", "cancelled", "dead")
        return failed and not version.document.deleted and newest < version.number

    # Workers.

    def heads(self) -> list[Version]:
        """The first job of every document that has any."""
        return list({id(v.document): v for v in reversed(self.queue)}.values())[::-1]

    def claim(self, version: Version, claim: object) -> bool:
        """Begin to work on a version; False when there is nothing to do."""
        if not version.unfinished:
            return False
        if version.number < (version.document.newest_ready or 0):
            version.end("failed")
            return False
        version.status, version.claim = "processing", claim
        return True

    def finish(self, version: Version) -> None:
        """End the work that was claimed."""
        document = version.document
        if version.words is None:
            version.end("failed")
            return
        before = document.words_of(document.newest_ready)
        document.rows += sum(
            word != old
            for word, old in zip(version.words, [*before, *[""] * len(version.words)], strict=False)
        )
        self.stored |= set(version.words)
        document.current = version.number
        version.end("ready")

    def work(self, *, first_embedding: str = "succeeded") -> None:
        """Do all jobs in order; the first that embeds may fail, or be put at the end."""
        waiting: list[Version] = []
        while self.queue:
            version = self.queue.pop(0)
            if any(other.document is version.document for other in waiting):
                waiting.append(version)
            elif self.claim(version, "worker"):
                embeds = bool(set(version.words or ()) - self.stored)
                if embeds and first_embedding == "failed":
                    waiting.append(version)
                elif embeds and first_embedding == "stopped":
                    self.queue.append(version)
                else:
                    self.finish(version)
                if embeds:
                    first_embedding = "succeeded"
        self.queue = waiting

    # Questions.

    def answering(self) -> dict[str, int]:
        """Which version each document answers from; deleted ones too, they may be restored."""
        return {d.id: d.current for d in self.documents if d.current is not None}

    def visible(self, versions: dict[str, int] | None = None) -> set[Place]:
        """Everything a search may find, of the current or of the given versions."""
        versions = self.answering() if versions is None else versions
        return {
            (d.id, versions[d.id], page, f"The page says {word} and no more.")
            for d in self.documents
            if not d.deleted and d.id in versions
            for page, word in enumerate(d.words_of(versions[d.id]), 1)
        }
