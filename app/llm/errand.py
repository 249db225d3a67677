"""What is wanted of a whole document, told by the words of a question: a summary, a list, a count.

Most questions want a passage, and one that is taken for an errand by mistake is answered worse. So
the whole question must have such a shape, and it must say which document: by name, or as "the
document"; a list may leave that to the filters of its question. How many valves a pump has is no
errand; how many valves the manual lists is one. English, German, French, Spanish and Italian.
"""

import re
from dataclasses import dataclass
from typing import Literal

ErrandKind = Literal["summary", "list", "count"]


@dataclass(frozen=True, slots=True)
class Errand:
    """Something that takes a whole document."""

    kind: ErrandKind
    #: What is to be listed or counted, in the question's words; empty for a summary.
    topic: str
    #: What the question calls the document, any of them: lower case, no underscores.
    names: tuple[str, ...] = ()
    #: Whether it speaks of "the document", which only says something where there is one.
    pointed: bool = False


_POLITE = (
    r"(?:(?:please|can you|could you|would you|bitte|kannst du|können sie|könntest du|könnten sie"
    r"|s'il (?:te|vous) plaît|peux-tu|pouvez-vous|por favor|puedes|per favore|puoi)[ ,]+)*"
)
_LENGTH = (
    r"(?:,? (?:please|briefly|for me|bitte|kurz|s'il (?:te|vous) plaît|por favor|per favore"
    r"|(?:in|en) (?:[\w-]+ ){0,3}(?:sentences?|words|paragraphs?|points|bullets|lines|detail|brief"
    r"|english|german|sätzen|worten|stichpunkten|deutsch|englisch|phrases|mots|frases|palabras"
    r"|frasi|parole)))*"
)
_SIZES = r"(?:(?:short|brief|quick|concise|detailed|full|complete|executive|high-level) )?"
_SUMMARY = (
    rf"(?:summari[sz]e|sum up)(?: (?P<what>.+?))?{_LENGTH}",
    r"(?:(?:give|write|provide|show|make|create|prepare|produce)(?: me| us)? )?(?:an? |the )?"
    rf"{_SIZES}(?:summary|overview|synopsis|outline)(?: (?:of|for|about) (?P<what>.+?))?{_LENGTH}",
    r"what(?: is|'s) (?P<what>.+?) about",
    rf"fass(?:e|en sie|t)?(?: mir| uns)?(?: bitte)? (?P<what>.+?){_LENGTH} zusammen{_LENGTH}",
    r"(?:(?:gib|geben sie|schreibe?|erstelle|erstellen sie|mache?)(?: mir| uns)? )?"
    r"(?:(?:eine?n?|die|den) )?(?:kurze[nr]? )?(?:zusammenfassung|überblick|übersicht)"
    rf"(?: (?:(?:von|über|zu|für) )?(?P<what>.+?))?{_LENGTH}",
    r"(?:worum geht es|wovon handelt|um was geht es)(?: in)? (?P<what>.+)",
    rf"résume[rz]?(?:-moi)? (?P<what>.+?){_LENGTH}",
    r"(?:fais|faites|donne|donnez|écris)(?:-moi)? (?:un|le) (?:bref |court )?(?:résumé|aperçu)"
    rf"(?: (?P<what>.+?))?{_LENGTH}",
    r"de quoi parle (?P<what>.+)",
    rf"resum[ea](?:me)? (?P<what>.+?){_LENGTH}",
    rf"(?:haz|hazme|dame|escribe) un (?:breve )?resumen(?: (?P<what>.+?))?{_LENGTH}",
    r"de qué trata (?P<what>.+)",
    rf"riassumi (?P<what>.+?){_LENGTH}",
    rf"(?:fammi|dammi|scrivi) (?:un (?:breve )?riassunto|una sintesi)(?: (?P<what>.+?))?{_LENGTH}",
    r"di (?:che )?cosa parla (?P<what>.+)",
)
_LIST = (
    r"(?:list|enumerate|name|extract|show|give|tell)(?: me| us)? (?:(?:all|every|each)(?: of)?"
    r"(?: the| single)?|(?:a|the) (?:full |complete )?list of(?: all)?(?: the)?) (?P<what>.+)",
    r"what are all(?: of)?(?: the)? (?P<what>.+)",
    r"(?:liste|listen sie|nenne|nennen sie|zähle|zählen sie|zeige?|gib)(?: mir| uns)?"
    r" (?:alle|sämtliche|jede[nsrm]?)(?: der)? (?P<what>.+?)(?: auf)?",
    r"(?:listez?|énumère|énumérez|citez?|donnez?|montrez?)(?:-moi)?"
    r" (?:tous les|toutes les|chaque) (?P<what>.+)",
    r"(?:enumera|lista|nombra|muestra|muéstrame|cita|dame) (?:todos los|todas las|cada)"
    r" (?P<what>.+)",
    r"(?:elenca|elencami|cita|mostra|mostrami|dammi) (?:tutti i|tutti gli|tutte le|ogni)"
    r" (?P<what>.+)",
)
_COUNT = (
    r"how many (?P<what>.+)",
    r"count (?:all )?(?:of )?(?:the )?(?P<what>.+)",
    r"what is the (?:total )?number of (?P<what>.+)",
    r"wie ?viele? (?P<what>.+)",
    r"combien (?:y a-t-il )?(?:de |d')(?P<what>.+)",
    r"cuánt[oa]s (?P<what>.+)",
    r"quant[ie] (?P<what>.+)",
)
_SHAPES: dict[ErrandKind, tuple[str, ...]] = {
    "summary": _SUMMARY,
    "list": _LIST,
    "count": _COUNT,
}
_PATTERNS = [
    (kind, re.compile(_POLITE + shape, re.IGNORECASE))
    for kind, shapes in _SHAPES.items()
    for shape in shapes
]
#: Quotation marks and apostrophes as they are written, as the patterns have them.
_PLAIN = str.maketrans(
    {
        **dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2018\u2019", "'"),
    }
)

