"""From the characters PDFium gives to the text people read and quote, with each word's origin.

Imported by the child process: the standard library only.
"""

from __future__ import annotations

import ctypes
import re
import sys

TYPE_CHECKING = False  # importing typing takes a tenth of the child's start
if TYPE_CHECKING:
    from typing import TypeAlias

    from app.ingestion.pdf_child import Pdfium

    Spans: TypeAlias = list[tuple[int, int]]

#: PDFium's text for a hyphen that ends a line: the next line's first word belongs to it.
HYPHEN = "\ufffe"
#: Scripts written without spaces, where every character is its own word.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff"
#: A word, and the hyphen that ends its line if it does. Longer ones are cut, to bound their boxes.
WORD = re.compile(rf"[^\s{HYPHEN}]{{1,64}}{HYPHEN}?")
#: Code points with no place in text: controls, noncharacters, lone surrogates, byte-order marks.
JUNK = re.compile("[\x00-\x1f\x7f-\x9f\u200b\u2060\ufdd0-\ufdef\ufeff\ufffe\uffff\ud800-\udfff]+")
#: A soft hyphen on paper is a hyphen; Word for Mac writes the same glyph as up to three.
SOFT_HYPHENS = re.compile("[-\u2010]?\u00ad[-\u2010]?")
#: Replaced one for one: odd spaces, and the glyphs of Symbol and Wingdings (private use area).
SPACES = "\t\v\f\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"
SPACES += "".join(map(chr, range(0x2000, 0x200B)))
SYMBOLS = "\uf0b7\uf0a7\uf0fc\uf0e0\uf0d8"
SINGLES = str.maketrans(SPACES + SYMBOLS, " " * len(SPACES) + "\u2022\u25aa\u2713\u2192\u27a2")
ODD = re.compile(f"[{SPACES}{SYMBOLS}]")
#: Ligatures hide words from search.
LIGATURES = str.maketrans(
    {"\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl"}
)
#: TeX's bitmap fonts do not say what their glyphs are, so PDFium gives the font's own codes: those
#: of the encodings OT1, whose "fl" is a carriage return, and T1. Most are spaces in other fonts.
OT1, T1 = "\x0b\x0c\r\x0e\x0f", "\x1b\x1c\x1d\x1e\x1f"
TEX = str.maketrans(OT1 + T1, "\ufb00\ufb01\ufb02\ufb03\ufb04" * 2)
TEX_CODE = re.compile("[\x0b\x0c\x0e\x0f\x1b-\x1f]|\r(?!\n)")
#: T1's quotation marks and dashes, where there are its ligatures: without them "3-5" would be "35".
T1_MARKS = str.maketrans("\x10\x11\x15\x16", "\u201c\u201d\u2013\u2014")
#: What changes a word's length, so that the page must be put together word by word.
UNEVEN = re.compile("[\u00ad\ufb00-\ufb04]|(?!\n)" + JUNK.pattern)
WIDE_SPACES = re.compile("  +")
LINE_BREAKS = re.compile(" *\n *")
BLANK_LINES = re.compile("\n{3,}")
#: Words broken at line ends from which a page is taken to be hyphenated, if it joins fewer words
#: within its lines: of the author's own hyphens one in ten or so happens to end a line.
MIN_BROKEN = 4
#: Right halves that follow a real hyphen even in documents whose typesetter adds its own.
COMPOUND = re.compile("(based|specific|level|driven|like|time|term|oriented|defined|free|party)\\b")


def raw_text(pdfium: Pdfium, text_page: int, count: int) -> str:
    """Return the page's characters so that ``raw[i]`` is PDFium's character ``i``.

    ``FPDFText_GetText`` is one call but leaves out characters beyond U+FFFF and excluded ones;
    where its length differs, the characters are fetched one by one.
    """
    buffer = ctypes.create_string_buffer(2 * count + 2)
    written = pdfium.text(text_page, 0, count, buffer)
    raw = buffer.raw[: 2 * max(0, written - 1)].decode("utf-16-le", "surrogatepass")
    if len(raw) == count:
        return raw
    codes = (pdfium.unicode(text_page, index) for index in range(count))
    return "".join(chr(c) if c <= sys.maxunicode else "\ufffd" for c in codes).replace("\2", HYPHEN)


def assemble(raw: str, *, hyphenated: bool) -> tuple[str, Spans, Spans]:
    """Return the page's final text and where its words are.

    Runs of white space become one space, or one or two newlines when they held any.

    Args:
        raw: One character per PDFium character.
        hyphenated: The typesetter is known to break words, so hyphens at line ends are not the
            author's and the halves are joined; else the page has to look like it.

    Returns:
        The text; each word's start and end in it; each word's start and end in ``raw``.
    """
    raw = raw.replace("\r", " ")
    if ODD.search(raw):
        raw = raw.translate(SINGLES)
    if UNEVEN.search(raw):
        return assemble_by_word(raw, hyphenated=hyphenated or is_hyphenated(raw))
    text = LINE_BREAKS.sub("\n", WIDE_SPACES.sub(" ", raw)).strip()
    text = BLANK_LINES.sub("\n\n", text)
    # Only the gaps have changed, so the same words are found in both, in the same order.
    word = word_pattern(raw)
    return text, [m.span() for m in word.finditer(text)], [m.span() for m in word.finditer(raw)]


