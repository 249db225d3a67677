"""Whether two questions ask the same, by their words: vectors are near for "2023" and "2024" too.

A question is read as what it asks for and the words it is about. Both must agree, whatever their
order where that says nothing of who does what to whom. A word that this module does not know has no
other word like it: it may be a name. Rather a question too many is answered anew (ADR 0021).

English only. The readings in capitals are made by rules and are never words of a question.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.chat.question_words import (
    ALIKE,
    AUXILIARY,
    BINDING,
    FILLER,
    IRREGULAR,
    JOINING,
    LOOSE,
    REWRITES,
    SMALL,
)
from app.infra.language import DEFAULT, language_of
from app.llm.words import words

#: Longer questions carry more than one condition; they are answered anew.
_LONGEST = 300
#: Where one of these is asked for, the order of words says who does what.
_STRICT = frozenset(["WHO", "WHOSE", "WHICH", "COUNT", "AMOUNT", "WHETHER"])
#: With so many joints it does, too: "the share of women in boards", "the hold A has on B".
_JOINTS = 2
_AUXILIARIES = re.compile(rf"\b(?:{AUXILIARY}|be|been|being)\b")
_JOINT = LOOSE | {"has", "have"}
_SENTENCES = re.compile(r"[.?!;]\s+\S|\n")
_SYMBOLS = re.compile(r"[^\w\s.,;:?!'\"\u2018\u2019\u201c\u201d()-]+")
#: A capitalised word within the sentence, but for "I".
_SMALL_NAME = re.compile(r"(?<=[\w,;:)] )(?!I\b)[A-Z]\w*")


@dataclass(frozen=True, slots=True)
class Reading:
    """A question as it is compared."""

    #: What is asked for and how (COUNT, WHO, MAX), and its symbols: "$", "++".
    marks: frozenset[str]
    #: The words it is about, in order, each once; with what binds them where that matters. Of two
    #: things that are asked for at once all words, with the marks among them.
    subject: tuple[str, ...]
    #: The order of the subject says who does what to whom.
    strict: bool
    #: How many words join others loosely: of two and more the order tells apart what they join.
    joints: int


def ask_the_same(one: str, other: str) -> bool:
    """Whether the answer to either question answers the other as well."""
    first, second = reading(one), reading(other)
    if first is None or second is None or first.marks != second.marks:
        return False
    if first.subject == second.subject:
        return True
    strict = first.strict or second.strict or min(first.joints, second.joints) >= _JOINTS
    return not strict and _one_moved(first.subject, second.subject)


def reading(question: str) -> Reading | None:
    """``question`` as it is compared; None for one that is compared with none.

    That is one of more than a sentence, one in another language, and one that is about nothing.
    """
    asked = question.strip()
    if len(asked) > _LONGEST or _SENTENCES.search(asked):
        return None
    if language_of(asked) not in (None, DEFAULT):
        return None
    text = _SMALL_NAME.sub(_kept_as_name, asked).lower()
    for pattern, said in REWRITES:
        text = pattern.sub(said, text)
    found = words(text)
    marks = {word for word in found if _is_mark(word)}
    joined = not JOINING.isdisjoint(found)
    subject = _subject_of(found, trailing="WHICH" not in marks, marked=joined)
    if not _AUXILIARIES.search(asked.lower()) and any(map(_is_past, found)):
        marks.add("PAST")
    strict, joints = joined or bool(marks & _STRICT), sum(word in _JOINT for word in found)
    marks -= {"WHICH"} | ({"CAN"} if "MAX" in marks else {"MUST"} if "MIN" in marks else set())
    marks.update(_SYMBOLS.findall(asked), (word for word in subject if _is_mark(word)))
    about = tuple(dict.fromkeys(word for word in subject if not _is_mark(word)))
    if not about:
        return None
    return Reading(frozenset(marks), tuple(subject) if joined else about, strict, joints)


def _kept_as_name(found: "re.Match[str]") -> str:
    """A capitalised word that would be read as a small one ("US", "May") is marked as a name."""
    small = found[0].lower()
    return f"{found[0]}_" if small in SMALL else found[0]


def _is_mark(word: str) -> bool:
    return word.isupper()


def _subject_of(found: Sequence[str], *, trailing: bool, marked: bool) -> list[str]:
    """The plain words, each with what binds it; a preposition at the end, if ``trailing`` may.

    ``marked`` leaves the marks among them.
    """
    subject: list[str] = []
    binding = ""
    for word in found:
        if word in BINDING:
            if binding:
                subject.append(binding)
            binding = word
        elif _is_mark(word):
            subject += [word] if marked and word != "WHICH" else []
        elif word not in FILLER:
            subject.append(f"{binding} {_plain(word)}".strip())
            binding = ""
    if trailing and found and found[-1] in LOOSE:
        subject.append(found[-1])
    return [*subject, binding] if binding else subject


def _is_past(word: str) -> bool:
    return word in IRREGULAR or (word.endswith("ed") and len(word) > len("need"))


def _plain(word: str) -> str:
    """``word`` without its inflection, or what it is like."""
    word = IRREGULAR.get(word, word)
    return ALIKE.get(word) or _BARE_ALIKE.get(_bare(word)) or _bare(word)


def _bare(word: str) -> str:
    """Plural, past and participle taken off; never what makes another noun of it."""
    if not word.isascii() or not word.isalpha() or len(word) <= 3:  # noqa: PLR2004 - no ending
        return word
    word = _without_ending(_singular(word))
    if word.endswith("e"):
        return word[:-1]
    return word[:-1] + "i" if word.endswith("y") else word


def _singular(word: str) -> str:
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def _without_ending(word: str) -> str:
    """Not of "string" or "exceed"."""
    match = re.fullmatch(r"(\w{2,}[^\We])(?:ing|ed)", word)
    if match is None:
        return word
    found = match[1]
    doubled = found[-1] == found[-2] and found[-1] not in "aeiousz"
    return found[:-1] if doubled else found


_BARE_ALIKE = {_bare(word): like for word, like in ALIKE.items()}


def _one_moved(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether the two are the same once one run of words stands elsewhere.

    Two that change places around what they do ("does A pay B") are not.
    """
    size = len(one)
    if size != len(other):
        return False
    return any(
        one[:start] + one[middle:end] + one[start:middle] + one[end:] == other
        for start in range(size)
        for middle in range(start + 1, size)
        for end in range(middle + 1, size + 1)
    )