_NOUN = (
    r"(?:document|file|pdf|manual|handbook|report|guide|contract|agreement|paper|book|policy"
    r"|specification|presentation|spreadsheet|dokuments?|datei|handbuch(?:e?s)?|berichte?s?"
    r"|leitfadens?|vertrage?s?|vertrags?|anleitung|buch(?:e?s)?|präsentation|fichier|manuel|rapport"
    r"|contrat|livre|documento|archivo|informe|contrato|libro|manuale|rapporto|contratto)"
)
_ARTICLE = (
    r"(?:(?:the|this|that|my|our|das|dies|dieses|diese[rmn]?|der|die|den|dem|des|im|vom|zum|ce|cet"
    r"|cette|le|la|du|au|este|esta|el|del|al|questo|questa|il|lo|nel|nella|della|dello) |l')"
)
_WHOLE = r"(?:(?:whole|entire|complete|full|attached|uploaded|ganzen?|gesamten?) )?"
_OF = r"(?:(?:of|in|from|within|by|von|in|aus|de|dans|en|di|da) )?"
_POINTED = re.compile(rf"\b{_OF}{_ARTICLE}{_WHOLE}{_NOUN}\b", re.IGNORECASE)
_QUOTED = re.compile(r"\"\s*([^\"]{1,300}?)\s*\"")
_FILE = re.compile(
    r"(?<!\S)[\w()][\w.()-]*\.(?:pdf|docx|pptx|xlsx|csv|html?|md|txt|odt|epub|png|jpe?g|tiff?)\b",
    re.IGNORECASE,
)
#: "the Pump manual" at the end, and "the manual Pump": a name beside what it is the name of.
_NAMED = re.compile(
    rf"(?:\b{_OF}{_ARTICLE})(?:[\w.&'-]+ ){{1,8}}{_NOUN}$"
    rf"|\b{_OF}{_ARTICLE}{_NOUN}(?: (?:called|named|titled))? (?-i:[A-Z0-9]).{{0,200}}$",
    re.IGNORECASE,
)
#: What may stand between that which is counted and the document, and after the document.
_BETWEEN = re.compile(
    r"(?:\s+(?:are|is|were|there|does|do|did|listed|mentioned|described|defined|contained|given"
    r"|named|included|in|of|from|within|by|gibt|es|sind|ist|stehen|steht|werden|wird|hat|enthält"
    r"|nennt|listet|beschreibt|kommen|im|in|aus|von|y|a-t-il|sont|dans|contient|hay|contiene|en"
    r"|ci|sono|nel))+$",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"(?:\s*(?:in total|altogether|have|has|list|contain|mention|describe|define|name|include|give"
    r"|insgesamt|vor|auf|genannt|enthalten|beschrieben|definiert|aufgeführt|aufgelistet|erwähnt"
    r"|listed|mentioned|described|defined|contained|au total|en total|in totale))*",
    re.IGNORECASE,
)
#: A longer question says more than what is wanted of a document.
_LONGEST_CHARS = 400
_LONGEST_TOPIC_WORDS = 12
#: Of what is counted: "how many requirements", "how many open action items"; more is a sentence.
_LONGEST_COUNT_WORDS = 4


