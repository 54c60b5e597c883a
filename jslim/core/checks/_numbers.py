"""Checks of numbers: bounds, counts, seconds."""

import math
import numbers
import operator
from collections.abc import Sequence

import numpy as np

from jslim.core.checks._wording import refusal, sentence, shown


def number(
    where: str,
    name: str,
    value: float,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    hint: str = "",
) -> None:
    """Refuses a value that is not a number within bounds; NaN is always refused.

    Args:
      where, name, value, hint: See the package.
      at_least, above: The lower bound; `above` itself is not accepted.
      at_most, below: The upper bound; `below` itself is not accepted.

    Raises:
      TypeError: The value is not a number.
      ValueError: The value is outside the bounds.

    >>> number("f", "rate", 2, at_least=0, at_most=1)
    Traceback (most recent call last):
    ValueError: f: rate must be in [0, 1], got 2
    """
    accepted = _interval(at_least, above, at_most, below)
    try:
        is_between = not math.isnan(value) and (
            (at_least is None or value >= at_least)
            and (above is None or value > above)
            and (at_most is None or value <= at_most)
            and (below is None or value < below)
        )
    except (TypeError, ValueError):
        accepted = f"a number {accepted}".rstrip()
        raise refusal(where, name, accepted, shown(value), hint, TypeError) from None
    if not is_between:
        raise refusal(where, name, accepted or "a number", shown(value), hint)


def _interval(
    at_least: float | None, above: float | None, at_most: float | None, below: float | None
) -> str:
    if at_least is not None and at_most is not None:
        return f"in [{at_least}, {at_most}]"
    if above is not None and below is not None:
        return f"in ({above}, {below})"
    bounds = (("at least", at_least), ("above", above), ("at most", at_most), ("below", below))
    return " and ".join(f"{words} {bound}" for words, bound in bounds if bound is not None)


def not_negative(where: str, name: str, value: float, hint: str = "") -> None:
    """Refuses a negative number and NaN.

    Raises:
      ValueError: The value is negative or NaN.
    """
    if not value >= 0:
        raise ValueError(sentence(where, f"{name} must not be negative, got {shown(value)}", hint))


def whole_number(value: object) -> int | None:
    """A whole number as an int, or None; a float such as `16 / 2` may be whole.

    >>> whole_number(3.0), whole_number(3.5), whole_number("3")
    (3, None, None)
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    try:
        if isinstance(value, numbers.Real):
            return operator.index(math.floor(value)) if value % 1 == 0 else None
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def count(where: str, name: str, value: float, *, least: int = 1) -> int:
    """Returns a whole number as an int; 3.0 is accepted, True is not.

    Args:
      where, name, value: See the package.
      least: The smallest number that is accepted.

    Raises:
      TypeError: The value is not a number.
      ValueError: The number is not whole, or too small.

    >>> count("f", "num_steps", 3.0)
    3
    """
    whole = None if isinstance(value, bool) else whole_number(value)
    if whole is None:
        accepted = f"a whole number of at least {least}" if least else "a whole number, 0 or more"
        kind = ValueError if isinstance(value, numbers.Real) else TypeError
        raise refusal(where, name, accepted, shown(value), kind=kind)
    if whole < least:
        raise refusal(where, name, f"at least {least}" if least else "0 or more", shown(value))
    return whole


def positive_integer(where: str, name: str, value: float, hint: str = "") -> int:
    """Returns a positive whole number as an int; 3.0 is accepted.

    Raises:
      ValueError: The value is not a whole number of at least 1.
    """
    whole = whole_number(value)
    if whole is None or whole < 1:
        raise refusal(where, name, "a positive integer", shown(value), hint)
    return whole


def positive_integers(
    where: str, name: str, value: float | Sequence[float], length: int
) -> tuple[int, ...]:
    """Returns `length` positive integers; one number stands for all of them.

    Raises:
      ValueError: A number is not a positive integer, or there are not `length` of them.

    >>> positive_integers("f", "kernel_size", 3, length=2)
    (3, 3)
    """
    if isinstance(value, np.ndarray):
        value = value.tolist()
    values = value if isinstance(value, (list, tuple)) else [value] * length
    whole = [number for v in values if (number := whole_number(v)) is not None and number >= 1]
    if len(whole) != len(values) or len(values) != length:
        several = f" or {length} of them" if length > 1 else ""
        raise refusal(where, name, f"one positive integer{several}", shown(value))
    return tuple(whole)


def seconds(where: str, name: str, value: float | None, accepted: str = "at least 0") -> None:
    """Refuses a value that is not a number of seconds, at least 0.

    Args:
      where, name, value: See the package; None and infinity are accepted.
      accepted: The accepted numbers in words.

    Raises:
      TypeError: The value is not a number.
      ValueError: The value is negative, NaN, True or False.
    """
    if value is None:
        return
    try:
        secs = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        raise refusal(where, name, "a number of seconds", shown(value), kind=TypeError) from None
    if not secs >= 0:
        raise refusal(where, name, accepted, shown(value))
