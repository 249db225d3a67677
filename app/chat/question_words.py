"""English as `same_question` reads it: rewrites, words that are alike, and small words.

Add a line when a question is answered anew that need not be; then measure both (ADR 0021):
``python -m scripts.evaluate_semantic_cache``.
"""

import re

AUXILIARY = (
    r"(?:is|are|was|were|am|do|does|did|has|have|had|can|could|may|might|must|should|shall|will"
    r"|would)"
)
_ASKING = rf"(?:what|which|who|whom|whose|when|where|why|how|by whom|{AUXILIARY})"
_SOMEBODY = r"(?:i|you|we|one|they)"

#: In this order, on the question in small letters.
REWRITES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), reading)
    for pattern, reading in (
        # How it is written.
        (r"[\u2018\u2019]", "'"),
        (r"\bwon't\b", "will not"),
        (r"\bcan(?:'t|not)\b", "can not"),
        (r"n't\b", " not"),
        (r"\b(what|who|where|when|how|that|it|there)'s\b", r"\1 is"),
        *([(r"\b([\w-]+)'s? ([\w-]+)", r"\2 of \1")] * 2),  # "the tenant's agent's fee"
        (r"'(?:s|re|ve|ll|d|m)?(?![a-z])", " "),
        (r"(?<!\w)-(?=\d)", "minus "),
        (r"\be-mail", "email"),
        (r"^\W*(?:please|(?:could|can|would) you(?: please)? tell me|tell me|do you know)\b", " "),
        (r"\bplease\b|\bor not\W*$", " "),
        (r"\bis it true that\b", "is "),
        # What stands before the question goes behind it.
        (rf"^\W*([^,?]+),\s*({_ASKING}\b.*?)\W*$", r"\2 \1"),
        # What is asked for.
        (rf"^\W*(?:whether\b|(?=(?:not )?{AUXILIARY}\b))", " WHETHER "),
        (r"\bwhat (?:does|do) (.+?) contain\b|\bwhat (?:is|are) "
         r"(?:the contents? of|in|inside|on|at)\b",
         r" CONTENT \1 "),
        (r"\bdo(?:es)?(?=\W*$)|\bdo(?=\s+(?:with|to|for|when|if|after|before|in|on|about)\b)",
         " DO "),
        (r"^(\W*what (?:does|do|did) .+)\bhave\b(?=\W*$)", r"\1 HAVE "),
        (r"\bhow (?:high|large|big) (?:is|are) the "
         r"(ratio|rate|price|fee|fine|penalty|share|limit)\b",
         r"what is the \1"),
        (r"\b(?:how often|how frequently|how many times|at (?:what|which) frequency)\b",
         " FREQUENCY "),
        (r"\bhow many\b|\b(?:the )?number of\b", " COUNT "),
        (r"\bhow much\b|\b(?:(?:what|the) )?amount of\b", " AMOUNT "),
        (r"\bhow long\b|\bduration\b", " DURATION "),
        (r"(DURATION.*)\blast\b(?=\W*$)", r"\1"),
        (r"\bhow (?:large|big)\b|\bsize\b", " SIZE "),
        (r"\bhow far(?: away)?\b|\bdistance\b", " DISTANCE "),
        (r"\bhow deep\b|\bdepth\b", " DEPTH "),
        (r"\bhow old\b", " AGE "),
        (r"\bhow (?:high|tall)\b|\bheight\b", " HEIGHT "),
        (r"\bhow (?:wide|broad)\b|\bwidth\b", " WIDTH "),
        (r"\bhow fast\b|\bspeed\b", " SPEED "),
        (r"\b(?:for|what is|what was) (?:what |the )?reason(?: (?:why|that|for which))?\b"
         r"|\bwhy\b|\bfor (?:what|which) reason\b", " REASON "),
        (rf"\bhow (?:do|can|could|should|may|would) {_SOMEBODY}\b|\bhow to\b"
         rf"|\bwhat (?:do|should|must) {_SOMEBODY} (?:have to |need to )?do to\b"
         r"|\b(?:what (?:is|are) )?the (?:way|steps?|procedure|process) (?:to|for|of)\b|\bhow\b",
         " MANNER "),
        (r"\b(?:(?:at|on) )?(?:what|which) (?:time|date|day|point|moment)\b|^\W*when\b", " TIME "),
        (r"\b(?:when|whenever|in case)\b", "if"),
        (r"\b(?:in (?:what|which) place|where)\b", " PLACE "),
        (rf"PLACE\s+can {_SOMEBODY} find\b", "PLACE "),
        (r"(PLACE.*)\b(?:located|situated)\b", r"\1"),
        (r"\b(?:by )?(?:whom?|(?:what|which) person)\b", " WHO "),
        (r"\bwhose\b", " WHOSE "),
        (r"\b(?:what|which) (?:kinds?|types?|sorts?) of\b|\b(?:what|which)(?: ones?)? of the\b",
         "which "),
        (rf"\b(?:what|which)\b(?=\s+{AUXILIARY}\b|\s+happens?\b|\s+occurs?\b)", " "),
        (r"^\W*(?:\w+ )?(?:what|which)\b", " WHICH "),
        # What may and what must be.
        (r"\b(?:is|are|am)\b (.+?) \b(?:allowed|permitted|able) to\b", r"can \1 "),
        (r"\bis it (?:possible|allowed|permitted) for (.+?) to\b", r"can \1 "),
        (r"\bis it (?:possible|allowed|permitted) to\b", "can i "),
        (r"\b(?:is|are|am)\b (.+?) \b(?:required|obliged) to\b", r"must \1 "),
        (r"\b(?:do|does|did)\b(.*?)\b(?:have|need) to\b", r"must \1 "),
        (r"\b(?:has|have|needs?|ought) to\b|\bshould\b", " must "),
        (r"WHO\s+must\b", "WHO "),
        (r"WHETHER\s+(?:has|have)\b", "WHETHER did "),
        (r"\b(?:can|may|could|might)\b", " CAN "),
        (r"\bmust\b", " MUST "),
        (r"\b(?:was|were|did|had)\b", " PAST "),
        (r"\b(?:will|shall|going to)\b", " FUTURE "),
        # Bounds, times and figures.
        (r"\b(?:at most|max|maximal|maximum|largest|biggest|greatest)\b", " MAX "),
        (r"\b(?:at least|min|minimal|minimum|smallest)\b", " MIN "),
        (r"\b(?:more|older|higher|larger|longer) than(?=\s+\d)|\bover(?=\s+\d)", " above "),
        (r"\b(?:less|fewer|younger|lower|smaller|shorter) than(?=\s+\d)|\bunder(?=\s+\d)",
         " below "),
        (r"\bprior to\b", "before"),
        (r"\busing\b", "with"),
        (r"\bdaily\b", "per day"),
        (r"\bannual(?:ly)?\b", "per year"),
        (r"\b(?:per|every|each) (day|week|month|year)\b|\b(week|month|year)ly\b", r" \1\2LY "),
        (r"(MAX.*)\b(?:allowed|permitted|possible)\b", r"\1"),
        (r"\bto be\b", " "),
        (r"\bfinancial year\b", "fiscal year"),
        (r"\b(?:in )?(?:the )?year (?=\d{4}\b)", " "),
        (r"\bturn(ed|ing|s)? on\b|\bswitch(ed|ing|es)? on\b", "enable"),
        (r"\bturn(ed|ing|s)? off\b|\bswitch(ed|ing|es)? off\b", "disable"),
    )
)  # fmt: skip

