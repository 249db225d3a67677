"""What of an answer may leave: its words and markers, and only the links that its sources hold.

Readers of an answer may show it as Markdown or as HTML, where a picture is fetched as soon as it is
seen, and a link with a secret in its query once it is clicked. A model that a document has talked
into it would write both. So pictures become their descriptions, tags disappear, and an address
stays only if it stands in the passages, which the model cannot add to.

What is taken away leaves a sign or a space, never nothing: two harmless halves would otherwise come
together. Markers are never taken away. This is the last step on a text, behind the citing of it:
what citing takes out could bring halves together too.
"""

import re
from collections.abc import Sequence
from functools import cached_property

from app.chat.addresses import REST, RUN, START, TAIL, URL, begins_an_address, is_plain

#: Stands for an address that was taken away.
OMITTED = "\u2026"
#: Most characters of a tag, an address or a link's target; nothing waits for longer ones to end.
_LONGEST = 1_000

#: Ends a sentence more often than an address.
_TRAILING = ".,;:!?'*_~)"

_TAG = re.compile(r"<[^<>\[\]]*")
_NAME = re.compile(r"/?([a-z][a-z0-9]*)(?:[\s/].*)?", re.IGNORECASE | re.DOTALL)
#: Looks like a tag and is none, or one without values, which does nothing: ``<stdio.h>``,
#: ``List<String>``, ``<ada@example.com>``, ``<PLATFORM_DEFINED, 10>``.
_HARMLESS = re.compile(r"/?[a-z][\w.,;%@+-]*(?:\s+[\w.,;%@+-]+)*", re.IGNORECASE)
_NAMES = (
    "a abbr acronym address applet area article aside audio b base basefont bdi bdo bgsound big "
    "blink blockquote body br button canvas caption center cite code col colgroup data datalist dd "
    "del details dfn dialog dir div dl dt em embed fieldset figcaption figure font footer form "
    "frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html i iframe image img input ins "
    "isindex kbd keygen label legend li link listing main map mark marquee math menu meta meter "
    "nav nobr noembed noframes noscript object ol optgroup option output p param picture plaintext "
    "portal pre progress q rb rp rt rtc ruby s samp script search section select slot small source "
    "spacer span strike strong style sub summary sup svg table tbody td template textarea tfoot th "
    "thead time title tr track tt u ul var video wbr xmp"
)
_HTML = frozenset(_NAMES.split())
_BRACKET = re.compile(r"[()\[\]]")
#: The target of a link as Markdown has it: an address, and perhaps a title.
_TARGET = re.compile(r"\s*(?:<([^<>]*)>|(\S*))(?:\s+[\"'(].*)?\s*", re.DOTALL)
_LINKING = re.compile(r"[:/\\.#%?@&=]")
#: Written out in characters of their own, the signs that make links and addresses.
_ENTITY = re.compile(
    r"&(?:#|(?:colon|sol|period|quest|num|equals|lpar|rpar|lsqb|lbrack|rsqb|rbrack|excl|bsol|Tab"
    r"|NewLine);)",
    re.IGNORECASE,
)
_ENTITY_BEGUN = re.compile(r"&[a-z]{0,8}\Z", re.IGNORECASE)

#: Where something was taken away, and a space may have to stand; a character no text has here.
_GAP = "\0"
#: What to write, and where in the text to go on; None waits for more.
Decision = tuple[str, int] | None


