import pytest

from app.llm.question import holds, kind_of


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("How many files are kept?", "number"),
        ("What is the maximum size of a file?", "number"),
        ("What percentage of users agreed?", "percent"),
        ("When was it released?", "time"),
        ("In what year did it open?", "time"),
        ("Who wrote the guide?", "person"),
        ("Where is the file stored?", "place"),
        ("Which city is the largest?", "place"),
        ("Why does it restart?", "reason"),
        ("What is a minor frame?", "definition"),
        ("What does FOT stand for?", "definition"),
        ("Which build systems are available?", "any"),
        ("Wie viele Dateien gibt es?", "any"),
        ("", "any"),
    ],
)
def test_kinds(question, kind):
    assert kind_of(question) == kind


@pytest.mark.parametrize(
    ("kind", "sentence", "expected"),
    [
        ("number", "There are five of them.", True),
        ("number", "It holds 12 files.", True),
        ("number", "Version 7 is out.", False),
        ("percent", "About 40 % agreed.", True),
        ("percent", "There are 40 of them.", False),
        ("time", "It opened in 1998.", True),
        ("time", "It is large.", False),
        ("person", "It was written by Ada Lovelace.", True),
        ("person", "It was written quickly.", False),
        ("person", "The work of Smith was read.", False),
        ("place", "It lies north of the river.", True),
        ("place", "It is big.", False),
        ("reason", "It restarts because the timer ran out.", True),
        ("definition", "The Flight Team (FT) sits there.", True),
        ("definition", "A frame is a slice of time.", True),
        ("any", "Anything 5.", False),
    ],
)
def test_what_holds_an_answer(kind, sentence, expected):
    assert holds(kind, sentence, "How many FT files has Smith in version 7?") is expected
