"""The three error classes of jslim, and the words its messages share.

A message is one sentence: where, what was given, what is accepted, what to do. All three are
`ValueError`s, so that code which only wants to know that an argument was bad can catch that.
"""

import difflib
from collections.abc import Iterable


class ScopeError(ValueError):
    """An `arg_scope`, a variable scope or a variable is used against its rules."""


class RestoreError(ValueError):
    """A checkpoint cannot be read, or does not fit what it is to be restored into."""


class DataError(ValueError):
    """A data set, a record or an image cannot be read or does not hold what it should."""


def nearest(name: str, candidates: Iterable[str], count: int = 3) -> list[str]:
    """The candidates most like `name`, best first; ones that contain it count as near."""
    candidates = list(dict.fromkeys(candidates))
    close = difflib.get_close_matches(name, candidates, n=count, cutoff=0.5)
    containing = [c for c in candidates if name and name in c and c not in close]
    return (close + containing)[:count]


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """`"; did you mean 'a' or 'b'?"`, or nothing when no candidate is like `name`."""
    near = nearest(name, candidates)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def given_more_than_once(
    what: str, first: str, names: Iterable[str], count: int, twice: Iterable[str]
) -> TypeError:
    """Of a function that may have something before its other arguments, which it was given wrongly.

    Args:
      what: The function.
      first: What may come first.
      names: The other arguments in order.
      count: How many of these were given by position.
      twice: Which of them by name as well.
    """
    return TypeError(
        f"{what} takes ([{first},] {', '.join(names)}), each of them once, got {count} by position "
        f"and {', '.join(twice) or 'none of them'} by name as well"
    )
