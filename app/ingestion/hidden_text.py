"""What a document's readers are told of text that was left out because nobody sees it."""

from app.documents.document import FileWarning
from app.ingestion.page import ParsedFile

#: Pages that are named; all others are one warning.
MOST = 50


def warnings_of(parsed: ParsedFile) -> list[FileWarning]:
    """The warnings about a parsed file, by page; None is the page of what has no pages."""
    found = [
        FileWarning("hidden_text", page.number, page.hidden) for page in parsed.pages if page.hidden
    ]
    rest = parsed.hidden + sum(warning.characters for warning in found[MOST:])
    return found[:MOST] + ([FileWarning("hidden_text", None, rest)] if rest else [])
