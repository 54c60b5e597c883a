"""What numbers may be as arguments: the one rule for counts and for times."""

import math
import numbers
import operator
from typing import Any


def check_count(value: Any, what: str, *, least: int = 1) -> int:
    """The whole number as an int; 3.0 is one, True is none.

    Args:
      value: As it was given.
      what: What it was given as, for errors: `'train: number_of_steps'`.
      least: The smallest that is accepted.

    Raises:
      TypeError: It is no number.
      ValueError: It is no whole number, or smaller.
    """
    accepted = f"a whole number of at least {least}" if least else "a whole number, 0 or more"
    if isinstance(value, bool):
        raise ValueError(f"{what} must be {accepted}, got {value}")
    is_fraction = isinstance(value, numbers.Real) and value % 1 != 0  # as of NaN and infinity
    try:
        is_whole = isinstance(value, numbers.Real) and not is_fraction
        number = int(value) if is_whole else operator.index(value)
    except TypeError:
        kind = ValueError if is_fraction else TypeError
        raise kind(f"{what} must be {accepted}, got {value!r}") from None
    if number < least:
        raise ValueError(
            f"{what} must be {f'at least {least}' if least else '0 or more'}, got {value}"
        )
    return number


def check_secs(value: Any, what: str, accepted: str = "at least 0") -> None:
    """Refuses what is no number of seconds, of at least 0; infinity is for ever.

    Args:
      value: As it was given; None is accepted.
      what: What it was given as.
      accepted: What the error says it must be.

    Raises:
      TypeError: It is no number.
      ValueError: It is negative, or NaN, or True or False.
    """
    if value is None:
        return
    try:
        secs = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{what} must be a number of seconds, got {value!r}") from None
    if math.isnan(secs) or secs < 0:
        raise ValueError(f"{what} must be {accepted}, got {value}")
