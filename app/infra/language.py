# ruff: noqa: RUF001 - letters of many scripts
"""Which language a text is in: its script, and among Latin scripts the words that hold it together.

The answer is the name of one of PostgreSQL's text search configurations, because what hangs on it
is how words are brought together: by a stemmer where there is one, else as they stand (`simple`).
Texts without spaces are cut into pairs of characters by the database (`searchable`).
"""

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache

#: Of every text that shows no language of its own.
DEFAULT = "english"
#: Characters that are looked at: a passage's beginning tells its language.
_LOOKED_AT = 1_000
#: A document's language is told by so many of its passages, so many characters of each.
_SAMPLES, _SAMPLED = 10, 200
#: Least evidence for a language, in words that only it has.
_LEAST = 1.0
#: A passage is in another language than its document when it has that many of its words, and that
#: many times those of the document's: names and tables do not move it.
_LEAST_FOREIGN, _TIMES = 6.0, 2.0

_WORD = re.compile(r"[^\W\d_]+")
#: Where blocks of Unicode begin, and the script of each up to the next.
_BLOCKS = (
    (0x000, ""), (0x370, "greek"), (0x400, "russian"), (0x530, "armenian"), (0x590, "simple"),
    (0x600, "arabic"), (0x700, ""), (0x900, "hindi"), (0x980, "simple"), (0xB80, "tamil"),
    (0xC00, "simple"), (0x1200, ""), (0x1780, "simple"), (0x1800, ""), (0x1E00, ""),
    (0x1F00, "greek"), (0x2000, ""), (0x3040, "simple"), (0xA000, ""), (0xAC00, "simple"),
    (0xD7B0, ""), (0xF900, "simple"), (0xFB00, ""), (0xFB50, "arabic"), (0xFE00, ""),
)  # fmt: skip
_STARTS = [start for start, _ in _BLOCKS]
#: Letters that a language of the same script has and the stemmer's does not.
_NOT_RUSSIAN = re.compile(r"[іїєґўљњћђџј]")
_NOT_ARABIC = re.compile(r"[پچژگیکٹڈڑںے]")

_STOP_WORDS = {
    "english": "the of and to is was for that with as are by it from this which or have has not"
    " what who how when where why did does many were their been you your can be an should do"
    " on war",  # nouns with one of these were taken for Finnish or German
    "german": "der die das und ist von zu den mit für auf im nicht eine ein dem des sich auch als"
    " bei wurde werden war wie was wer welche welcher welches wann wo hat einer es sind viele"
    " ich wir einen",
    "dutch": "de het een van en in is dat op te zijn met voor niet die aan er door wat welke wie"
    " hoe werd naar om ook bij uit hoeveel waar wanneer worden",
    "french": "le la les de des et est dans un une du que qui pour par sur au aux avec pas plus"
    " sont été quel quelle quels quelles quand où comment combien ce cette quoi elle il",
    "spanish": "el la los las de y en que un una es por con para del se no su al como fue qué cuál"
    " quién cuándo dónde cuántos cuántas cómo quiénes cuáles más era son puedo mi hay",
    "portuguese": "o a os as de e que do da em um uma para com não dos das no na por é foi ao qual"
    " quem quando onde como mais são quais quantos",
    "italian": "il la di che e un una in per con del della è non sono gli le dei nel da al ha"
    " quale chi quando dove come cosa quanti più alla delle",
    "romanian": "și în de la a cu pe este din care nu un o pentru ce au fost mai sunt cine când"
    " unde cât câte câți cărui cum era lui al ale ca",
    "catalan": "el la els les de i que en un una és per amb del no es com dels quin quina",
    "swedish": "och att det i en är som på av för med den till inte har ett om var vad vilken"
    " vilka hur när vem många från",
    "danish": "og at det i en er som på af for med den til ikke har et om var hvad hvilken"
    " hvordan hvornår hvem mange fra blev",
    "norwegian": "og å det i en er som på av for med den til ikke har et om var hva hvilken"
    " hvordan når hvem mange fra ble",
    "finnish": "ja on ei että se oli hän mutta kun mikä ovat joka tai myös mitä kuka missä"
    " kuinka milloin ollut",
    "hungarian": "a az és hogy nem egy is volt van ez mit ki mikor hol milyen melyik hány mi",
    "turkish": "ve bir bu için ile da de ne olarak olan gibi daha en çok hangi kim nerede nasıl"
    " kaç mi mı kimdir nedir zaman kadar hangisi",
    "indonesian": "yang dan di dari untuk pada dengan adalah ini itu dalam tidak oleh apa siapa"
    " kapan berapa mana",
    "russian": "и в во не что он на я с со как а то все она так его но да ты к у же вы за бы по"
    " ее мне было от меня о из ему для ли или был до это эта этот эти при их где когда кто какой"
    " какая какое какие каких сколько почему зачем чем чего кого кому была были есть",
    "greek": "ο η το οι τα του της των τον την τη τις στο στη στην στον στις στα και να με για από"
    " που σε δεν είναι ήταν ένα μια ένας ως τι ποιος ποια ποιο ποιοι ποιες πότε πού πώς γιατί πόσο"
    " πόσα πόσες πόσοι θα έχει είχε ποιον ποιου",
    "arabic": "في من على إلى عن مع هو هي هم ما ماذا متى أين كيف لماذا كم أي هل هذا هذه ذلك تلك التي"
    " الذي الذين أن إن كان كانت لا لم قد أو ثم بين بعد قبل عند كل تم يتم و عدد",
    "hindi": "का की के में है हैं को से ने पर और या यह वह एक था थे थी कि जो क्या कौन कब कहाँ कैसे क्यों"
    " कितने कितनी कितना किस किसने किसी लिए द्वारा भी तो हो गया गई गए कर करने इस उस नहीं",
    "simple": "và của là các những được trong cho với không một người có này khi đã để ai gì bao"
    " nhiêu nào ở từ"  # Vietnamese
    " się jest że od przez kto jak jaki jaka czy dla są był"  # Polish
    " je se že pro jako který kdo jaký byl byla které",  # Czech
}  # fmt: skip


