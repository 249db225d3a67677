"""Numbers as lists and headings show them; Word's, OpenDocument's and HTML's names for the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"),
         (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip
CHINESE = "零一二三四五六七八九十"
#: Beyond these nobody counts so, and the text would grow with the number.
MAX_ROMAN, MAX_LETTERS, MAX_CHINESE = 3_999, 130, 99


def roman(count: int) -> str:
    """Return a count in Roman numerals, in small letters."""
    if count > MAX_ROMAN:
        return str(count)
    parts: list[str] = []
    for value, letters in ROMAN:
        parts.append(letters * (count // value))
        count %= value
    return "".join(parts)


def letters(count: int) -> str:
    """Return a, b … z, aa, bb …, as Word and OpenDocument count by default."""
    if not 0 < count <= MAX_LETTERS:
        return str(count)
    return chr(ord("a") + (count - 1) % 26) * ((count - 1) // 26 + 1)


def chinese(count: int) -> str:
    """Return a count as Chinese and Japanese write it."""
    if not 0 < count <= MAX_CHINESE:
        return str(count)
    tens, ones = divmod(count, 10)
    ten = (CHINESE[tens] if tens > 1 else "") + "十" if tens else ""
    return ten + (CHINESE[ones] if ones else "")


FORMATS: dict[str, Callable[[int], str]] = {
    "none": lambda _: "", "": lambda _: "",
    "decimalZero": "{:02}".format,
    "lowerLetter": letters, "a": letters,
    "upperLetter": lambda count: letters(count).upper(), "A": lambda count: letters(count).upper(),
    "lowerRoman": roman, "i": roman,
    "upperRoman": lambda count: roman(count).upper(), "I": lambda count: roman(count).upper(),
    "chineseCounting": chinese, "chineseCountingThousand": chinese, "japaneseCounting": chinese,
    "taiwaneseCounting": chinese, "taiwaneseCountingThousand": chinese,
    "一, 二, 三, ...": chinese,
}  # fmt: skip


def numeral(count: int, format: str) -> str:
    """Return a count in a format by its name; in figures when it is another."""
    shown = FORMATS.get(format)
    return str(count) if shown is None else shown(count)
