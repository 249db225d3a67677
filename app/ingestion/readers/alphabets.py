"""Which old encoding a text in Latin letters is in: the one whose bytes spell a language.

The encodings of Latin scripts share most of their bytes, so statistics of characters take Spanish
for Polish. The letters beside a to z of a language tell them apart, in a few words already.
"""

from __future__ import annotations

import re

#: The letters beside a to z of languages of the West: French, Spanish, German, Portuguese, Italian,
#: Dutch, Swedish and Finnish, Danish and Norwegian, Catalan.
WESTERN = ("àâæçèéêëîïôùûüÿœ", "áéíñóúü", "äöüßé", "àáâãçéêíóôõúü", "àèéìíîòóùú",
           "áèéêëíïóöüĳ", "åäöéü", "åæøéèêòóôü", "àçèéíïòóúü")  # fmt: skip
#: Of Polish, Czech, Slovak, Croatian and Slovene, Hungarian, Romanian.
CENTRAL = ("ąćęłńóśźż", "áčďéěíňóřšťúůýžö", "áäčďéíĺľňóôŕšťúýž", "čćđšž", "áéíóöőúüű", "ăâîşţ")
#: Of Lithuanian and Latvian.
BALTIC = ("ąčęėįšųūž", "āčēģīķļņšūž")
TURKISH, ESTONIAN, ICELANDIC = "âçğıîöşûü", "äõöüšž", "áðéíóöúýþæ"
#: Encodings and what is written in them; the first of those that fit equally well is taken.
LANGUAGES = tuple(
    (encoding, alphabet)
    for encoding, alphabets in (
        ("cp1252", WESTERN), ("cp1250", CENTRAL), ("iso8859-2", CENTRAL), ("cp1254", (TURKISH,)),
        ("cp1257", BALTIC), ("cp1252", (ESTONIAN, ICELANDIC)), ("mac-roman", WESTERN),
        ("cp850", WESTERN),
    )
    for alphabet in alphabets
)  # fmt: skip
ENCODINGS = tuple(dict.fromkeys(encoding for encoding, _ in LANGUAGES))
#: Of the characters beside ASCII, those that a language has to spell; the rest are names.
FIT = 0.9
#: A letter (but of no unit, as in square metres), what no text holds, or a sign inside a word
#: that is no dash or accent.
TELLING = re.compile(
    r"(?![\x00-\x7f])(?:(?![\xaa\xb2\xb3\xb5\xb9\xba\xbc-\xbe])[^\W\d_]|[\x80-\x9f\ufffd]"
    r"|(?<=[^\W\d_])[^\s\xad\xb7\u0307\u2010-\u2019](?=[^\W\d_]))"
)


def latin_encoding(data: bytes) -> str | None:
    """Return the encoding under which the bytes spell a language; None when they spell none."""
    best, fitting = None, FIT
    found = {one: TELLING.findall(data.decode(one, "replace").lower()) for one in ENCODINGS}
    for encoding, alphabet in LANGUAGES:
        letters = found[encoding]
        fit = sum(letter in alphabet for letter in letters) / max(1, len(letters))
        if fit > fitting:
            best, fitting = encoding, fit
    return best
