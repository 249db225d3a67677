"""A person, as every room above knows them, and what may be their name and address."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from app.auth.caller import Role
from app.errors import InvalidRequest

MAX_NAME = 128
#: RFC 5321, 4.5.3.1.3, less the brackets.
MAX_EMAIL = 254
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)*")


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who belongs to one tenant; what they may do follows from their role."""

    id: str
    tenant_id: str
    #: As :func:`normal_email` has it; unique over all tenants.
    email: str
    name: str
    role: Role
    scopes: frozenset[str]
    suspended: bool
    #: Tokens issued before are void.
    tokens_since: datetime
    #: What the whole tenant may spend in a month; None leaves it to the settings.
    tenant_budget_usd: float | None = None


def normal_email(text: str) -> str:
    """The one spelling of an e-mail address under which it is stored and looked for.

    Raises:
        InvalidRequest: it is none.
    """
    # NFKC: what only looks different, as full-width letters do, is no other address.
    email = unicodedata.normalize("NFKC", text.strip()).lower()
    if len(email) > MAX_EMAIL or not email.isprintable() or not _EMAIL.fullmatch(email):
        raise InvalidRequest("This is no e-mail address.")
    return email


def normal_name(text: str) -> str:
    """A name without the blanks around it.

    Raises:
        InvalidRequest: it is empty, too long, or holds what cannot be printed.
    """
    name = text.strip()
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise InvalidRequest(f"A name has 1 to {MAX_NAME} printable characters.")
    return name
