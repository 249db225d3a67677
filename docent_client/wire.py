"""How JSON becomes a dataclass: by its fields' names and types, leniently towards new fields."""

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from datetime import datetime
from types import NoneType, UnionType
from typing import Any, Self, get_args, get_origin, get_type_hints

Json = Mapping[str, Any]
_PLAIN = (str, int, float, bool)


@dataclass(frozen=True)
class Wire:
    """A shape of the contract; a field's metadata may give its ``name`` on the wire."""

    @classmethod
    def from_json(cls, data: Json) -> Self:
        """Reads the known fields; others are ignored; null is the default, where there is one.

        Raises:
            KeyError, TypeError, ValueError: the body is not what the contract promises.
        """
        if not isinstance(data, Mapping):
            raise TypeError(f"{cls.__name__} is not an object")
        kinds = get_type_hints(cls)
        read: dict[str, Any] = {}
        for field in fields(cls):
            name = field.metadata.get("name", field.name)
            if data.get(name) is None and _has_default(field):
                continue
            read[field.name] = _converted(kinds[field.name], data[name])
        return cls(**read)


def _has_default(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _converted(kind: Any, value: Any) -> Any:  # noqa: ANN401 - JSON
    origin, inner = get_origin(kind), get_args(kind)
    if origin is UnionType:
        [some] = [one for one in inner if one is not NoneType]
        return None if value is None else _converted(some, value)
    if origin is tuple:
        if not isinstance(value, list):
            raise TypeError("not a list")
        return tuple(_converted(inner[0], one) for one in value)
    if isinstance(kind, type) and issubclass(kind, Wire):
        return kind.from_json(value)
    return _leaf(origin or kind, value)


def _leaf(kind: Any, value: Any) -> Any:  # noqa: ANN401 - JSON
    if kind is datetime:
        return datetime.fromisoformat(value)
    if kind is Mapping and not isinstance(value, Mapping):
        raise TypeError("not an object")
    if kind is float and type(value) is int:
        return float(value)
    if kind in _PLAIN and type(value) is not kind:
        raise TypeError(f"not a {kind.__name__}")
    return value
