"""The three error classes of jslim, and the words that its messages share.

A message is one sentence: where, what was given, what is accepted, what to do. All three classes
are `ValueError`s, so that a program can catch any bad argument by that class.
"""

import difflib
import re
from collections.abc import Iterable


class ScopeError(ValueError):
    """An `arg_scope`, a variable scope or a variable is used in a way that is not allowed."""


class RestoreError(ValueError):
    """A checkpoint cannot be read, or does not fit the variables to restore."""


class DataError(ValueError):
    """A data set, a record or an image cannot be read, or its contents are wrong."""


def nearest(name: str, candidates: Iterable[str]) -> list[str]:
    """The three candidates most like `name`, best first; those that contain it count as near.

    Case does not count, and a capital within a name is like an underscore.

    >>> nearest("strid", ["padding", "stride", "strides"])
    ['stride', 'strides']
    >>> nearest("SoftmaxCrossEntropy", ["softmax_cross_entropy", "log_loss"])
    ['softmax_cross_entropy']
    """
    looks: dict[str, list[str]] = {}
    for candidate in dict.fromkeys(candidates):
        looks.setdefault(_look(candidate), []).append(candidate)
    look = _look(name)
    close = difflib.get_close_matches(look, looks, cutoff=0.6)
    containing = [other for other in looks if look and look in other and other not in close]
    found = close + containing or difflib.get_close_matches(look, looks, cutoff=0.5)
    return [candidate for other in found for candidate in looks[other]][:3]


def _look(name: str) -> str:
    """The name as it is compared: `BatchNorm` as `batch_norm`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """`"; did you mean 'a' or 'b'?"`, or `""` if no candidate is like `name`.

    >>> did_you_mean("paddin", ["padding", "rate"])
    "; did you mean 'padding'?"
    """
    near = nearest(name, candidates)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def given_more_than_once(
    what: str, first: str, names: Iterable[str], count: int, twice: Iterable[str]
) -> TypeError:
    """The error of a function with an optional first argument that got other arguments twice.

    Args:
      what: The function.
      first: The optional first argument.
      names: The other arguments in order.
      count: How many of them were given by position.
      twice: Those that were given by name as well.
    """
    return TypeError(
        f"{what} takes ([{first},] {', '.join(names)}), each of them once, got {count} by position "
        f"and {', '.join(twice) or 'none of them'} by name as well"
    )