def with_tex_glyphs(raw: str) -> str:
    """Return the page's characters, one for one, with TeX's ligatures in place of their codes."""
    if TEX_CODE.search(raw):
        raw = with_ligatures(raw, OT1)
        told = with_ligatures(raw, T1)
        raw = raw if told == raw else told.translate(T1_MARKS)
    return raw


def with_ligatures(raw: str, codes: str) -> str:
    """Return the characters with ligatures in place of an encoding's codes, or as they are.

    A ligature that is not read costs a word; a space that is read as one costs two. So the page
    has to show that it is TeX's: each code that may be a space stands where a ligature may, two
    different ones do, one after a space, where there is no need of another, and spaces are more
    frequent.
    """
    small = "a-z\xdf-\xff"
    before = r"(?<!\d)(?<![^\w\s(\[\"'`\\\x10\u2018\u201c/-])"  # a letter, or a word begins
    ligature = re.compile(
        f"{before}[{codes}](?=[{small}{HYPHEN}])|(?<=[{small}]){codes[0]}(?!\\w)"  # as in "off"
    )
    found = ligature.findall(raw)
    if len(set(found)) < 2 or len(found) >= raw.count(" "):  # noqa: PLR2004
        return raw
    told = ligature.sub(lambda code: code[0].translate(TEX), raw)
    left = told.replace("\r\n", "")
    if any(code in left for code in codes if code.isspace()):
        return raw
    return told if re.search(f" [{codes}][{small}]", raw) else raw


def word_pattern(raw: str) -> re.Pattern[str]:
    """Return what finds the words of a page: ``WORD`` unless it has scripts without spaces.

    The other pattern takes 4 ms to compile, a fifth of the child's start, so few pay for it.
    """
    if raw.isascii() or not any("\u0e00" <= c < "\u2000" or c >= "\u2e80" for c in set(raw)):
        return WORD
    pattern = f"[^\\s{HYPHEN}{UNSPACED}]{{1,64}}{HYPHEN}?|[{UNSPACED}]"
    return re.compile(pattern)  # which keeps what it has compiled


def assemble_by_word(raw: str, *, hyphenated: bool) -> tuple[str, Spans, Spans]:
    """Do as ``assemble`` where cleaning changes the length of words; three times slower."""
    parts: list[str] = []
    spans: Spans = []
    origins: Spans = []
    position = previous_end = 0
    glue = True
    for match in word_pattern(raw).finditer(raw):
        start, end = match.span()
        ends_line = raw[end - 1] == HYPHEN
        word = match[0]
        if UNEVEN.search(word):
            word = clean(word)
        if ends_line and not (hyphenated and joins(word, raw[end : end + 12].lstrip())):
            word += "-"
        if not word:
            continue
        gap = raw[previous_end:start]
        if gap != " ":
            gap = separator(gap)
        if glue:
            gap = ""
        parts += (gap, word)
        position += len(gap)
        spans.append((position, position + len(word)))
        origins.append((start, end))
        position += len(word)
        previous_end, glue = end, ends_line
    return "".join(parts), spans, origins


def is_hyphenated(raw: str) -> bool:
    """Whether a page breaks more words at the ends of its lines than it joins within them."""
    if raw.count(HYPHEN) < MIN_BROKEN:
        return False
    letter = r"[^\W\d_]"  # compiled here, so that only such pages pay for it
    broken = len(re.findall(rf"{letter}{HYPHEN}\s*{letter}", raw))
    return broken >= MIN_BROKEN and broken > len(re.findall(rf"{letter}[-\u2010]{letter}", raw))


def without(raw: str, spans: Spans) -> str:
    """Return the characters with spaces in the place of some."""
    parts: list[str] = []
    end = 0
    for start, stop in spans:
        parts += (raw[end:start], " " * (stop - start))
        end = stop
    return "".join([*parts, raw[end:]])


def separator(gap: str) -> str:
    """Return what stands between two words for the white space (and junk) that was there."""
    breaks = gap.count("\n")
    return "\n" * min(2, breaks) if breaks else " " * any(map(str.isspace, gap))


def clean(word: str) -> str:
    """Return the word as a reader sees it: no invisible code points, no ligatures."""
    return JUNK.sub("", SOFT_HYPHENS.sub("-", word).translate(LIGATURES))


def joins(left: str, right: str) -> bool:
    """Whether two halves of a word, parted by a typesetter at a line's end, belong together."""
    return left[-1:].islower() and right[:1].islower() and not COMPOUND.match(right)
