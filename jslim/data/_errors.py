"""Errors that several files of this room raise, in one wording."""

import contextlib
from collections.abc import Collection, Iterator

from jslim.core.errors import DataError, did_you_mean
from jslim.core.text import some_of


@contextlib.contextmanager
def reading(
    what: str, advice: str = "", kinds: tuple[type[Exception], ...] = (OSError,)
) -> Iterator[None]:
    """Turns what reading raises into `WHAT cannot be read (REASON)ADVICE`.

    Args:
      what: What is read: `repr(path)`.
      advice: What to do: `'; unpack it'`.
      kinds: The errors of reading.

    Raises:
      DataError: The body raised one of them, or a DataError, which is passed on.
    """
    try:
        yield
    except DataError:
        raise
    except kinds as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{what} cannot be read ({reason}){advice}") from error


def check_split(
    split_name: str, splits: Collection[str], where: str, kind: type[ValueError] = ValueError
) -> None:
    """Refuses a split that a data set does not have; the error has the nearest ones.

    Args:
      split_name: The split.
      splits: The splits that there are.
      where: What has them, for the error: `"'digits' has the splits"`.
      kind: The class of the error.

    Raises:
      ValueError: There is no such split.
    """
    if split_name not in splits:
        raise kind(
            f"split name {split_name} was not recognized: {where} "
            f"{some_of([*map(repr, splits)], 5)}{did_you_mean(split_name, splits)}"
        )
