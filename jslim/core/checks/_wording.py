"""The words of errors."""

import numbers
from collections.abc import Iterable

MANY = 4  # choices; more than these are shown as a list


def refusal(
    where: str,
    name: str,
    accepted: str,
    got: str,
    hint: str = "",
    kind: type[ValueError] | type[TypeError] = ValueError,
) -> ValueError | TypeError:
    """Makes the error for an argument that is not accepted.

    Args:
      where, name: See the package.
      accepted: The accepted values in words: `'a list of names'`.
      got: The given value in words: `shown(value)`, `f'shape {array.shape}'`.
      hint: What to do.
      kind: The class of the error.

    >>> refusal("f", "names", "a list of names", shown("a"))
    ValueError("f: names must be a list of names, got 'a'")
    """
    return kind(sentence(where, f"{name} must be {accepted}, got {got}", hint))


def sentence(where: str, text: str, hint: str = "") -> str:
    """`where: text; hint`, without a part that is empty."""
    return (f"{where}: " if where else "") + text + (f"; {hint}" if hint else "")


def shown(value: object) -> str:
    """A value as errors show it: a NumPy number as `0.5` and not as `np.float64(0.5)`.

    >>> import numpy as np
    >>> shown(np.float64(0.5)), shown("a")
    ('0.5', "'a'")
    """
    return str(value) if isinstance(value, numbers.Number) else repr(value)


def choices(values: Iterable[object]) -> str:
    """Choices in words: `'a', 'b' or 'c'`; five and more become `one of 'a', 'b', ...`.

    >>> choices([8, 16, None])
    '8, 16 or None'
    """
    *first, last = map(repr, values)
    if len(first) + 1 > MANY:
        return f"one of {', '.join([*first, last])}"
    return f"{', '.join(first)} or {last}" if first else last
