"""Checks of arguments by their annotations: of switches, numbers, texts, and lists of them."""

import inspect
import numbers
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Union, get_args, get_origin

import jax
import numpy as np

from jslim.core.checks._wording import refusal, shown


class Annotated(NamedTuple):
    """What an annotation accepts.

    Attributes:
      accepted: In words.
      fits: One function for each member of the annotation, for values that it accepts.
    """

    accepted: str
    fits: tuple[Callable[[object], bool], ...]


def _is_scalar(value: object) -> bool:
    """Whether it is one number or truth value, perhaps one that is not known yet."""
    if getattr(value, "shape", None) == ():
        return getattr(value, "dtype", None) is not None
    return isinstance(value, numbers.Real)


def _is_switch(value: object) -> bool:
    return _is_scalar(value) and not (isinstance(value, numbers.Real) and value not in (0, 1))


def _is_number(value: object) -> bool:
    return _is_scalar(value) and not isinstance(value, (bool, np.bool_))


def _is_name(value: object) -> bool:
    return isinstance(value, str) or isinstance(getattr(value, "name", None), str)


def _is_none(value: object) -> bool:
    return value is None


def _is_whole(value: object) -> bool:
    return _is_number(value) and (not isinstance(value, numbers.Real) or value % 1 == 0)


def _is_dict(value: object) -> bool:
    return isinstance(value, Mapping)


Fit = tuple[str, Callable[[object], bool]]

_MEMBERS: dict[object, Fit] = {
    bool: ("True or False", _is_switch),
    float: ("a number", _is_number),
    int: ("a whole number", _is_whole),
    str: ("a text", _is_name),
    types.NoneType: ("None", _is_none),
}


def _fit_of(member: Any) -> Fit | None:
    """What a member of an annotation accepts; None if that is for the function to check."""
    if get_origin(member) is Mapping:
        return "a dict", _is_dict
    if get_origin(member) not in (Sequence, tuple):
        return _MEMBERS.get(member)
    within = [_MEMBERS.get(part) for part in _members(get_args(member)[0])]
    fits = [fit for fit in within if fit is not None]
    if len(fits) < len(within):
        return None

    def is_list(value: object) -> bool:
        if isinstance(value, (np.ndarray, jax.Array)):
            return value.ndim == 1 and fits != [_MEMBERS[str]]
        if isinstance(value, str) or not isinstance(value, Sequence):
            return False
        return all(any(fit(part) for _, fit in fits) for part in value)

    noun = fits[0][0].removeprefix("a ")
    return f"a list of {noun}s", is_list


def annotated(parameters: Iterable[inspect.Parameter]) -> dict[str, Annotated]:
    """What those of the parameters accept that are switches, numbers or texts.

    >>> def op(inputs, rate: float, axis: int | None = None): ...
    >>> list(annotated(inspect.signature(op).parameters.values()))
    ['rate', 'axis']
    """
    found = {}
    for parameter in parameters:
        members = _members(parameter.annotation)
        known = [fit for member in members if (fit := _fit_of(member)) is not None]
        # What is one number or several is checked where it is known how many.
        if len(known) == len(members) and not {int, Sequence[int]} <= {*members}:
            words, fits = zip(*known, strict=True)
            found[parameter.name] = Annotated(_joined(words), fits)
    return found


def _joined(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def _members(annotation: Any) -> tuple[object, ...]:
    is_union = get_origin(annotation) in (Union, types.UnionType)
    return get_args(annotation) if is_union else (annotation,)


def fits(where: str, name: str, value: object, kind: Annotated) -> None:
    """Refuses a value that the annotation does not accept.

    A number that is not known before the program runs is accepted; bounds, and whether a number is
    whole, are for the function to check.

    Args:
      where, name, value: See the package.
      kind: From `annotated`.

    Raises:
      TypeError: It has another type.

    >>> fits("dropout", "keep_prob", "0.5", Annotated("a number", (_is_number,)))
    Traceback (most recent call last):
    TypeError: dropout: keep_prob must be a number, got '0.5'
    """
    if not any(fit(value) for fit in kind.fits):
        shape = getattr(value, "shape", None)
        got = shown(value)
        if shape is not None:
            got = f"an array of shape {shape}"
        elif not isinstance(value, (str, numbers.Number, types.NoneType)):
            got = type(value).__name__
        raise refusal(where, name, kind.accepted, got, kind=TypeError)
