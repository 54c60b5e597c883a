"""Checks of values of any kind: types, choices, names."""

from collections.abc import Collection
from typing import TypeVar

from jslim.core.checks._wording import MANY, choices, refusal, sentence, shown
from jslim.core.errors import did_you_mean

T = TypeVar("T")


def given(where: str, name: str, value: T | None, hint: str = "") -> T:
    """Returns a value that must not be None.

    Raises:
      ValueError: The value is None.
    """
    if value is None:
        raise ValueError(sentence(where, f"{name} is missing", hint))
    return value


def instance(
    where: str,
    name: str,
    value: object,
    kind: type[T] | tuple[type[T], ...],
    accepted: str,
    hint: str = "",
) -> T:
    """Returns a value that must have a type.

    Raises:
      TypeError: The value has another type; the error names it.
    """
    if not isinstance(value, kind):
        raise refusal(where, name, accepted, type(value).__name__, hint, TypeError)
    return value


def function(where: str, name: str, value: object, of: str = "", hint: str = "") -> None:
    """Refuses a value that cannot be called.

    Args:
      where, name, value, hint: See the package.
      of: The kind of function that is accepted: `'of arrays'`, `'without arguments'`.

    Raises:
      TypeError: The value cannot be called.
    """
    if not callable(value):
        accepted = f"a function {of}".rstrip()
        raise refusal(where, name, accepted, type(value).__name__, hint, TypeError)


def one_of(
    where: str,
    name: str,
    value: object,
    among: Collection[object],
    accepted: str = "",
    hint: str = "",
) -> None:
    """Refuses a value that is not among the choices.

    Args:
      where, name, value, hint: See the package. If there are many choices and no hint, the error
        names the nearest ones.
      among: The choices.
      accepted: The choices in words; default `choices(among)`.

    Raises:
      ValueError: The value is not among the choices.

    >>> one_of("conv2d", "padding", "SAM", ["SAME", "VALID"])
    Traceback (most recent call last):
    ValueError: conv2d: padding must be 'SAME' or 'VALID', got 'SAM'
    """
    if not any(_is_equal(value, choice) for choice in among):
        if not hint and isinstance(value, str) and len(among) > MANY:
            texts = [choice for choice in among if isinstance(choice, str)]
            hint = did_you_mean(value, texts).removeprefix("; ")
        raise refusal(where, name, accepted or choices(among), shown(value), hint)


def _is_equal(value: object, choice: object) -> bool:
    try:
        return bool(value == choice)
    except (TypeError, ValueError):  # an array, a traced value
        return False


def known(where: str, kind: str, name: object, names: Collection[str], more: str = "") -> None:
    """Refuses a name that does not exist.

    Args:
      where: The function.
      kind: The kind of thing that has a name: `'end point'`.
      name: The name.
      names: The names that exist.
      more: What the error says about them; by default it lists them.

    Raises:
      ValueError: The name does not exist; the error offers the nearest names.

    >>> known("f", "layer", "con1", ["conv1", "fc"])
    Traceback (most recent call last):
    ValueError: f: there is no layer 'con1'; did you mean 'conv1'? (there are conv1, fc)
    """
    if not isinstance(name, str) or name not in names:
        near = did_you_mean(str(name), names)
        more = more or f"there are {', '.join(names)}"
        raise ValueError(sentence(where, f"there is no {kind} {name!r}{near} ({more})"))
