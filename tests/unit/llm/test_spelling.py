import json

import pytest

from app.llm.extractive import Extractive
from app.llm.spelling import put_right, vocabulary_of
from app.settings import MODEL_DIR
from tests.unit.llm.asking import ask, request, source

VOCABULARY = vocabulary_of(MODEL_DIR)
QUOTA = source(
    "A quota is the disk space that a department may occupy. Quotas are raised by the "
    "administrator once the statue in the palace of Zamosc was characterised."
)
SLIPS = (
    "quoat quota;admnistrator administrator;departnent department;seperate separate;"
    "definately definitely;recieve receive;insurence insurance;"
    "warrenty warranty;comittee committee;"
    "temparature temperature;buidling building;acces access;pasword password;instal install;"
    "retun return;invioce invoice;packkets packets;procesor processor;charecterized characterized"
)
#: Words that are none of the vocabulary either, and what else the sources may speak of.
RARE = (
    "nitrite nitrate;sulfite sulfate;chlorate chlorite;ethene ethane;propene propane;"
    "lessor lessee;licensee licensed;grantor grantee;mortgagee mortgagor;strcpy strncpy;"
    "sscanf scanf;hypotension hypertension;adsorption absorption;thiamine thymine;kubectx kubectl"
)


def pairs(of: str) -> list[list[str]]:
    return [pair.split() for pair in of.split(";")]


@pytest.mark.parametrize(("typed", "meant"), pairs(SLIPS))
def test_a_slip_is_put_right(typed: str, meant: str) -> None:
    told = [source(f"It says something of the {meant} here.")]
    assert put_right(f"What of the {typed} then?", told, VOCABULARY) == f"What of the {meant} then?"


@pytest.mark.parametrize(("rare", "told"), pairs(RARE))
async def test_what_may_be_a_rare_word_is_not_answered_with_another(rare: str, told: str) -> None:
    sources = [source(f"The rule says that {told} is at most 50 mg per litre.")]
    question = f"What does the rule say about {rare}?"
    assert put_right(question, sources, VOCABULARY) == question
    cautious, plain = Extractive(vocabulary=VOCABULARY), Extractive()
    assert (await ask(cautious, request(question, *sources)))[0] == (
        await ask(plain, request(question, *sources))
    )[0]


@pytest.mark.parametrize(
    ("question", "meant"),
    [
        (
            "waht may a department occupy, and wich quota?",
            "what may a department occupy, and which",
        ),
        ("Waht is a quota?", "What is a quota?"),
        ("\u00bfWhcih department is it?", "\u00bfWhich department is it?"),
        ("Who owns the X-quoat and the quoat?", "Who owns the X-quoat and the quota?"),
    ],
)
def test_small_words_are_put_right_and_parts_of_others_left(question: str, meant: str) -> None:
    told = [source("The disk space that a department may occupy is raised."), source("Its quota")]
    assert put_right(question, told, VOCABULARY).startswith(meant)


@pytest.mark.parametrize(
    "question",
    [
        "Where is the state?",  # a statue is not meant
        "How many places are there?",  # nor a palace
        "Who is Admnistrator Quoat?",  # one letter makes another name
        "Quoat is what?",  # so it may
        "Zamocs is where?",
        "Thea was hired when?",  # not "them"
        "Willa earns how much?",
        "Havel, Morel and Sameh are who?",
        "Who raises a qouat?",  # two slips
        "Who pays for kubernetes?",  # nothing near it is told
        "What is a quoat's?",
        "Whose quota is a quoat?",  # it is there already
        "",
    ],
)
def test_what_is_none_is_left_as_it_is(question: str) -> None:
    assert put_right(question, [QUOTA], VOCABULARY) == question


def test_without_a_vocabulary_nothing_is() -> None:
    assert put_right("Who raises a quoat?", [QUOTA], ()) == "Who raises a quoat?"
    assert put_right("Who raises a quoat?", [], VOCABULARY) == "Who raises a quoat?"


def test_the_most_frequent_of_several_is_meant() -> None:
    told = [source("Of barns and their barrns, above all the barons, and the barons of Kent.")]
    assert put_right("What of the barrons?", told, VOCABULARY) == "What of the barons?"


def test_a_vocabulary_is_read_from_the_models_folder(tmp_path) -> None:
    assert {"statue", "state", "palaces", "department"} <= VOCABULARY
    assert not {"charecterised", "departnent", "the", "Zamosc"} & VOCABULARY
    assert vocabulary_of(tmp_path) == frozenset()
    unigram = {"model": {"type": "Unigram", "vocab": [["<s>", 0.0], ["word", -1.5]]}}
    others = (unigram, {"model": {}}, {"model": {"vocab": None}}, [], 1)
    for number, damaged in enumerate(["{", "\u00e9", *map(json.dumps, others)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "tokenizer.json").write_text(damaged, encoding="latin-1")
        assert vocabulary_of(folder) == frozenset()