#: Words that are the same to a reader whose question is about something else.
ALIKE: dict[str, str] = {
    word: group[0]
    for group in (
        line.split()
        for line in """
        start begin commence
        end finish expire
        large big
        happen occur
        need require
        contain include
        buy purchase acquire
        get receive obtain
        use
        show display
        choose select pick
        change modify alter
        delete remove erase
        repair fix
        increase rise grow
        decrease fall drop
        larger bigger
        leave depart
        terminate end
        place put
        employee staff
        child kid children
        fridge refrigerator
        car automobile
        phone telephone
        photo picture
        cost price
        DURATION period
        high tall
        0 zero
        1 one single
        2 two
        3 three
        4 four
        5 five
        6 six
        7 seven
        8 eight
        9 nine
        10 ten
        11 eleven
        12 twelve
        1st first
        2nd second
        3rd third
        4th fourth
        """.strip().splitlines()
    )
    for word in group
}
IRREGULAR = {
    past: verb
    for verb, *pasts in (
        line.split()
        for line in """
        begin began begun
        build built
        buy bought
        choose chose chosen
        fall fell fallen
        find found
        get got
        give gave given
        grow grew grown
        hold held
        keep kept
        make made
        pay paid
        rise rose risen
        run ran
        sell sold
        send sent
        show shown
        take took taken
        write wrote written
        """.strip().splitlines()
    )
    for past in pasts
}


#: What says nothing of what a question is about.
FILLER = frozenset(  # a block of words reads better than a list
    """
    a an the of for in on at with and as is are be been being am do does have has having it its
    this that these those there i you we me us my your our their any some both so very which what
    would
    """.split()  # noqa: SIM905
)
#: Words that say what the next one's part is.
BINDING = frozenset(
    """
    from to by than before after into onto above below under without until since against per
    except beyond not no never if unless because while although
    """.split()  # noqa: SIM905
)
LOOSE = frozenset(["of", "for", "in", "on", "at", "with"])
#: Between two things that are asked for at once: what of the rest is said of which, its place says.
JOINING = frozenset(["and", "or", "but"])
#: Capitalised within a sentence, these are names: "US", "May".
SMALL = (
    FILLER
    | BINDING
    | frozenset(
        "can may must will who how when where why max min over".split()  # noqa: SIM905
    )
)
