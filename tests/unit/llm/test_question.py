import pytest

from app.llm.question import count_asked, holds, kind_of, sides_of, without_count


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
        ("What is not covered by the policy?", "exception"),
        ("Who is exempt from the fee?", "exception"),
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


@pytest.mark.parametrize(
    ("question", "sides"),
    [
        ("Compare Basic and Team", ("Basic", "Team")),
        ("Compare the price of Basic and Team.", ("the price of Basic", "the price of Team")),
        ("Compare revenue in 2025 with 2024", ("revenue in 2025", "revenue in 2024")),
        ("Compare costs in May and in June", ("costs in May", "in June")),
        ("What is the difference between a fee and a fine?", ("a fee", "a fine")),
        ("Which is heavier, the van or the car?", ("the van", "the car")),
        ("basic vs. team plan", ("basic", "team plan")),
        ("Is the van or the car heavier?", ()),
        ("Who compares prices?", ()),
    ],
)
def test_what_a_question_compares(question, sides):
    assert sides_of(question) == sides


@pytest.mark.parametrize("question", ["difference of " * 285, f"compare a and{' ' * 3900}b"])
def test_what_is_too_long_to_be_a_comparison_is_not_looked_at(question):
    """Four thousand characters held a worker's loop for a second."""
    assert sides_of(question) == ()


@pytest.mark.parametrize(
    ("question", "count", "without"),
    [
        ("Which four things must I bring?", 4, "Which  things must I bring?"),
        ("What are the three main risks?", 3, "What are the  main risks?"),
        ("List the 12 rules", 12, "List the  rules"),
        ("What happened in the 1990s?", None, "What happened in the 1990s?"),
        ("Which two men left?", None, "Which two men left?"),
    ],
)
def test_how_many_are_asked_for(question, count, without):
    assert (count_asked(question), without_count(question)) == (count, without)
