"""Path parameters beyond Starlette's own."""

from starlette.convertors import Convertor, register_url_convertor


class TextConvertor(Convertor[str]):
    """The rest of a path whatever it holds: slashes as ``path`` does, and line feeds too.

    Names that callers choose may hold both, and what was made must be found again.
    """

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        """The parameter; the server has decoded it."""
        return value

    def to_string(self, value: str) -> str:
        """The part of a path."""
        return value


#: As in ``f"/tags/{{tag:{TEXT}}}"``.
TEXT = "text"
register_url_convertor(TEXT, TextConvertor())