def errand_of(question: str) -> Errand | None:
    """What ``question`` wants of a whole document, or None when it asks for a passage."""
    plain = " ".join(question.translate(_PLAIN).split()).strip(" .?!¿¡")
    if len(plain) > _LONGEST_CHARS:
        return None
    for kind, shape in _PATTERNS:
        found = shape.fullmatch(plain)
        if found is not None:
            what = found["what"] or ""
            return _summary(what) if kind == "summary" else _collection(kind, what)
    return None


def _summary(what: str) -> Errand | None:
    """A summary of ``what``, which must be a document and not something in one."""
    if not what or _POINTED.fullmatch(what):
        return Errand("summary", "", pointed=bool(what))
    known = _QUOTED.findall(what) + _FILE.findall(what)
    return None if _POINTED.search(what) and not known else Errand("summary", "", _names(what))


def _collection(kind: ErrandKind, what: str) -> Errand | None:
    """A list or count of ``what``, with the document it is of."""
    found = _QUOTED.search(what) or _FILE.search(what) or _NAMED.search(what)
    pointed = found is None and (found := _POINTED.search(what)) is not None
    if found is None:
        fits = kind == "list" and len(what.split()) <= _LONGEST_TOPIC_WORDS
        return Errand(kind, what) if fits else None
    # "… in the file" before a name, and what only joins the two.
    before = _POINTED.sub("", what[: found.start()]).strip()
    topic, after = _BETWEEN.sub("", f" {before}").strip(), what[found.end() :].strip()
    longest = _LONGEST_COUNT_WORDS
    if kind == "list":
        longest = _LONGEST_TOPIC_WORDS
        topic, after = topic if _AFTER.fullmatch(after) else f"{topic} {after}", ""
    if not _AFTER.fullmatch(after) or not 0 < len(topic.split()) <= longest:
        return None
    names = () if pointed else _names(what[found.start() :])
    return Errand(kind, topic, names, pointed)


def _names(what: str) -> tuple[str, ...]:
    """What a document may be called in ``what``: quoted, a file name, beside a noun, all of it."""
    names = _QUOTED.findall(what) + _FILE.findall(what)
    if not names:
        bare = re.sub(rf"^(?:{_OF}{_ARTICLE}|{_OF})", "", what, count=1, flags=re.IGNORECASE)
        shorter = re.sub(
            rf"^{_NOUN}(?: (?:called|named|titled))? | {_NOUN}$", "", bare, flags=re.IGNORECASE
        )
        names = [what, bare, shorter]
    return tuple(dict.fromkeys(name.lower().replace("_", " ").strip() for name in names))
