"""Words as the extractive provider compares them: folded, stemmed, without filler.

A light suffix stripper instead of a full Porter stemmer: both sides of every comparison go through
it, so it only has to bring ``stores``, ``stored`` and ``storing`` together, not to find a root.
Scripts written without spaces are compared by overlapping pairs of characters.
"""

import re
import unicodedata
from functools import lru_cache

from app.infra.language import DEFAULT, language_of, small_words

#: A run of letters, digits and underscores, with the decimals or sub-numbers after it:
#: ``3.5``, ``1,000`` and ``DS3000.2.1`` are one word each. Vowel signs of Indic scripts, which
#: ``\\w`` leaves out, are letters here.
_WORD = re.compile(
    r"[\w\u0300-\u036f\u0900-\u0963\u0966-\u0dff\u0e00-\u0eff\u1000-\u109f]+(?:[.,]\d+)*"
)
#: What changes a word's look and not the word: soft hyphens, Hebrew points, Arabic vowels and the
#: stroke that stretches Arabic letters.
_UNREAD = re.compile(
    "[\u00ad\u0591-\u05bd\u05bf\u05c1\u05c2\u0610-\u061a\u0640\u064b-\u065f\u0670\u200b\u2060\ufeff]"
)
#: Where a line's end parts a word; not "long- and short-term".
_PARTED = re.compile(r"(?<=[^\W\d_])-\s+(?!(?:and|or|to|und|oder|bis)\b)(?=[^\W\d_A-Z])")
#: Thai, Lao, Khmer, Burmese, kana and Han: written without spaces.
_SCRIPTS = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
UNSPACED = re.compile(f"[{_SCRIPTS}]+")
#: What is written without spaces, and what stands beside it: "2015", "\u5e74".
_RUN = re.compile(f"[{_SCRIPTS}]+|[^{_SCRIPTS}]+")
#: What French asks with ("y a-t-il"), and what Japanese ends its verbs with.
_TELLS_NOTHING = re.compile("[at\u00e0y]|[\u3041-\u309f]+")
#: Of those scripts, the ones that spell their words with letters.
_SPELLED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]+")
#: Characters of a word without spaces around it, about: where it is spelled, and where it is not.
_SPELLED_LENGTH, _UNSPACED_LENGTH = 4, 2
_LONGEST_WORD = 64
#: Words beyond ASCII are compared by their beginning: inflection is mostly at the end. Lifts
#: containment from .74 to .84 on xquad-ru and costs a point or two at most elsewhere (xquad-hi).
_PREFIX = 5

#: The Arabic article and what is written before it in one word, and letters that are spelled in
#: more ways than one.
_ARTICLE = re.compile("^(?:[\u0648\u0641\u0628\u0643]?\u0627\u0644|\u0644\u0644)(?=.{3})")
_SPELLINGS = str.maketrans("\u0622\u0623\u0625\u0649\u0629", "\u0627\u0627\u0627\u064a\u0647")

#: English words that say nothing about a question's subject. Question words are among them:
#: what kind of answer they ask for is `app.llm.question`'s business.
FILLER = frozenset(  # a block of words reads better than a list
    """
    a about above after again all also although am an and any are as at be because been
    before being below between both but by called can compare compared comparison could define
    describe did differ difference differences do does
    doing during each either else etc ever explain few for from further give had happen
    happens has have having he hence her here hers him his how however i if in into is
    it its itself just kind kinds known let list many may me mean means might more most
    much must my name named no nor not of off on once one ones only or other our out
    over own per please s same say says shall she should show since so some sort stand
    stands such t tell than that the their them then there these they this those through
    thus to too type types under until up upon us versus very via vs was we were what whatever
    when where whereas whether which while who whom whose why will with within without
    would yes you your
    """.split()  # noqa: SIM905
)

_ENDINGS = (("ment", 4), ("ness", 4), ("ing", 3), ("ed", 3), ("ly", 4), ("er", 4), ("or", 4))
#: A number; thousands may be set apart by spaces.
_FIGURE = re.compile(r"(?<!\d)[1-9]\d{0,2}(?:[ \u00a0\u2009\u202f]\d{3})+(?!\d)|\d+(?:[.,]\d+)*")


