import time

import pytest

from app.llm.errand import Errand, errand_of

#: Of "the document": which one, a scope with one document says.
POINTED = {
    "Summarise this document.": Errand("summary", "", pointed=True),
    "Please summarize the manual in three sentences": Errand("summary", "", pointed=True),
    "Give me a short overview of the whole report": Errand("summary", "", pointed=True),
    "What's this document about?": Errand("summary", "", pointed=True),
    "Fass bitte den Bericht kurz zusammen": Errand("summary", "", pointed=True),
    "Gib mir einen Überblick über das Handbuch": Errand("summary", "", pointed=True),
    "Worum geht es in diesem Dokument?": Errand("summary", "", pointed=True),
    "Résume ce document": Errand("summary", "", pointed=True),
    "Resume el documento, por favor": Errand("summary", "", pointed=True),
    "Riassumi il documento": Errand("summary", "", pointed=True),
    "List all safety requirements in this document": Errand(
        "list", "safety requirements", pointed=True
    ),
    "What are all the deadlines in the contract?": Errand("list", "deadlines", pointed=True),
    "List every step of the guide that needs a tool": Errand(
        "list", "step that needs a tool", pointed=True
    ),
    "Liste alle Anforderungen im Dokument auf": Errand("list", "Anforderungen", pointed=True),
    "Enumera todas las condiciones del contrato": Errand("list", "condiciones", pointed=True),
    "Elenca tutti gli obblighi del contratto": Errand("list", "obblighi", pointed=True),
    "How many requirements does the document list?": Errand("count", "requirements", pointed=True),
    "How many open issues are there in this report?": Errand("count", "open issues", pointed=True),
    "Count the warnings in the manual": Errand("count", "warnings", pointed=True),
    "Wie viele Anforderungen gibt es in dem Dokument?": Errand(
        "count", "Anforderungen", pointed=True
    ),
    "Combien de clauses contient le contrat ?": Errand("count", "clauses", pointed=True),
}
#: Of a document by its name.
NAMED = {
    "Summarise Pump_Manual.pdf": ("summary", "", "pump manual.pdf"),
    "summarise “Annual Report 2023”": ("summary", "", "annual report 2023"),
    "Give me a summary of the Pump manual": ("summary", "", "pump"),
    "Summarise European Union law": ("summary", "", "european union law"),
    "Fasse „Vertrag A“ zusammen": ("summary", "", "vertrag a"),
    "List all the tables of the OSAL configuration guide": (
        "list",
        "tables",
        "osal configuration guide",
    ),
    "How many valves are listed in pump.pdf?": ("count", "valves", "pump.pdf"),
    "How many steps are in the file called Start Up": ("count", "steps", "start up"),
}
#: They want a passage, whatever words of errands they have.
ORDINARY = [
    "How many valves does the pump have?",
    "How many data storage files can be open at once?",
    "How many activities does the manual say fit into one minor frame?",
    "How many people live in the area that the report covers?",
    "How many members does the board have according to the report of 2020 on boards?",
    "How many of the contracts were signed?",
    "How many countries signed the treaty in Vienna?",
    "Wie viele Ventile hat die Pumpe?",
    "Wie viele Mitglieder hat der Verein laut Satzung von 1990?",
    "Combien de soupapes la pompe a-t-elle ?",
    "Summarise the safety chapter of this manual",
    "What is the summary table for?",
    "What is the document number of the user guide?",
    "Which document lists all requirements?",
    "Who wrote the report?",
    "What does the contract say about liability?",
    "What is listed in the Packet Filter Table?",
    "Name the author of the handbook",
    "List the first two build systems",
    "Is every file closed at the end?",
    "When does the policy end?",
    "What was the total number of employees?",
    "Was steht im Vertrag zur Haftung?",
    "Nenne den Autor des Berichts",
    "Show me the file",
    "How do I count all open files?",
    "",
    "?",
    "how many",
    "list all " + "x " * 50,
    "summarise " + "a" * 500,
]


@pytest.mark.parametrize(("question", "wanted"), POINTED.items())
def test_the_document_of_a_scope(question: str, wanted: Errand) -> None:
    assert errand_of(question) == wanted


@pytest.mark.parametrize(("question", "wanted"), NAMED.items())
def test_a_document_by_its_name(question: str, wanted: tuple[str, str, str]) -> None:
    found = errand_of(question)
    assert found is not None
    assert (found.kind, found.topic, found.pointed) == (*wanted[:2], False)
    assert wanted[2] in found.names


@pytest.mark.parametrize("question", ORDINARY)
def test_an_ordinary_question_is_no_errand(question: str) -> None:
    assert errand_of(question) is None


@pytest.mark.parametrize("question", ["List all requirements", "Nenne alle Fristen", "Summarise"])
def test_what_names_no_document_leaves_it_to_the_filters(question: str) -> None:
    found = errand_of(question)
    assert found is not None
    assert (found.names, found.pointed) == ((), False)


@pytest.mark.parametrize(
    "question",
    ["summarise " + "in a " * 70, "how many " + "a b in " * 50, "list all " + "the in of " * 38],
)
def test_a_hostile_question_takes_no_time(question: str) -> None:
    began = time.process_time()
    for _ in range(10):
        errand_of(question)
    assert time.process_time() - began < 1
