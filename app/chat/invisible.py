"""Characters that nobody sees: they hide words from readers, or order them otherwise than shown.

What scripts and emoji need stays: a joiner behind a letter that is not Latin (Persian, Hindi), or
behind an emoji; one variation selector behind what it varies; the tags of a regional flag.
"""

import re

_JOINERS = "\u200c\u200d"
_INVISIBLE = re.compile(
    # Controls but tab and line breaks; soft hyphen; signs that order text, and those without width.
    # The signs for an object and for an unknown character (fffc, fffd) are drawn: they stay.
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U0001d173-\U0001d17a]"
    # Half a character: nothing can be sent one.
    "|[\ud800-\udfff]"
    # Behind nothing that joins, or one of several.
    f"|(?<![^\x00-\u02ff\u2000-\u206f\\s])[{_JOINERS}]|(?<=[{_JOINERS}])[{_JOINERS}]"
    # A byte each, with which whole texts are smuggled.
    "|(?<![^\\s\ufe00-\ufe0f])[\ufe00-\ufe0f]|(?<=[\ufe00-\ufe0f])[\ufe00-\ufe0f]"
    "|(?<![\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])[\U000e0100-\U000e01ef]"
    "|(?<!\U0001f3f4)(?<![\U000e0000-\U000e007f])[\U000e0000-\U000e007f]+"
)
#: Every character that may have to go, in one set: all passages are searched for them.
_SUSPECT = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U0001d173-\U0001d17a\U000e0000-\U000e01ef]"
)
#: A black flag with the tags of a region; longer ones are texts.
_TAGS = re.compile("(?<=\U0001f3f4)[\U000e0020-\U000e007f]+")
_REGION = re.compile("[\U000e0061-\U000e007a\U000e0030-\U000e0039]{4,6}\U000e007f")


def visible(text: str) -> str:
    """``text`` without its invisible characters; line breaks and tabs are visible here."""
    # Nearly always; a pattern on every passage of an answer would take four times as long.
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    if not _SUSPECT.search(text):
        return text
    text = _INVISIBLE.sub("", text)
    if "\U0001f3f4" in text:
        text = _TAGS.sub(lambda tags: tags[0] if _REGION.fullmatch(tags[0]) else "", text)
    return text
