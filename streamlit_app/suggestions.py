"""First questions for the sample documents of ``make run``."""

from dataclasses import dataclass

from docent_client.schemas import Document


@dataclass(frozen=True)
class Suggestion:
    """A question, offered only where the document it is about has been ingested."""

    question: str
    filename: str


SUGGESTIONS = (
    Suggestion("What does DS do on a power-on reset?", "CFS_DS_User_Guide_Doc_No_582_2013_001.pdf"),
    Suggestion(
        "Who is the DS user's guide written for?", "CFS_DS_User_Guide_Doc_No_582_2013_001.pdf"
    ),
    Suggestion("What does OS_MAX_TASKS limit?", "OSAL_Configuration_guide.pdf"),
    Suggestion("What is the capital of France?", "OSAL_Configuration_guide.pdf"),
)


def suggestions_for(documents: tuple[Document, ...]) -> tuple[str, ...]:
    """The questions whose documents can answer now."""
    ready = {document.filename for document in documents if document.status == "ready"}
    return tuple(item.question for item in SUGGESTIONS if item.filename in ready)