@lru_cache(maxsize=32_768)
def stem(word: str) -> str:
    """The comparable form of one word: casefolded, endings taken off; empty for filler.

    CAN, IT and WHO are no filler: in capitals they are what something is called.
    """
    acronym = len(word) > 1 and word.isupper()
    word = word[:_LONGEST_WORD].casefold()
    if word in FILLER and not acronym:
        return ""
    if not word.isascii():
        return _spelling(word)[:_PREFIX]
    if len(word) <= 3 or not word.isalpha():  # noqa: PLR2004 - too short to carry an ending
        return word.replace(",", "")
    return _tidy(_strip_ending(_singular(word)))


@lru_cache(maxsize=32_768)
def _spelling(word: str) -> str:
    """``word`` in lower case, without an Arabic article."""
    return _ARTICLE.sub("", word[:_LONGEST_WORD].casefold().translate(_SPELLINGS))


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:  # noqa: PLR2004 - "ties" keeps its stem
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _strip_ending(word: str) -> str:
    for ending, left in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= left:
            word = word[: -len(ending)]
            break
    if word.endswith(("tion", "sion")) and len(word) > 6:  # noqa: PLR2004 - "action" keeps it
        word = word[:-3]
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":  # noqa: PLR2004
        word = word[:-1]  # "planned" -> "plann" -> "plan"
    return word


def _tidy(word: str) -> str:
    if len(word) > 3 and word.endswith("e"):  # noqa: PLR2004 - "the" stays
        return word[:-1]
    return word[:-1] + "i" if word.endswith("y") else word


def words(text: str) -> list[str]:
    """The words of ``text`` as written, in order; unspaced scripts in pairs of characters.

    Ligatures, full-width letters and accents of their own are the letters they stand for; the
    halves of a word that was parted at a line's end are one.
    """
    if "- " in text or "-\n" in text:
        text = _PARTED.sub("", text)
    if text.isascii():
        return _WORD.findall(text)
    text = unicodedata.normalize("NFKC", _UNREAD.sub("", text))
    found: list[str] = _WORD.findall(text)
    if not UNSPACED.search(text):
        return found
    return [part for word in found for run in _RUN.findall(word) for part in _pairs(run)]


def count_words(text: str) -> int:
    """How many words ``text`` has, about, where some are written without spaces."""
    count = len(text.split())
    if text.isascii() or not (runs := UNSPACED.findall(text)):
        return count
    spelled = sum(map(len, _SPELLED.findall(text)))
    unspaced = sum(map(len, runs)) - spelled
    return count + spelled // _SPELLED_LENGTH + unspaced // _UNSPACED_LENGTH


def _pairs(word: str) -> list[str]:
    if len(word) == 1 or not UNSPACED.match(word):
        return [word]
    return [word[at : at + 2] for at in range(len(word) - 1)]


def stems(text: str) -> list[str]:
    """The stems of ``text`` in order, filler left out; what is all in capitals has no acronyms."""
    if text.isupper():
        text = text.lower()
    return [found for word in words(text) if (found := stem(word))]


def spelled(text: str) -> str:
    """The words of ``text``, whatever its language, for `parts` to be looked up in."""
    return f" {' '.join(map(_spelling, words(text)))} "


def parts(question: str) -> list[str]:
    """What `spelled` text has of the words of ``question``, small words of its language left out.

    Of a longer word that is its beginning, wherever it stands: inflected, or within a compound.
    """
    small = small_words(language_of(question))
    every = [word.casefold() for word in words(question)]
    telling = [word for word in every if not (word in small or _TELLS_NOTHING.fullmatch(word))]
    return [
        found[:_PREFIX] if len(found := _spelling(word)) >= _PREFIX else _short(found)
        for word in telling or every
    ]


def _short(word: str) -> str:
    """A short word as `spelled` text has it: of four letters with any ending, "Hund" as "Hunde"."""
    return f" {word}" if len(word) == _PREFIX - 1 and word.isalpha() else f" {word} "


def seems_english(text: str) -> bool:
    """Whether ``text`` is English; without a language of its own, if it has English filler.

    What is too short to tell is taken for English.
    """
    if (language := language_of(text)) is not None:
        return language == DEFAULT
    found = words(text)
    if text.isascii() and len(found) < 4:  # noqa: PLR2004 - "disk quota", "hello"
        return True
    return any(word.casefold() in FILLER for word in found if len(word) > 1)


def figures(text: str) -> set[str]:
    """The numbers in ``text``, without what stands between thousands."""
    return {"".join(figure.split()).replace(",", "") for figure in _FIGURE.findall(text)}