class Outlet:
    """Lets a text out as it comes; however it is cut in pieces, the same comes out in all."""

    def __init__(self, texts: Sequence[str]) -> None:
        """``texts`` are the passages; their addresses may leave."""
        self._texts = texts
        #: What waits for the text that decides about it.
        self.held = ""
        #: The characters before that: as it was written, and as it was let out.
        self._before = self._last = ""
        #: The last thing that was let out or not is a gap.
        self._gap = False
        #: In a picture's description.
        self._in_picture = False
        #: In an address too long to be one.
        self._skipping = False

    def feed(self, text: str) -> str:
        """Take more of the text; what can be let out now."""
        if self._skipping:
            end = _end_of(REST, text, 0)
            self._before, text = text[:end][-1:] or self._before, text[end:]
            if not text:
                return ""
            self._skipping = False
        text = self.held + text
        if not (self.held or self._gap or self._in_picture):
            given, at = self._before + text, len(self._before)
            if is_plain(text) and not begins_an_address(given, at):
                until = len(given)
                if text.endswith("]"):  # what follows could make a link of a marker
                    until = self._hold_from(given, at, until - 1)
                if until > at:
                    self._before = self._last = given[until - 1]
                self.held = given[until:]
                return given[at:until]
        return self._scan(text, final=False)

    def end(self) -> str:
        """The rest, once nothing more comes."""
        return self._scan(self.held, final=True)

    def _scan(self, text: str, *, final: bool) -> str:
        out: list[str] = []
        # With the character before, by which the beginning of a word is told.
        text, at = self._before + text, len(self._before)
        while found := START.search(text, at):
            decision = self._decide(text, found, final=final)
            if decision is None:
                held_from = self._hold_from(text, at, found.start())
                break
            self._write(out, text[at : found.start()])
            written, at = decision
            self._write(out, written)
        else:
            tail = None if final else TAIL.search(text, at)
            held_from = tail.start() if tail else len(text)
        self._write(out, text[at:held_from])
        self._before, self.held = text[:held_from][-1:], text[held_from:]
        return "".join(out)

    def _write(self, out: list[str], text: str) -> None:
        for number, piece in enumerate(text.split(_GAP)):
            self._gap |= number > 0
            if not piece:
                continue
            if self._gap and _parted(self._last, piece[0]):
                out.append(" ")
            self._gap = False
            out.append(piece)
            self._last = piece[-1]

    @staticmethod
    def _hold_from(text: str, given: int, start: int) -> int:
        """Where what waits begins; the bracket that ends a marker waits with all of it."""
        opening = text.rfind("[", given, start)
        if text[start] != "]" or opening < 0 or not text[opening + 1 : start].isdigit():
            return start
        return opening - 1 if opening > given and text[opening - 1].isspace() else opening

    def _decide(self, text: str, found: "re.Match[str]", *, final: bool) -> Decision:
        if found["url"]:
            return self._address(text, found, final=final)
        decide = {"<": self._tag, "]": self._closing, "&": _entity, "!": self._exclamation}
        return decide[found[0]](text, found.start(), final=final)

    def _exclamation(self, text: str, start: int, *, final: bool) -> Decision:
        following = text[start + 1 : start + 2]
        if following == "[":  # a picture: without its first sign it is a link
            self._in_picture = True
            return _GAP, start + 1
        return ("!", start + 1) if following or final else None

    def _address(self, text: str, found: "re.Match[str]", *, final: bool) -> Decision:
        end = _end_of(REST, text, found.end())
        start = found.start()
        too_long = end - start > _LONGEST
        if end == len(text) and not final:
            self._skipping = too_long
            return (OMITTED, end) if too_long else None
        if too_long:
            return OMITTED, end
        address = text[start:end].rstrip(_TRAILING)
        return (address if self._known(address) else OMITTED), start + len(address)

    def _known(self, address: str) -> bool:
        """Whether an address stands in the passages, and is not the beginning of another one."""
        if RUN.match(address):
            return False
        texts = [text for text in self._texts if address in text]
        if texts:
            whole = re.compile(re.escape(address) + r"(?![\w-]|\.\w)")
            return any(map(whole.search, texts))
        return address in self._unbroken

    @cached_property
    def _unbroken(self) -> str:
        """The passages without white space, at which lines break addresses."""
        return "\n".join("".join(text.split()) for text in self._texts)

    def _tag(self, text: str, start: int, *, final: bool) -> Decision:
        following = text[start + 1 : start + 2]
        if not (following.isalpha() or following in ("/", "!", "?")):
            return ("<", start + 1) if following or final else None
        end = _end_of(_TAG, text, start)
        if end == len(text) and end - start <= _LONGEST and not final:
            return None
        if text[end : end + 1] != ">" or end - start > _LONGEST:
            return "< ", start + 1
        return self._whole_tag(text[start + 1 : end], start, end)

    def _whole_tag(self, inner: str, start: int, end: int) -> Decision:
        if URL.fullmatch(inner):
            return f"{_GAP}{inner if self._known(inner) else OMITTED}{_GAP}", end + 1
        name = _NAME.fullmatch(inner)
        if inner[0] in "!?" or (name is not None and name[1].lower() in _HTML):
            return _GAP, end + 1
        harmless = _HARMLESS.fullmatch(inner) and not START.search(inner)
        return (f"<{inner}>", end + 1) if harmless else ("< ", start + 1)

    def _closing(self, text: str, start: int, *, final: bool) -> Decision:
        """A bracket that may end the words of a link, and its target behind it."""
        following = text[start + 1 : start + 2]
        if not following and not final:
            return None
        if following == "(":
            end = _end_of_target(text, start + 1)
            if end is None and len(text) - start <= _LONGEST and not final:
                return None
            in_picture, self._in_picture = self._in_picture, False
            return self._target(text, start, end or 0, in_picture=in_picture)
        self._in_picture = False
        return ("] " if following == ":" else "]"), start + 1

    def _target(self, text: str, start: int, end: int, *, in_picture: bool) -> Decision:
        """What is left of a link whose target stands in ``text[start + 2 : end]``, if it does."""
        target = _TARGET.fullmatch(text, start + 2, end) if end else None
        address = "" if target is None else (target[1] or target[2] or "")
        if target is None or not (in_picture or _LINKING.search(address)):
            return "] (", start + 2
        kept = not in_picture and URL.fullmatch(address) and self._known(address)
        return (f"]({address})" if kept else f"]{_GAP}"), end + 1


def _parted(last: str, following: str) -> bool:
    """Whether two characters that a gap parts need a space to stay apart."""
    if not last or last.isspace() or following.isspace():
        return False
    return last != "]" or following in "(:"


def _end_of(pattern: "re.Pattern[str]", text: str, start: int) -> int:
    """Where what ``pattern`` matches at ``start`` ends; nothing ends where it begins."""
    found = pattern.match(text, start)
    return start if found is None else found.end()


def _end_of_target(text: str, start: int) -> int | None:
    """Where the parenthesis that opens at ``start`` closes; 0 when a bracket comes before."""
    depth = 0
    for sign in _BRACKET.finditer(text, start, start + _LONGEST):
        if sign[0] in "[]":
            return 0
        depth += 1 if sign[0] == "(" else -1
        if depth == 0:
            return sign.start()
    return None


def _entity(text: str, start: int, *, final: bool) -> Decision:
    if _ENTITY.match(text, start):
        return "& ", start + 1
    if not final and _ENTITY_BEGUN.match(text, start):
        return None
    return "&", start + 1