def _profile() -> dict[str, list[tuple[str, float]]]:
    """Word → the languages that have it; what several have says less about each."""
    languages = defaultdict(list)
    for language, words in _STOP_WORDS.items():
        for word in dict.fromkeys(words.split()):
            languages[word].append(language)
    return {
        word: [(language, 1 / len(having)) for language in having]
        for word, having in languages.items()
    }


_PROFILE = _profile()
_SMALL = {language: frozenset(words.split()) for language, words in _STOP_WORDS.items()}


def small_words(language: str | None) -> frozenset[str]:
    """The words of ``language`` that hold its sentences together and say nothing of a subject."""
    return _SMALL.get(language or "", frozenset())


def language_of(text: str) -> str | None:
    """The text search configuration for ``text``; None when it does not show its language."""
    text = text[:_LOOKED_AT]
    if not text.isascii() and (found := _by_script(text)):
        return found
    scores = _scores(text)
    best = max(scores, key=scores.__getitem__, default=None)
    return best if best is not None and scores[best] >= _LEAST else None


def languages_of(passages: Sequence[str]) -> list[str]:
    """The configuration for each passage of one document.

    It is the document's, unless the passage plainly is in another language.
    """
    sample = "\n".join(text[:_SAMPLED] for text in passages[:: max(1, len(passages) // _SAMPLES)])
    document = language_of(sample) or DEFAULT
    return [_language_within(text, document) for text in passages]


def _language_within(text: str, document: str) -> str:
    text = text[:_LOOKED_AT]
    if not text.isascii() and (found := _by_script(text)):
        return found
    scores = _scores(text)
    best = max(scores, key=scores.__getitem__, default=document)
    if scores[best] >= _LEAST_FOREIGN and scores[best] >= _TIMES * scores[document]:
        return best
    return document


def _by_script(text: str) -> str | None:
    """The configuration of the script that most letters are in; None for Latin."""
    scripts: Counter[str] = Counter()
    for character, count in Counter(text).items():
        if character.isalpha():
            scripts[_script(character)] += count
    best = max(scripts, key=scripts.__getitem__, default="")
    if best == "russian" and _NOT_RUSSIAN.search(text.lower()):
        return "simple"
    if best == "arabic" and _NOT_ARABIC.search(text):
        return "simple"
    return best or None


@lru_cache(maxsize=8_192)
def _script(character: str) -> str:
    return _BLOCKS[bisect_right(_STARTS, ord(character)) - 1][1]


def _scores(text: str) -> Counter[str]:
    """Language → how many of its small words there are, each counted by how much it tells."""
    scores: Counter[str] = Counter()
    for word, count in Counter(_WORD.findall(text.lower())).items():
        for language, weight in _PROFILE.get(word, ()):
            scores[language] += count * weight  # type: ignore[assignment]
    return scores
