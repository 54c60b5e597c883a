"""JSON of others: read within limits, and checked against types before it is used.

    class Leaf(NamedTuple):
        name: str
        shape: list[Annotated[int, Between(0, 9)]]

    conform(parse_json(content), Leaf)

The types are those of the fields of a NamedTuple or a TypedDict. The error of a document that does
not conform is `Invalid`; its message, a part of a sentence, has the place and the problem.
"""

import functools
import json
import math
import os
import re
import reprlib
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jslim.host.files import read_regular
from jslim.host.limits import TEXT_BYTES

MAX_DEPTH = 64
_BYTES_OF_A_VALUE = 16  # at least, since short values take much more memory than text


class Invalid(ValueError):
    """A document does not conform to its type.

    Args:
      problem: What is wrong: `'must be a list, got 3'`.
      place: The place in the document: `'leaves[3].shape'`.
    """

    def __init__(self, problem: str, place: str = "") -> None:
        super().__init__(f"{place.lstrip('.')} {problem}".lstrip())
        self._problem, self._place = problem, place

    def within(self, part: str) -> "Invalid":
        """The same error with a longer place, `part` being the first part of it."""
        return Invalid(self._problem, part + self._place)


def parse_json(content: bytes) -> Any:
    """The value of a JSON text of limited size, number of values and depth.

    Raises:
      Invalid: It is not JSON, or is beyond a limit.

    >>> parse_json(b'{"a": [1, 2]}')
    {'a': [1, 2]}
    """
    if len(content) > TEXT_BYTES():
        raise Invalid(TEXT_BYTES.exceeded(f"it has {len(content)} bytes"))
    # An empty list takes 3 bytes in the text and 64 in memory, so the number of values counts too.
    count = _BYTES_OF_A_VALUE * sum(map(content.count, (b"{", b"[", b",", b":")))
    if count > TEXT_BYTES():
        raise Invalid(TEXT_BYTES.exceeded(f"its values count as {count} bytes"))
    too_deep = Invalid(f"its lists and objects are nested more than {MAX_DEPTH} deep")
    try:
        value = json.loads(content.decode("utf-8-sig"))
    except RecursionError:
        raise too_deep from None
    except UnicodeDecodeError as error:
        raise Invalid(f"it is not UTF-8: {error.reason} at byte {error.start}") from None
    except ValueError as error:
        raise Invalid(f"it is no JSON: {error}") from None
    level = [value]
    for _ in range(MAX_DEPTH):
        if not (level := [part for above in level for part in _parts(above)]):
            break
    else:
        raise too_deep
    if re.search(rb"\\u[dD][89a-fA-F]", content):  # it may be half of a surrogate pair
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise Invalid("it has half a surrogate pair, which is no text") from None
    return value


def read_json(path: str | os.PathLike[str]) -> Any:
    """`parse_json` of a file.

    Raises:
      Invalid: It is not JSON, or is beyond a limit.
      OSError: It cannot be read, is not a regular file, or is too large.
    """
    return parse_json(read_regular(path, TEXT_BYTES))


def _parts(value: Any) -> typing.Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


@dataclass(frozen=True)
class Between:
    """The bounds of a number, or of the length of a list; both bounds are allowed."""

    least: int
    most: int

    def check(self, value: Any) -> None:
        """Raises `Invalid` if the number or length is out of bounds."""
        size = value if isinstance(value, int | float) else len(value)
        if not self.least <= size <= self.most:
            what = "be" if size is value else "have a length"
            raise Invalid(f"must {what} from {self.least} to {self.most}, got {size}")


_NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def conform(value: Any, kind: Any) -> Any:
    """The value as an object of a type.

    Args:
      value: A value of JSON.
      kind: `str`, `int` (of 64 bits), `float` (finite), `bool` or `Any`; `list`, `tuple[X, ...]`
        and `dict[str, X]` of these; one of these or None; `Annotated` with `Between`; a NamedTuple
        or a TypedDict. Keys that are no field are dropped for a NamedTuple, and kept for a
        TypedDict.

    Raises:
      Invalid: It is something else.

    >>> conform({"a": [1, 2]}, dict[str, tuple[int, ...]])
    {'a': (1, 2)}
    """
    origin, arguments = _taken_apart(kind)
    if kind is Any:
        return value
    if origin is typing.Annotated:
        value = conform(value, arguments[0])
        for bounds in arguments[1:]:
            bounds.check(value)
        return value
    if origin in (types.UnionType, typing.Union):
        return None if value is None else conform(value, arguments[0])
    if origin in (list, tuple):
        _check(value, list, "a list")
        return origin(_part(_item, i, part, arguments[0]) for i, part in enumerate(value))
    if origin is dict:
        _check(value, dict, "an object")
        return {key: _part(_item, key, part, arguments[1]) for key, part in value.items()}
    if kind not in _NAMES:
        return _object(value, kind)
    if kind is float and type(value) is int:
        return conform(value, int)
    _check(value, kind, _NAMES[kind])
    if kind is int and not -(1 << 63) <= value < 1 << 63:
        raise Invalid("must be a whole number of 64 bits, got one of more")
    if kind is float and not math.isfinite(value):
        raise Invalid(f"must be a finite number, got {value}")
    return value


def _check(value: Any, kind: type, name: str) -> None:
    if type(value) is not kind:  # a bool is an int elsewhere
        raise Invalid(f"must be {name}, got {reprlib.repr(value)}")


@functools.cache
def _taken_apart(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    return typing.get_origin(kind), typing.get_args(kind)


def _item(key: int | str) -> str:
    return f"[{reprlib.repr(key)}]"


def _part(named: Callable[[Any], str], key: int | str, value: Any, kind: Any) -> Any:
    """A part of a value; `named(key)` is its place in errors."""
    try:
        return conform(value, kind)
    except Invalid as error:
        raise error.within(named(key)) from None


def _object(value: Any, kind: Any) -> Any:
    _check(value, dict, "an object")
    hints, required = _fields(kind)
    for name in required:
        if name not in value:
            raise Invalid("is missing", f".{name}")
    found = {
        name: _part(".{}".format, name, value[name], hint)
        for name, hint in hints.items()
        if name in value
    }
    return {**value, **found} if typing.is_typeddict(kind) else kind(**found)


@functools.cache
def _fields(kind: Any) -> tuple[dict[str, Any], list[str]]:
    """The types of the fields, and the names of the required ones."""
    hints = typing.get_type_hints(kind, include_extras=True)
    if typing.is_typeddict(kind):
        return hints, sorted(kind.__required_keys__)
    return hints, [name for name in hints if name not in kind._field_defaults]
