"""Text we did not write, made safe for Streamlit's Markdown.

Streamlit renders Markdown in two steps, and both must find nothing in a stranger's text: the
parser (links, images, HTML, tables, formulas, colour directives) is stopped by a backslash before
every ASCII punctuation character; what Streamlit then does to *finished* text (addresses become
links, ``:name:`` becomes an emoji or an icon, ``->`` an arrow) ignores backslashes, so those
patterns are cut by a word joiner, which has no width and no glyph.
"""

import re
from collections.abc import Collection, Iterator

WORD_JOINER = "\u2060"
_NO_BREAK_SPACE = "\u00a0"
_HARD_BREAK = "\\\n"

_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")
#: A colon with something behind it (https://, mailto:, :smile:, :material/x:), www., an @, arrows.
_LIVE = re.compile(r":(?!\s)|www|@|[-<>~](?=[-=>])", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
#: Turn the direction of what follows, ours too: a file named so would reverse the rest of its line.
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
_INNER_SPACES = re.compile(r"(?<= ) +")
_LINE = re.compile(r"([^\r\n]*)(?:\r\n|\r|\n|$)")

_LIST_ITEM = re.compile(r"\s*(?:[-*•]|(?P<number>\d{1,3})[.)])\s+(?P<rest>\S.*)")
_HEADING = re.compile(r"#{1,6}\s+\**(?P<rest>[^\s*].*?)\**")
_FENCE = re.compile(r"\s*(?:```|~~~)")
_INLINE = re.compile(
    r"\*\*(?=\S)(?P<bold>[^*\n]+)(?<=\S)\*\*|`(?P<code>[^`\n]+)`|(?<!\S)\[(?P<marker>\d{1,3})\]"
)


def plain(text: str) -> str:
    """Markdown that shows ``text`` as it is, its line breaks and indentation included."""
    return highlighted(text, 0, 0)


def highlighted(text: str, start: int, end: int) -> str:
    """As ``plain``, with the characters from ``start`` up to ``end`` on a coloured background."""
    start = max(start, 0)
    end = max(end, start)
    lines = [
        _plain_line(text[first : min(start, last)])
        + _marked(text[max(first, start) : min(last, end)])
        + _plain_line(text[max(first, end) : last])
        for first, last in _line_spans(text)
    ]
    return _HARD_BREAK.join(_indented(line) for line in _without_empty_ends(lines))


def answer(text: str, markers: Collection[int]) -> str:
    """Markdown of an answer: lists, headings, bold and code survive, everything else is text.

    ``[n]`` is emphasised when ``n`` is one of ``markers``, that is, when a citation stands below.
    """
    blocks: list[tuple[str, str]] = []
    for kind, line in _answer_lines(_TURNING.sub("", text), markers):
        if kind == "break":
            blocks.append((kind, ""))
        elif blocks and blocks[-1][0] == kind == "text":
            blocks[-1] = (kind, blocks[-1][1] + _HARD_BREAK + line)
        elif blocks and blocks[-1][0] == kind == "item":
            blocks[-1] = (kind, blocks[-1][1] + "\n" + line)
        else:
            blocks.append((kind, line))
    return "\n\n".join(block for _, block in blocks if block)


def _line_spans(text: str) -> Iterator[tuple[int, int]]:
    return (match.span(1) for match in _LINE.finditer(text))


def _without_empty_ends(lines: list[str]) -> list[str]:
    """A hard break needs something before and behind it, else its backslash would show."""
    filled = [index for index, line in enumerate(lines) if line.strip()]
    return lines[filled[0] : filled[-1] + 1] if filled else []


def _indented(line: str) -> str:
    return _NO_BREAK_SPACE + line[1:] if line.startswith(" ") else line


def _plain_line(text: str) -> str:
    text = _CONTROL.sub(" ", _TURNING.sub("", text.replace("\t", "    ")))
    text = _INNER_SPACES.sub(lambda match: _NO_BREAK_SPACE * len(match[0]), text)
    text = _LIVE.sub(lambda match: match[0] + WORD_JOINER, text)
    return _PUNCTUATION.sub(r"\\\g<0>", text)


def _marked(text: str) -> str:
    return f":orange-background[{_plain_line(text)}]" if text.strip() else _plain_line(text)


def _answer_lines(text: str, markers: Collection[int]) -> Iterator[tuple[str, str]]:
    code: list[str] | None = None
    for line in text.splitlines():
        if _FENCE.match(line):
            if code is not None:
                yield "code", _fenced(code)
            code = [] if code is None else None
        elif code is not None:
            code.append(line)
        else:
            yield _answer_line(line.strip(), markers)
    if code:
        yield "code", _fenced(code)


def _answer_line(line: str, markers: Collection[int]) -> tuple[str, str]:
    if item := _LIST_ITEM.fullmatch(line):
        bullet = f"{item['number']}." if item["number"] else "-"
        return "item", f"{bullet} {_inline(item['rest'], markers)}"
    if heading := _HEADING.fullmatch(line):
        return "heading", f"**{_plain_line(heading['rest'])}**"
    return ("text", _inline(line, markers)) if line else ("break", "")


def _inline(line: str, markers: Collection[int]) -> str:
    pieces: list[str] = []
    position = 0
    for match in _INLINE.finditer(line):
        pieces += [_plain_line(line[position : match.start()]), _inline_match(match, markers)]
        position = match.end()
    return "".join([*pieces, _plain_line(line[position:])])


def _inline_match(match: re.Match[str], markers: Collection[int]) -> str:
    if match["bold"]:
        return f"**{_plain_line(match['bold'])}**"
    if match["code"]:
        return f"`{_CONTROL.sub(' ', match['code'])}`"
    if int(match["marker"]) in markers:
        return rf":primary[**\[{match['marker']}\]**]"
    return _plain_line(match[0])


def _fenced(lines: list[str]) -> str:
    """A code block whose fence is longer than any run of backticks inside."""
    body = "\n".join(lines)
    longest = max((len(run) for run in re.findall("`+", body)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{body}\n{fence}"
